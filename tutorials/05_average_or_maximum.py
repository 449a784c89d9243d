# %% [markdown]
# # Lesson 5: Average or maximum?
#
# **You will do**: train two small convolutional networks in front of your eyes, in NumPy alone, forward and
# backward by hand. They differ in one line: one pools with the average (GAP), the other with the maximum
# (GMP).
#
# **You will learn**: why both classify about equally well, and why only one of them finds the whole object.
# How a gradient flows back through a pooling, a ReLU and a convolution.
#
# **You need**: lesson 2 (f, F, w, S, M), the chain rule; about a minute of computing on two cores.
#
# **In the paper**: Section 2, the paragraph on global average and global max pooling; Section 3, the rows
# GoogLeNet-GAP and GoogLeNet-GMP of Tables 1 and 2. In the study note: the list of differences from earlier
# work in its Section 1.

# %%
import time

import matplotlib.pyplot as plt
import numpy as np
from exercises import check
from numpy.lib.stride_tricks import sliding_window_view
from slides import box, panels, photo, scale_of

import cam_numpy as cam

# %% [markdown]
# ## The question
#
# A convolutional network ends with K maps of activations, f_k(x, y). Before the classifier each map becomes
# one number. There are two simple ways:
#
# $$F_k = \frac{1}{HW} \sum_{x,y} f_k(x, y) \quad\text{(average)} \qquad\qquad
#   F_k = \max_{x,y} f_k(x, y) \quad\text{(maximum)}$$
#
# The paper's claim: with the maximum a network classifies about as well and localises worse. To test the
# claim, we need pictures for which we know exactly which pixels belong to the object. Let us draw them.
#
# ## The pictures
#
# A picture has 24 x 24 pixels. An ellipse is filled with one of four textures: stripes in one of four
# directions. Everything else is noise. The class is the direction of the stripes. The true *mask* is the
# ellipse.

# %%
SIDE, CLASSES = 24, ["vertical", "horizontal", "rising", "falling"]
y, x = np.mgrid[:SIDE, :SIDE]


def draw(n, rng):
    """n pictures (n, 1, SIDE, SIDE), their classes (n,) and their true masks (n, SIDE, SIDE)."""
    pictures = rng.normal(0, 0.3, (n, 1, SIDE, SIDE))
    classes = rng.integers(0, len(CLASSES), n)
    masks = np.empty((n, SIDE, SIDE), bool)
    for i, c in enumerate(classes):
        tall, wide = rng.uniform(4, 8, 2)
        cy, cx = rng.uniform(8, 16, 2)
        masks[i] = ((y - cy) / tall) ** 2 + ((x - cx) / wide) ** 2 <= 1
        across = [x, y, x + y, x - y][c]
        pictures[i, 0] += masks[i] * np.sin(2 * np.pi * across / 3 + rng.uniform(0, 2 * np.pi))
    return pictures.astype(np.float32), classes, masks


rng = np.random.default_rng(0)
train_pictures, train_classes, _ = draw(2000, rng)  # the masks are thrown away: the network never sees one
test_pictures, test_classes, test_masks = draw(500, rng)

first = [int(np.flatnonzero(test_classes == c)[0]) for c in range(4)]
panels([*test_pictures[first, 0], *test_masks[first]], titles=CLASSES, columns=4, size=1.9)
plt.show()

# %% [markdown]
# Top: one picture of each class. Bottom: the true masks. The networks are trained with pictures and classes
# only, as in the paper: 2,000 pictures. The 500 test pictures are fresh.
#
# ## Forward
#
# A convolution looks at each place through a window of 3 x 3 pixels. `sliding_window_view` lists all windows,
# and then the convolution is one matrix product: windows times weights.

# %%
def windows(x):
    """All 3 x 3 windows of x (n, K, H, W), zeros around it: (n * H * W, K * 9)."""
    n, K, H, W = x.shape
    x = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    return sliding_window_view(x, (3, 3), axis=(2, 3)).transpose(0, 2, 3, 1, 4, 5).reshape(n * H * W, K * 9)


def convolution(x, w, b):
    """x (n, K, H, W), w (L, K, 3, 3), b (L,) -> (n, L, H, W), and the windows for the way back."""
    n, _, H, W = x.shape
    seen = windows(x)
    out = seen @ w.reshape(len(w), -1).T + b
    return out.reshape(n, H, W, len(w)).transpose(0, 3, 1, 2), seen


