"""How well maps localise, on all pictures of a data set."""
