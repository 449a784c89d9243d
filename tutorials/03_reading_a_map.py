# %% [markdown]
# # Lesson 3: From cells to pixels, and how to read a map
#
# **You will do**: bring a map of 12 x 18 cells onto a photo by hand; colour two maps on two scales, and see
# one scale mislead; compare two classes; go through the questions to ask when a map looks wrong.
#
# **You will learn**: stride, mapping resolution, half-pixel centres; what stretching a map between its
# minimum and maximum hides; the classic misreadings, and how to avoid them.
#
# **You need**: lesson 2 (f, w, S, M).
#
# **In the paper**: Section 2, Figure 3 (maps of a class on several photos) and Figure 4 (maps of one photo
# for several classes); Section 3.1, "mapping resolution". In the study note: Section 2, M_c.

# %%
import matplotlib.pyplot as plt
import numpy as np
from exercises import check
from slides import ACCENT, FAINT, panels, photo, scale_of

import cam_numpy as cam

# %% [markdown]
# ## Cells
#
# A network looks at a photo on a grid that gets coarser from layer to layer. The number of pixels between two
# cells of the last grid is its *stride*. Our network has stride 8: it takes the photo with 96 pixels on the
# short side, so the map has 96 / 8 = 12 rows.

# %%
cat = photo("chelsea")
e = cam.explain(cat)
M = e.M("Egyptian cat")
print(f"photo {cat.width} x {cat.height}, input of the network {e.view.input[0]} x {e.view.input[1]}, "
      f"map {M.shape[1]} x {M.shape[0]}")
assert (e.view.input[0] / M.shape[1], e.view.input[1] / M.shape[0]) == (8, 8)

panels([cat, (None, M, scale_of(M)), (cat, M, scale_of(M))],
       titles=["photo", f"the map: {M.shape[0]} x {M.shape[1]} cells", "laid onto the photo"], size=3.2)
plt.show()

# %% [markdown]
# The number of cells is what the paper calls **mapping resolution**. It found that a higher mapping
# resolution localises better, and therefore removed the last layers of AlexNet (13 x 13 cells were left),
# VGGnet and GoogLeNet (14 x 14). ResNet-50 has 7 x 7 at 224 pixels: that is why its maps are coarse. Nothing
# is wrong with them.
#
# ## Pixels: half-pixel centres
#
# How do W cells become a row of pixels? Each cell covers an equal part of the photo. Its value holds at the
# **centre** of that part; between two centres the value changes along a straight line; outside the outermost
# centres it stays. Take one row of two cells, 0 and 4, and four pixels:

# %%
row = np.array([[0., 4.]])
wide = cam.upsample(row, height=1, width=4)
print(wide)
assert wide.tolist() == [[0, 1, 3, 4]]

# %% [markdown]
# The centre of pixel i is i + 0.5 pixels from the left edge. Four pixels are as wide as two cells, so this is
# (i + 0.5) · 2/4 cells. The centre of cell 0 is half a cell from the left edge. Count from that centre, and
# 0.5 must be subtracted. Pixel i is at
#
# $$(i + 0.5) \cdot \frac{W}{\text{width}} - 0.5$$

# %%
position = (np.arange(4) + 0.5) * 2 / 4 - 0.5
print(position)
assert position.tolist() == [-0.25, 0.25, 0.75, 1.25]

figure, axis = plt.subplots(figsize=(7.4, 2.5), layout="constrained")
fine = np.linspace(-0.5, 1.5, 200)
axis.plot(fine, np.interp(fine, [0, 1], [0, 4]), color=FAINT, lw=1.5)
axis.plot([0, 1], [0, 4], "s", ms=11, color=FAINT, label="the two cells, at their centres")
axis.plot(position, wide[0], "o", ms=8, color=ACCENT, label="the four pixels, at theirs")
for edge in (-0.5, 0.5, 1.5):
    axis.axvline(edge, color=FAINT, lw=0.8, ls=":")
axis.set_xlabel("position in cells (dotted: the edges of the cells)")
axis.set_ylabel("value")
axis.legend(frameon=False, loc="upper left")
plt.show()