def average(f):
    return f.mean(axis=(2, 3))


def maximum(f):
    return f.max(axis=(2, 3))


# %% [markdown]
# The whole network: convolution (8 units), ReLU, convolution (16 units), ReLU, pooling, linear layer. The
# second ReLU's output is f, with K = 16 units on a map of 24 x 24 cells. The only difference between the two
# networks is the function `pool`.

# %%
def forward(p, pictures, pool):
    """All that the network computes, by name; p holds its weights."""
    a1, seen1 = convolution(pictures, p["w1"], p["b1"])
    a2, seen2 = convolution(np.maximum(a1, 0), p["w2"], p["b2"])
    f = np.maximum(a2, 0)  # (n, 16, 24, 24)
    F = pool(f)  # (n, 16)
    S = F @ p["w"].T + p["b"]  # S_c = sum_k w_k^c F_k + b_c
    e = np.exp(S - S.max(axis=1, keepdims=True))
    P = e / e.sum(axis=1, keepdims=True)  # softmax
    return dict(a1=a1, seen1=seen1, a2=a2, seen2=seen2, f=f, F=F, S=S, P=P)


def start(rng):
    """Small random weights, large enough that the activations keep their size from layer to layer."""
    shapes = {"w1": (8, 1, 3, 3), "w2": (16, 8, 3, 3), "w": (4, 16)}
    p = {name: rng.normal(0, np.sqrt(2 / np.prod(shape[1:])), shape) for name, shape in shapes.items()}
    p |= {"b1": np.zeros(8), "b2": np.zeros(16), "b": np.zeros(4)}
    return {name: value.astype(np.float32) for name, value in p.items()}


# %% [markdown]
# ## Backward
#
# Training needs the derivative of the loss L with respect to every weight. The loss of one picture of class c
# is $-\log P_c$. Its derivative with respect to the scores is short:
#
# $$\frac{\partial L}{\partial S_j} = P_j - [j = c]$$
#
# ([j = c] is 1 if j = c, else 0.) From there the chain rule goes back layer by layer. The linear layer and
# the convolution are matrix products, the ReLU lets a gradient pass where its input was positive. **The
# pooling is where the two networks differ**:
#
# $$\text{average:}\quad \frac{\partial F_k}{\partial f_k(x, y)} = \frac{1}{HW} \text{ at every place}
#   \qquad\qquad
#   \text{maximum:}\quad \frac{\partial F_k}{\partial f_k(x, y)} = 1 \text{ at the largest value, 0 elsewhere}$$
#
# The average tells *every* place what the loss wants. The maximum tells one place of 576.

# %%
def average_back(gF, f):
    """From the gradient of F (n, K) to the gradient of f (n, K, H, W)."""
    H, W = f.shape[2:]
    return np.broadcast_to(gF[:, :, None, None] / (H * W), f.shape)


def maximum_back(gF, f):
    n, K, H, W = f.shape
    gf = np.zeros((n, K, H * W), f.dtype)
    largest = f.reshape(n, K, H * W).argmax(axis=2)
    np.put_along_axis(gf, largest[:, :, None], gF[:, :, None], axis=2)
    return gf.reshape(f.shape)


BACK = {average: average_back, maximum: maximum_back}


def convolution_back(g, seen, w):
    """From the gradient of a convolution's output (n, L, H, W) to those of w, b and its input."""
    rows = g.transpose(0, 2, 3, 1).reshape(-1, len(w))
    gw, gb = (rows.T @ seen).reshape(w.shape), rows.sum(axis=0)
    # each input cell collects from the nine windows that it lies in: a convolution with the mirrored weights
    gx, _ = convolution(g, w.transpose(1, 0, 2, 3)[:, :, ::-1, ::-1], 0)
    return gw, gb, gx


def backward(p, r, classes, pool):
    """The gradient of the mean loss with respect to each weight; r is what `forward` returned."""
    n = len(classes)
    gS = r["P"].copy()
    gS[np.arange(n), classes] -= 1  # P_j - [j = c]
    gS /= n
    g = {"w": gS.T @ r["F"], "b": gS.sum(axis=0)}
    gf = BACK[pool](gS @ p["w"], r["f"])
    g["w2"], g["b2"], gh = convolution_back(gf * (r["a2"] > 0), r["seen2"], p["w2"])
    g["w1"], g["b1"], _ = convolution_back(gh * (r["a1"] > 0), r["seen1"], p["w1"])
    return g


