"""From an image file to the network's input, and from the map back onto the photo."""
