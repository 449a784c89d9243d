# %% [markdown]
# # Lesson 7: How right is it?
#
# **You will do**: compute the paper's error measures by hand; put an interval around a percentage; cheat with
# a threshold and see how much it brings; read the measured tables.
#
# **You will learn**: top-1 and top-5 localisation error, GT-known, MaxBoxAcc; why baselines and intervals
# belong beside every number; where the threshold must come from; what these numbers do not say.
#
# **You need**: lesson 6 (box, IoU).
#
# **In the paper**: Section 3 and Tables 1, 2 and 3. Not in the study note.

# %%
import matplotlib.pyplot as plt
import numpy as np
from exercises import check
from slides import ACCENT, FAINT, INK

import cam_numpy as cam

# %% [markdown]
# ## The error of one picture
#
# The benchmark is *ILSVRC* (ImageNet Large Scale Visual Recognition Challenge): 1000 classes, 50,000
# validation pictures with true boxes. A network may make k guesses, k = 1 (*top-1*) or k = 5 (*top-5*). Each
# guess is a class, with a box: the box of *that class's* map. A picture is right if one guess has the right
# class **and** a right box:
#
# $$\text{error} = \min_{j = 1 \dots k} \max(d_j, e_j)$$
#
# - $d_j = 0$ if guess j is the true class, else 1
# - $e_j = 0$ if its box has IoU ≥ 0.5 with a true box of that class, else 1
#
# (The benchmark calls it f_j. We write e_j, because f is already the activation. In this lesson e is not an
# explanation.)
#
# An example with five guesses. Guess 3 is the true class:

# %%
true_class = "tabby"
guesses = ["Egyptian cat", "teddy", "tabby", "sock", "slug"]
overlaps = [0.8, 0.7, 0.6, 0.1, 0.0]  # IoU of each guess's box with the true box
d = np.array([guess != true_class for guess in guesses], int)
e = np.array([overlap < 0.5 for overlap in overlaps], int)
print("d =", d, "  e =", e, "  max(d, e) =", np.maximum(d, e))
top1, top5 = np.maximum(d, e)[:1].min(), np.maximum(d, e).min()
print("top-1 error:", top1, "  top-5 error:", top5)
assert (top1, top5) == (1, 0)

# %% [markdown]
# The best guess has the best box, but the wrong class: a top-1 error. Three measures follow:
#
# | measure | what is right |
# |---|---|
# | classification error, top-1 / top-5 | the class: the true class is the best / among the five best |
# | localisation error, top-1 / top-5 | the class and the box, as above |
# | **GT-known** localisation | the box of the *true* class's map ("ground truth known"), whatever the network guessed |
#
# The localisation error mixes two abilities: a network with perfect maps that names 40 % of the pictures
# wrongly has a top-1 localisation error of at least 40 %. GT-known looks at the maps alone.
#
# ## The paper's tables
#
# In %, from Tables 1 and 2, ILSVRC validation:
#
# | network | classification error, top-1 / top-5 | localisation error, top-1 / top-5 |
# |---|---|---|
# | GoogLeNet-GAP | 35.0 / 13.2 | 56.40 / 43.00 |
# | VGGnet-GAP | 33.4 / 12.2 | 57.20 / 45.14 |
# | AlexNet\*-GAP | 44.9 / 20.9 | 63.75 / 49.53 |
# | AlexNet-GAP | 51.1 / 26.3 | 67.19 / 52.16 |
# | GoogLeNet-GMP (max pooling) | 35.6 / 13.9 | 57.78 / 45.26 |
# | Network in Network | 41.9 / 19.6 | 65.47 / 54.19 |
# | GoogLeNet | 31.9 / 11.3 | 60.09 / 49.34 |
# | GoogLeNet, backpropagation to the pixels | 31.9 / 11.3 | 61.31 / 50.55 |
# | VGGnet, backpropagation to the pixels | 31.2 / 11.4 | 61.12 / 51.46 |
# | AlexNet, backpropagation to the pixels | 42.6 / 19.5 | 65.17 / 52.64 |
#
# Three things to see:
#
# - **The price.** The surgery of lesson 4 costs 3.1 points of top-1 classification for GoogLeNet and 2.2 for
#   VGGnet. For AlexNet it costs more, 8.5, and two more convolutional layers before the pooling
#   (AlexNet\*-GAP) win most of it back.
# - **The gain.** GoogLeNet-GAP and VGGnet-GAP localise clearly better than backpropagation on the original
#   networks, by 4 to 5 points in top-1 and by 6 to 8 in top-5.
# - **The exception.** AlexNet-GAP lost so much in classification that its top-1 localisation is *worse* than
#   backpropagation on AlexNet (67.19 against 65.17). In top-5 it is slightly better (52.16 against 52.64).
#
# Table 3 is the test set, top-5 localisation error: GoogLeNet-GAP 42.9, and 37.1 with a *heuristic* for the
# five guesses: a tight and a loose box for each of the two best classes, a loose one for the third. A *loose*
# box is a larger one (a lower threshold keeps more of the map); the text does not say how it was chosen. That
# makes five boxes of three classes. The fourth and the fifth class are seldom right, and the size of a box is
# often wrong. The heuristic gives up these two classes and tries a second size for the first two. Networks
# **trained with boxes** reach 26.7 (GoogLeNet), 29.9 (OverFeat) and 34.2 (AlexNet). With the heuristic,
# labels alone (37.1) come surprisingly close to an AlexNet trained with boxes, and not to a GoogLeNet. The
# plain 42.9 is close to neither.