# %% [markdown]
# Other rules exist. With "align corners" the first pixel lies on the first cell's *centre*, and the map is
# shifted by up to half a cell at the edges: with stride 32 that is 16 pixels. If a map looks **shifted**,
# look for this first. The paper does not say how it enlarges maps; cam_numpy uses bilinear interpolation with
# half-pixel centres, as above.
#
# Never round the map to whole numbers (8 bits) before enlarging it: the steps become visible, and a box can
# jump, because many pixels have the same rounded value.
#
# ## Colours and scales
#
# The values of a map are on the scale of the scores: their mean, plus b_c, is S_c. A picture of it has
# colours, and somebody chose which score is which colour. Two maps of the same photo, each on two scales:

# %%
worst = int(e.ranking[-1])  # the class with the lowest score
M_best, M_worst = e.M("Egyptian cat"), e.M(worst)


def stretched(M):
    """What many tools do first: the minimum becomes 0, the maximum 1."""
    return (M - M.min()) / (M.max() - M.min())


common = scale_of(M_best, M_worst, signed=True)  # white is zero; colours by square root, as in lesson 2
axes = panels([(cat, M_best, common), (cat, M_worst, common),
               (cat, stretched(M_best), (0, 1)), (cat, stretched(M_worst), (0, 1))],
              titles=[f"{e.class_name(c)}, $S_c$ = {e.S[c]:.2f}" for c in (int(e.ranking[0]), worst)] * 2,
              notes=[f"one scale for both: {common[0]:.1f} to {common[1]:.1f}"] * 2
              + [f"stretched: 0 is {M.min():.1f}, 1 is {M.max():.1f}" for M in (M_best, M_worst)],
              columns=2, size=3.2)
plt.show()
assert M_best.max() > 10 * M_worst.max()
assert e.S[worst] < 0 < e.S[e.ranking[0]]
assert stretched(M_worst).max() == 1 == stretched(M_best).max()

# %% [markdown]
# Bottom right is the trap. The network gives *barbershop* the lowest score of all 200 classes, yet the
# stretched map glows almost everywhere. Its highest cell is as bright as the highest cell of the winner's
# map, although its value is less than a tenth. Three rules follow:
#
# - **Maps that are compared share one scale.** Otherwise the losing class may look hotter than the winner.
# - **The scale contains zero**, and the colours for "for" and "against" are different.
# - **The scale is written down.** A stretched map is not a probability, and "red" has no meaning by itself.

# %%
assert e.class_name(worst) == "barbershop"
share = (M_worst > 0).mean()
print(f"{share:.0%} of the cells of this map are positive at all")
assert share < 0.25

# %% [markdown]
# **Inverted colours?** If the background is red and the object is blue, a colour map was applied to 8-bit
# values in the wrong channel order (OpenCV writes BGR, everything else RGB), or the reversed colour map was
# used. The arrays have no such problem: look at the raw numbers first.
#
# `e.M(c)` is always the raw map, on the scale of the scores: nothing clipped, stretched, rounded or enlarged.
# `cam-numpy explain cat.jpg --save-arrays` writes the raw arrays to a file that `np.load` reads.
#
# ## Class against class
#
# Why *this* class and not that one? Subtract the maps. Eq. 2 is linear in w, so the difference of two maps is
# the map of the difference of the weights, and its mean is the difference of the scores (without the biases):
#
# $$M_a(x, y) - M_b(x, y) = \sum_k (w_k^a - w_k^b) f_k(x, y)$$

# %%
a, b = e.top(2)
difference = e.M(a.index, minus=b.index)
assert np.allclose(difference, e.M(a.index) - e.M(b.index), atol=1e-4)
assert np.isclose(difference.mean(), (a.S - e.b[a.index]) - (b.S - e.b[b.index]), atol=1e-4)

scale = scale_of(e.M(a.index), e.M(b.index), signed=True)
panels([(cat, e.M(a.index), scale), (cat, e.M(b.index), scale),
        (cat, difference, scale_of(difference, signed=True))],
       titles=[a.name, b.name, f"{a.name} minus {b.name}"],
       notes=[f"P = {a.P:.1%}", f"P = {b.P:.1%}", f"mean {difference.mean():+.2f}"], size=3.2)
plt.show()
biases = e.b[a.index] - e.b[b.index]
print(f"mean of the difference {difference.mean():+.3f}, difference of the biases {biases:+.3f}, together "
      f"{difference.mean() + biases:+.3f}; exp of this is {np.exp(difference.mean() + biases):.2f} = "
      f"{a.P:.1%} / {b.P:.1%}")
