"""What the paper compares with: cover a part of the photo, and see what the score loses.

M. Zeiler, R. Fergus: "Visualizing and Understanding Convolutional Networks", ECCV
2014. One forward pass for each place of the map; CAM needs one in all.
"""

from __future__ import annotations

import numpy as np

from ..errors import InputError
from ..image.photo import read_photo

PATCH = 1 / 3  # of the input's short side


def occlusion_map(photo, network, c, patch=None):
    """How much the score of class c drops when a grey patch covers a place.

    Parameters
    ----------
    photo : path, PIL.Image.Image, or (h, w, 3) uint8 array
    network : Network
        From `load`.
    c : int
        A class.
    patch : int, optional
        Side of the patch in pixels of the network's input; by default a third of
        the input's short side.

    Returns
    -------
    M : (H, W) float32 array
        The cells are those of the class activation map. M[y, x] is S_c less the
        S_c with the patch over cell (y, x), in score units: positive where the
        photo speaks for the class.

    Raises
    ------
    InputError
        The photo cannot be read, there is no such class, or `patch` is not a
        positive number of pixels.

    Notes
    -----
    Zeiler and Fergus, section 4.2; they look at P_c, here it is S_c, so that the
    map has the units of Eq. 2. It takes 1 + H W forward passes.
    """
    x, _ = network.preprocessing(read_photo(photo))
    f, S = network.run(x)
    if not 0 <= c < len(S):
        raise InputError(f"c is class {c}, the network has C={len(S)} classes; give 0 <= c < {len(S)}")
    h, w = x.shape[1:]
    patch = max(1, round(PATCH * min(h, w))) if patch is None else patch
    if patch < 1:
        raise InputError(f"patch is {patch} pixels; it covers a part of the input; give 1 or more")
    H, W = f.shape[1:]
    M = np.empty((H, W), np.float32)
    for i in range(H):
        for j in range(W):
            covered = x.copy()
            covered[:, _around(i, H, h, patch), _around(j, W, w, patch)] = 0  # the mean colour
            M[i, j] = S[c] - network.run(covered)[1][c]
    return M


def _around(cell, cells, pixels, patch):
    """The pixels that a patch covers whose middle is that of a cell."""
    start = round((cell + 0.5) * pixels / cells - patch / 2)
    return slice(max(0, start), start + patch)