# %%
# localisation error, top-1 and top-5: with GAP, by backpropagation on the original network
localisation = {"GoogLeNet": ((56.40, 43.00), (61.31, 50.55)), "VGGnet": ((57.20, 45.14), (61.12, 51.46)),
                "AlexNet*": ((63.75, 49.53), (65.17, 52.64)), "AlexNet": ((67.19, 52.16), (65.17, 52.64))}
for name, (with_gap, original) in localisation.items():
    gains = [before - after for before, after in zip(original, with_gap)]
    print(f"{name}-GAP localises better than backpropagation by {gains[0]:+.1f} points (top-1), "
          f"{gains[1]:+.1f} (top-5)")
    assert (gains[0] > 0) == (name != "AlexNet") and gains[1] > 0

# classification error, top-1: before, with GAP
classification = {"GoogLeNet": (31.9, 35.0), "VGGnet": (31.2, 33.4), "AlexNet": (42.6, 51.1)}
for name, (before, with_gap) in classification.items():
    print(f"{name}: GAP costs {with_gap - before:.1f} points")
assert round(35.0 - 31.9, 1) == 3.1 and round(33.4 - 31.2, 1) == 2.2  # two to three points
assert 44.9 - 42.6 < 51.1 - 44.9  # AlexNet*-GAP wins most of it back

# %% [markdown]
# ## How sure is a percentage?
#
# Of N pictures the share p is right. Another N pictures from the same source would give another p. Let q be
# the true share, over all pictures of that source; we do not know it. From sample to sample p varies around
# q. How far it typically lies from q is the *standard error*, $\sqrt{q (1 - q) / N}$. In about 95 % of the
# samples p is at most z = 1.96 standard errors from q. We keep every q for which this is true of our p.
# Together they are the *Wilson interval*:
#
# $$|p - q| \le z \sqrt{q (1 - q) / N}$$

# %%
def wilson(p, N, z=1.96):
    middle = (p + z * z / (2 * N)) / (1 + z * z / N)
    reach = z * np.sqrt(p * (1 - p) / N + z * z / (4 * N * N)) / (1 + z * z / N)
    return middle - reach, middle + reach


for N in (100, 300, 1000, 5000):
    low, high = wilson(0.6, N)
    print(f"60 % of {N:4d} pictures: the interval is {100 * low:.1f} to {100 * high:.1f} %")
    for q in (low, high):
        assert np.isclose(abs(0.6 - q), 1.96 * np.sqrt(q * (1 - q) / N))
assert wilson(0.6, 100)[1] - wilson(0.6, 100)[0] > 0.18

# %% [markdown]
# With 100 pictures, 60 % means "between 50 and 69". Differences of a point need thousands of pictures. If two
# methods are measured on the *same* pictures, compare them picture by picture: the interval of the difference
# is narrower.
#
# ## Which threshold? How to cheat
#
# The paper's threshold is 20 %. A network with other maps may need another one. *MaxBoxAcc* uses the
# threshold that is best for the whole set, one for all pictures. Here the pictures are split into two halves
# (every other one). The threshold is chosen on one half and measured on the other, then the halves are
# swapped, and both results are taken together. (Choe et al., who introduced the measure, report the best
# threshold of the set itself.) *MaxBoxAccV2* is the mean of three measures, with the IoU limits 0.3, 0.5 and
# 0.7; a picture is right if the box of *any* component is right.
#
# What must not be done: choose the threshold *for each picture*. It uses the true box to make the box. Let us
# see what that brings, on 400 drawn maps: a blurred blob, whose true box is known, and noise.

# %%
rng = np.random.default_rng(0)
SIZE, THRESHOLDS = 20, np.arange(1, 19) / 20
y, x = np.mgrid[:SIZE, :SIZE]


