"""What `cam-numpy explain` prints: the paper's computation with its numbers."""

from __future__ import annotations

import textwrap

import numpy as np

from ..paper.boxes import iou
from ..network.classes import short_name


def as_text(explanation, chosen, name, boxes=None, true_boxes=()):
    """The computation, step by step, for an 80-column terminal.

    Parameters
    ----------
    explanation : Explanation
    chosen : list of int
        The classes to show; the units are those of the first.
    name : str
        What the photo is called.
    boxes : list, optional
        The box of each class, or None where it has none.
    true_boxes : list
        Where the object is.

    Returns
    -------
    text : str
    """
    e = explanation
    K, H, W = e.f.shape
    C = len(e.S)
    seen = "all of it" if e.view.whole else "pixels {:.0f},{:.0f} to {:.0f},{:.0f}".format(*e.view.box)
    maps, pooled = e.M(chosen), e.form.pooled
    lines = [
        f"photo    {_cut(name, 44)}, {e.photo.width} x {e.photo.height} pixels",
        heading("network", f"{_cut(e.model, 34)} sees {seen} at {e.view.input[0]} x {e.view.input[1]}"),
        *(heading("assumed", text) for text in e.assumed),
        "",
        _row("f", (K, H, W), "f_k(x, y), the last conv layer", e.f),
        _row("F", (K,), f"F_k = {'max' if pooled == 'max' else 'mean'}_xy f_k(x, y)", e.F),
        _row("w", (C, K), "w_k^c, from the network's file", e.w),
        _row("b", (C,), "b_c, likewise (the paper: 0)", e.b),
        _row("S", (C,), "S_c = mean max(0, M_c + b_c)" if pooled == "rectified" else "S_c = sum_k w_k^c F_k + b_c", e.S),
        _row("P", (C,), "P_c = 1 / (1 + exp(-S_c))" if e.sigmoid else "P_c = exp(S_c) / sum_c exp(S_c)", e.P),
        _row("M", (H, W), "M_c(x, y) = sum_k w_k^c f_k(x, y)", maps),
        "",
        *(_max_table(e, chosen, maps) if pooled == "max" else _table(e, chosen, maps)),
        "", *_boxes(e, chosen, boxes or [], true_boxes), *_units(e, chosen[0]), "", *_verdict(e),
    ]
    return "\n".join(lines)


def _table(e, chosen, maps):
    """For each class its score, beside the mean of its map."""
    sign = "~" if e.form.pooled == "rectified" else "="
    yield f"{'c':>5}  {'class':<26} {'P_c':>7} {'S_c':>8}  {sign}  {'mean M_c':>8} {'+ b_c':>8}"
    for c, M in zip(chosen, maps):
        title = _cut(short_name(e.classes[c]), 26)
        yield f"{c:>5}  {title:<26} {e.P[c]:>7.1%} {e.S[c]:>8.3f}  {sign}  {M.mean():>8.3f} {e.b[c]:>+8.3f}"


def _max_table(e, chosen, maps):
    """For each class its score, where it comes from, and how far the map is from it."""
    yield (f"{'c':>5}  {'class':<15} {'P_c':>7} {'S_c':>8}  =  {'sum w F':>8} {'+ b_c':>8}"
           f" {'mean M_c':>9} {'max M_c':>8}")
    for c, M in zip(chosen, maps):
        title = _cut(short_name(e.classes[c]), 15)
        yield (f"{c:>5}  {title:<15} {e.P[c]:>7.1%} {e.S[c]:>8.3f}  =  {e.w[c] @ e.F:>8.3f} {e.b[c]:>+8.3f}"
               f" {M.mean():>9.3f} {M.max():>8.3f}")


def _boxes(e, chosen, boxes, true_boxes):
    """Where each class is, by the paper's rule, and how well that fits the true boxes."""
    for c, box in zip(chosen, boxes):
        where = "none: its map is nowhere positive"
        if box:
            where = "columns {} to {}, rows {} to {}".format(box[0], box[2], box[1], box[3])
            if len(true_boxes):
                where += f"; IoU {iou(box, true_boxes).max():.3f}"
        yield f"{'box' if c == chosen[0] else '':<9}{_cut(short_name(e.classes[c]), 19):<19}  {where}"
    if boxes:
        yield "         the largest part above 20 % of the map's maximum (Section 3)"
        yield ""


