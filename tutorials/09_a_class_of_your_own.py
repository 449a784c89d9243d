# %% [markdown]
# # Lesson 9: A class of your own
#
# **You will do**: teach a network that has no class for people to tell faces from everything else, with 100
# pictures of 25 x 25 pixels, in one line of algebra; draw the map of the new class on two portraits.
#
# **You will learn**: F_k as a general description of a photo; why a linear classifier on F_k brings its class
# activation map with it, without training the network; how to test it honestly.
#
# **You need**: lesson 2; least squares.
#
# **In the paper**: Section 4, "Deep Features for Generic Localization". Not in the study note.

# %%
import matplotlib.pyplot as plt
import numpy as np
import skimage
from PIL import Image
from slides import panels, photo, scale_of

import cam_numpy as cam

# %% [markdown]
# ## The idea
#
# The K numbers F_k describe a photo in the network's own words (lesson 10). They were learned for 200
# classes, but words can be used for other sentences. The paper trains a linear classifier (an SVM) on F_k for
# data sets that the network never saw: scenes, actions, birds. With the F_k of GoogLeNet-GAP it classifies
# about as well as with those of the original GoogLeNet, and better than with the fully connected layer of
# AlexNet. And since
#
# $$S_\text{new} = \sum_k w_k^\text{new} F_k + b_\text{new}$$
#
# is of the form of Eq. 1, **the weights of the linear classifier are the w_k^c of the new class**, and Eq. 2
# gives its map for free.
#
# What the paper did with it:
#
# - **Birds** (CUB-200-2011, 200 kinds). Classified from the full image: 63.0 % right; from the box that CAM
#   found, without being told where the bird is: 67.8 %; from the true box: 70.5 %. The map finds the bird,
#   and looking closer helps.
# - **Patterns in scenes**: one classifier for each kind of scene, and for each kind a count of the annotated
#   objects that lie most often under its map. The map of "dining room", for example, is asked which objects
#   make a dining room.
# - **Concepts** from captions: a classifier for a phrase, from photos whose caption has it and photos whose
#   caption has it not. The map shows where the phrase is in the photo, also for abstract phrases.
# - **A text detector** from 350 street-view images with text against photos of scenes: no box of a word was
#   given, and the map lies on the text.
# - **Visual question answering**: a classifier whose classes are answers; its map shows the places that speak
#   for the answer.
#
# The birds come with a number for what the map gains. The other four are shown as pictures of maps: examples
# of how to use a map, not measurements of it.
#
# ## The data
#
# scikit-image brings `lfw_subset`: 100 faces and 100 other pictures, 25 x 25 pixels, grey.

# %%
pictures = skimage.data.lfw_subset()  # (200, 25, 25), 0 to 1: faces first
is_face = np.arange(200) < 100
show = [0, 1, 2, 3, 100, 101, 102, 103]
panels(list(pictures[show]), titles=["face"] * 4 + ["other"] * 4, size=1.2)
plt.show()

# %% [markdown]
# ## F_k of every picture
#
# The network has 200 classes, and none is a face or a person. We only take its F_k.

# %%
network = cam.load()
assert not {"face", "person", "man", "woman"} & {name.split(",")[0] for name in network.classes}


def features(picture):
    rgb = Image.fromarray(np.uint8(255 * picture)).convert("RGB")
    return cam.global_average_pool(network.see(rgb).f)


F = np.array([features(picture) for picture in pictures])  # (200, K)
print("F of all pictures:", F.shape)
assert F.shape == (200, 256)

# %% [markdown]
# ## A classifier by least squares
#
# Half of the pictures are for learning, the other half for the test. The target t is +1 for a face and −1 for
# the others. Find w and b such that $w \cdot F + b$ is close to t, and w is small:
#
# $$\min_w \; \lVert \tilde F w - \tilde t \rVert^2 + \lambda \lVert w \rVert^2
#   \quad\Rightarrow\quad w = (\tilde F^\top \tilde F + \lambda I)^{-1} \tilde F^\top \tilde t$$
#
# This is *ridge regression*; the tilde says that the mean was subtracted. λ keeps w small: with 100 pictures
# and 256 units, many w would fit perfectly. It is used here instead of the paper's SVM.

# %%
learn = np.arange(200) % 2 == 0
t = np.where(is_face, 1.0, -1.0)