def drawn():
    """A map and its true box: a bump that is narrower than the object, by a factor that varies."""
    cy, cx, tall, wide = *rng.uniform(7, 12, 2), *rng.uniform(3, 7, 2)
    true = tuple(int(round(side)) for side in (cx - wide, cy - tall, cx + wide, cy + tall))
    narrow = rng.uniform(0.4, 1.0)
    M = np.exp(-(((y - cy) / (narrow * tall)) ** 2 + ((x - cx) / (narrow * wide)) ** 2))
    return M + rng.normal(0, 0.12, M.shape), true


hits = np.array([[cam.iou(cam.bounding_box(M, threshold=t), true) >= 0.5 for t in THRESHOLDS]
                 for M, true in (drawn() for _ in range(400))])
chosen = [int(hits[1 - half :: 2].mean(axis=0).argmax()) for half in (0, 1)]  # on the other half
results = {
    "the paper's 20 %": hits[:, THRESHOLDS == 0.2].mean(),
    "one threshold, chosen on the other half":
        np.mean([hits[half::2, t].mean() for half, t in enumerate(chosen)]),
    "one threshold, chosen on these pictures": hits.mean(axis=0).max(),
    "cheating: the best threshold for each picture": hits.any(axis=1).mean(),
}
for name, value in results.items():
    print(f"{value:6.1%}  {name}")
values = list(results.values())
assert values[0] < values[1] <= values[2] + 0.01 and values[3] > values[2] + 0.05

figure, axis = plt.subplots(figsize=(7, 2.9), layout="constrained")
axis.plot(100 * THRESHOLDS, 100 * hits.mean(axis=0), "o-", color=ACCENT,
          label="one threshold for all pictures")
axis.axhline(100 * values[3], color=INK, ls="--", label="a threshold for each picture: cheating")
axis.axvline(20, color=FAINT, ls=":", label="the paper's 20 %")
axis.set_xlabel("threshold, % of the map's maximum")
axis.set_ylabel("boxes with IoU ≥ 0.5, %")
axis.set_ylim(0, 105)
axis.legend(frameon=False, fontsize=9, loc="lower left")
plt.show()

# %% [markdown]
# ## Measured: average against maximum
#
# Two networks come with cam_numpy. They differ in the last two of 29 *epochs* (passes over the training
# pictures): these were done once with average and once with max pooling, from the same weights (lesson 5).
# 5,000 validation pictures of Tiny ImageNet that neither of them has seen, in %, with 95 % intervals. "GMP -
# GAP" is the difference picture by picture. The baselines are two boxes that ignore the photo: the whole
# image, and its centre (0.8 of each side). For a localisation error they need a class as well: they take the
# guesses of the average network, so compare them with the first column only. The last two columns are the
# paper's GoogLeNet on ILSVRC. Differences are computed before rounding (64.4 and 58.7 differ by 5.8 here).
#
# | | average (GAP) | maximum (GMP) | GMP - GAP | whole image | centre box | paper: GAP | GMP |
# |---|---|---|---|---|---|---|---|
# | classification error, top-1 | 39.2 (37.9 to 40.6) | 43.8 (42.4 to 45.1) | +4.6 ± 1.0 |  |  | 35.0 | 35.6 |
# | classification error, top-5 | 17.0 (15.9 to 18.0) | 20.6 (19.5 to 21.7) | +3.6 ± 0.8 |  |  | 13.2 | 13.9 |
# | localisation error, top-1 | 58.7 (57.3 to 60.0) | 64.4 (63.1 to 65.7) | +5.8 ± 1.0 | 64.1 | 61.1 | 56.40 | 57.78 |
# | localisation error, top-5 | 45.9 (44.5 to 47.3) | 51.9 (50.6 to 53.3) | +6.0 ± 1.0 | 53.4 | 49.2 | 43.00 | 45.26 |
# | GT-known localisation | 60.2 (58.8 to 61.5) | 55.4 (54.0 to 56.8) | -4.8 ± 1.0 | 52.9 | 57.6 |  |  |
# | MaxBoxAcc | 62.2 (60.9 to 63.6) | 57.8 (56.4 to 59.2) | -4.4 ± 0.9 | 52.9 | 57.6 |  |  |
# | MaxBoxAccV2 | 60.9 (59.5 to 62.2) | 57.4 (56.0 to 58.7) | -3.5 ± 0.6 | 52.7 | 49.8 |  |  |
#
# How to read it:
#
# - **One half of the paper's claim is seen here: the maximum localises worse.** GT-known compares the maps
#   alone: the difference is -4.8 ± 1.0, and zero is far outside of this interval. But this network was
#   trained for the maximum in two of 29 epochs only, and a part of the difference may come from that.
# - **The other half is not seen: here the maximum also classifies worse**, by 4.6 points against the paper's
#   0.6. That is a part of the 5.8 points of localisation error.
# - MaxBoxAcc is higher than GT-known at 20 % (62.2 against 60.2): for these networks 20 % is not the best
#   threshold. For the average it is 15 % (lesson 6).
# - **Look at the baselines.** The whole image is already right for 52.9 % of the pictures: objects fill them.
#   The average beats the centre box by 2.6 points, and the maximum is 2.2 points below it. A localisation
#   result without a baseline says little.

