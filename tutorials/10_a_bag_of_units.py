# %% [markdown]
# # Lesson 10: A bag of units
#
# **You will do**: look up the vocabulary of a unit; spell a class with its best units; silence units one by
# one and see what the network takes the photo for then.
#
# **You will learn**: class-specific units; the difference between "important for the class" and "important in
# this photo"; why silencing a unit is exact; what "a bag of words" means here, and what it does not prove.
#
# **You need**: lesson 2.
#
# **In the paper**: Section 5, "Visualizing Class-Specific Units". Not in the study note.

# %%
import matplotlib.pyplot as plt
import numpy as np
from exercises import check
from slides import ACCENT, FAINT, panels, photo, scale_of

import cam_numpy as cam

network = cam.load()
e = cam.explain(photo("chelsea"), network)
names = [name.split(",")[0] for name in network.classes]
C, K = network.w.shape

# %% [markdown]
# ## What does a unit speak for?
#
# Column k of w holds the weights of unit k for all classes. Sort it: the classes with the largest w_k^c are
# those that the unit speaks *for*, its vocabulary. No photo is needed.

# %%
def vocabulary(k, n=4):
    order = np.argsort(-network.w[:, k])
    return [names[c] for c in order[:n]]


for name in ("sports car", "banana", "Persian cat"):
    k = int(network.w[names.index(name)].argmax())  # the unit with the largest weight for this class
    words = [f"{word} {network.w[names.index(word), k]:+.2f}" for word in vocabulary(k)]
    print(f"unit {k:3d}: {', '.join(words)}")
    assert name in vocabulary(k) and vocabulary(k) == e.vocabulary(k)[0]  # the same as one call
    assert np.sort(network.w[:, k])[-2] > 0.2  # and another class shares it

# %% [markdown]
# Nobody told the network to make a unit for cars, or one for yellow fruit. The last convolution learned them
# because they help to tell 200 classes apart, and several classes share them. That is the paper's reading:
# **units are words, and a class is a bag of them.** In a *bag of words* a text is described by how often each
# word occurs, in any order. F_k is how much word k occurs in the photo, at any place, and w_k^c is what the
# word says about class c.
#
# ## Class-specific units
#
# Now row c of w: the units with the largest w_k^c are the **class-specific units** of c. The paper ranks the
# units of a class by w_k^c. For this no photo is needed. Then it shows each of these units in the pictures in
# which it fires most, out of a large set.
#
# We have only three photos, and a unit with a large w_k^c may not fire in any of them. The figure therefore
# ranks by **w_k^c F_k**: what the unit adds to the score of c *in this photo*. It is large only if the unit
# matters for the class and also fires here.

# %%
photos = {name: photo(name) for name in ("chelsea", "coffee", "grace_hopper")}
seen = {name: cam.explain(picture, network) for name, picture in photos.items()}
classes = {"chelsea": "Egyptian cat", "coffee": "espresso", "grace_hopper": "academic gown"}


def window(picture, f_k, side=0.36):
    """The part of a photo around the place where a unit fires most."""
    y, x = np.unravel_index(f_k.argmax(), f_k.shape)
    pixels = side * min(picture.size)
    cx, cy = (x + 0.5) * picture.width / f_k.shape[1], (y + 0.5) * picture.height / f_k.shape[0]
    left = min(max(0, cx - pixels / 2), picture.width - pixels)
    top = min(max(0, cy - pixels / 2), picture.height - pixels)
    return picture.crop((round(left), round(top), round(left + pixels), round(top + pixels))).resize((96, 96))


crops, titles = [], []
for name, class_name in classes.items():
    e = seen[name]
    for unit in e.units(class_name, 5):
        crops.append(window(photos[name], e.f[unit.k]))
        titles.append(f"unit {unit.k}: {unit.product:+.2f}")
axes = panels(crops, titles=titles, columns=5, size=1.75)
for axis, class_name in zip(axes[::5], classes.values()):
    axis.set_ylabel(class_name, fontsize=11)
plt.show()

# %% [markdown]
# Each row: the five units that contribute most to the class in this photo, and the window where each fires
# most. Two units answer to the stripes of the forehead, one to the cheek, one to the place between the eyes,
# one to the edge of an ear. Together they spell "cat". (The window is 36 % of the short side; a cell really
# sees a larger part of the photo.)
#
# ## Important for the class, important in this photo
#
# - w_k^c: how much the unit *would* say, if it fired. It belongs to the network.
# - w_k^c F_k: what it *does* say here. It belongs to the photo, and these products add up to the score.

# %%
e = seen["chelsea"]
c = e.index("Egyptian cat")
by_weight = np.argsort(-e.w[c])[:10]
products = e.w[c] * e.F
by_product = np.argsort(-products)[:10]
print("by w_k^c:      ", by_weight.tolist())
print("by w_k^c F_k:  ", by_product.tolist())
print(f"{len(set(by_weight.tolist()) & set(by_product.tolist()))} of ten are in both lists")
assert np.isclose(products.sum() + e.b[c], e.S[c], atol=1e-4)
assert set(by_weight.tolist()) != set(by_product.tolist())

