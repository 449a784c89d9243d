"""A network that shows f, w, b and its own scores."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from ..errors import Assumed, CamNotApplicable, InputError
from ..image.photo import read_photo
from ..image.preprocessing import Preprocessing, View
from ..names import plain
from ..paper._checks import shown
from ..paper.forms import SQUEEZENET
from . import hints
from .classes import find_class, name_classes, read_labels
from .head import find_scores
from .layers import Body
from .locate import resolve
from .onnx_writer import with_classifier
from .opening import open_head
from .session import TYPES
from .source import Source, uncut


def load(model: str | Path | Network | None = None, *, output: str | None = None,
         preprocessing: Preprocessing | str | dict | None = None,
         labels: str | Path | list[str] | None = None, threads: int | None = None) -> Network:
    """Open a network.

    Parameters
    ----------
    model : path, str or Network, optional
        An ONNX file; or the name of a network that comes with cam_numpy,
        "tiny-imagenet-gap" (the default) or "tiny-imagenet-gmp", which pools with the
        maximum; or the name of a public network that was fetched, such as "squeezenet1.1"
        (`cam_numpy.fetch`). A public network brings its own preprocessing and class names,
        by name or as a file. A Network that is open already is returned as it is.
    output : str, optional
        Which output holds the scores, where the network has several.
    preprocessing : Preprocessing, str or dict, optional
        How a photo becomes the input: the name of a preset, "imagenet", "caffe", "zero-one",
        "minus-one-one" or "efficientnet-lite"; or a dict that changes some attributes of
        `cam_numpy.image.preprocessing.Preprocessing`, such as ``{"size": 128}``. By default
        what the file itself says, else "imagenet".
    labels : path, or list of str, optional
        A text file with the name of one class per line, or a list of the names. By default the
        names in the file itself, else "class 0", "class 1" ...
    threads : int, optional
        How many threads work at one photo; 1 where photos are many and each thread shows the
        network a photo of its own. By default up to 4, and never more than there are cores.

    Returns
    -------
    network : Network

    Raises
    ------
    CamNotApplicable
        CAM does not apply to the network.
    InputError
        A file is missing, damaged or of another kind, or no network has this name.

    Warns
    -----
    Assumed
        Neither the file nor the caller says how photos are to be prepared, or what the classes
        are called; the same texts are in ``network.assumed``.

    Examples
    --------
    >>> network = load()
    >>> network.w.shape, network.b.shape, network.classes[:2]
    ((200, 256), (200,), ['Egyptian cat', 'reel'])
    """
    if isinstance(model, Network):
        if (output, preprocessing, labels, threads) != (None,) * 4:
            raise InputError(f"{model.name} is open already, and its options are fixed; give its file")
        return model
    path, preprocessing, labels = resolve(model, preprocessing, labels)
    with uncut(path):
        network = Network(path, output, preprocessing, labels, threads)
    for text in network.assumed:
        warnings.warn(f"{network.name}: {text}", Assumed, stacklevel=2)
    return network


def open_body(network=None, **options):
    """The body of a network, also of one to which CAM does not apply.

    Parameters
    ----------
    network : Network, Body, path or str, optional
        A network from `load`, or whatever `load` takes.
    **options
        Those of `load`.
    """
    if isinstance(network, Body):
        return network
    try:
        return load(network, **options).body
    except CamNotApplicable:
        path, preprocessing, _ = resolve(network, options.get("preprocessing"))
        with uncut(path):
            body = Body(path, preprocessing)
        for text in body.assumed:
            warnings.warn(f"{body.name}: {text}", Assumed, stacklevel=3)
        return body


@dataclass(frozen=True)
class Seen:
    """What the network computed from one photo.

    Attributes
    ----------
    f : (K, H, W) float32 array
        Activations of the last convolutional layer.
    S : (C,) float32 array
        The network's own class scores, before the softmax.
    view : View
        Which part of the photo it saw.
    """

    f: np.ndarray
    S: np.ndarray
    view: View


class Network:
    """A classifier to which CAM applies; `load` opens one.

    Attributes
    ----------
    path : Path
    name : str
        The file's name.
    w : (C, K) float32 array
        Weights of the classifier.
    b : (C,) float32 array
        Its bias. A network with a single score has two classes here, for and
        against: the rows of w and b are -w, w and -b, b.
    binary : bool
        Whether the network has a single score.
    classes : list of str
        The name of each class.
    named : bool
        Whether these names are known, or "class 0", "class 1" ...
    wnids : list of str, or None
        The WordNet id of each class, where known.
    preprocessing : Preprocessing
    form : cam_numpy.paper.forms.Form
        How it gets from f to S, and which identity holds.
    sigmoid : bool
        Each class is judged by itself: P_c = 1 / (1 + exp(-S_c)).
    head : Head
        The way from f to S, node by node.
    assumed : list of str
        Assumptions made where neither the file nor the caller gave a value.
    metadata : dict of str to str
        What the file says of itself: training data, licence, accuracy ...
    """

    def __init__(self, path, output=None, preprocessing=None, labels=None, threads=None):
        self._source = source = Source(path)
        source.check_weights()
        self.path, self.name, self.metadata = source.path, source.name, source.graph.metadata
        self._threads = threads
        names, wnids = hints.names(source.graph) if labels is None else read_labels(labels)
        scores = find_scores(source.graph, self.name, output)
        known = None if names is None else len(names)
        self._forward, w, b = open_head(source, scores, known, preprocessing, threads)
        self.preprocessing, self.assumed = self._forward.runner.preprocessing, self._forward.runner.assumed
        self.head = self._forward.head
        self.form = self.head.form
        if output is None and len(scores) > 1:
            self.assumed.append(f"of its outputs ({', '.join(source.graph.outputs)}), {self.head.output} is "
                                "taken for the scores (to change this: output)")
        taken = next(one for one in scores if one.S == self.head.S)
        if self.form.name == SQUEEZENET.name and names is None and not taken.probabilities:
            self.assumed.append(f"it ends with {len(b)} pooled units behind a ReLU, as SqueezeNet and as "
                                "networks without a classifier do; these are taken for scores (to change "
                                "this: name the classes as labels)")
        self.w, self.b, self.binary = _two_classes(w, b)
        # S and -S are the scores for and against, so that P = 1 / (1 + exp(-S)), as for any single score
        self.sigmoid = self.head.sigmoid or self.binary
        self.named = names is not None
        self.classes, self.wnids, assumed = name_classes(names, wnids, len(self.b), self.binary, self.name)
        self.assumed += assumed
        source.release()

    def __repr__(self):
        C, K = self.w.shape
        assumed = "; assumed: preprocessing" if self.assumes_preprocessing else ""
        form = f"{self.form.verdict} ({self.form.name})"
        return f"<Network {plain(self.name)}: {K} units, {C} classes, {form}{assumed}>"

    @property
    def assumes_preprocessing(self):
        """Whether neither the file nor the caller says how photos are to be prepared."""
        return any("preprocessing" in text for text in self.assumed)

    def find_class(self, wanted: int | str) -> int:
        """The index of a class, from its index, one of its names, or words that only one class has.

        Raises
        ------
        InputError
            No class is meant, or several are.
        """
        return find_class(self.classes, wanted)

    @cached_property
    def body(self):
        """The maps of all layers (`cam_numpy.network.layers.Body`), in a session of its own."""
        self._source.unchanged()
        with uncut(self.path):
            body = Body(self.path, self.preprocessing, self.head.f, self._forward.units_first, self._threads)
        body.assumed = self.assumed
        return body

    def layers(self):
        """The maps of the body, from shallow to deep; the last is f.

        Returns
        -------
        layers : list of cam_numpy.network.layers.Layer
            (name, shape (K, H, W), stride, receptive_field, start, gated), for a square photo.

        Raises
        ------
        InputError
            They cannot be listed; the message says why.
        """
        return self.body.layers

    def with_classifier(self, w, b, metadata):
        """The bytes of an .onnx file with the same body, which pools with the average.

        Parameters
        ----------
        w : (C, K) array
        b : (C,) array
        metadata : dict of str to str
            What the file says of itself, besides the preprocessing.

        Returns
        -------
        model : bytes
        """
        self._source.unchanged()
        kind = TYPES[self._forward.runner.type_of(self.head.f)][1]
        with uncut(self.path):
            source = Source(self.path)
            return with_classifier(source.data, source.graph, self.head, kind, w, b,
                                   {**self.preprocessing.as_metadata(), **metadata}, source.file.parent)

    def noise(self):
        """A made-up input, (channels, h, w): noise of the size that the network takes."""
        return self._forward.runner.noise()

    @property
    def input_name(self):
        """The tensor that takes the picture."""
        return self._forward.runner.input.name

    def check_scores(self, f: np.ndarray, S: np.ndarray) -> float:
        """The largest error of the network's identity, `form.identity`.

        Parameters
        ----------
        f : (K, H, W) array
        S : (C,) array
            As `run` returns them.

        Returns
        -------
        error : float
            In score units.

        Raises
        ------
        CamNotApplicable
            The maps do not add up to the scores.
        """
        try:
            return self.form.check(f, self.w, self.b, S)
        except ValueError as refused:
            raise CamNotApplicable(str(refused), self.name) from None

    def see(self, photo):
        """Show the network a photo.

        Parameters
        ----------
        photo : path, PIL.Image.Image, or (h, w, 3) uint8 array

        Returns
        -------
        seen : Seen

        Raises
        ------
        InputError
            The photo cannot be read.
        """
        x, view = self.preprocessing(read_photo(photo))
        return Seen(*self.run(x), view)

    def run(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Run the network on an input that is preprocessed already.

        Parameters
        ----------
        x : (3, h, w) float32 array

        Returns
        -------
        f : (K, H, W) float32 array
        S : (C,) float32 array

        Raises
        ------
        InputError
            The network does not take an input of this size.
        """
        if not isinstance(x, np.ndarray) or x.ndim != 3 or x.dtype.kind not in "fiu":
            given = f"of shape {x.shape}" if isinstance(x, np.ndarray) else shown(x)
            raise InputError(f"x is {given}; run takes an input (3, h, w) that is preprocessed already; "
                             "give a photo to see instead")
        f, S = self._forward(x)
        C, K = self.w.shape
        if f.shape[0] != K or S.size != (1 if self.binary else C):
            raise CamNotApplicable(f"it has {f.shape[0]} units and {S.size} scores, which do not fit a "
                                   f"linear layer of {K} inputs and {C} outputs; the paper has one linear "
                                   "layer behind the pooling",
                                   self.name)
        return f, np.concatenate([-S, S]) if self.binary else S


def _two_classes(w, b):
    """w and b, of at least two classes, read-only; and whether there is a single score."""
    binary = len(b) == 1
    if binary:
        w, b = np.concatenate([-w, w]), np.concatenate([-b, b])
    w.flags.writeable = b.flags.writeable = False
    return w, b, binary