# %%
assert round(60.2 - 57.6, 1) == 2.6 and round(57.6 - 55.4, 1) == 2.2
low, high = wilson(0.602, 5000)
assert (round(100 * low, 1), round(100 * high, 1)) == (58.8, 61.5)

# %% [markdown]
# ## Measured: one forward pass against 145
#
# Before this paper one covered the photo place by place and watched the score fall (*occlusion*, Zeiler and
# Fergus; lesson 8). A grey patch of a third of the short side, once for every cell of the map. On 300 of the
# 5,000 pictures, two cores:
#
# | | forward passes | seconds a picture | GT-known | MaxBoxAcc |
# |---|---|---|---|---|
# | class activation map | 1 | 0.004 | 54.7 (49.0 to 60.2) | 58.3 (52.7 to 63.8) |
# | occlusion | 145 | 0.510 | 47.3 (41.8 to 53.0) | 49.3 (43.7 to 55.0) |
# | the whole image | 0 | | 51.0 | 51.0 |
# | the centre box | 0 | | 53.0 | 53.0 |
#
# Occlusion takes more than a hundred times as long. About its boxes the table decides little: 47.3 is lower
# than 54.7, but the intervals overlap. Both were measured on the same pictures, but the interval of the
# difference, picture by picture, was not measured. Occlusion is not better than the whole image (51.0), and
# the advantage of CAM over the centre box (53.0) is well inside its interval. Why 54.7 here and 60.2 above,
# for the same maps and the same rule? These 300 pictures are a small sample, and a harder one: the baselines
# are lower on them, too (53.0 against 57.6 for the centre). With 300 pictures the interval is wide, 49.0 to
# 60.2. Compare numbers within a table, not across tables with different pictures.

# %%
assert 0.510 / 0.004 > 100
low, high = wilson(164 / 300, 300)
assert (round(100 * low, 1), round(100 * high, 1)) == (49.0, 60.2)

# %% [markdown]
# ## Measure it yourself
#
# Both tables, and the table of the box rules in lesson 6, are the output of
#
#     python -m weights.compare tiny-imagenet-200.zip
#
# from a clone of the repository. The zip is Tiny ImageNet, http://cs231n.stanford.edu/tiny-imagenet-200.zip,
# about 240 MB. It holds 10,000 validation pictures, and the command measures all of them; our copy holds
# 5,000, so your numbers will differ a little. On two cores it took four minutes.
#
#     cam-numpy evaluate tiny-imagenet-200.zip
#
# measures one network, on this data set, on ILSVRC, on CUB-200-2011 (200 kinds of birds), or on your own
# pictures listed in a CSV file. With `--limit 500` it takes seconds. `--out DIR` draws the threshold curve
# and a page of the best, the median and the worst pictures.
#
# ## What these numbers do not say
#
# - The pictures have 64 x 64 pixels and the objects fill them. A map has to beat the whole image, not zero.
# - "Right" is IoU ≥ 0.5 with a box, and objects are not boxes.
# - A map shows where the *network* found evidence. A network that knows a boat by the water is right to show
#   the water, and wrong by every measure here.
# - The two networks are not two independent runs. Both were trained with the average for 27 epochs, and two
#   epochs are a short time to get used to the maximum. Max pooling from the first epoch on might do better.

# %% [markdown]
# ## Exercises

# %%
def localisation_error(guesses, overlaps, true):
    """min_j max(d_j, e_j) of one picture: guesses (n,) are classes, overlaps (n,) the IoUs of their boxes."""
    ...


check(localisation_error)

# %% [markdown]
# On your own:
#
# 1. What is the top-1 localisation error of a network with perfect classes and whole-image boxes on our 5,000
#    pictures?
# 2. How many pictures do you need for an interval of ± 1 point around 60 %?
# 3. Why does the true class's box count for at most one of five guesses here? When could two guesses matter?
#
# ## Further reading
#
# - O. Russakovsky et al.: *ImageNet Large Scale Visual Recognition Challenge*, IJCV 2015: the benchmark and
#   its error.
# - J. Choe et al.: *Evaluating Weakly Supervised Object Localization Methods Right*, CVPR 2020: baselines,
#   thresholds, MaxBoxAcc.
# - E. Wilson: *Probable Inference, the Law of Succession, and Statistical Inference*, JASA 1927.
# - `cam_numpy/paper/localisation.py`.
