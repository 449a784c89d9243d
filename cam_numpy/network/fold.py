"""All that lies between F and S, folded into one w and one b."""

from __future__ import annotations

import numpy as np

from ..errors import CamNotApplicable
from .head import AFFINE, LINEAR


def fold(head, constants, count_units):
    """w and b of a network.

    Parameters
    ----------
    head : Head
    constants : dict of str to array
        The tensors named in ``head.constants``.
    count_units : callable
        Gives K, the channels of f; called where no linear layer tells it.

    Returns
    -------
    w : (C, K) array
    b : (C,) array

    Raises
    ------
    CamNotApplicable
        A step is not linear in the activations.
    """
    # S = w F + b; at the start S is F itself: w is the identity, b is 0
    w = b = None
    for node in head.chain:
        if node.op not in AFFINE:
            continue
        values = [constants.get(tensor) for tensor in node.inputs]
        if node.op in LINEAR:
            A, a = _linear(node, values)
            if w is None:
                w, b = A, a + np.zeros(len(A), np.float32)
            else:
                w, b = A @ w, A @ b + a
        else:
            factor, a = _by_class(node, values)
            if w is None:
                w, b = np.eye(count_units(), dtype=np.float32), np.float32(0)
            w, b = factor.reshape(-1, 1) * w, factor * b + a
    if w is None:
        w, b = np.eye(count_units(), dtype=np.float32), np.float32(0)
    b = np.broadcast_to(b, len(w))
    return np.array(w, np.float32, order="C"), np.array(b, np.float32)


def _linear(node, values):
    """A (outputs, inputs) and a (outputs,) or 0: the layer takes x to A x + a."""
    first, second, *third = values
    a = third[0].reshape(-1) if third and third[0] is not None else 0
    if node.op == "Conv":
        if second.shape[2:] != (1, 1) or node.attributes.get("group", 1) != 1:
            raise CamNotApplicable(f"{node} has filters of shape {second.shape} in {node.attributes.get('group', 1)} groups "
                             "next to the pooling; CAM needs one number per unit and class, filters of 1 x 1")
        return second[:, :, 0, 0], a
    weights_first = second is None  # A x rather than x A
    A = first if weights_first else second.T
    if node.op == "Gemm":
        if node.attributes.get("transA" if weights_first else "transB"):
            A = A.T
        A, a = node.attributes.get("alpha", 1.0) * A, node.attributes.get("beta", 1.0) * a
    return A, a


def _by_class(node, values):
    """factor and a, each (n,) or (1,): the step takes x_c to factor_c x_c + a_c."""
    one, zero = np.float32([1]), np.float32([0])
    if node.op == "BatchNormalization":
        scale, shift, mean, variance = values[1:]
        factor = scale / np.sqrt(variance + node.attributes.get("epsilon", 1e-5))
        return factor, shift - mean * factor
    first, second = values
    weights_first = second is None
    a = (first if weights_first else second).reshape(-1)
    if node.op == "Div" and weights_first:
        raise CamNotApplicable(f"{node} divides by the activations; the paper has one linear layer behind the pooling")
    return {
        "Add": (one, a),
        "Sub": (-one, a) if weights_first else (one, -a),
        "Mul": (a, zero),
        "Div": (1 / a, zero),
    }[node.op]
