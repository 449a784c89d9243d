"""What the paper compares with (Section 1): cover a place of the photo, and see what the score loses.

M. Zeiler, R. Fergus: "Visualizing and Understanding Convolutional Networks", ECCV 2014. It takes
one forward pass for each place of the map; a class activation map takes one in all.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ._checks import positive_integer

PATCH = 1 / 3  # of the input's short side


def occlude(scores: Callable[[np.ndarray], np.ndarray], x: np.ndarray, c: int, cells: tuple[int, int],
            patch: int | None = None) -> np.ndarray:
    """How much the score of class c drops when a grey patch covers a place.

    Parameters
    ----------
    scores : callable
        From an input (3, h, w) to S (C,): a network, or anything else that scores.
    x : (3, h, w) array
        An input whose mean colour is 0, as networks want it.
    c : int
        A class.
    cells : (int, int)
        (H, W), the cells of the map.
    patch : int, optional
        Side of the patch in pixels of x; by default a third of its short side.

    Returns
    -------
    M : (H, W) float32 array
        M[y, x] is S_c minus the S_c with the patch over cell (y, x), in score units: positive
        where there is evidence for the class.

    Raises
    ------
    ValueError
        `patch` is not a positive integer.

    Notes
    -----
    Zeiler and Fergus, section 4.2. They look at P_c; here it is S_c, so that the map has the
    units of Eq. 2. It takes 1 + H W forward passes.

    Examples
    --------
    A network that scores the sum of a 2 x 2 input:

    >>> x = np.array([[[1., 0.], [0., 3.]]])
    >>> occlude(lambda x: x.sum(axis=(1, 2)), x, 0, (2, 2), patch=1)
    array([[1., 0.],
           [0., 3.]], dtype=float32)
    """
    (h, w), (H, W) = x.shape[1:], cells
    patch = max(1, round(PATCH * min(h, w))) if patch is None else positive_integer("patch", patch)
    S_c, M = scores(x)[c], np.empty((H, W), np.float32)
    for i in range(H):
        for j in range(W):
            covered = x.copy()
            covered[:, _around(i, H, h, patch), _around(j, W, w, patch)] = 0  # the mean colour
            M[i, j] = S_c - scores(covered)[c]
    return M


def _around(cell, cells, pixels, patch):
    """The pixels covered by a patch whose centre is that of a cell."""
    start = round((cell + 0.5) * pixels / cells - patch / 2)
    return slice(max(0, start), max(0, start + patch))
