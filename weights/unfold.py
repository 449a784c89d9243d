"""Put the weights of an exported file back into a torch network that can learn.

In the file every batch norm is folded into its convolution. Here it is taken out
again: each filter is scaled to unit length, and the batch norm behind it gets the
mean and the variance that it meets on real pictures, and the scale and the shift
that undo all of that. The network computes what the file computes, and its batch
norms are alive.
"""

from __future__ import annotations

import onnx
import torch
from google.protobuf.message import DecodeError
from onnx import numpy_helper
from torch import nn


@torch.no_grad()
def unfold(path, network, batches):
    """Load an exported file into a network of the same shape.

    Parameters
    ----------
    path : path
        A file that `export` wrote.
    network : PooledNetwork
    batches : iterable of (N, 3, h, w) float32 tensor
        Pictures on which to measure what each batch norm meets.

    Raises
    ------
    ValueError
        The file cannot be read, or is that of a network of another shape.
    """
    try:
        graph = onnx.load(path).graph
    except (OSError, DecodeError) as error:
        raise ValueError(f"{path} cannot be read ({error}); give a file that this program wrote") from None
    weights = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    layers = [node for node in graph.node if node.op_type in ("Conv", "Gemm")]
    pairs = _pairs(network)
    if len(pairs) != len(layers):
        raise ValueError(f"{path} has {len(layers)} layers with weights, the network has {len(pairs)}; "
                         "give a file that this program wrote")
    for node, (layer, norm) in zip(layers, pairs):
        w, b = (torch.tensor(weights[name]) for name in node.input[1:])
        if w.shape != layer.weight.shape:
            raise ValueError(f"{path}: {node.input[1]} is {tuple(w.shape)}, not {tuple(layer.weight.shape)}")
        if norm is None:
            layer.weight.copy_(w)
            layer.bias.copy_(b)
        else:
            length = w.flatten(1).norm(dim=1).clamp(min=1e-12)
            layer.weight.copy_(w / length[:, None, None, None])
            norm.running_mean.zero_()
            norm.running_var.fill_(1 - norm.eps)
            norm.weight.copy_(length)
            norm.bias.copy_(b)
    _normalise([norm for _, norm in pairs if norm is not None], network, batches)


def _pairs(network):
    """Each layer that has weights with the batch norm behind it, or None, in order."""
    modules = [m for m in network.modules() if isinstance(m, (nn.Conv2d, nn.BatchNorm2d, nn.Linear))]
    return [
        (layer, norm if isinstance(norm, nn.BatchNorm2d) else None)
        for layer, norm in zip(modules, [*modules[1:], None])
        if not isinstance(layer, nn.BatchNorm2d)
    ]


def _normalise(norms, network, batches):
    """Give each batch norm the mean and variance that it meets; what it computes stays."""
    met = {norm: [] for norm in norms}
    hooks = [
        norm.register_forward_pre_hook(lambda norm, x: met[norm].append(
            torch.stack([x[0].float().mean((0, 2, 3)), x[0].float().square().mean((0, 2, 3))])
        ))
        for norm in norms
    ]
    network.eval()
    for x in batches:
        network(x)
    for hook in hooks:
        hook.remove()
    for norm in norms:
        mean, square = torch.stack(met[norm]).mean(0)
        scale = norm.weight.clone()  # so far the norm computes scale * x + bias
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(square - mean.square())
        norm.weight.copy_(scale * (norm.running_var + norm.eps).sqrt())
        norm.bias.add_(scale * mean)
