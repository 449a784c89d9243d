# %% [markdown]
# # Lesson 11: The network that comes with cam_numpy
#
# **You will do**: open the network, walk through its layers, count its parameters, run it without cam_numpy,
# and read what its file says about itself.
#
# **You will learn**: what it was trained on and how; how good it is; its limits and its licence; how to train
# it again.
#
# **You need**: lessons 2 and 4.
#
# **In the paper**: Section 3, "Setup", for comparison.

# %%
import json

import matplotlib.pyplot as plt
import numpy as np
from slides import FAINT, photo

import cam_numpy as cam

network = cam.load()
print(network)

# %% [markdown]
# ## What it is
#
# A *residual network* (blocks of two convolutions whose input is added to their output) with global average
# pooling and one linear layer. It was built for this course: small enough for a laptop and for a git
# repository, and with the paper's head. `inspect` draws the way from f to the scores:

# %%
print(cam.inspect())
C, K = network.w.shape
print(f"the classifier alone: {C} x {K} weights and {C} biases, {network.w.size + network.b.size:,} numbers")
print(f"the file: {network.path.stat().st_size / 1e6:.1f} MB")
assert (C, K) == (200, 256)
assert network.path.stat().st_size < 10e6

# %% [markdown]
# The classifier has about 51,000 parameters. AlexNet's fully connected layers have about 59 million, which is
# most of that network. This is the reason why *Network in Network* and GoogLeNet pooled in the first place:
# fewer parameters, less overfitting. That the place survives came as a gift.

# %%
alexnet = (9216 * 4096 + 4096) + (4096 * 4096 + 4096) + (4096 * 1000 + 1000)
print(f"AlexNet's three fully connected layers: {alexnet / 1e6:.1f} million parameters")
assert round(alexnet / 1e6) == 59 and round((network.w.size + network.b.size) / 1e3) == 51

# %% [markdown]
# ## What the file says of itself
#
# An ONNX file has room for notes (*metadata*). This one carries its class names, its preprocessing, its
# origin and its accuracy, so that nothing must be guessed:

# %%
for key, value in network.metadata.items():
    value = value.replace("\n", " ")
    print(f"{key:20s} {value if len(value) <= 80 else value[:77] + '...'}")
assert json.loads(network.metadata["classes"]) == network.classes
assert network.metadata["accuracy"].startswith("top-1 60.8%, top-5 83.0%")

# %% [markdown]
# ## Without cam_numpy
#
# It is an ordinary ONNX network. Here it runs with onnxruntime alone, with the preprocessing from its own
# notes:

# %%
import onnxruntime  # noqa: E402 - here to show that it is all one needs
from PIL import Image  # noqa: E402

session = onnxruntime.InferenceSession(network.path, providers=["CPUExecutionProvider"])
notes = session.get_modelmeta().custom_metadata_map
mean, std = (np.array(json.loads(notes[key])) for key in ("mean", "std"))
cup = photo("coffee")
# short side 96, both sides multiples of the stride, 8
x = np.asarray(cup.resize((144, 96), Image.Resampling.BILINEAR)) / 255
x = ((x - mean) / std).astype(np.float32).transpose(2, 0, 1)[None]  # (1, 3, 96, 144)
S = session.run(["S"], {session.get_inputs()[0].name: x})[0][0]
print("best class:", network.classes[int(S.argmax())])
assert np.allclose(S, cam.explain(cup, network).S, atol=1e-3)

# %% [markdown]
# ## What it was trained on
#
# **Tiny ImageNet** (Stanford CS231n): 100,000 pictures of 64 x 64 pixels, 200 classes of ImageNet, 500
# pictures each. Labels only, no boxes. No picture of it is in the repository. Each of the two networks had 29
# epochs of training, 27 of them in common: 6.5 hours for both, on two CPU cores without a GPU. The recipe,
# epoch by epoch, and the command that trains it again are on the card of the network,
# [weights/README.md](../weights/README.md):
#
#     pip install -e ".[train]"
#     python -m weights.train tiny-imagenet-200.zip
#
# ## How good it is
#
# On 5,000 validation pictures that it has never seen, through the tool's own preprocessing, its best class is
# right for **60.8 %** (top-1), and the right class is among its best five for **83.0 %** (top-5). The card
# has the command that measures it (`python -m weights.measure`). Guessing would be right for one in 200. How
# well it localises: lesson 7.
#
# ## Its limits
#
# - It knows 200 things, and none of them is a person.
# - It is often wrong, and it is often unsure. That is no harm to the lesson: a map shows what the network
#   took something for.
# - It was trained on 64 x 64 pixels. It sees the short side of your photo shrunk to 96 pixels: small things
#   are lost.
#
# How unsure? The best probability for our photos:

# %%
names = ["grace_hopper", "coffee", "rocket", "chelsea", "astronaut"]
best = [cam.explain(photo(name), network).top(1)[0] for name in names]
figure, axis = plt.subplots(figsize=(7, 2.4), layout="constrained")
bars = axis.barh([f"{name}: {top.name}" for name, top in zip(names, best)],
                 [100 * top.P for top in best], color=FAINT)
axis.bar_label(bars, fmt="%.0f %%", padding=3)
axis.set_xlim(0, 100)
axis.set_xlabel("P of the best class, %")
axis.invert_yaxis()
plt.show()
assert best[1].name == "espresso" and best[1].P > 0.3

# %% [markdown]
# The rocket is an *obelisk*, the astronaut a *plunger*: there is no class for either. Look at their maps
# before you laugh.
#
# ## The second network
#
# `cam.load("tiny-imagenet-gmp")` has layers of the same shapes and pools with the maximum. The two networks
# have 27 of their 29 epochs of training in common; the last two were done with each pooling (lesson 5).

# %%
max_pooled = cam.load("tiny-imagenet-gmp")
print(max_pooled.form.identity)
assert max_pooled.form.name == "gmp" and max_pooled.w.shape == network.w.shape

# %% [markdown]
# ## Licence
#
# What may you do with the network?
#
# - **Our weights** have the MIT licence, like the code: you may use, change and pass them on.
# - **The training pictures** are ImageNet's, and these are for non-commercial research and education only.
# - It is legally unclear whether this also binds a network that learned from them. Study, teaching and
#   research are what they are for. Before you put it into a product, ask somebody who knows the law.
#
# ## Exercises
#
# On your own:
#
# 1. Explain ten photos of your own. How often is the name right? How often is the *place* sensible although
#    the name is wrong?
# 2. `cam.load(preprocessing={"size": 160})` shows the network a larger photo. How do the map and the
#    probability change? Why not always do this?
# 3. Download a larger network (`cam-numpy models`) and compare its map on the same photo.
#
# ## Further reading
#
# - [The card](../weights/README.md), `weights/train.py` and `weights/network.py`.
# - K. He et al.: *Deep Residual Learning for Image Recognition*, CVPR 2016.
# - M. Mitchell et al.: *Model Cards for Model Reporting*, 2019.
