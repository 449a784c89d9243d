"""All that lies between F and S, folded into one w and one b."""

from __future__ import annotations

import numpy as np

from .head import AFFINE, LINEAR, QUANTISED

MOST_WEIGHTS = 1 << 26  # numbers in a w that no file holds: 256 MiB


def fold(head, constants, count_units):
    """w and b of a head that was read.

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
    ValueError
        The chain cannot be read as linear layers; the head must be asked.
    """
    with np.errstate(all="ignore"):
        w, b = _folded(head, constants, count_units)
    if w.ndim != 2 or len(w) == 0:
        raise ValueError(f"w would have the shape {w.shape}")
    if not (np.isfinite(w).all() and np.isfinite(b).all()):
        raise ValueError("w or b is not finite")
    return w, b


def _folded(head, constants, count_units):
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
                w, b = _identity(count_units()), np.float32(0)
            w, b = factor.reshape(-1, 1) * w, factor * b + a
    b = np.broadcast_to(b, len(w))
    return np.array(w, np.float32, order="C"), np.array(b, np.float32)


def _identity(K):
    """w where no layer mixes the units: S = F. Of many units the head is asked, which knows a limit."""
    if K * K > MOST_WEIGHTS:
        raise ValueError(f"w would hold {K} x {K} numbers")
    return np.eye(K, dtype=np.float32)


def _linear(node, values):
    """A (outputs, inputs) and a (outputs,) or 0: the layer takes x to A x + a."""
    if node.op in QUANTISED:
        values = _dequantised(node, values)
    first, second, *third = values
    a = third[0].reshape(-1) if third and third[0] is not None else 0
    if "Conv" in node.op:
        plain = node.attributes.get("group", 1) == 1 and "activation" not in node.attributes
        if second.shape[2:] != (1, 1) or not plain:
            raise ValueError(f"{node} has filters of shape {second.shape}")
        return second[:, :, 0, 0], a
    weights_first = second is None  # A x rather than x A
    A = first if weights_first else second.T
    if node.op in ("Gemm", "QGemm"):
        if node.attributes.get("transA" if weights_first else "transB"):
            A = A.T
        A, a = node.attributes.get("alpha", 1.0) * A, node.attributes.get("beta", 1.0) * a
    return A, a


def _dequantised(node, values):
    """The inputs of the same layer in floats: x, weights, bias.

    An integer q stands for scale (q - zero). The inputs are x, its scale and zero, the weights,
    their scale and zero, and in some order the bias and the scale and zero of what comes out.
    """
    _, x_scale, _, q, scale, zero, *rest = values
    bias = {"QGemm": 0, "QLinearConv": 2}.get(node.op)
    bias = rest[bias] if bias is not None and len(rest) > bias else None
    by_row = node.op == "QLinearConv" or node.attributes.get("transB")  # rows are classes
    shape = (-1,) + (1,) * (q.ndim - 1) if by_row else (1, -1)
    weights = scale.reshape(shape) * (q.astype(np.float32) - zero.reshape(shape).astype(np.float32))
    return None, weights, None if bias is None else bias * (x_scale * scale).reshape(-1)


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
    if node.op == "Add":
        return one, a
    if node.op == "Sub":
        return (-one, a) if weights_first else (one, -a)
    if node.op == "Mul":
        return a, zero
    if weights_first:
        raise ValueError(f"{node} divides by the activations")
    return 1 / a, zero