assert np.isclose(np.exp(difference.mean() + biases), a.P / b.P, rtol=1e-3)

# %% [markdown]
# Two similar classes have similar maps; the difference shows where one wins over the other. Its mean, plus
# the difference of the two biases, is the difference of the scores. By the softmax (lesson 2) this number
# alone decides the ratio of the two probabilities. At the command line:
#
#     cam-numpy explain cat.jpg --class "Egyptian cat" --minus tabby
#
# ## A scoreboard in a portrait
#
# The picture in the README: a portrait of Grace Hopper in the uniform of the US Navy. The best class is
# *academic gown*, then follow *bow tie*, the right one, *military uniform*, with 5 %, and, with 3 %,
# *scoreboard*. Why scoreboard?

# %%
e = cam.explain(photo("grace_hopper"))
top = e.top(4)
scale = scale_of(*e.M([t.index for t in top]))
board = e.M("scoreboard")
panels([e.photo, *((e.photo, e.M(t.index), scale) for t in top), (e.photo, board, scale_of(board))],
       titles=["photo", *(t.name for t in top), "scoreboard"],
       notes=["", *(f"P = {t.P:.1%}, one scale" for t in top), f"its own scale, to {board.max():.1f}"],
       size=2.1)
plt.show()
assert [t.name for t in top] == ["academic gown", "bow tie", "military uniform", "scoreboard"]
assert not {"person", "woman", "man", "sailor"} & set(e.classes)

# %%
y, x = np.unravel_index(board.argmax(), board.shape)
print(f"scoreboard is strongest in column {x} of {board.shape[1]}, row {y} of {board.shape[0]}, "
      f"with {board.max():.1f}; academic gown reaches {e.M('academic gown').max():.1f}")
assert (x, y) == (4, 2)  # where the stars of the flag meet the cap

# %% [markdown]
# The network has 200 classes, and none of them is *person*. It must choose among what it knows, and it names
# clothes. The map of *scoreboard*, on a scale of its own, shows what reminded the network of one: the stars
# of the flag beside the cap and, less, the rows of ribbons. This is what a class activation map is for:
#
# - **Right place, wrong class** means: the network saw the object and has no better name for it, or mistakes
#   it for something similar.
# - **Wrong place, right class** means: the network uses the context. A boat is often recognised by the water.
#   The paper shows such cases as well.
#
# The map explains the network. It does not say that the network is right, nor where the object is.
#
# ## Borders and corners
#
# Convolutions put zeros around the photo (*zero padding*). At the edges the network sees an artificial
# border, and some units answer to it. Show the network a photo of one grey, without any content, and take two
# classes: the one whose map is raised most by the border, and the one with the highest score:

# %%
network = cam.load()
f, S = network.run(np.zeros((3, 384, 384), np.float32))  # zero is the mean colour, after preprocessing
M_grey = cam.class_activation_maps(f, network.w)  # all classes
middle = M_grey[:, 24, 24]
rise = (M_grey[:, 0].mean(axis=1) + M_grey[:, -1].mean(axis=1)) / 2 - middle  # first and last row - middle
c_hot, c_best = int(rise.argmax()), int(S.argmax())
shown = M_grey[[c_hot, c_best]]
names = [network.classes[i].split(",")[0] for i in (c_hot, c_best)]
for i, name in zip((c_hot, c_best), names):
    corner = M_grey[i][[0, 0, -1, -1], [0, -1, 0, -1]].mean()
    print(f"{name}: middle {middle[i]:+.1f}, border {middle[i] + rise[i]:+.1f}, corners {corner:+.1f}")
print(f"the border is higher than the middle for {(rise > 0).sum()} of {len(rise)} classes")
panels([np.full((384, 384, 3), 128, np.uint8), *((None, M, scale_of(M, signed=True)) for M in shown)],
       titles=["a grey photo", *names],
       notes=["", *(f"its own scale: ± {scale_of(M, signed=True)[1]:.1f}" for M in shown)], size=2.8)
