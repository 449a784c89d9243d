"""Open a network: find its head, by the graph or by asking, and w and b."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..errors import CamNotApplicable, InputError
from ..paper.forms import NIN, SQUEEZENET
from .ask import explain
from .fold import fold
from .forward import Forward, OneCell
from .head import between, bits, read_head
from .runner import Runner
from .search import Cut, candidates, search


class Opened(NamedTuple):
    """The forward pass of a network, which knows its head; and what the head weighs."""

    forward: Forward
    w: np.ndarray
    b: np.ndarray


def open_head(source, scores, known, preprocessing=None, threads=None):
    """Open a network that has a head.

    Parameters
    ----------
    source : Source
    scores : list of Scores
        Where the scores may be.
    known : int or None
        How many classes the network is known to have.
    preprocessing, threads
        See `cam_numpy.load`.

    Returns
    -------
    opened : Opened

    Raises
    ------
    CamNotApplicable
        CAM does not apply to the network.
    InputError
        onnxruntime cannot open it, or several outputs are classifiers.
    """
    opened = _read(source, scores, preprocessing, threads)
    return opened or _ask(source, scores, known, preprocessing, threads)


def _read(source, scores, preprocessing, threads):
    """The head as the graph says it, with w and b; None where it must be asked."""
    heads = [head for one in scores if (head := read_head(source.graph, one))]
    if len(heads) > 1:
        raise _several(heads, source.name)
    if not heads:
        return None
    (head,) = heads
    precision = bits(source.graph, head.chain)
    sized = between(source.graph, head.f, head.S)[1] if precision < 24 else []
    runner = Runner(source, [head.f, head.S, *sized], preprocessing, threads)
    constants = source.values([*head.constants, *head.quantised])
    numbers = tuple(np.float32(constants[t]).item() for t in head.quantised) or None
    opened = Forward(runner, head, numbers, source.name)
    try:
        opened = _folded(opened, constants)
    except OneCell:
        raise
    except (ValueError, IndexError, TypeError):
        return None
    if opened is None or precision < 24 and not _rounds(source, opened, [head.f, head.S, *sized], precision):
        return None
    return opened


def _folded(forward, constants):
    """w and b of a head that was read; None where they cannot be all there is to it."""
    head = forward.head
    w, b = fold(head, constants, forward.count_units)
    if w.shape[1] != forward.count_units() or not forward.pools_all():
        return None
    if forward.inferred_size() == [1, 1]:
        raise forward.one_cell(w.shape[1], forward.runner.input_size)
    # a Gather may have mixed the units, and an array as long as a fixed batch its pictures
    if forward.runner.batch > 1 or any(node.op == "Gather" for node in head.chain):
        f, S = forward(forward.runner.noise())
        head.form.check(f, w, b, S)
    return Opened(forward, w, b)


def _rounds(source, opened, tensors, precision):
    """Whether w and b explain the scores of a head of few bits; its form then says so."""
    forward, w, b = opened
    head = forward.head
    cut = Cut(source, head.f, head.S, forward.runner.seen(tensors), head.axes, forward.numbers)
    # where integers are cut off at zero, no ReLU is written
    forms = (NIN, SQUEEZENET) if head.form in (NIN, SQUEEZENET) else (head.form,)
    head.form = explain(cut.scores, forward(forward.runner.noise())[0], w, b, precision, forms).form
    return head.form is not None


def _ask(source, scores, known, preprocessing, threads):
    """The head as it answers when it is asked."""
    graph = source.graph
    tensors = {one.S for one in scores}
    for one in scores:
        tensors.update(*candidates(graph, one))
    runner = Runner(source, tensors, preprocessing, threads)
    seen = runner.seen({t for t in tensors if t in graph.makers or t in graph.inputs})
    answers, refusals = [], []
    for one in scores:
        try:
            answers.append(search(source, one, seen, runner.input_size, known))
        except CamNotApplicable as refused:
            refusals.append(refused)
    if len(answers) > 1:
        raise _several([found.head for found in answers], source.name)
    if not answers:
        nothing = CamNotApplicable("it has no outputs; give a classifier", source.name)
        raise refusals[0] if refusals else nothing
    ((head, w, b, numbers),) = answers
    runner = Runner(source, [head.f, head.S], preprocessing, threads)  # one that shows nothing else
    return Opened(Forward(runner, head, numbers, source.name), w, b)


def _several(heads, name):
    found = ", ".join(head.output for head in heads)
    return InputError(f"{name} has several outputs that are classifiers ({found}); choose one (output)")
