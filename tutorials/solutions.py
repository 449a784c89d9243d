"""One answer to each exercise of the lessons. Try first: exercises.py marks yours.

The functions are meant to be read, not used: cam_numpy has the same ones with checked arguments.
"""

import numpy as np

# --- lesson 2: a unit, a weight, a score


def global_average_pool(f):
    return f.mean(axis=(1, 2))  # (K, H, W) -> (K,)


def class_scores(F, w, b):
    return w @ F + b  # (C, K), (K,), (C,) -> (C,)


def softmax(S):
    e = np.exp(S - S.max())  # the same constant for all classes changes nothing, and exp cannot overflow
    return e / e.sum()


def class_activation_map(f, w, c):
    return np.einsum("k,kyx->yx", w[c], f)  # (K,), (K, H, W) -> (H, W)


# --- lesson 3: reading a map


def enlarged_row(row, width):
    centres = (np.arange(width) + 0.5) * len(row) / width - 0.5  # of the pixels, in cells
    return np.interp(centres, np.arange(len(row)), row)  # beyond the last centres np.interp keeps the value


def difference_map(f, w, a, b):
    return np.einsum("k,kyx->yx", w[a] - w[b], f)  # Eq. 2 is linear in w


# --- lesson 4: which networks?


def one_layer(w1, b1, w2, b2):
    w = w2 @ w1  # (C, hidden), (hidden, K) -> (C, K)
    b = w2 @ b1 + b2
    return np.column_stack([w, b])  # (C, K + 1)


# --- lesson 5: average or maximum?


def global_max_pool(f):
    return f.max(axis=(1, 2))


def average_pool_gradient(g, f):
    K, H, W = f.shape
    return np.broadcast_to(g[:, None, None] / (H * W), f.shape)  # every cell gets the same share


def max_pool_gradient(g, f):
    largest = f == f.max(axis=(1, 2), keepdims=True)  # one cell of each unit
    return g[:, None, None] * largest


# --- lesson 6: from a map to a box


def kept(M, t):
    return (M > t * M.max()) & (M.max() > 0)


def largest_component(mask):
    left = {(y, x) for y, x in np.argwhere(mask).tolist()}
    best = set()
    for start in sorted(left):  # in reading order
        component, waiting = set(), [start]
        while waiting:
            y, x = waiting.pop()
            if (y, x) in left:
                left.remove((y, x))
                component.add((y, x))
                waiting += [(y + i, x + j) for i in (-1, 0, 1) for j in (-1, 0, 1)]
        if len(component) > len(best):
            best = component
    out = np.zeros(mask.shape, bool)
    for cell in best:
        out[cell] = True
    return out


def bounding_box(M):
    component = largest_component(kept(M, 0.2))
    if not component.any():
        return None
    rows, columns = np.nonzero(component)
    return columns.min(), rows.min(), columns.max(), rows.max()


def iou(a, b):
    def area(box):
        return max(0, box[2] - box[0] + 1) * max(0, box[3] - box[1] + 1)

    common = area((max(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), min(a[3], b[3])))
    return common / (area(a) + area(b) - common)


# --- lesson 7: how right is it?


def localisation_error(guesses, overlaps, true):
    d = np.asarray(guesses) != true  # 1 where the class is wrong
    e = np.asarray(overlaps) < 0.5  # 1 where the box is wrong
    return np.maximum(d, e).min()


# --- lesson 8: other ways to ask


def grad_cam(f, gradient):
    a = gradient.mean(axis=(1, 2))  # (K, H, W) -> (K,)
    return np.maximum(np.einsum("k,kyx->yx", a, f), 0)


# --- lesson 10: a bag of units


def strongest_units(w_c, F, n):
    return np.argsort(-w_c * F)[:n]


def silenced_scores(S, F, w, k):
    return S - w[:, k] * F[k]
