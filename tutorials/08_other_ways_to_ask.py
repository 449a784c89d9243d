# %% [markdown]
# # Lesson 8: Other ways to ask
#
# **You will do**: cover a photo place by place and watch the score; prove that Grad-CAM equals CAM for these
# networks, up to a factor; check the proof on the shipped network; see what Grad-CAM adds for a network with
# a hidden layer.
#
# **You will learn**: occlusion, its cost and its blind spots; the gradient of a score with respect to f; why
# the softmax must stay outside; what the ReLU of Grad-CAM hides.
#
# **You need**: lessons 2 and 4; derivatives.
#
# **In the paper**: Section 1.1, related work (Zeiler and Fergus; deconvolution); Section 3, backpropagation
# in Table 2. In the study note: "이전 Related Works들과의 차이점". Grad-CAM came a year after the paper.

# %%
import time

import matplotlib.pyplot as plt
import numpy as np
from exercises import check
from slides import panels, photo, scale_of

import cam_numpy as cam

# %% [markdown]
# ## Occlusion: cover and watch
#
# Before CAM one could ask a network "where?" by experiment. Cover a part of the photo with grey and see how
# much the score falls. (Zeiler and Fergus, 2014, watched the probability; we watch S, since the map of Eq. 2
# adds up to S.) Where it falls, there was evidence. Do it at every place: a map. It works for *every*
# network, needs no weights, and needs one forward pass per place, and one for the uncovered photo.

# %%
cup = photo("coffee").crop((78, 0, 478, 400))
network = cam.load()
e = cam.explain(cup, network)

began = time.perf_counter()
M = e.M("espresso")
seconds_cam = time.perf_counter() - began
began = time.perf_counter()
occluded = cam.occlusion_map(cup, network, "espresso")
seconds_occlusion = time.perf_counter() - began
print(f"occlusion: {1 + M.size} forward passes, {seconds_occlusion:.1f} s; "
      f"CAM: the one pass that gives the prediction, and {1000 * seconds_cam:.1f} ms for the map")

panels([cup, (cup, M, scale_of(M)), (cup, occluded, scale_of(occluded))],
       titles=["photo", "CAM: 1 forward pass", f"occlusion: {1 + M.size} passes"],
       notes=["", f"{M.min():.1f} to {M.max():.1f}",
              f"{occluded.min():.1f} to {occluded.max():.1f}: the fall of S"], size=3.2)
plt.show()
assert M.shape == occluded.shape and M.size == 12 * 12
agreement = np.corrcoef(M.ravel(), occluded.ravel())[0, 1]
print(f"correlation of the two maps: {agreement:.2f}")
assert agreement > 0.5

# %% [markdown]
# The two maps answer different questions. CAM asks: *which places did the score count?* Occlusion asks: *what
# happens if this part is taken away?* If one of two parts is enough for the network, covering one of them
# changes little, so occlusion shows neither. And a grey square is itself a strange thing to see; another size
# of the patch gives another map (`patch=24`).
#
# The seconds above are those of the machine that made this notebook. Measured on 300 pictures, occlusion
# takes more than a hundred times as long, and its boxes are right for 47.3 % of them (CAM: 54.7 %). With 300
# pictures the two intervals overlap, and the interval of the difference was not measured (lesson 7).
#
# The paper does not measure occlusion. It compares with **backpropagation** to the pixels (Simonyan et al.,
# 2014: the gradient of a score with respect to each pixel) and mentions **deconvolution** (Zeiler and
# Fergus): both go back through all layers and give fine, scattered pictures.
#
# ## Grad-CAM
#
# Grad-CAM (Selvaraju et al., 2017) asks with a derivative: how does the score change if f changes a little?
# It averages that derivative over the places to get one weight per unit, and then does what Eq. 2 does, with
# a ReLU:
#
# $$a_k^c = \operatorname*{mean}_{x,y} \frac{\partial S_c}{\partial f_k(x, y)}, \qquad
#   L_c(x, y) = \max\Big(0, \sum_k a_k^c f_k(x, y)\Big)$$
#
# **Theorem.** For a network with global average pooling and a linear layer,
#
# $$\frac{\partial S_c}{\partial f_k(x, y)} = \frac{w_k^c}{HW} \quad\text{at every place, hence}\quad
#   \sum_k a_k^c f_k(x, y) = \frac{1}{HW} M_c(x, y).$$
#
# *Proof.* $S_c = \sum_j w_j^c \frac{1}{HW} \sum_{x', y'} f_j(x', y') + b_c$. The variable f_k(x, y) occurs in
# exactly one term, with the factor w_k^c/(HW). The derivative is the same at each place, so its mean is the
# same number. ∎
#
# For such networks Grad-CAM **is** CAM, divided by HW and cut off at zero. After the usual stretching to
# 0...1 the factor is gone, too.
#
# ### Check 1: finite differences in NumPy
#
# Change f_k(x, y) at one place by a little, up and down, and see how the score moves:

# %%
def score(f, c):
    return cam.class_scores(cam.global_average_pool(f), e.w.astype(float), e.b.astype(float))[c]


c, (K, H, W) = e.index("espresso"), e.f.shape
rng = np.random.default_rng(0)
worst = 0.0
for k, y, x in zip(rng.integers(0, K, 20), rng.integers(0, H, 20), rng.integers(0, W, 20)):
    up, down = e.f.astype(float), e.f.astype(float)
    up[k, y, x] += 0.01
    down[k, y, x] -= 0.01
    slope = (score(up, c) - score(down, c)) / 0.02
    worst = max(worst, abs(slope - e.w[c, k] / (H * W)))
print(f"20 cells: largest difference between slope and w_k^c / (HW): {worst:.1e}")
assert worst < 1e-9

# %% [markdown]
# ### Check 2: the network itself, through onnxruntime
#
# The first check used our own formula for S. Now ask the network. If the gradient is the same for every f, S
# is linear in f, plus a constant. Then for **any** two photos, whose activations are f and f', the difference
# of the network's own scores is the difference of f' and f times w/(HW), summed:
#
# $$S'_c - S_c = \sum_{k, x, y} \frac{w_k^c}{HW} \big(f'_k(x, y) - f_k(x, y)\big)$$
#
# Change the input in ten ways, let onnxruntime compute f and S, and compare for all 200 classes:

# %%
x_input, _ = network.preprocessing(cup)
f, S = network.run(x_input)
worst = 0.0
for seed in range(10):
    change = np.random.default_rng(seed).normal(0, 0.3, x_input.shape).astype(np.float32)
    f_changed, S_changed = network.run(x_input + change)
    predicted = np.einsum("ck,kyx->c", network.w / (H * W), f_changed - f, optimize=True)
    worst = max(worst, np.abs(predicted - (S_changed - S)).max())
print(f"scores moved by up to {np.abs(S_changed - S).max():.2f}; the gradient predicts it to {worst:.1e}")
assert np.abs(S_changed - S).max() > 0.5 and worst < 1e-4

# %% [markdown]
# ### The map
#
# Apart from the factor 1/(HW), the ReLU is the only difference:

# %%
gradient = np.broadcast_to((e.w[c] / (H * W))[:, None, None], e.f.shape)  # the theorem
a = gradient.mean(axis=(1, 2))
raw = np.einsum("k,kyx->yx", a, e.f)
assert np.allclose(raw, M / (H * W), atol=1e-6)

worst_class = int(e.ranking[-1])
M_worst, worst_name = e.M(worst_class), e.class_name(worst_class)
gradcam_worst = np.maximum(M_worst / (H * W), 0)
scale = scale_of(M_worst, signed=True)
panels([cup, (cup, M_worst, scale), (cup, gradcam_worst, scale_of(gradcam_worst))],
       titles=["photo", f"CAM, {worst_name}", f"Grad-CAM, {worst_name}"],
       notes=["", f"$S_c$ = {e.S[worst_class]:.1f}: evidence against; scale ± {scale[1]:.1f}",
              f"after the ReLU; scale 0 to {gradcam_worst.max():.4f}"], size=3.2)
plt.show()
print(f"{(M_worst < 0).mean():.0%} of this map is evidence against {worst_name}; the ReLU removes it")
assert (M_worst < 0).mean() > 0.5

# %% [markdown]
# The ReLU turns "nearly all evidence is against this class" into a picture with a few bright spots. If a map
# is negative everywhere, the ReLU makes it all zero, and a stretching divides by zero: the all-zero and NaN
# maps that people ask about.
#
# ## Score or probability?
#
# Which output should be differentiated: the score S_c, or P_c after the softmax? By the chain rule
#
# $$\frac{\partial P_c}{\partial f_k(x, y)} = P_c \sum_j ([j = c] - P_j) \frac{w_k^j}{HW}$$
#
# Here [j = c] is 1 if j = c, else 0. The weights of *all* classes are in it. The map made with it is $P_c \,
# (M_c - \bar M) / (HW)$. Here $\bar M = \sum_j P_j M_j$ is the mean of the maps of all classes, weighted with
# P. This map shows where c has more evidence than the other classes. When the network is sure (P_c near 1),
# $\bar M$ is nearly M_c, and the map is nearly zero. The score gives the map of one class. Use the score.

# %%
P = e.P.astype(float)
mixed = P[c] * (e.w[c] - P @ e.w) / (H * W)  # (K,)


def probability(f, c):
    S = cam.class_scores(cam.global_average_pool(f), e.w.astype(float), e.b.astype(float))
    return cam.softmax(S)[c]