# %% [markdown]
# A gradient written by hand is wrong until it is checked. Change one weight a little, up and down, and see
# how the loss changes: the difference quotient must equal the gradient. We do that in float64 for three
# weights of every array and for both poolings.

# %%
def loss(p, pictures, classes, pool):
    return -np.log(forward(p, pictures, pool)["P"][np.arange(len(classes)), classes]).mean()


worst = 0.0
for pool in (average, maximum):
    p = {name: value.astype(float) for name, value in start(np.random.default_rng(1)).items()}
    few, their_classes = test_pictures[:5].astype(float), test_classes[:5]
    g = backward(p, forward(p, few, pool), their_classes, pool)
    for name in p:
        for i in np.random.default_rng(2).choice(p[name].size, 3):
            place = np.unravel_index(i, p[name].shape)
            step = np.zeros_like(p[name])
            step[place] = 1e-6
            up, down = ({**p, name: p[name] + sign * step} for sign in (1, -1))
            quotient = (loss(up, few, their_classes, pool) - loss(down, few, their_classes, pool)) / 2e-6
            worst = max(worst, abs(quotient - g[name][place]))
print(f"largest difference between gradient and difference quotient: {worst:.1e}")
assert worst < 1e-7

# %% [markdown]
# ## Training
#
# *Adam* takes a step against the gradient. The step of each weight is divided by the usual size of its own
# gradients, so weights with large and with small gradients make steps of about the same length, at most about
# `rate`. Six passes over the 2,000 pictures, 50 at a time.

# %%
def train(pool, pictures, classes, passes=6, rate=0.01, batch=50, seed=0):
    """Train a network; returns its weights and the mean loss of each pass."""
    rng = np.random.default_rng(seed)
    p = start(rng)
    m, v = ({name: np.zeros_like(value) for name, value in p.items()} for _ in range(2))
    losses, step = [], 0
    for _ in range(passes):
        total = 0.0
        for chosen in rng.permutation(len(pictures)).reshape(-1, batch):
            r = forward(p, pictures[chosen], pool)
            total -= np.log(r["P"][np.arange(batch), classes[chosen]] + 1e-12).sum()
            g = backward(p, r, classes[chosen], pool)
            step += 1
            for name in p:
                m[name] = 0.9 * m[name] + 0.1 * g[name]  # the mean of the last gradients
                v[name] = 0.999 * v[name] + 0.001 * g[name] ** 2  # and of their squares
                m_hat, v_hat = m[name] / (1 - 0.9**step), v[name] / (1 - 0.999**step)
                p[name] = p[name] - rate * m_hat / (np.sqrt(v_hat) + 1e-8)
        losses.append(total / len(pictures))
    return p, losses


trained, results = {}, {}
for pool in (average, maximum):
    began = time.perf_counter()
    trained[pool], losses = train(pool, train_pictures, train_classes)
    results[pool] = forward(trained[pool], test_pictures, pool)
    accuracy = (results[pool]["S"].argmax(axis=1) == test_classes).mean()
    print(f"{pool.__name__}: {time.perf_counter() - began:.0f} s, loss of each pass "
          f"{' '.join(f'{value:.3f}' for value in losses)}, accuracy on 500 fresh pictures {accuracy:.1%}")
    assert accuracy > 0.98

# %% [markdown]
# Both networks name practically every fresh picture correctly. As classifiers there is nothing to choose
# between them.
#
# ## The maps
#
# Now Eq. 2, with each network's own f and w. What is above 20 % of a map's maximum is compared with the true
# mask. *IoU*, intersection over union, is the number of pixels in both divided by the number in either.

# %%
def maps_of(pool):
    """The map of the true class of each test picture: M_c(x, y) = sum_k w_k^c f_k(x, y)   (Eq. 2)."""
    return np.einsum("nk,nkyx->nyx", trained[pool]["w"][test_classes], results[pool]["f"])


def overlap(keep, masks):
    return (keep & masks).sum(axis=(1, 2)) / (keep | masks).sum(axis=(1, 2))


