# %% [markdown]
# # Lesson 2: A unit, a weight, a score
#
# **You will do**: follow one photo from the last convolutional layer to a probability, with every number
# visible; derive Eq. 1 and Eq. 2 of the paper line by line; check them on a real network.
#
# **You will learn**: what f_k, F_k, w_k^c, S_c, P_c and M_c are; why the map *is* the score, spread over the
# places; sum or mean; what becomes of the bias; why a class activation map has no ReLU.
#
# **You need**: NumPy arrays. If "convolution", "ReLU" or "softmax" is new to you, read
# [prerequisites.md](prerequisites.md) first.
#
# **In the paper**: Section 2 and Figure 2, Eq. 1 and Eq. 2. In the study note: Section 2, "CAM을 얻는 방법" and
# "Specification".

# %%
import matplotlib.pyplot as plt
import numpy as np
from exercises import check
from slides import numbers, panels, photo, scale_of

import cam_numpy as cam

# %% [markdown]
# ## A unit: f_k(x, y)
#
# A convolutional layer consists of *units*, also called *channels*. Each unit looks for one pattern, at every
# place of the photo, and gives a number for each place: how strongly it *fires* there (its *activation*). The
# last convolutional layer of the network that comes with cam_numpy has K = 256 units. They look at a grid of
# W times H places.

# %%
cat = photo("chelsea")
e = cam.explain(cat)
K, H, W = e.f.shape
print(f"f has K={K} units on a grid of H={H} rows and W={W} columns; "
      f"values from {e.f.min():.1f} to {e.f.max():.1f}")
assert (K, H, W) == (256, 12, 18)
assert e.f.min() == 0

# %% [markdown]
# Nothing is below zero, because a ReLU, max(0, value), follows the convolution. Four units on the photo:

# %%
c = e.index("Egyptian cat")
best = e.units(c, 4)
shown = [unit.k for unit in best]
panels([cat, *((cat, e.f[k], scale_of(e.f[k])) for k in shown)],
       titles=["photo", *(f"unit {k}" for k in shown)],
       notes=["", *(f"{e.f[k].min():.0f} to {e.f[k].max():.1f}, mean {e.F[k]:.2f}" for k in shown)], size=2.7)
plt.show()

# %% [markdown]
# In symbols: **f_k(x, y)** is the activation of unit k at column x and row y. In NumPy it is `f[k, y, x]`, an
# array of shape (K, H, W): rows before columns, the origin at the top left.
#
# ## Pooling: F_k
#
# The classifier does not look at places. It gets one number for each unit: the average over all places. This
# is *global average pooling* (GAP).
#
# $$F_k = \frac{1}{HW} \sum_{x,y} f_k(x, y)$$

# %%
F = cam.global_average_pool(e.f)  # (K, H, W) -> (K,)
k = shown[0]
print(f"F_{k} = {e.f[k].sum():.2f} / ({H} x {W}) = {F[k]:.3f}")
assert np.isclose(F[k], e.f[k].sum() / (H * W))

# %% [markdown]
# Here the place is gone: F_k says *how much* unit k fires, no longer *where*. But it is a sum over places,
# and a sum can be taken apart again. This is the whole idea of the paper.
#
# ## A weight: w_k^c
#
# The last layer is linear. For each class c it has one weight per unit, **w_k^c**: how much F_k matters for
# class c. A positive weight means "when unit k fires, this speaks for class c", a negative one "this speaks
# against it". The weights are learned. In NumPy: `w[c, k]`, shape (C, K).
#
# ## A score: S_c
#
# $$S_c = \sum_k w_k^c F_k + b_c$$
#
# **b_c** is a constant of the class, the *bias*. The paper leaves it out; we come back to it. The five units
# that raise the score of *Egyptian cat* most:

# %%
S = cam.class_scores(F, e.w, e.b)  # (K,), (C, K), (C,) -> (C,)
total = 0.0
for unit in e.units(c, 5):
    print(f"k = {unit.k:3d}    w_k^c F_k = {unit.w:6.3f} x {unit.F:.3f} = {unit.product:6.3f}")
    total += unit.product
print(f"the other {K - 5} units        {S[c] - total - e.b[c]:15.3f}")
print(f"b_c                         {e.b[c]:10.3f}")
print(f"S_c                         {S[c]:10.3f}")
assert np.allclose(S, e.S, atol=1e-4)  # e.S is the network's own output