k = int(np.argmax(e.w[c] * e.F))
up, down = e.f.astype(float), e.f.astype(float)
up[k, 0, 0] += 1e-2
down[k, 0, 0] -= 1e-2
slope = (probability(up, c) - probability(down, c)) / 2e-2
print(f"slope of P {slope:.3e}, the formula {mixed[k]:.3e}")
assert np.isclose(slope, mixed[k], rtol=1e-3)

# %% [markdown]
# ## What Grad-CAM adds
#
# Grad-CAM needs no linear layer. It can be written for every network that has a last convolutional layer and
# a derivative: VGG, hidden layers, captions. There it is a *local* answer. Take a head (what follows f) with
# a hidden layer and a ReLU (MobileNetV3 has such a layer, with HardSwish instead of the ReLU):
#
# $$S = w_2 \max(0, w_1 F + b_1) + b_2, \qquad \frac{\partial S_c}{\partial f_k(x, y)} =
#   \frac{1}{HW} \sum_{h\,:\,\text{hidden unit } h \text{ is active}} w_{2, ch} \, w_{1, hk}$$
#
# Which hidden units are active depends on the photo. The "weight of unit k for class c" is a different number
# for each photo:

# %%
w1, b1 = rng.normal(size=(8, K)) / np.sqrt(K), rng.normal(size=8)
w2, b2 = rng.normal(size=(3, 8)), rng.normal(size=3)


def hidden_scores(f):
    return w2 @ np.maximum(w1 @ cam.global_average_pool(f) + b1, 0) + b2


def gradient_weights(f, c):
    """a_k^c, (K,): the same at each place."""
    active = w1 @ cam.global_average_pool(f) + b1 > 0
    return (w2[c] * active) @ w1 / f[0].size


f_cup = e.f.astype(float)
f_cat = cam.explain(photo("chelsea"), network).f.astype(float)
a_cup, a_cat = gradient_weights(f_cup, 0), gradient_weights(f_cat, 0)
agreement = np.corrcoef(a_cup, a_cat)[0, 1]
print(f"correlation of the weights of class 0 for two photos: {agreement:.2f} (CAM: always 1)")
assert agreement < 0.9


def constant(f, c):
    """The biases: of the class, and of the hidden units that are active for this photo."""
    active = w1 @ cam.global_average_pool(f) + b1 > 0
    return (w2[c] * active) @ b1 + b2[c]


for name, a, f in (("cup", a_cup, f_cup), ("cat", a_cat, f_cat)):
    M = np.einsum("k,kyx->yx", a, f)  # before Grad-CAM's own ReLU
    total, score = M.sum() + constant(f, 0), hidden_scores(f)[0]
    print(f"{name}: sum of the map {M.sum():+.2f}, constant {constant(f, 0):+.2f}, together {total:+.2f}; "
          f"score {score:+.2f}")
    assert np.isclose(total, score)

# %% [markdown]
# With this ReLU the map and a constant still add up to the score. But the weights *and* the constant are
# those of one photo: there is no w_k^c that belongs to the network. With HardSwish (MobileNetV3) or a
# normalisation (ConvNeXt) not even this sum holds, and nothing can be checked. Where a network has GAP and a
# linear layer, CAM has one w_k^c for all photos. It is exact, it is checked on every run, and it needs no
# gradient.
#
# | way | needs | forward passes | exact? |
# |---|---|---|---|
# | CAM | GAP and a linear layer | 1 | yes: its mean is the score |
# | Grad-CAM | derivatives | 1, and 1 backward | for CAM's networks, else local |
# | backpropagation to pixels | derivatives through all layers | 1, and 1 backward | a slope, pixel by pixel |
# | occlusion | nothing | 1, and one per place | answers another question |

# %% [markdown]
# ## Exercises

# %%
def grad_cam(f, gradient):
    """Grad-CAM, with its ReLU: from f and the gradient of a score with respect to f, (K, H, W), to (H, W)."""
    ...


check(grad_cam)

# %% [markdown]
# On your own:
#
# 1. With max pooling, what is the gradient of S_c with respect to f? What does Grad-CAM draw?
# 2. Occlude with a patch of 16 and of 48 pixels. Which map is closer to CAM?
# 3. Show that adding a constant to all scores changes neither the CAM differences of two classes nor P, but
#    shifts S.
#
# ## Further reading
#
# - M. Zeiler, R. Fergus: *Visualizing and Understanding Convolutional Networks*, ECCV 2014. The study note
#   begins with its figure.
# - R. Selvaraju et al.: *Grad-CAM*, ICCV 2017. Its section on CAM contains the theorem.
# - K. Simonyan, A. Vedaldi, A. Zisserman: *Deep Inside Convolutional Networks*, 2014.
# - `cam_numpy/paper/occlusion.py`.
