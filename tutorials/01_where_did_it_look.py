# %% [markdown]
# # Lesson 1: Where did it look?
#
# **You will do**: show a network a photo and ask where it looked; look at the photo through every layer of
# the network, from edges to eyes.
#
# **You will learn**: the question that the paper answers; what shallow and deep layers respond to; at which
# step the place is lost, and why it need not be; what is new in this paper.
#
# **You need**: nothing but Python. Words that are new are explained here, in
# [prerequisites.md](prerequisites.md), or in the [glossary](glossary.md).
#
# **In the paper**: the abstract and Section 1, Figure 1. In the study note: "Motivation" and Section 1.

# %%
import matplotlib.pyplot as plt
import numpy as np
from slides import box, panels, photo, scale_of

import cam_numpy as cam

# %% [markdown]
# ## The question
#
# A network for image classification takes a photo and names what it shows. It was trained with photos and
# *labels*: "this is an espresso". Nobody ever told it where the espresso is. Here is its answer for a photo:

# %%
cup = photo("coffee")
e = cam.explain(cup)
for guess in e.top(3):
    print(f"{guess.name:15s} {guess.P:.1%}")
assert e.top(1)[0].name == "espresso"

# %% [markdown]
# Right. But *why*? Did it see the coffee, the cup, or only a brown table? The number does not say. The
# paper's answer is a **class activation map** (CAM): for a class, how much each place of the photo
# contributed to it. The places that tell a class from the others are called *discriminative regions*.

# %%
M = e.M("espresso")
axes = panels([cup, (cup, M, scale_of(M)), (cup, M, scale_of(M))],
              titles=["the photo", "where is the evidence for espresso?", "a box around it"], size=3.2)
box(axes[2], e.box("espresso"), cup.size)
plt.show()

height, width = M.shape
y, x = np.unravel_index(M.argmax(), M.shape)
place = ((x + 0.5) / width * cup.width, (y + 0.5) / height * cup.height)
print(f"strongest at ({place[0]:.0f}, {place[1]:.0f}) of {cup.width} x {cup.height} pixels")
assert 175 < place[0] < 410 and 20 < place[1] < 300  # inside of the cup, measured by hand

# %% [markdown]
# The network looks at the coffee in the cup. It learned from labels only, and it can still tell the place
# (*weakly supervised localisation*: trained with easy information, labels, and then used for a harder task,
# places). This lesson is about why that is possible at all.
#
# ## What the layers see
#
# A *convolutional layer* moves a small window over its input and computes one number at each place, for each
# of its *units*. One unit may answer to vertical edges: its number is large where there is one. The output of
# a unit is itself a little picture, its *feature map*. The next layer looks at the maps of the layer before.
# As one goes deeper, maps get coarser (the *stride* grows) and each number depends on a larger part of the
# photo.
#
# Zeiler and Fergus (2014) showed what this leads to: **shallow layers find edges and colours, deep layers
# find parts of objects.** They did not train the network in another way for this: they took a classifier
# trained with labels, and looked into it. The study note begins with their figure. Let us look ourselves. All
# maps of our network for one photo, one row for each of some layers, the six units that vary most:

# %%
cat = photo("chelsea")
layers = cam.load().layers()  # from shallow to deep
maps = cam.layer_maps(cat)  # one forward pass: name -> (K, H, W)
for i, layer in enumerate(layers):
    K, H, W = maps[layer.name].shape
    print(f"layer {i:2d}: {K:3d} units on {H:2d} x {W:2d} places, stride {layer.stride[0]}, "
          f"a place sees {layer.receptive_field[0]:3d} pixels each way")
assert np.array_equal(maps["f"], cam.explain(cat).f)  # the last one is f, of which the map is made
assert layers[-1].receptive_field[0] > 96  # more than the network's input is high
assert layers[-1].name == "f" and layers[0].receptive_field == (3, 3)

# %%
chosen = [0, 1, 5, len(layers) - 2, len(layers) - 1]
pictures = []
for i in chosen:
    f = maps[layers[i].name]
    most = np.argsort(-f.std(axis=(1, 2)))[:6]
    pictures += [f[k] for k in most]
axes = panels(pictures, columns=6, size=1.5)
for axis, i in zip(axes[::6], chosen):
    axis.set_ylabel(f"stride {layers[i].stride[0]}\nlayer {i}", fontsize=10)
plt.show()

