# %% [markdown]
# # Lesson 4: Which networks?
#
# **You will do**: look at the end of fifteen kinds of networks; prove in NumPy that pooling and a linear
# layer may change places; break a network's preprocessing on purpose.
#
# **You will learn**: which layer to take; why a flatten after the pooling is harmless and one instead of it
# is not; what the authors cut from AlexNet, VGGnet and GoogLeNet; Network in Network = CAM; SqueezeNet, one
# output, hidden layers; what an ONNX file is; your own model, and three ways to get it wrong.
#
# **You need**: lesson 2.
#
# **In the paper**: Section 1 (what fully connected layers lose), Section 3.1 (the networks and their
# changes). In the study note: Section 1, "Classifier로 인한 localization 정보 상실", and "이전 Related Works들과의 차이점".

# %%
import textwrap
import warnings

import matplotlib.pyplot as plt
import numpy as np
from exercises import ROOT, check
from slides import panels, photo, scale_of

import cam_numpy as cam

# the small networks below name neither their classes nor their preprocessing
warnings.simplefilter("ignore", cam.Assumed)

# %% [markdown]
# ## The one condition
#
# Eq. 2 needs one weight per unit and class. That is the case if the scores are
#
# $$S = w \cdot \operatorname{pool}(f) + b$$
#
# with a *global average pooling* and a *linear* layer. Between them only linear operations are allowed. Then
# **f is the tensor that enters the pooling**. You do not choose a layer: take the tensor just before the
# global pooling. (One exception: a 1x1 convolution to the classes may stand before the pooling, as in Network
# in Network and SqueezeNet below. Then f is what enters that convolution.)
#
# Many networks are built like this: ResNet, DenseNet, GoogLeNet, MobileNetV2, EfficientNet, ShuffleNet. **CAM
# needs no retraining for them.** Others are not. The repository has a small network of each kind, with random
# weights, exported from torch; `inspect` says what it finds:

# %%
exports = ROOT / "tests" / "exports"
verdicts = {}
for path in sorted(exports.glob("*.onnx")):
    if "dynamo" not in path.name:  # the same networks, written by another exporter
        found = cam.inspect(path)
        verdicts[path.stem] = found.verdict
        print(f"{path.stem:14s} {found.verdict:12s} {found.form or ''}".rstrip())
        if found.verdict == "refused":
            print(textwrap.indent(textwrap.fill(found.reason, 84), " " * 15))


def names_of(verdict):
    return {name for name in verdicts if verdicts[name] == verdict}


assert {"resnet", "densenet", "googlenet", "mobilenetv2", "efficientnet", "nin"} <= names_of("exact")
assert names_of("refused") == {"vgg", "vit", "mobilenetv3", "convnext"}
assert names_of("approximate") == {"squeezenet", "gmp"}
assert "swin" in names_of("exact")

# %% [markdown]
# Why some are refused, and what can be done:
#
# | network | between f and the scores | what to do |
# |---|---|---|
# | VGG, AlexNet | no global pooling: the maps are flattened into fully connected layers | the authors' surgery, below; or Grad-CAM (lesson 8) |
# | MobileNetV3 | behind the pooling a hidden layer with an activation (HardSwish) | train one linear layer in its place; or Grad-CAM |
# | ConvNeXt | behind the pooling a normalisation: it divides F by its spread over the units. Each photo has another spread, so no weight holds for all photos | train one linear layer in its place; or Grad-CAM |
# | ViT | no pooling over places: the scores are made of one extra vector, the *class token*, which collects from all places by attention | a ViT that averages its places before the linear layer |
#
# *Swin* is a transformer as well, and exact: it ends with a global average pooling over its places and a
# linear layer. Its normalisation stands *before* the pooling, so it is a part of f. For the identity it does
# not matter what comes before f. For the reading it does: by attention a cell collects from other cells, so
# strong evidence in a cell may come from another place of the photo.
#
# ## Flatten after the pooling, flatten instead of the pooling
#
# A *flatten* writes an array in one line. It only reorders numbers, so by itself it loses nothing. What
# matters is the layer that follows it.
#
# **After** a global pooling the array has one place: (K, 1, 1). Flattened, it is (K,). Nothing is lost,
# because nothing is left to lose:

# %%
rng = np.random.default_rng(0)
K, H, W, C = 5, 3, 4, 7
f = rng.normal(size=(K, H, W))
pooled = f.mean(axis=(1, 2), keepdims=True)  # (K, 1, 1)
assert np.array_equal(pooled.reshape(-1), cam.global_average_pool(f))

# %% [markdown]
# This is ResNet's `GlobalAveragePool -> Flatten -> Gemm` (`Gemm` is ONNX's name of a linear layer). It is
# CAM-able as it stands. In a ResNet the place is lost in the average, and Eq. 1 undoes an average.
#
# **Instead of** a pooling, a flatten makes (K, H, W) one line of K·H·W numbers, and the next layer has one
# weight for every unit *at every place*. AlexNet and VGGnet do this. One consequence: shift the photo's
# content by one cell, and the average does not change, while the scores after a flatten do.

# %%
shifted = np.roll(f, 1, axis=2)  # as if the object had moved by one cell
w_pool, w_flat = rng.normal(size=(C, K)), rng.normal(size=(C, K * H * W))
change_pool = np.abs(w_pool @ cam.global_average_pool(shifted) - w_pool @ cam.global_average_pool(f)).max()
change_flat = np.abs(w_flat @ shifted.ravel() - w_flat @ f.ravel()).max()
print(f"the content moves by one cell: scores change by {change_pool:.1e} after pooling, "
      f"by {change_flat:.1f} after a flatten")
assert change_pool < 1e-12 and change_flat > 1

# %% [markdown]
# Does the flatten then know the place *better*? Its scores notice that something moved. But the question of
# this course is another one: can a score be taken apart into places?
#
# - **Pooling**: yes. One weight w_k^c holds at all places, and the score is the mean of a map.
# - **Flatten and one linear layer**: yes, but not by Eq. 2. Each place has weights of its own: the map is
#   $\sum_k w_k^c(x, y) f_k(x, y)$. "How much does unit k matter for class c" has H·W answers and not one:
#   there is no w_k^c. cam_numpy does not read such heads.
# - **Flatten and several fully connected layers with ReLUs**, as in AlexNet and VGGnet: no. Each hidden unit
#   adds up all places, and then the ReLU decides, by that sum, whether any of them counts. What one place
#   contributes depends on all others. This is the step that loses the place.
#
# Watch the last one. Split the photo's content into its left and its right half, and compute the scores of
# each half alone. If a score can be taken apart into places, the two add up:

# %%
left, right = f.copy(), f.copy()
left[:, :, 2:] = right[:, :, :2] = 0  # f = left + right
hidden = rng.normal(size=(6, K * H * W))
w_out = rng.normal(size=(C, 6))
heads = {
    "pooling, linear layer": lambda f: w_pool @ cam.global_average_pool(f),
    "flatten, linear layer": lambda f: w_flat @ f.ravel(),
    "flatten, two fully connected layers": lambda f: w_out @ np.maximum(hidden @ f.ravel(), 0),
}
for name, head in heads.items():
    gap = np.abs(head(left) + head(right) - head(f)).max()
    print(f"{name}: scores of the left half + of the right half differ from the scores by up to {gap:.1e}")
    assert (gap < 1e-12) == (name != "flatten, two fully connected layers")

# %% [markdown]
#
# ## What the authors did: the surgery
#
# | network | removed | added | map |
# |---|---|---|---|
# | AlexNet-GAP | all after conv5 | conv 3x3, 1024 units; GAP; softmax layer | 13 x 13 |
# | VGGnet-GAP | all after conv5-3 | the same | 14 x 14 |
# | GoogLeNet-GAP | all after inception4e | the same | 14 x 14 |
#
# The new layers are trained: the networks are *fine-tuned* on ILSVRC. GoogLeNet had a global pooling already,
# and CAM would have worked as it was; the authors removed its last layers for a higher *mapping resolution*
# (14 x 14 cells). The price is two to three points of top-1 classification, more for AlexNet (lesson 7).
#
# If your network is a VGG: replace its classifier by GAP and one linear layer, and train that layer. Or use
# Grad-CAM (lesson 8).
#
# ## Network in Network is a CAM
#
# *Network in Network* (NIN), the paper that introduced GAP, goes one step further: its last convolution has
# **one channel per class** (10 channels for the 10 classes of CIFAR-10), and the average of channel c is the
# score of class c. The channel with the largest average is the prediction. A 1x1 convolution is a linear
# layer at each place, hence channel c **is** M_c + b_c. (The network that its authors published has one more
# ReLU behind this convolution, as SqueezeNet below. Many later versions have not, and we look at these.)
#
# GAP and a linear layer may change places, so every GAP network can be written like this:

# %%
w, b = rng.normal(size=(C, K)), rng.normal(size=C)
pool_first = w @ f.mean(axis=(1, 2)) + b  # ResNet: pool, then linear
channels = np.einsum("ck,kyx->cyx", w, f) + b[:, None, None]  # NIN: a 1x1 convolution ...
linear_first = channels.mean(axis=(1, 2))  # ... then pool
assert np.allclose(pool_first, linear_first, atol=1e-12)
assert np.allclose(channels, cam.class_activation_maps(f, w) + b[:, None, None], atol=1e-12)

# %% [markdown]
# NIN used GAP to have fewer parameters, against overfitting. This paper saw that the same trick keeps the
# place. If the 1x1 convolution comes *after* the pooling, it is just the linear layer.
#
# ## SqueezeNet: a ReLU too many
#
# SqueezeNet has a ReLU between the 1x1 convolution and the pooling:
#
# $$S_c = \operatorname*{mean}_{x,y} \max(0, M_c(x, y) + b_c)$$
#
# The sum of the map is then not the score: evidence against the class is dropped at each place *before* it
# can be summed. With the numbers of lesson 2:

# %%
M_2 = np.array([[0., -2], [0, 6]])
print("mean of the map:", M_2.mean(), "  SqueezeNet's score:", np.maximum(M_2, 0).mean())
assert (M_2.mean(), np.maximum(M_2, 0).mean()) == (1, 1.5)

# %% [markdown]
# The map still shows where the evidence is, but it says less than for a ResNet: cam_numpy calls this
# "approximate" and checks the formula above instead. Many tutorials show SqueezeNet as the clean example; it
# is not. Max pooling (lesson 5) is approximate for another reason.
#
# ## Several linear layers, dropout, one output
#
# - **Several linear layers in a row**, without an activation between them, are one linear layer (exercise
#   below). *Dropout* and a batch normalisation behind the pooling are linear, too, when the network is used.
# - **A hidden layer with an activation** (MobileNetV3) or a normalisation across units (ConvNeXt) is not
#   linear: refused. The right shape proves nothing. Example: f has 512 units, and the hidden layer has 512
#   numbers as well. Then the last matrix has 512 columns and looks like w, but its columns belong to the
#   hidden numbers, not to the units. A map made with it looks fine and means nothing. Only the check of the
#   scores finds this.
# - **One output with a sigmoid** (two classes, "cat or not"): $P = 1 / (1 + e^{-S})$. The map is that of S:
#   positive means evidence for the class, negative for the other one. A sigmoid is a softmax of the scores S
#   and 0. cam_numpy shows two classes, against and for, with the scores -S and S, and takes the sigmoid of
#   each. The two probabilities add up to 1.

# %%
S = 1.7
assert np.isclose(1 / (1 + np.exp(-S)), cam.softmax([S, 0.0])[0])
binary = cam.load(exports / "binary.onnx")
print("classes of a network with one output:", binary.classes)
assert np.array_equal(binary.w[0], -binary.w[1])

# %% [markdown]
# ## What is an ONNX file, and how is f found in it?
#
# ONNX (*Open Neural Network Exchange*) is a file format for trained networks that all frameworks can write: a
# list of operations (*nodes*: Conv, Relu, GlobalAveragePool, Gemm ...), each with the names of the *tensors*
# (arrays) that it reads and writes, and the trained weights. It contains no code. onnxruntime runs it, fast
# and without torch.
#
# cam_numpy reads the list of nodes and walks **backwards from the scores**: softmax, linear layers, flatten,
# until it meets the global pooling. The tensor that enters the pooling is f; or, where a 1x1 convolution to
# the classes stands there, what enters that. If it meets anything else that is not linear, it stops and names
# the node. Then it tells onnxruntime to hand out f beside the scores. Nothing needs to be exported again.