positive = np.sort(products[products > 0])[::-1]
needed = int(np.searchsorted(np.cumsum(positive), 0.9 * positive.sum())) + 1
best = int(by_product[0])
print(f"{needed} of {K} units carry 90 % of the evidence for the class, unit {best} alone "
      f"{positive[0] / positive.sum():.0%}")
print(f"unit {best} speaks for {', '.join(vocabulary(best))}")
second, first = np.sort(network.w, axis=1)[:, -2:].T
print(f"the largest weight is more than twice the second for {(first > 2 * second).sum()} of {C} classes")
assert 0.4 < positive[0] / positive.sum() < 0.5 and 0.6 < products[best] / products.sum() < 0.7
assert 50 < (first > 2 * second).sum() < 60
assert needed < K / 2 and needed == e.count_units("Egyptian cat", 0.9)

# %% [markdown]
# `cam-numpy units --class "Egyptian cat"` prints the units with the largest w_k^c and their vocabulary. If
# you also give photos, it ranks the units by w_k^c F_k in these photos, and draws where each of them fires.
#
# A small part of the units carries most of the evidence; one of them, unit 59, nearly half. Is it the "cat
# unit"? Nearly: its vocabulary is cats. But the other units together add a third of the score, and only about
# a quarter of the classes have a unit that stands out like this.
#
# ## Silencing units
#
# What would the network say if a unit were silent? Set F_k to zero. S is linear in F, so every score falls by
# exactly w_k^c F_k: no approximation, and no new forward pass.

# %%
def without(units):
    """S of all classes with some units silent."""
    return e.S - e.w[:, units] @ e.F[units]


k = int(by_product[0])
f_silent = e.f.copy()
f_silent[k] = 0
assert np.allclose(without([k]), e.without(k).S, atol=1e-4)  # the same as one call
assert np.allclose(without([k]), cam.class_scores(cam.global_average_pool(f_silent), e.w, e.b), atol=1e-4)

steps = range(0, 61, 2)
best_first = [cam.softmax(without(np.argsort(-products)[:n]))[c] for n in steps]
rng = np.random.default_rng(0)
at_random = np.mean([[cam.softmax(without(order[:n]))[c] for n in steps]
                     for order in (rng.permutation(K) for _ in range(50))], axis=0)

figure, axis = plt.subplots(figsize=(7, 2.9), layout="constrained")
axis.plot(steps, 100 * np.array(best_first), color=ACCENT, lw=2, label="the most important units first")
axis.plot(steps, 100 * at_random, color=FAINT, lw=2, label="units at random (mean of 50 orders)")
axis.set_xlabel("units silenced")
axis.set_ylabel("P of Egyptian cat, %")
axis.set_ylim(0, None)
axis.legend(frameon=False)
plt.show()
assert best_first[5] < 0.2 * best_first[0] and at_random[5] > 0.5 * at_random[0]

# %% [markdown]
# With the best two units of 256 silent, the probability of the class is nearly gone; ten random ones change
# little. What does the network see instead?

# %%
for n in (0, 1, 3, 10):
    S = without(by_product[:n])
    best = [f"{names[i]} {cam.softmax(S)[i]:.0%}" for i in np.argsort(-S)[:3]]
    print(f"{n:2d} units silent: {', '.join(best)}")
assert int(np.argmax(without(by_product[:10]))) != c

maps = [np.einsum("k,kyx->yx", np.delete(e.w[c], by_product[:n]), np.delete(e.f, by_product[:n], axis=0))
        for n in (0, 1, 3, 10)]
scale = scale_of(*maps, signed=True)
panels([(photos["chelsea"], M, scale) for M in maps],
       titles=["all units", "without the best", "without the best 3", "without the best 10"],
       notes=[f"mean {M.mean():.2f}" for M in maps], size=2.6)
plt.show()
assert all(a.mean() > b.mean() for a, b in zip(maps, maps[1:]))

# %% [markdown]
# ## What this does not prove
#
# - A unit's name is ours. "Car unit" is a short way to say "its largest weights are of car classes".
# - A large weight does not always mean an important unit. If F_k is twice as large, half the weight has the
#   same effect. Compare products.
# - Silencing changes the *head's* input. It does not say what the network would have learned without the
#   unit.
#
# ## Exercises

# %%
def strongest_units(w_c, F, n):
    """The indices of the n units with the largest w_k^c F_k, the largest first. w_c (K,), F (K,)."""
    ...


check(strongest_units)

# %%
def silenced_scores(S, F, w, k):
    """S (C,) as if unit k never fired. F (K,), w (C, K)."""
    ...


check(silenced_scores)

# %% [markdown]
# On your own:
#
# 1. Which unit has the largest product for *tabby* and a negative weight for *Egyptian cat*? Silence it, and
#    watch both scores.
# 2. Multiply unit k by 2 and its column of w by 1/2. What changes in S, in M, in the order by w_k^c?
# 3. Find two units with nearly the same vocabulary. Do they fire at the same places?
#
# ## Further reading
#
# - The paper, Section 5. D. Bau et al.: *Network Dissection*, CVPR 2017: names for units, measured.
# - C. Olah et al.: *The Building Blocks of Interpretability*, Distill 2018.
