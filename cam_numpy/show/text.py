"""What `cam-numpy explain` prints: the paper's computation with its numbers."""

from __future__ import annotations

import textwrap

import numpy as np

from ..names import cut, plain
from ..paper.boxes import iou


def as_text(explanation, chosen, boxes=None, true_boxes=(), minus=None):
    """The computation, step by step, for an 80-column terminal.

    Parameters
    ----------
    explanation : Explanation
    chosen : list of int
        The classes to show; the units are those of the first.
    boxes : list, optional
        The box of each class, or None where it has none.
    true_boxes : list
        Where the object is.
    minus : int, optional
        Another class, to be compared with each.

    Returns
    -------
    text : str
    """
    e = explanation
    K, H, W = e.f.shape
    C = len(e.S)
    seen = "all of it" if e.view.whole else "pixels {:.0f},{:.0f} to {:.0f},{:.0f}".format(*e.view.box)
    maps, meaning = e.M(chosen), "M_c(x, y) = sum_k w_k^c f_k(x, y)"
    drawn = maps
    if minus is not None:
        drawn, meaning = e.M(chosen, minus), "M_a - M_b = sum_k (w_k^a-w_k^b) f_k"
    lines = [
        f"photo    {cut(e.name, 44)}, {e.photo.width} x {e.photo.height} pixels",
        heading("network", f"{cut(e.model, 34)} sees {seen} at {e.view.input[0]} x {e.view.input[1]}"),
        *(heading("assumed", text) for text in e.assumed),
        *([heading("doubt", e.doubt)] if e.doubt else []),
        *([heading("silent", "units " + ", ".join(map(str, e.silent)))] if e.silent else []),
        "",
        _row("f", (K, H, W), "f_k(x, y), the last conv layer", e.f),
        _row("F", (K,), e.form.pooling, e.F),
        _row("w", (C, K), "w_k^c, from the network's file", e.w),
        _row("b", (C,), "b_c, likewise (the paper: 0)", e.b),
        _row("S", (C,), e.form.scoring, e.S),
        _row("P", (C,), "P_c = 1 / (1 + exp(-S_c))" if e.sigmoid else "P_c = exp(S_c) / sum_c exp(S_c)", e.P),
        _row("M", drawn.shape, meaning, drawn),
        "",
        *_table(e, chosen, maps),
        "", *_differences(e, chosen, minus), *_boxes(e, chosen, boxes or [], true_boxes),
        *_units(e, chosen[0], maps[0]), "", *_check(e),
    ]
    return "\n".join(lines)


def _table(e, chosen, maps):
    """For each class its score, and the terms that it consists of."""
    rows = [
        (c, e.form.terms(M, e.F, e.w[c], e.b[c]), e.form.beside(M))
        for c, M in zip(chosen, maps, strict=True)
    ]
    terms, beside = list(rows[0][1]), list(rows[0][2])
    room = min(26, 51 - 9 * (len(terms) + len(beside)))
    heads = [f"{terms[0]:>8}", *(f"{f'+ {term}':>8}" for term in terms[1:])]
    heads += [f"{more:>8}" for more in beside]
    yield f"{'c':>5}  {'class':<{room}} {'P_c':>7} {'S_c':>8}  =  " + " ".join(heads)
    for c, parts, more in rows:
        first, *others = parts.values()
        numbers = " ".join([
            f"{first:>8.3f}", *(f"{n:>+8.3f}" for n in others), *(f"{n:>8.3f}" for n in more.values())
        ])
        yield f"{c:>5}  {cut(e.class_name(c), room):<{room}} {e.P[c]:>7.1%} {e.S[c]:>8.3f}  =  {numbers}"


def _differences(e, chosen, minus):
    """Why class a, rather than b: the identity of the map of w_a - w_b, with its numbers."""
    if minus is None:
        return
    found = [e.difference(c, minus) for c in chosen]
    widths = {name: max(9, len(name)) for name in found[0].terms}
    room = min(28, 61 - sum(width + 3 for width in widths.values()))
    heads = " + ".join(f"{name:>{width}}" for name, width in widths.items())
    yield f"Why a, and not b? Here b is {cut(e.class_name(minus), 48)}."
    yield f"    {'a':<{room}} {'S_a - S_b':>9}  =  {heads}"
    for one in found:
        numbers = "   ".join(f"{one.terms[name]:>+{width}.3f}" for name, width in widths.items())
        yield f"    {cut(e.class_name(one.a), room):<{room}} {one.S:>9.3f}  =  {numbers}"
    yield f"    {e.form.difference}"
    # the identity was checked for each class: that of a difference is off by both errors at most
    own = "S being computed from f" if e.silent else "S being the network's own output"
    yield f"    {own}: largest error {max(one.error for one in found):.1e}. It holds."
    yield ""


