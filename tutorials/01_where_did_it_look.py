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
# contributed to it.

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
# (*weakly supervised localisation*: trained with less than it is asked for). This lesson is about why that is
# possible at all.
#
# ## What the layers see
#
# A *convolutional layer* moves a small window over its input and computes one number at each place, for each
# of its *units*. One unit may answer to vertical edges: its number is large where there is one. The output of
# a unit is itself a little picture, its *activation map*. The next layer looks at the maps of the layer
# before. As one goes deeper, maps get coarser (the *stride* grows) and each number depends on a larger part
# of the photo.
#
# Zeiler and Fergus (2014) showed what this leads to: **shallow layers find edges and colours, deep layers
# find parts of objects.** The study note begins with their figure. Let us look ourselves. All maps of our
# network for one photo, one row for each of some layers, the six units that vary most:

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
# field*: the part of the network's input that can influence one number. At the end it is larger than the
# whole input: a unit for eyes may know about the ears.
#
# No layer was told to find eyes. And each map still knows *where*: a spot at the left means the left of the
# photo. The place is there, in the last layer. (Zhou et al. had shown a year earlier that such units act as
# object detectors.)
#
# ## Where the place is lost
#
# The last layer's maps must become one score for each class. The classic networks, AlexNet and VGGnet, write
# all maps in one long line (*flatten*) and send it through *fully connected* layers, in which every output
# depends on every input. The maps know the place, but there it is mixed beyond recovery: a unit at the left
# and the same unit at the right have different weights, and after two such layers nobody can say what came
# from where.
#
# Network in Network and GoogLeNet did something simpler: **global average pooling** (GAP). Each map is
# replaced by its average, and one linear layer makes scores of the averages. They did it to save parameters
# and to avoid overfitting. An average, too, forgets the place. But it forgets it in a way that can be undone,
# because an average is a sum over places, and sums can be reordered:
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
# | *Zeiler and Fergus, 2014*: cover the photo place by place; hundreds of forward passes for one photo | one forward pass, the one that makes the prediction anyway |
# | *Deconvolution, backpropagation*: which pixels excite a unit? Unit by unit | which places speak for a **class** |
# | Units studied in the convolutional layers; the fully connected ones left out | the whole network, from photo to class, trained end to end |
# | *Oquab et al., 2015*: global **max** pooling; finds one point of an object | global **average** pooling: finds its whole extent (lesson 5) |
# | *Network in Network*: GAP against overfitting | GAP to keep the place |
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
# 1. Explain a photo of your own: `e = cam.explain("my.jpg")`, then `e` in a cell of its own. Did it look
#    where you expected?
# 2. Cut the cup out of the photo (`cup.crop((0, 200, 600, 400))`). What does the network see now, and where?
# 3. Find a layer and a unit that answers to vertical stripes of the cat, and one that answers to horizontal
#    ones.
#
# ## Further reading
#
# - The paper, Section 1.
# - M. Zeiler, R. Fergus: *Visualizing and Understanding Convolutional Networks*, ECCV 2014.
# - B. Zhou et al.: *Object Detectors Emerge in Deep Scene CNNs*, ICLR 2015.
