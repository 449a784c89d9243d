"""Everything that the paper says about one photo, in its symbols."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np
from PIL import Image

from .errors import InputError, refused
from .image.photo import portrait, read_photo
from .image.preprocessing import PRESETS
from .image.view import View
from .network.classes import find_class, short_name
from .network.network import Network, load
from .paper._checks import positive_integer
from .paper.boxes import THRESHOLD, checked_boxes
from .paper.cam import class_activation_map, sigmoid, softmax
from .paper.forms import DIFFERENCES, Form
from .paper.occlusion import occlude
from .paper.units import count_carrying, rank_units, silence, unit_contributions, vocabulary

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Photo: TypeAlias = str | Path | Image.Image | np.ndarray
Class: TypeAlias = int | str
Box: TypeAlias = tuple[int, int, int, int]


SURE = 0.5  # P of the best class, below which a network is called unsure
EVEN = 0.9  # of the largest possible entropy, above which P is called nearly uniform


class ClassScore(NamedTuple):
    """A class and how the network scored it."""

    index: int
    name: str
    S: float
    P: float


class UnitShare(NamedTuple):
    """A unit k, and what it contributes to the score of a class: w_k^c F_k.

    `place` is the cell (x, y) where the unit fires most.
    """

    k: int
    w: float
    F: float
    product: float
    place: tuple[int, int]


class Difference(NamedTuple):
    """S_a - S_b, and the terms that it consists of: those of the difference of the two maps.

    The terms have the names of differences, such as "mean(M_a - M_b)" and "b_a - b_b".
    `error` is how far their sum is from the difference of the network's own scores.
    """

    a: int
    b: int
    S: float
    terms: dict[str, float]
    error: float


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Explanation:
    """What a network saw in a photo; `explain` makes one.

    A class may be given by its index or by its name wherever one is asked for. Arrays are
    read-only. In a notebook an explanation shows itself as a figure.

    Attributes
    ----------
    photo : PIL.Image.Image
        Upright, mode RGB.
    name : str
        What the photo is called.
    view : View
        Which part of the photo the network saw.
    model : str
        The network's file name.
    classes : list of str
        The name of each class.
    f : (K, H, W) array
        See the table of symbols in the docstring of the package, for these and the following.
    w : (C, K) array
    b : (C,) array
    S : (C,) array
        The network's own output, before the softmax; ``form.check(f, w, b, S)`` compares it
        with what the maps say.
    F : (K,) array
        Computed from f, as the network pools.
    P : (C,) array
        Computed from S.
    form : cam_numpy.paper.forms.Form
        How the network gets from f to S; ``form.identity`` was checked.
    sigmoid : bool
        Each class is judged by itself: P_c = 1 / (1 + exp(-S_c)).
    max_abs_error : float
        The largest error of the identity, over all classes, in score units.
    assumed : list of str
        Assumptions made where neither the network's file nor the caller gave a value.
    silent : tuple of int
        The units that `without` silenced. Where there are any, S is computed from f.
    """

    photo: Image.Image
    name: str
    view: View
    model: str
    classes: list[str]
    f: np.ndarray
    w: np.ndarray
    b: np.ndarray
    S: np.ndarray
    form: Form
    sigmoid: bool
    max_abs_error: float
    assumed: list[str] = field(default_factory=list)
    silent: tuple[int, ...] = ()

    def __post_init__(self):
        for array in (self.f, self.w, self.b, self.S):
            array.flags.writeable = False

    @cached_property
    def F(self) -> np.ndarray:
        return _read_only(self.form.pool(self.f))

    @property
    def doubt(self) -> str | None:
        """What to know before the maps are believed; None where the network is sure."""
        best, C = self.top(1)[0], len(self.S)
        if not self.sigmoid and _evenness(self.P) > EVEN:
            advice = "; is the preprocessing right? Try each preset: " + ", ".join(PRESETS)
            return (f"no class stands out: the best of {C}, {best.name}, has P = {best.P:.1%}"
                    + (advice if any("preprocessing" in text for text in self.assumed) else ""))
        if best.P < SURE:
            return f"the network is unsure: its best class, {best.name}, has P = {best.P:.1%}"
        return None

    @cached_property
    def P(self) -> np.ndarray:
        # P_c = exp(S_c) / sum_c exp(S_c); a sigmoid judges each class by itself
        return _read_only(sigmoid(self.S) if self.sigmoid else softmax(self.S))

    def M(self, c: Class | Sequence[Class], minus: Class | None = None) -> np.ndarray:
        """The class activation map of a class: Eq. 2.

        Parameters
        ----------
        c : int, str, or list of them
            A class, or several.
        minus : int or str, optional
            Another class: the map of the difference, (w_c - w_minus) . f. It is positive where
            the evidence is for c rather than for the other class.

        Returns
        -------
        M : (H, W) array, or (n, H, W)
            In score units.

        Raises
        ------
        InputError
            There is no such class, several are meant, or the list is empty.
        """
        several = not isinstance(c, str) and np.ndim(c) == 1
        indices = [self.index(one) for one in c] if several else self.index(c)
        # M_a - M_b = sum_k (w_k^a - w_k^b) f_k: the map is linear in w
        w = self.w if minus is None else self.w - self.w[self.index(minus)]
        with refused():
            return class_activation_map(self.f, w, indices)

    def index(self, c: Class) -> int:
        """The index of a class given by its index, one of its names, or words that only it has."""
        return find_class(self.classes, c)

    def class_name(self, c: Class) -> str:
        """The name of a class, the first of its synonyms."""
        return short_name(self.classes[self.index(c)])

    @cached_property
    def ranking(self) -> np.ndarray:
        """The indices of all classes, the highest score first; ties go to the lower index."""
        return np.argsort(-self.S, kind="stable")

    def top(self, n: int = 5) -> list[ClassScore]:
        """The n classes with the highest scores.

        Returns
        -------
        classes : list of (index, name, S, P)
        """
        with refused():
            n = positive_integer("n", n)
        return [ClassScore(int(c), self.class_name(c), float(self.S[c]), float(self.P[c]))
                for c in self.ranking[:n]]

    def units(self, c: Class, n: int = 5) -> list[UnitShare]:
        """The n units that contribute most to the score of a class.

        Parameters
        ----------
        c : int or str
        n : int

        Returns
        -------
        units : list of (k, w, F, product, place)
            product is w_k^c F_k; all of them and b_c add up to S_c, unless a ReLU stands before
            the pooling. place is the cell (x, y) where unit k fires most.
        """
        with refused():
            n = positive_integer("n", n)
        c, W = self.index(c), self.f.shape[2]
        products = unit_contributions(self.F, self.w, c)
        found = []
        for k in rank_units(products)[:n]:
            y, x = divmod(int(self.f[k].argmax()), W)
            found.append(UnitShare(int(k), float(self.w[c, k]), float(self.F[k]), float(products[k]), (x, y)))
        return found

    def count_units(self, c: Class, fraction: float = 0.9) -> int:
        """How few units carry a fraction of the evidence for a class.

        Parameters
        ----------
        c : int or str
        fraction : float

        Returns
        -------
        n : int
            The n largest w_k^c F_k add up to that fraction of all that are positive.
        """
        with refused():
            return count_carrying(unit_contributions(self.F, self.w, self.index(c)), fraction)

    def vocabulary(self, k: int, n: int = 4) -> tuple[list[str], list[str]]:
        """The names of the n classes that unit k speaks for most, and against most.

        Parameters
        ----------
        k, n : int

        Returns
        -------
        speaks_for, speaks_against : list of str
        """
        with refused():
            return tuple([self.class_name(c) for c in classes] for classes in vocabulary(self.w, k, n))

    def without(self, units: int | Sequence[int]) -> Explanation:
        """The same photo as if some units never fired.

        Parameters
        ----------
        units : int or list of int
            Indices k, such as those of ``units("tabby")``.

        Returns
        -------
        explanation : Explanation
            Its f is zero there; F, S, P and M follow, the way the network pools.

        Raises
        ------
        InputError
            There is no such unit.

        Notes
        -----
        Exact: it is what the network's own head computes from this f. With the average S_c loses
        w_k^c F_k for each unit, and M_c loses w_k^c f_k.
        """
        with refused():
            f = silence(self.f, units)
        silent = tuple(sorted({*self.silent, *np.atleast_1d(units).tolist()}))
        S = self.form.scores(f, self.w, self.b)
        return replace(self, f=f, S=S, silent=silent, max_abs_error=self.form.check(f, self.w, self.b, S))

    def difference(self, a: Class, minus: Class) -> Difference:
        """Why one class scores higher than another.

        Parameters
        ----------
        a, minus : int or str
            Two classes.

        Returns
        -------
        difference : Difference
            ``mean(M_a - M_b) + (b_a - b_b) = S_a - S_b``, or the terms that the network's form has.

        Raises
        ------
        InputError
            There is no such class, or both are the same.
        """
        a, b = self.index(a), self.index(minus)
        if a == b:
            raise minus_itself(self.class_name(a))
        S = float(self.S[a]) - float(self.S[b])
        # each term is that of a less that of b; with the average, mean M_a - mean M_b = mean(M_a - M_b)
        of_a, of_b = (self.form.terms(self.M(c), self.F, self.w[c], self.b[c]) for c in (a, b))
        terms = {DIFFERENCES[name]: float(of_a[name]) - float(of_b[name]) for name in of_a}
        return Difference(a, b, S, terms, abs(sum(terms.values()) - S))

    def box(self, c: Class, threshold: float = THRESHOLD, rule: str = "paper",
            minus: Class | None = None) -> Box | None:
        """The box of a class in the photo's pixels: Section 3.

        Parameters
        ----------
        c : int or str
        threshold, rule : float, str
            See `cam_numpy.bounding_box`.
        minus : int or str, optional
            See `M`.

        Returns
        -------
        box : (int, int, int, int) or None
            (x0, y0, x1, y1), both ends included; None where the map is nowhere positive.
        """
        with refused():
            return self.view.largest_box(self.M(self.index(c), minus), threshold, rule)

    def show(self, *classes: Class, minus: Class | None = None, top: int = 3, boxes: bool = False,
             true_boxes: Box | Sequence[Box] = (), colors: str | None = None,
             scale: float | None = None) -> Figure:
        """The figure of `cam-numpy explain`: the photo, and the maps of some classes on one scale.

        Parameters
        ----------
        *classes : int or str
            By default the `top` classes with the highest scores.
        minus : int or str, optional
            Another class: the maps of the differences, (w_c - w_minus) . f.
        top : int
        boxes : bool
            Draw the box of each map.
        true_boxes : (int, int, int, int), or list of them
            Where the object is, to be drawn on every panel.
        colors : {"inferno", "jet", "diverging"}, optional
            By default "diverging" for differences, else "inferno".
        scale : float, optional
            Where the colours end, in score units: the same for several photos, so that an unsure
            network's map is pale. By default the largest value of these maps.

        Returns
        -------
        figure : matplotlib.figure.Figure
            ``figure.savefig("cat.png")`` writes it.

        Raises
        ------
        InputError
            There is no such class, or `minus` is one of the classes.
        """
        from .show.figure import draw

        chosen = self.choose(classes, top, minus)
        found = [self.box(c, minus=minus) for c in chosen] if boxes else None
        minus = None if minus is None else self.index(minus)
        return draw(self, chosen, colors, found, _listed(true_boxes), minus, scale)

    def choose(self, classes: Sequence[Class] = (), top: int = 3, minus: Class | None = None) -> list[int]:
        """The indices of some classes other than `minus`, by default of the `top` best ones."""
        with refused():
            top = positive_integer("top", top)
        other = None if minus is None else self.index(minus)
        if not classes:
            return [int(c) for c in self.ranking if c != other][:top]
        chosen = [self.index(c) for c in classes]
        if other in chosen:
            raise minus_itself(self.class_name(other))
        return chosen

    def text(self, *classes: Class, minus: Class | None = None, top: int = 3, boxes: bool = False) -> str:
        """The text of `cam-numpy explain`: the computation, step by step, with its numbers.

        Parameters
        ----------
        *classes, minus, top, boxes
            See `show`.

        Returns
        -------
        text : str
            For a terminal of 80 columns: ``print(e.text("tabby"))``.
        """
        from .show.text import as_text

        chosen = self.choose(classes, top, minus)
        found = [self.box(c, minus=minus) for c in chosen] if boxes else None
        return as_text(self, chosen, found, minus=None if minus is None else self.index(minus))

    def page(self, path: str | Path, *classes: Class) -> Path:
        """Write the page of `cam-numpy page`: every equation with its numbers, to be pointed at.

        Parameters
        ----------
        path : path
            The HTML file to write, in a folder that is made where it is missing. It opens from disk
            and needs no network.
        *classes : int or str
            The class that the page shows first, and the one it is compared with; by default the
            two with the highest scores.

        Returns
        -------
        path : Path
            The file written.

        Raises
        ------
        InputError
            There is no such class, more than two are given, or the file cannot be written.
        """
        from .output import whole_file
        from .show.page import page

        html = page(self, [self.index(c) for c in classes])
        with whole_file(path) as unfinished:
            unfinished.write_text(html, encoding="utf-8", newline="\n")
        return Path(path)

    def __repr__(self):
        from .show.text import one_line

        return one_line(self)

    def _repr_png_(self):
        """What Jupyter shows."""
        return self.show()._repr_png_()


def minus_itself(name):
    """The error of a class that is subtracted from itself."""
    return InputError(f"{name} minus itself is zero everywhere; give another class")


def _listed(true_boxes):
    """A box, or a list of them, as a list."""
    if isinstance(true_boxes, (list, tuple)) and not true_boxes:
        return []
    with refused():
        return checked_boxes("true_boxes", true_boxes).reshape(-1, 4).tolist()


def _evenness(P):
    """The entropy of P over that of a uniform P: 1 where all classes are alike, 0 where one is certain."""
    # - sum_c P_c log P_c / log C
    return float(-(P * np.log(np.maximum(P, 1e-30))).sum() / np.log(len(P)))


def _read_only(array):
    array.flags.writeable = False
    return array


def explain(photo: Photo | None = None, network: Network | str | Path | None = None) -> Explanation:
    """Explain what a network sees in a photo.

    Parameters
    ----------
    photo : path, PIL.Image.Image, or (h, w, 3) uint8 array, optional
        By default the portrait of Grace Hopper that comes with matplotlib.
    network : Network, path or str, optional
        A network from `load`, or whatever `load` takes; by default the network that comes with
        cam_numpy.

    Returns
    -------
    explanation : Explanation

    Raises
    ------
    InputError
        The photo or the network cannot be read.
    CamNotApplicable
        CAM does not apply to the network, or its own scores are not what its maps say.

    Examples
    --------
    >>> e = explain()
    >>> e.f.shape, e.F.shape, e.w.shape, e.S.shape, e.M("bow tie").shape
    ((256, 14, 12), (256,), (200, 256), (200,), (14, 12))
    >>> e.top(1)[0].name
    'academic gown'
    """
    network = load(network)
    photo = portrait() if photo is None else photo
    name = Path(photo).name if isinstance(photo, (str, Path)) else "photo"
    photo = read_photo(photo)
    seen = network.see(photo)
    return Explanation(
        photo=photo, name=name, view=seen.view, model=network.name, classes=list(network.classes),
        f=seen.f, w=network.w, b=network.b, S=seen.S, form=network.form, sigmoid=network.sigmoid,
        max_abs_error=network.check_scores(seen.f, seen.S), assumed=list(network.assumed),
    )


def occlusion_map(photo: Photo, network: Network | str | Path, c: Class,
                  patch: int | None = None) -> np.ndarray:
    """How much the score of a class drops when a grey patch covers a place: CAM's rival.

    Parameters
    ----------
    photo : path, PIL.Image.Image, or (h, w, 3) uint8 array
    network : Network, path or str
        A network from `load`, or whatever `load` takes.
    c : int or str
        A class.
    patch : int, optional
        Side of the patch in pixels of the network's input; by default a third of the input's
        short side.

    Returns
    -------
    M : (H, W) float32 array
        The cells are those of the class activation map. M[y, x] is S_c minus the S_c with the
        patch over cell (y, x), in score units: positive where there is evidence for the class.

    Raises
    ------
    InputError
        The photo cannot be read, there is no such class, or `patch` is not a positive number
        of pixels.

    Notes
    -----
    It takes 1 + H W forward passes; see `cam_numpy.paper.occlusion`.
    """
    network = load(network)
    c = network.find_class(c)
    x, _ = network.preprocessing(read_photo(photo))
    f, _ = network.run(x)
    with refused():
        return occlude(lambda x: network.run(x)[1], x, c, f.shape[1:], patch)