def _boxes(e, chosen, boxes, true_boxes):
    """Where each class is, by the paper's rule, and how well that fits the true boxes."""
    for c, box in zip(chosen, boxes, strict=False):
        where = "none: its map is nowhere positive"
        if box:
            where = f"columns {box[0]} to {box[2]}, rows {box[1]} to {box[3]}"
            if len(true_boxes):
                where += f"; IoU {iou(box, true_boxes).max():.3f}"
        yield f"{'box' if c == chosen[0] else '':<9}{cut(e.class_name(c), 19):<19}  {where}"
    if boxes:
        yield "         the largest component above 20 % of the map's maximum (Section 3)"
        yield ""


def _units(e, c, M, count=5):
    """The units that contribute most to class c, what all others add, and the other terms of S_c."""
    best = e.units(c, count)
    total, *others = e.form.terms(M, e.F, e.w[c], e.b[c]).items()
    rest = len(e.F) - len(best)
    carrying = e.count_units(c)
    return [
        f"{cut(e.class_name(c), 28)}, unit by unit; at (x, y) each fires most:",
        *(f"    k = {unit.k:<5} w_k^c F_k = {unit.w:>7.3f} x {unit.F:>6.3f}  = {unit.product:>8.3f}"
          f"  at ({unit.place[0]}, {unit.place[1]})" for unit in best),
        f"    {f'the other {rest} units':<42} {total[1] - sum(unit.product for unit in best):>8.3f}",
        *(f"    {name:<42} {value:>8.3f}" for name, value in others),
        f"    {'S_c, their sum':<42} {total[1] + sum(value for _, value in others):>8.3f}",
        f"    {carrying} of {len(e.F)} units carry 90 % of the evidence for it, of all w_k^c F_k > 0",
    ]


def _check(e):
    scale = np.abs(e.S).max()
    agreement = f"{e.max_abs_error:.1e}"
    if scale:
        agreement += f", {e.max_abs_error / scale:.0e} of the largest score"
    return [
        f"check    {e.form.identity}",
        f"         for all {len(e.S)} classes, S being "
        + ("computed from f, with the silent units:" if e.silent else "the network's own output:"),
        f"         largest error {agreement}. It holds.",
        heading("meaning", e.form.meaning),
    ]


def one_line(explanation):
    """An explanation in one line of at most 100 characters."""
    e = explanation
    notes = f" without {len(e.silent)} units" if e.silent else ""
    if any("preprocessing" in text for text in e.assumed):
        notes += ", preprocessing assumed"
    shown = e.top(1 if notes or e.doubt else 2)
    best = ", ".join(f"{cut(name, 18)} {P:.1%}" for _, name, _, P in shown) + (" (unsure)" if e.doubt else "")
    return f"<Explanation of {cut(e.name, 18)} by {cut(e.model, 20)}{cut(notes, 28)}: {best}>"


def heading(head, text):
    """A line of the heading, and as many more as 80 columns demand."""
    return textwrap.fill(f"{head:<9}{plain(text)}", 80, subsequent_indent=" " * 9)


def _row(symbol, shape, meaning, values):
    shape = "(" + ", ".join(map(str, shape)) + (",)" if len(shape) == 1 else ")")
    return f"{symbol}  {shape:<14} {meaning:<35} {_number(values.min()):>8} to {_number(values.max())}"


def _number(x):
    size = abs(x)
    return f"{x:.4f}" if size < 10 else f"{x:.2f}" if size < 1e5 else f"{x:.1e}"


def as_dict(explanation, chosen, photo, files, boxes=None, true_boxes=(), minus=None):
    """The same as a dict for JSON.

    Parameters
    ----------
    explanation : Explanation
    chosen : list of int
    photo : str
        Its path.
    files : list of str
        What was written.
    boxes, true_boxes, minus
        See `as_text`.

    Returns
    -------
    record : dict
        photo, size (width, height), model, form and verdict (as in `inspect`), map (H, W), units K,
        top, identity, assumed, doubt (see `Explanation.doubt`), files.
    """
    e = explanation
    found = [{} for _ in chosen]
    for one, box in zip(found, boxes or [], strict=False):
        one["box"] = box and list(box)
        if len(true_boxes):
            one["iou"] = float(iou(box, true_boxes).max()) if box else 0.0
    for c, one in zip(chosen, found):
        one["units_for_90_percent"] = e.count_units(c)
        if minus is not None:
            difference = e.difference(c, minus)
            one["minus"] = {"index": minus, "name": e.classes[minus], "S_a - S_b": difference.S,
                            "terms": difference.terms, "error": difference.error}
    return {
        "photo": photo,
        "size": list(e.photo.size),
        "model": e.model,
        "form": e.form.name,
        "verdict": e.form.verdict,
        "map": list(e.f.shape[1:]),
        "units": e.f.shape[0],
        "top": [
            {"index": int(c), "name": e.classes[c], "S": float(e.S[c]), "P": float(e.P[c]), **more}
            for c, more in zip(chosen, found, strict=True)
        ],
        "identity": {"formula": e.form.identity, "max_abs_error": e.max_abs_error},
        "assumed": list(e.assumed),
        "doubt": e.doubt,
        "files": files,
    }
