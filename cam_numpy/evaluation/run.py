"""Measure how well maps localise, on all pictures of a data set, on all cores."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ..errors import CamNotApplicable, InputError, refused
from ..explanation import occlusion_map
from ..input import unreadable
from ..network.classes import ClassFinder
from ..network.network import Network, load
from ..paper._checks import positive_integer
from ..paper.boxes import THRESHOLD
from ..paper.cam import class_activation_map
from ..paper.localisation import CURVE, ROW, measure, summarise
from ..parallel import in_order
from .datasets import DataSet, open_dataset

METHODS = ("cam", "occlusion")
HOPELESS = 10  # pictures that show a network not to be what CAM needs, if none before could be measured


@dataclass(repr=False)
class Evaluation:
    """What was measured, so far.

    Attributes
    ----------
    total : int
        How many pictures were to be measured.
    rows : (N,) array of dtype ROW
        One for each picture measured, in the order of the data set.
    failures : list of str
        What was wrong with the pictures that could not be measured; each names its picture.
    seconds : float
    assumed : list of str
        Assumptions made where the network's file did not give a value.
    """

    total: int
    rows: np.ndarray = field(default_factory=lambda: np.empty(0, ROW))
    failures: list = field(default_factory=list)
    seconds: float = 0.0
    assumed: list = field(default_factory=list)

    def __repr__(self):
        """The measures, a line each."""
        lines = [f"<Evaluation: {len(self.rows)} of {self.total} pictures measured>"]
        measures = summarise(self.rows) if len(self.rows) > 1 else []  # an interval needs two
        return "\n".join([*lines, *(f"{one.name:<31}{one.value:>8.1%}" for one in measures)])

    @property
    def done(self):
        """How many pictures were looked at."""
        return len(self.rows) + len(self.failures)

    @property
    def partial(self):
        """Whether it was interrupted."""
        return self.done < self.total


def evaluate(dataset: DataSet | str | Path, network: Network | str | Path | None = None, *,
             method: str = "cam", rule: str = "paper", threshold: float = THRESHOLD,
             limit: int | None = None, workers: int | None = None,
             progress: Callable[[Evaluation], None] | None = None) -> Evaluation:
    """Measure a network on the pictures of a data set.

    Parameters
    ----------
    dataset : DataSet or path
        From `open_dataset`, or whatever that takes.
    network : Network, path or str, optional
        A network from `load`, best opened with ``threads=1``, as each core works on a picture of
        its own; or whatever `load` takes.
    method : {"cam", "occlusion"}
        Where the map comes from: Eq. 2, or `occlusion_map`.
    rule, threshold : str, float
        Of the box that is reported; see `cam_numpy.bounding_box`.
    limit : int, optional
        Measure at most this many pictures, spread evenly over the data set.
    workers : int, optional
        Threads; by default as many as there are cores.
    progress : callable, optional
        Called with the evaluation as it grows, after each picture.

    Returns
    -------
    evaluation : Evaluation
        After Ctrl-C what was measured until then.

    Raises
    ------
    InputError
        The data set or the network cannot be opened, not one picture could be measured, or none of
        the first ten because the network is not what CAM needs.
    """
    if method not in METHODS:
        raise InputError(f"method is {method!r}; it says where the map comes from; give cam or occlusion")
    with refused():
        limit = None if limit is None else positive_integer("limit", limit)
        workers = None if workers is None else positive_integer("workers", workers)
    dataset = open_dataset(dataset) if isinstance(dataset, (str, Path)) else dataset
    if not hasattr(dataset, "labels"):
        raise InputError(f"dataset is of type {type(dataset).__name__}; give its path, or what open_dataset "
                         "returns")
    if not isinstance(network, Network):
        network = load(network, threads=1)  # each core works on a picture of its own
    total = len(dataset) if limit is None else min(limit, len(dataset))
    chosen = [i * len(dataset) // total for i in range(total)]
    class_of = ClassFinder(network, dataset.labels)
    evaluation, rows, began = Evaluation(total), np.empty(total, ROW), time.monotonic()
    evaluation.assumed += [class_of.assumed] if class_of.assumed else []

    def one(i):
        row = _measured(dataset[i], class_of, network, method, threshold, rule)
        row["picture"] = i
        return row

    refusals = 0  # of the network, not of a picture
    try:
        for future in in_order(one, chosen, workers):
            try:
                rows[len(evaluation.rows)] = future.result()
                evaluation.rows = rows[: len(evaluation.rows) + 1]
            except InputError as error:
                evaluation.failures.append(str(error))
                refusals += isinstance(error, CamNotApplicable)
                if refusals == HOPELESS and not len(evaluation.rows):
                    break
            evaluation.seconds = time.monotonic() - began
            if progress:
                progress(evaluation)
    except KeyboardInterrupt:
        pass  # what was measured so far is returned, and says that it is partial
    if evaluation.failures and not len(evaluation.rows):
        raise InputError(f"not one of {evaluation.done} pictures could be measured; "
                         f"the first: {evaluation.failures[0]}")
    return evaluation


def _measured(case, class_of, network, method, threshold, rule):
    """The row of one picture; what is wrong with it names it."""
    try:
        return _row(case, class_of(case.label), network, method, threshold, rule)
    except CamNotApplicable as refusal:
        raise CamNotApplicable(f"{refusal.reason} (the picture is {case.name})", refusal.model) from None
    except InputError as error:
        raise InputError(f"{case.name}: {error}") from None
    except MemoryError as error:
        raise unreadable(case.name, error) from None


def _row(case, c, network, method, threshold, rule):
    """The row of one picture whose true class is c."""
    seen = network.see(case.photo)
    network.check_scores(seen.f, seen.S)
    M = map_of(case.photo, seen, c, network, method)
    row = measure(seen.view.boxes(M, [threshold, *CURVE], rule), case.boxes, seen.view.photo)
    row["rank"] = (seen.S > seen.S[c]).sum() + (seen.S[:c] == seen.S[c]).sum()
    return row


def map_of(photo, seen, c, network, method):
    """The map of class c by a method of `METHODS`, (H, W); `seen` is what the network saw of the photo."""
    return class_activation_map(seen.f, network.w, c) if method == "cam" else occlusion_map(photo, network, c)