def _units(e, c, count=5):
    """The units that raise class c most, what all others add, and the bias."""
    parts = e.w[c] * e.F
    best = np.argsort(-parts)[:count]
    others = parts.sum() - parts[best].sum()
    total = "the sum; a ReLU before the pooling makes S_c" if e.form.pooled == "rectified" else "S_c, their sum"
    title, where = "unit by unit:", [""] * count
    if e.form.pooled == "max":  # each unit speaks from a place of its own
        title = "unit by unit, each at its strongest place (x, y):"
        places = [np.unravel_index(e.f[k].argmax(), e.f.shape[1:]) for k in best]
        where = [f"  at ({x}, {y})" for y, x in places]
    return [
        f"{_cut(short_name(e.classes[c]), 30)}, {title}",
        *(f"    k = {k:<5} w_k^c F_k = {e.w[c, k]:>7.3f} x {e.F[k]:>6.3f}  = {parts[k]:>8.3f}{place}"
          for k, place in zip(best, where)),
        f"    {f'the other {len(parts) - len(best)} units':<42} {others:>8.3f}",
        f"    {'b_c':<42} {e.b[c]:>8.3f}",
        f"    {total:<42} {parts.sum() + e.b[c]:>8.3f}",
    ]


def _verdict(e):
    scale = np.abs(e.S).max()
    agreement = f"{e.max_abs_error:.1e}" + (f", {e.max_abs_error / scale:.0e} of the largest score" if scale else "")
    lines = [
        f"check    {e.form.identity}",
        f"         for all {len(e.S)} classes, S being the network's own output:",
        f"         largest error {agreement}",
    ]
    if e.form.pooled == "rectified":
        return [*lines, "         It holds. The maps are approximate: the ReLU hides what speaks against."]
    if e.form.pooled == "max":
        return [*lines, "         It holds, but no map adds up to its score: a score counts a unit",
                "         once, where it is strongest; a map shows it wherever it fires."]
    return [*lines, "         It holds: the maps say what the network says."]


def heading(head, text):
    """A line of the heading, and as many more as 80 columns demand."""
    return textwrap.fill(f"{head:<9}{text}", 80, subsequent_indent=" " * 9)


def _row(symbol, shape, meaning, values):
    shape = "(" + ", ".join(map(str, shape)) + (",)" if len(shape) == 1 else ")")
    return f"{symbol}  {shape:<14} {meaning:<35} {_number(values.min()):>8} to {_number(values.max())}"


def _number(x):
    return f"{x:.4f}" if abs(x) < 10 else f"{x:.2f}"


def _cut(text, length):
    return text if len(text) <= length else text[: length - 1] + "…"


def as_dict(explanation, chosen, name, files, boxes=None, true_boxes=()):
    """The same as a dict for JSON.

    Parameters
    ----------
    explanation : Explanation
    chosen : list of int
    name : str
    files : list of str
        What was written.
    boxes, true_boxes : list
        See `as_text`.

    Returns
    -------
    record : dict
        photo, size (width, height), model, map (H, W), units K, top, identity, files.
    """
    e = explanation
    found = [{}] * len(chosen)
    if boxes is not None:
        found = [{"box": box and list(box)} for box in boxes]
        if len(true_boxes):
            found = [{**one, "iou": float(iou(box, true_boxes).max()) if box else 0.0} for one, box in zip(found, boxes)]
    return {
        "photo": name,
        "size": list(e.photo.size),
        "model": e.model,
        "map": list(e.f.shape[1:]),
        "units": e.f.shape[0],
        "top": [
            {"index": int(c), "name": e.classes[c], "S": float(e.S[c]), "P": float(e.P[c]), **box}
            for c, box in zip(chosen, found)
        ],
        "identity": {"form": e.form.identity, "max_abs_error": e.max_abs_error},
        "files": files,
    }