# %%
print(cam.inspect())
network = cam.load()
assert network.w.shape == (200, 256)

# %% [markdown]
# ## Your own model
#
#     torch.onnx.export(model.eval(), torch.zeros(1, 3, 224, 224), "mine.onnx")
#     cam-numpy inspect mine.onnx
#     cam-numpy explain cat.jpg --model mine.onnx --labels names.txt
#
# In Python: `cam.explain("cat.jpg", cam.load("mine.onnx", labels="names.txt"))`. A file seldom says how
# photos must be prepared. Then ImageNet's usual way is assumed, and you are told. Three ways to get it wrong:
#
# 1. **The wrong scale of values**: values from 0 to 255 where the network expects about −2 to 2, or from 0 to
#    1 without mean and standard deviation.
# 2. **The channels in the wrong order**: BGR (OpenCV, Caffe) and RGB.
# 3. **The labels in the wrong order**, or of another data set: everything works, and each name is wrong.
#
# None of them raises an error. The identity holds each time, because it is about the network's *head* and not
# about the photo. Watch:

# %%
cup = photo("coffee")
mistakes = {
    "right": None,
    "0 to 255": {"mean": (0, 0, 0), "std": (1 / 255, 1 / 255, 1 / 255)},
    "0 to 1": {"mean": (0, 0, 0), "std": (1, 1, 1)},
    "BGR": {"bgr": True},
}
seen = {name: cam.explain(cup, cam.load(preprocessing=mistake)) for name, mistake in mistakes.items()}
c = network.classes.index("espresso")
maps = [e.M(c) for e in seen.values()]
panels([(cup, M, scale_of(M)) for M in maps], titles=list(seen),
       notes=[f"best: {e.top(1)[0].name}, {e.P[e.ranking[0]]:.0%}" for e in seen.values()], size=2.7)
plt.show()
for name, e in seen.items():
    error = e.max_abs_error / np.abs(e.S).max()
    print(f"{name:9s} P of espresso {e.P[c]:6.1%}, P of the best class {e.P.max():6.1%}, "
          f"error of the identity {error:.0e}")
    assert error < 1e-4
assert seen["right"].top(1)[0].name == "espresso"
assert seen["0 to 255"].P[c] < 0.01 and seen["0 to 255"].P.max() > 0.9  # wrong, and very sure
assert seen["BGR"].P[c] < 0.5 * seen["right"].P[c]

# %% [markdown]
# **How to notice**: explain a photo of which you know the class, before anything else. Is the name right, is
# its probability high? A probability spread thinly over all classes is a warning, but a wrong preprocessing
# can also be very sure of itself, as "0 to 255" shows.
#
# For a wrong label order: compare the names of a few photos. If each photo gets the name that stands one line
# before or after the right one, the list is shifted by one (often there is a "background" class at the
# start).

# %% [markdown]
# ## Exercises

# %%
def one_layer(w1, b1, w2, b2):
    """Two linear layers, S = w2 (w1 F + b1) + b2, as one matrix (C, K + 1); its last column is the bias.

    w1 (hidden, K), b1 (hidden,), w2 (C, hidden), b2 (C,).
    """
    ...


check(one_layer)

# %% [markdown]
# On your own:
#
# 1. `cam-numpy models` lists public networks; `cam-numpy fetch squeezenet1.1` downloads one. Inspect it.
#    Explain a photo with it.
# 2. A network ends with GAP, a linear layer, and a softmax with temperature, softmax(S / 2). Is it CAM-able?
#    What is its w?
# 3. A head averages f in four quarters of the photo and has one weight per unit and quarter. Write its Eq. 2.
#
# ## Further reading
#
# - M. Lin, Q. Chen, S. Yan: *Network In Network*, ICLR 2014.
# - F. Iandola et al.: *SqueezeNet*, 2016. K. He et al.: *Deep Residual Learning for Image Recognition*, CVPR
#   2016.
# - https://onnx.ai: the format. `cam_numpy/network/head.py`: the walk back from the scores.
#   `cam_numpy/paper/forms.py`: the forms.