def ridge(F, t, strength):
    F_mean, t_mean = F.mean(axis=0), t.mean()
    centred = F - F_mean
    w = np.linalg.solve(centred.T @ centred + strength * np.eye(F.shape[1]), centred.T @ (t - t_mean))
    return w, t_mean - w @ F_mean


w_face, b_face = ridge(F[learn], t[learn], strength=10.0)
right = ((F @ w_face + b_face) > 0) == is_face
print(f"learned from {learn.sum()} pictures; {right[~learn].sum()} of the {(~learn).sum()} others are right")
assert right[~learn].sum() >= 95

# %% [markdown]
# Is that honest? The test pictures were not used to learn, λ was not tuned on them, and the baseline, always
# the same answer, is right for 50. With 100 test pictures the interval is wide, though (lesson 7).
#
# ## Its map
#
# Eq. 2 with the new weights. The network's file is untouched; the photos are large and in colour, nothing
# like the pictures we learned from.

# %%
portraits = {name: photo(name) for name in ("grace_hopper", "astronaut", "chelsea", "coffee")}
maps, scores = {}, {}
for name, picture in portraits.items():
    f = network.see(picture).f
    maps[name] = cam.class_activation_map(f, w_face[None], 0)
    scores[name] = w_face @ cam.global_average_pool(f) + b_face
    # Eq. 1 holds for the new class, too
    assert np.isclose(maps[name].mean() + b_face, scores[name], atol=1e-4)

scale = scale_of(*maps.values(), signed=True)
own = scale_of(maps["astronaut"], signed=True)
panels([*((portraits[name], M, scale) for name, M in maps.items()),
        (portraits["astronaut"], maps["astronaut"], own)],
       titles=[f"S = {score:+.2f}" for score in scores.values()] + [f"S = {scores['astronaut']:+.2f}"],
       notes=[f"one scale: ± {scale[1]:.1f}"] * 4 + [f"its own scale: ± {own[1]:.1f}"], size=2.2)
plt.show()

# %%
heads = {"grace_hopper": (0.27, 0.13, 0.73, 0.6), "astronaut": (0.3, 0.02, 0.6, 0.5)}  # measured by hand
for name, (left, top, right_, bottom) in heads.items():
    H, W = maps[name].shape
    y, x = np.unravel_index(maps[name].argmax(), (H, W))
    place = ((x + 0.5) / W, (y + 0.5) / H)
    print(f"{name}: the map is strongest at {place[0]:.0%} of the width and {place[1]:.0%} of the height")
    assert scores["grace_hopper"] > scores["astronaut"] > 0 > max(scores["chelsea"], scores["coffee"])
    assert left < place[0] < right_ and top < place[1] < bottom

# %% [markdown]
# The network was never trained on faces, and in these two photos nobody marked a face. (The pictures we
# learned from are small crops that a face fills: that is a hint about the place, but not in these photos.)
# One hundred small pictures, one of two labels each, and both maps are strongest on the head.
#
# They are not red on the head only: in the last panel a part of the suit and of the background is, too. And
# the astronaut's score is lower than that of the portrait. A score is the mean over *all* places, and her
# face fills fewer of them.
#
# The new class knows only what its pictures showed: faces against a few other things. What it says of a cat
# or a cup is not reliable. A class is always a class *against the others that it was learned with*.
#
# ## With your own photos
#
# Put the photos into a folder with one subfolder for each class, named like the class:
#
#     cam-numpy learn FOLDER
#     cam-numpy explain cat.jpg --model learned.onnx
#
# The recipe is the one above: F_k of each photo, a linear classifier on most of them, a test on the rest (a
# quarter of each class), Eq. 2. `learn` writes an .onnx file with the same body (all layers up to f) and the
# new w and b. Its classifier is softmax regression and not ridge regression, so that the new network has a
# score S_c and a probability P_c for each class. In Python: `cam.learn`.
#
# ## Exercises
#
# On your own:
#
# 1. Learn from 10 pictures, from 20, from 50. How many does the map need?
# 2. Set `strength` to 0.001 and to 1000. What happens to the test, to the size of w, to the map?
# 3. Teach "cup" with crops of the coffee photo against crops of the other photos. Where does the map of the
#    new class lie?
# 4. The paper's SVM and our ridge regression both give one w per class. Why must the classifier be linear?
#
# ## Further reading
#
# - The paper, Section 4.
# - A. Razavian et al.: *CNN Features Off-the-Shelf*, CVPR Workshops 2014.
# - G. Huang et al.: *Labeled Faces in the Wild*, 2007: the faces.