# %% [markdown]
# This output is the network's own score, to float32 precision: NumPy and the network agree for all 200
# classes.
#
# ## A probability: P_c
#
# The *softmax* turns scores into probabilities, numbers between 0 and 1 whose sum is 1:
#
# $$P_c = \frac{e^{S_c}}{\sum_j e^{S_j}}$$

# %%
P = cam.softmax(S)
assert np.isclose(P.sum(), 1)
for guess in e.top(3):
    print(f"{guess.name:16s} S_c = {guess.S:.2f}    P_c = {guess.P:.1%}")

# %% [markdown]
# Two facts about the softmax that matter for maps:
#
# - **Adding the same constant to all scores changes no probability**: $e^{S+a} = e^S e^a$, and $e^a$ cancels.
#   A probability depends on *differences* of scores only. For maps this means: add the same map to the maps
#   of all classes, and every probability stays. One hot map by itself proves nothing. Only the difference
#   between the maps of two classes decides between them (lesson 3).
# - It takes all classes to compute one probability. We cannot say how much of the probability of one class
#   came from which place. That is why a map is made of the score S_c, the *input* of the softmax (a *logit*),
#   and not of P_c.

# %%
assert np.allclose(cam.softmax(S + 5), cam.softmax(S))
same_for_all = np.random.default_rng(0).normal(size=(H, W))  # any map, added to the maps of all classes
raised = (cam.class_activation_maps(e.f, e.w) + same_for_all).mean(axis=(1, 2)) + e.b
assert np.allclose(cam.softmax(raised), P, atol=1e-5)
first, second = e.top(2)
print(f"P of the first / P of the second = {first.P / second.P:.2f} = exp({first.S:.2f} - {second.S:.2f})")
assert np.isclose(first.P / second.P, np.exp(first.S - second.S), rtol=1e-4)

# %% [markdown]
# ## An example to compute by hand
#
# Two units on a map of 2 x 2 places; three classes. All numbers are whole.

# %%
f = np.array([[[1., 0], [0, 3]], [[2, 2], [0, 0]]])  # K=2, H=2, W=2
w = np.array([[1., 0], [0, 1], [2, -1]])  # C=3 classes, K=2 units

F = cam.global_average_pool(f)
S = cam.class_scores(F, w)
print("F =", F, "   S =", S)
assert F.tolist() == [1, 1] and S.tolist() == [1, 1, 1]

# %% [markdown]
# Both units have the mean 1, so the scores are 1·1 + 0·1 = 1, 0·1 + 1·1 = 1 and 2·1 − 1·1 = 1. **Three
# classes, one score.** From S alone nobody can tell them apart.
#
# Now the same sum in another order. At each place, add up what the units say there:
#
# $$M_c(x, y) = \sum_k w_k^c f_k(x, y) \qquad\text{(Eq. 2)}$$

# %%
M = cam.class_activation_maps(f, w)  # (K, H, W), (C, K) -> (C, H, W)
scale = scale_of(M, signed=True)
axes = panels([*((None, unit, scale) for unit in f), *((None, M_c, scale) for M_c in M)],
              titles=["$f_0$", "$f_1$", "$M_0 = f_0$", "$M_1 = f_1$", "$M_2 = 2 f_0 - f_1$"],
              notes=["$F_0$ = 1", "$F_1$ = 1", *["mean 1 = $S_c$"] * 3], size=1.9)
for axis, values in zip(axes, [*f, *M]):
    numbers(axis, values)
plt.show()
assert M.mean(axis=(1, 2)).tolist() == S.tolist()
assert M[2].tolist() == [[0, -2], [0, 6]]