maps = {pool: maps_of(pool) for pool in (average, maximum)}
keep = {pool: M > 0.2 * M.max(axis=(1, 2), keepdims=True) for pool, M in maps.items()}
iou = {pool: overlap(keep[pool], test_masks).mean() for pool in keep}
covered = {pool: ((keep[pool] & test_masks).sum(axis=(1, 2)) / test_masks.sum(axis=(1, 2))).mean()
           for pool in keep}
for pool in maps:
    print(f"{pool.__name__}: IoU with the true mask {iou[pool]:.2f}, "
          f"the map covers {covered[pool]:.0%} of the object")

assert iou[average] > 0.6 and iou[maximum] < 0.55
assert iou[average] - iou[maximum] > 0.15
assert covered[average] > covered[maximum] + 0.2

# %%
shown = first
axes = panels(
    [*test_pictures[shown, 0]]
    + [(None, M, scale_of(M)) for M in maps[average][shown]]
    + [(None, M, scale_of(M)) for M in maps[maximum][shown]],
    titles=CLASSES, columns=4, size=1.9)
for axis, text in zip(axes[::4], ["picture", "average", "maximum"]):
    axis.set_ylabel(text, fontsize=12)
for i, axis in enumerate(axes[4:]):
    axis.contour(test_masks[shown[i % 4]], [0.5], colors="white", linewidths=1.2)
plt.show()

# %% [markdown]
# The white line is the edge of the true mask; each map has its own scale. The average lights up the object,
# the maximum lights up spots in it. Both networks had the same pictures, the same order, the same first
# weights.
#
# ## Why
#
# Look at the places that decide a score. With the maximum,
#
# $$S_c = \sum_k w_k^c \max_{x,y} f_k(x, y) + b_c,$$
#
# a score depends on one cell of each unit: at most 16 of 576 cells here. All other cells could change a
# little and no score would. With the average every cell counts.

# %%
f = results[maximum]["f"][first[0]]  # (16, 24, 24)
decisive = {np.unravel_index(f[k].argmax(), f[k].shape) for k in range(16) if f[k].max() > 0}
print(f"{len(decisive)} of {f[0].size} cells decide the scores of the first picture")
assert len(decisive) <= 16

changed = np.zeros_like(f)  # nothing fires anywhere ...
for k in range(16):
    changed[(k, *np.unravel_index(f[k].argmax(), f[k].shape))] = f[k].max()  # ... except in the largest cell
p = trained[maximum]
assert np.array_equal(cam.class_scores(cam.global_max_pool(changed), p["w"]),
                      cam.class_scores(cam.global_max_pool(f), p["w"]))
print(f"all other cells set to zero: {1 - changed.sum() / f.sum():.1%} of the activation is gone, the scores stay")
assert changed.sum() < 0.1 * f.sum()

# %% [markdown]
# These numbers fit the paper's argument. *Average*: for each part of the object that helps to name the class,
# the loss falls when a unit fires there, so **all** parts are rewarded. *Maximum*: once a unit fires strongly
# at one part, firing at the others brings it nothing, so it does not learn them.
#
# ## A map of a max-pooled network
#
# Eq. 2 can be computed for any f and w. With average pooling the map also has a meaning: its mean is the
# score (minus the bias). With max pooling it has no such meaning: neither its mean nor its sum is the score.
# (What does add up to the score are dots: w_k^c F_k in the one cell where unit k is strongest, 0 elsewhere.)

# %%
for pool in (average, maximum):
    S, b = results[pool]["S"], trained[pool]["b"]
    predicted = maps[pool].mean(axis=(1, 2)) + b[test_classes]
    error = np.abs(predicted - S[np.arange(500), test_classes]).max()
    print(f"{pool.__name__}: largest |mean M_c + b_c - S_c| = {error:.2g}, "
          f"the scores reach {np.abs(S).max():.1f}")
    assert (error < 1e-4) == (pool is average)

# %% [markdown]
# ## Two real networks
#
# Two networks come with cam_numpy: `tiny-imagenet-gap` with average pooling, `tiny-imagenet-gmp` with max
# pooling. They were one network for 27 *epochs* (passes over the training pictures), with average pooling.
# The last two epochs were done twice, once with each pooling, on the same pictures in the same order. The
# same cat, the same class, each network's own map:

# %%
cat = photo("chelsea")
both = {name: cam.explain(cat, name) for name in ("tiny-imagenet-gap", "tiny-imagenet-gmp")}
axes = panels([cat, *((cat, e.M("Egyptian cat"), scale_of(e.M("Egyptian cat"))) for e in both.values())],
              titles=["scikit-image's Chelsea", "average pooling", "max pooling"],
              notes=["", *(f"P = {e.top(1)[0].P:.0%} {e.top(1)[0].name}" for e in both.values())], size=3.2)
for axis, e in zip(axes[1:], both.values()):
    box(axis, e.box("Egyptian cat"), cat.size)
    H, W = e.f.shape[1:]
    for unit in e.units("Egyptian cat", 10):
        height, width = axis.images[0].get_array().shape[:2]
        x_k, y_k = unit.place
        axis.plot((x_k + 0.5) * width / W - 0.5, (y_k + 0.5) * height / H - 0.5, "o",
                  ms=4, mfc="white", mec="black", mew=0.8)
plt.show()
assert all(e.top(1)[0].name == "Egyptian cat" for e in both.values())

# %% [markdown]
# The dots are where the ten units that raise the score most are strongest: with max pooling these cells are
# all that counts. The box is the paper's (lesson 6). One photo proves nothing, and here both boxes cover most
# of the photo; measured on 5,000 pictures the difference is clear:
#
# | | average | maximum | paper, GoogLeNet-GAP | paper, GoogLeNet-GMP |
# |---|---|---|---|---|
# | classification error, top-1, % | 39.2 | 43.8 | 35.0 | 35.6 |
# | localisation error, top-1, % | 58.7 | 64.4 | 56.40 | 57.78 |
# | localisation error, top-5, % | 45.9 | 51.9 | 43.00 | 45.26 |
# | right box for the true class (GT-known), % | 60.2 | 55.4 | | |
#
# The left columns: Tiny ImageNet, measured by `python -m weights.compare tiny-imagenet-200.zip` (lesson 7 has
# the whole table and its intervals). The right columns: ILSVRC, the paper's Tables 1 and 2. In the paper max
# pooling loses 0.6 points in top-1 classification and 1.4 in top-1 localisation. Here it loses 4.6 and 5.8,
# and a part of the 5.8 comes from the classes; in GT-known, where the class does not matter, it loses 4.8.
# How much of that is due to the maximum, and how much to the short time that the network had to get used to
# it (two epochs of 29), this comparison does not tell.
#
# What the small experiment does not say: the maximum is not *unable* to localise. Here the texture fills the
# object, and each unit sees a small part of it: then the difference is large. On real photos it is a few
# points.

# %% [markdown]
# ## Exercises
#
# Fill in each function; `check` marks it at once. A function that still has `...` is "not solved yet".

# %%
def global_max_pool(f):
    """F_k = max_xy f_k(x, y). f (K, H, W) -> (K,)."""
    ...


check(global_max_pool)

# %%
def average_pool_gradient(g, f):
    """The gradient of L with respect to f (K, H, W); g (K,) is its gradient with respect to F = mean_xy f."""
    ...


check(average_pool_gradient)

# %%
def max_pool_gradient(g, f):
    """The same for F = max_xy f. All values of a unit differ."""
    ...


check(max_pool_gradient)

# %% [markdown]
# On your own:
#
# 1. Train with `seed=1` and `seed=2`. How much do the two IoUs vary?
# 2. Pool with the mean of the ten largest cells. Where does its IoU lie, and why?
# 3. Draw smaller ellipses, or stripes three times as wide. When does the advantage of the average shrink?
# 4. *Log-sum-exp* pooling, (1/r) log mean exp(r f), goes from average (r near 0) to maximum (r large). Write
#    its gradient.
#
# ## Further reading
#
# - M. Oquab, L. Bottou, I. Laptev, J. Sivic: *Is object localization for free?* CVPR 2015. Global max pooling
#   for localisation: what this paper compares with.
# - M. Lin, Q. Chen, S. Yan: *Network In Network*, ICLR 2014. Global average pooling, there against
#   overfitting.
# - D. Kingma, J. Ba: *Adam: A Method for Stochastic Optimization*, ICLR 2015.