plt.show()
assert names == ["kimono", "space heater"]
assert rise[c_hot] > 3 and rise[c_best] < -4
assert np.ptp(M_grey[:, 20:-20, 20:-20], axis=(1, 2)).max() < 1e-3  # in the middle all cells are equal

deep = min(i for i in range(1, 24) if np.ptp(shown[:, i:-i, i:-i], axis=(1, 2)).max() < 1e-3)
print(f"the border is felt {deep} cells deep: {8 * deep} of the network's pixels from each side")
assert 8 * deep > 96 / 2

# %% [markdown]
# The photo is the same everywhere, so all structure in these maps comes from the border. For *kimono* the
# border and the corners are higher than the middle; for *space heater* they are lower. Either can happen: it
# depends on the weights of the units that answer to the border. And it reaches far: each cell of the last
# layer sees a window (its *receptive field*) much wider than its stride of 8 pixels. At 96 pixels no cell is
# free of the border. If *your* map is hot in the corners, or along an edge, compare it with the map of a grey
# photo of the same size.
#
# ## When a map looks wrong: what to check, in this order
#
# 1. **Is the prediction what you think it is?** Print the best classes with their probabilities: `e.top(5)`.
#    If the network does not recognise the photo, its map cannot show the object. Wrong preprocessing and
#    wrong labels are the usual reasons (lesson 4).
# 2. **Is it the right tensor?** f must be what enters the global pooling: not an earlier layer, and not after
#    the pooling. cam_numpy finds it in the graph.
# 3. **Does the identity hold?** `e.max_abs_error` must be tiny compared with the scores. If not, this is not
#    a class activation map, however good it looks.
# 4. **Which class?** The map of the best class and that of the class you expect are two maps. `e.M("tabby")`
#    takes a name.
# 5. **Constant, zero or NaN?** A constant map: a map of one cell, or a photo without content. All zero: a
#    ReLU was applied to a map that is negative everywhere (Grad-CAM does that), or f is zero because the
#    input has the wrong scale (0 to 1 instead of 0 to 255, or the reverse). NaN: a map was divided by `max -
#    min` = 0, or the input holds a NaN. cam_numpy refuses NaN.
# 6. **The scale**: is it stretched? Does it hold zero? Is it shared?
# 7. **The grid**: how many cells are there? Is the map transposed, or laid onto a photo that was cropped? The
#    network may have seen a part of the photo only: `e.view.box`.
# 8. **Only then** draw conclusions about the network.
#
# ## Classic misreadings
#
# | Misreading | In fact |
# |---|---|
# | "The map is a probability of each pixel." | It is on the scale of the scores, may be negative, and is not normalised. |
# | "The softmax output should be mapped." | The score is mapped; a probability cannot be split over places. |
# | "Red means the object is there." | Red means the network found evidence there, on the scale that was chosen. |
# | "ReLU is part of CAM." | It is part of Grad-CAM. The paper has none, and with one the map no longer sums to the score. |
# | "The map shows one pixel's influence." | A cell looks at a large window of the photo, wider than its stride. |
# | "CAM needs retraining." | Only for networks without global average pooling before a linear layer (lesson 4). |
# | "Two photos' maps can be compared by colour." | Only on one scale. |

# %% [markdown]
# ## Exercises

# %%
def enlarged_row(row, width):
    """The cells of `row` (W,) enlarged to `width` pixels, half-pixel centres -> (width,)."""
    ...


check(enlarged_row)

# %%
def difference_map(f, w, a, b):
    """M_a - M_b, with one sum over the units only. f (K, H, W), w (C, K), ints a and b -> (H, W)."""
    ...


check(difference_map)

# %% [markdown]
# On your own:
#
# 1. Mirror the photo (`PIL.ImageOps.mirror`). Is the map mirrored, too? Exactly? Why not?
# 2. Draw the map of *tabby* with the scale of its own and with the scale of *Egyptian cat*. Which would you
#    show?
# 3. Enlarge the photo to twice its size before you explain it. Does the number of cells change?
#
# ## Further reading
#
# - A. Odena, V. Dumoulin, C. Olah: *Deconvolution and Checkerboard Artifacts*, Distill 2016: what enlarging
#   can do to a picture.
# - J. Adebayo et al.: *Sanity Checks for Saliency Maps*, NeurIPS 2018: maps that look right and are not.
# - `cam_numpy/paper/upsample.py`.