# %% [markdown]
# Three classes with one score have three different **class activation maps**. The third class has strong
# evidence at the bottom right (6), and evidence against it at the top right (−2). The score hides this, the
# map shows it.
#
# Figure 2 of the paper is a drawing of this computation: the coloured circles are the F_k, one per unit, the
# lines to the class are the w_k^c, and below stands the sum of the weighted f_k, the map.
#
# ## From Eq. 1 to Eq. 2
#
# The paper's Section 2 writes F_k as a sum, $F_k = \sum_{x,y} f_k(x, y)$, and has no bias. With these:
#
# $$\begin{aligned}
# S_c &= \sum_k w_k^c F_k
#     && \text{(a) the definition of the score} \\
#     &= \sum_k w_k^c \sum_{x,y} f_k(x, y)
#     && \text{(b) the definition of } F_k \text{ put in} \\
#     &= \sum_k \sum_{x,y} w_k^c f_k(x, y)
#     && \text{(c) } w_k^c \text{ does not depend on the place: it may go inside} \\
#     &= \sum_{x,y} \sum_k w_k^c f_k(x, y)
#     && \text{(d) finite sums may change places: (b) = (d) is \textbf{Eq. 1}} \\
#     &= \sum_{x,y} M_c(x, y)
#     && \text{(e) the inner sum gets a name: } M_c(x, y) = \sum_k w_k^c f_k(x, y) \text{, \textbf{Eq. 2}}
# \end{aligned}$$
#
# - **Eq. 1** says that (b) equals (d): $S_c = \sum_k w_k^c \sum_{x,y} f_k(x, y) = \sum_{x,y} \sum_k w_k^c
#   f_k(x, y)$.
# - **Eq. 2** defines the map: $M_c(x, y) = \sum_k w_k^c f_k(x, y)$.
# - Hence $S_c = \sum_{x,y} M_c(x, y)$: the study note's last formula.
#
# No approximation is made anywhere. The map is not an estimate of where the score comes from: it is the
# score, place by place. Line (a) needs a *linear* layer, line (b) a pooling that is a sum. The other lines
# are always true. In a network that breaks (a) or (b) the proof ends at that line (lesson 4).
#
# Each line is one line of NumPy:

# %%
F_sum = cam.global_sum_pool(f)  # F_k = sum_xy f_k(x, y), the paper's
c = 2
lines = {
    "a": sum(w[c, k] * F_sum[k] for k in range(2)),
    "b": sum(w[c, k] * f[k].sum() for k in range(2)),
    "c": sum((w[c, k] * f[k]).sum() for k in range(2)),
    "d": sum(w[c, k] * f[k, y, x] for y in range(2) for x in range(2) for k in range(2)),
    "e": cam.class_activation_map(f, w, c).sum(),
}
print({name: float(value) for name, value in lines.items()})
assert set(lines.values()) == {4}

# %% [markdown]
# ## Sum or mean?
#
# The paper's formula says *sum*; its text and its networks say *average*, and so do all libraries. Both are
# the same network if the weights are rescaled: the average is the sum divided by HW, so
#
# $$\sum_k w_k^c \Big(\tfrac{1}{HW} \sum_{x,y} f_k\Big) = \sum_k \frac{w_k^c}{HW} \sum_{x,y} f_k .$$
#
# With the mean, **S_c is the mean of the map**; with the sum and the weights w/(HW), it is the sum of the
# map.
#
# The mistake is to sum *without* rescaling the weights. Then everything in the score is multiplied by HW,
# except the bias. On the photo, HW is 216:

# %%
wrong = cam.class_scores(cam.global_sum_pool(e.f), e.w)  # sums, weights as they are, no bias
right = cam.class_scores(cam.global_average_pool(e.f), e.w)
print(f"largest probability: right {cam.softmax(right).max():.2f}, wrong {cam.softmax(wrong).max():.2f}")
assert np.array_equal(np.argsort(-wrong)[:10], np.argsort(-right)[:10])  # without a bias the order stays ...
# ... but the probabilities are ruined
assert cam.softmax(right).max() < 0.5 and cam.softmax(wrong).max() > 0.99

with_bias = cam.class_scores(cam.global_sum_pool(e.f), e.w, e.b)
moved = int((np.argsort(-with_bias) != e.ranking).sum())
print(f"with the bias, {moved} of 200 classes change their rank")
assert moved > 50  # and with a bias even the order changes: it is not multiplied by HW

# %% [markdown]
# ## The bias
#
# Real networks add b_c to the score. It is the same for every photo and belongs to no place, so it is not
# part of the map:
#
# $$S_c = \operatorname*{mean}_{x,y} M_c(x, y) + b_c$$
#
# The paper sets it to 0, because it has little to no impact. Is that so here? Small, yes, and the best class
# is the same; but it is not nothing.