# %% [markdown]
# White is where a unit *fires*, that is, where its activation is large.
#
# - **First row**: edges and shades, one direction for each unit. The photo is easy to recognise.
# - **Then** strokes, stripes of the fur, corners.
# - **Last rows**: a few spots. One unit fires at the eyes, another at the forehead, another at the muzzle.
#   The photo is gone, its parts are left.
#
# `cam-numpy layers cat.jpg` draws this for your own photos and networks. "A place sees" is the *receptive
# field*: the part of the network's input that can influence one number. At the end it is 127 pixels, more
# than the height of the input (96) and nearly its width (144): a unit for eyes may know about the ears.
#
# No layer was told to find eyes. And each map still knows *where*: a spot at the left means the left of the
# photo. The place is there, in the last layer. (Zhou et al. had shown a year earlier that such units act as
# object detectors.)
#
# ## Where the place is lost
#
# The last layer's maps must become one score for each class. The classic networks, AlexNet and VGGnet, write
# all maps in one long line (*flatten*) and send it through *fully connected* layers, in which every output
# depends on every input. Which step exactly loses the place?
#
# - The flatten loses nothing. It only reorders the numbers: each number still has its place.
# - The first fully connected layer adds numbers of *different places*. Here every unit has a different weight
#   at every place, so "how much does unit k matter for class c" has many answers, not one.
# - The ReLU after it looks only at the total. If the total is negative, everything is set to 0, even places
#   that were positive. After it, no place has a share of its own any more. Another fully connected layer and
#   another ReLU follow. **Here the place is lost.**
#
# Network in Network and GoogLeNet did something simpler: **global average pooling** (GAP). Each map is
# replaced by its average, and one linear layer makes scores of the averages. They did it to save parameters
# and to avoid overfitting. An average forgets the place as well. But we can go back one step: an average is a
# sum over places, no ReLU follows, and sums can be reordered:
#
# $$\text{score} = \text{sum over units of (weight × average over places)} = \text{average over places of (sum over units of weight × activation)}$$
#
# The right side is a map, and its average is the score. That is the whole paper, in one line. Lesson 2 does
# it with symbols.

# %%
c, K = e.index("espresso"), len(e.f)
left = sum(e.w[c, k] * e.f[k].mean() for k in range(K))
right = sum(e.w[c, k] * e.f[k] for k in range(K)).mean()
print(f"left side {left:.4f}, right side {right:.4f}, "
      f"the network's own score minus its bias {e.S[c] - e.b[c]:.4f}")
assert np.isclose(left, right, atol=1e-4) and np.isclose(left, e.S[c] - e.b[c], atol=1e-4)

# %% [markdown]
# ## What is new in this paper
#
# | Earlier | This paper |
# |---|---|
# | *Occlusion* (Zeiler and Fergus, 2014): cover the photo place by place; a forward pass for each place (145 in lesson 8) | one forward pass, the one that makes the prediction anyway |
# | *Deconvolution* (Zeiler and Fergus): for one unit, which pixels make it fire? | for one **class**, which places raise its score? |
# | *Backpropagation* (Simonyan et al., 2014): for one class, how much would the score change if a pixel changed a little? | how much does each place **contribute**? The contributions add up to the score |
# | *Zeiler and Fergus; Zhou et al., 2015*: units studied in the convolutional layers, the fully connected layers left out | the whole way, from photo to class |
# | *Bergamo et al., 2014*: localisation by masking parts of the photo; several passes, not trained end to end | one network, trained end to end with labels, as any classifier |
# | *Oquab et al., 2015*: global **max** pooling; finds one point of an object | global **average** pooling: finds its whole extent (lesson 5) |
# | *Network in Network*: GAP against overfitting | GAP to keep the place |
#
# A *deconvolution network* is a second network that takes the steps of the first one backwards, from the
# activation of one unit down to the pixels that caused it. Occlusion and deconvolution need no training of
# their own: both look into a trained classifier. What they cost is passes, or that second network. CAM asks
# for one thing in the network itself, global average pooling before a linear layer. If that is missing, it
# must be built in and trained (lesson 4).
#
# One pass for a photo. How cheap is the map? Everything after the network is a sum of K small arrays:

# %%
print(f"{e.f.size:,} multiplications for one map of {M.shape[0]} x {M.shape[1]} cells")
assert e.f.size == K * M.size

# %% [markdown]
# ## What a map is not
#
# It shows where *this network* found evidence. It does not show where the object is, and not that the network
# is right. Lesson 3 is about reading maps, lesson 7 about how often they are right.
#
# ## Exercises
#
# On your own:
#
# 1. Explain a photo of your own: `e = cam.explain("my.jpg")`, then `e` on the last line. Did it look where
#    you expected? `cam-numpy page my.jpg` writes a page on which you can point at every number.
# 2. Cut off the upper half of the photo, and most of the cup with it (`cup.crop((0, 200, 600, 400))`). What
#    does the network see now, and where?
# 3. Find a layer and a unit that answers to vertical stripes of the cat, and one that answers to horizontal
#    ones.
#
# ## Further reading
#
# - The paper, Section 1.
# - M. Zeiler, R. Fergus: *Visualizing and Understanding Convolutional Networks*, ECCV 2014.
# - B. Zhou et al.: *Object Detectors Emerge in Deep Scene CNNs*, ICLR 2015.