# %%
print(f"standard deviation over the classes: of b {e.b.std():.2f}, of the scores {e.S.std():.2f}")
assert e.b.std() < 0.3 * e.S.std()
without = np.argsort(-(e.S - e.b))
print(f"without b the best class is {e.class_name(int(without[0]))}, with it {e.top(1)[0].name}")
assert without[0] == e.ranking[0]
c = e.index("Egyptian cat")
assert np.isclose(e.M(c).mean() + e.b[c], e.S[c], atol=1e-4)

# %% [markdown]
# Some tools add b_c to every pixel of the map without saying so. Then a map may be positive at a place where
# no unit fires. cam_numpy keeps the two apart.
#
# ## Check it on the network
#
# `check_scores` compares what the maps say with the scores that the network itself computed, for all classes
# at once. `explain` does this each time, and refuses to draw a map where the two differ.

# %%
error = cam.check_scores(e.f, e.w, e.b, e.S)
print(f"largest |mean M_c + b_c - S_c| over {len(e.S)} classes: {error:.1e}")
assert error < 1e-4 * np.abs(e.S).max()

# %% [markdown]
# ## Negative evidence, and why there is no ReLU
#
# A weight may be negative, so a map may be negative: *here is evidence against class c*. Many tools set
# negative values to zero before they draw the map (a ReLU, as Grad-CAM does). The paper does not. What would
# be lost?

# %%
M = cam.class_activation_map(f, w, 2)
clipped = np.maximum(M, 0)
print(f"mean of the map {M.mean()} = the score; mean of the clipped map {clipped.mean()}")
assert M.mean() == 1 and clipped.mean() == 1.5

worst = int(e.ranking[-1])
M = e.M(worst)
print(f"on the photo, {e.class_name(worst)}: mean of the map {M.mean():.2f}, of the clipped map "
      f"{np.maximum(M, 0).mean():+.2f}")
assert M.mean() < 0 < np.maximum(M, 0).mean()

# %% [markdown]
# With a ReLU the map no longer adds up to the score. The clipped map is too large: its mean is greater than
# S_c - b_c, the score without its bias. Even a class with a negative score would look supported. The negative
# part is often the most interesting: it shows what the network holds *against* a class. Here is the same
# photo for the best class and for the one with the lowest score, on one scale: white is zero, red is
# positive, blue is negative. In these figures the photo is grey and the colour grows with the *square root*
# of the value, otherwise small values would be invisible.

# %%
maps = [e.M(int(e.ranking[0])), e.M(worst)]
scale = scale_of(*maps, signed=True)
panels([cat, *((cat, M, scale) for M in maps)], titles=["photo", e.top(1)[0].name, e.class_name(worst)],
       notes=["", *(f"$S_c$ = {e.S[i]:.2f}: map from {e.M(i).min():.1f} to {e.M(i).max():.1f}"
                    for i in (int(e.ranking[0]), worst))], size=3.2)
plt.show()
assert e.M(worst).mean() < 0 < e.M(int(e.ranking[0])).mean()

# %% [markdown]
# ## Exercises
#
# Section 2 of the paper is four functions. Fill them in; do not use cam_numpy.

# %%
def global_average_pool(f):
    """F_k = mean_xy f_k(x, y). f (K, H, W) -> (K,)."""
    ...


check(global_average_pool)

# %%
def class_scores(F, w, b):
    """S_c = sum_k w_k^c F_k + b_c. F (K,), w (C, K), b (C,) -> (C,)."""
    ...


check(class_scores)

# %%
def softmax(S):
    """P_c = exp(S_c) / sum_j exp(S_j). S (C,) -> (C,). Beware: exp(1000) is too large for a float."""
    ...


check(softmax)

# %%
def class_activation_map(f, w, c):
    """M_c(x, y) = sum_k w_k^c f_k(x, y). f (K, H, W), w (C, K), c an int -> (H, W)."""
    ...


check(class_activation_map)

# %% [markdown]
# On your own:
#
# 1. Find a w for the 2 x 2 example whose map is zero at all places but two. Why is there none that leaves
#    only one?
# 2. Two classes have maps that differ by a constant at every place. What can you say about their weights?
#    About their probabilities?
# 3. Reorder the units: `f[order]`, `w[:, order]`. What changes?
#
# ## Further reading
#
# - The paper, Section 2. You can now read each formula as a line of NumPy: `cam_numpy/paper/cam.py`.
# - `tests/test_cam.py`: every statement of this lesson as a theorem that is tested.
