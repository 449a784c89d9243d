"""What `cam-numpy evaluate` prints: the measures, each with its definition."""

from __future__ import annotations

import textwrap

from ..paper.boxes import RULES
from ..paper.localisation import CENTRE, CURVE, curve, summarise
from ..show.text import heading

METHODS = {
    "cam": "M_c of the true class (Eq. 2), one forward pass",
    "occlusion": "what S_c loses when a patch is covered, a forward pass for each place",
}
MOST_NAMED = 5


def as_text(evaluation, settings):
    """The measures as a table, for an 80-column terminal.

    Parameters
    ----------
    evaluation : Evaluation
        Of two pictures at least.
    settings : dict
        dataset, model, form, method, rule, threshold, assumed.

    Returns
    -------
    text : str
    """
    n, measures = len(evaluation.rows), summarise(evaluation.rows)
    keeps = RULES[settings["rule"]].keeps.format(t=f"{settings['threshold']:.2f}")
    lines = [
        heading("data", f"{n} pictures of {settings['dataset']}"),
        heading("network", f"{settings['model']} ({settings['form']})"),
        heading("map", METHODS[settings["method"]]),
        heading("box", f"the largest component of {keeps}"),
        *(heading("assumed", text) for text in settings["assumed"]),
    ]
    if evaluation.partial:
        lines.insert(0, f"PARTIAL: interrupted after {evaluation.done} of {evaluation.total} pictures\n")
    lines += ["", f"{'':<31}{'map':>8}   {'95 % interval':<18}{'whole image':>11}{'centre':>9}"]
    for m in measures:
        low, high = m.interval
        others = "" if m.whole is None else f"{m.whole:>11.1%}{m.centre:>9.1%}"
        lines.append(f"{m.name:<31}{m.value:>8.1%}   {f'{low:.1%} to {high:.1%}':<18}{others}".rstrip())
    lines.append("")
    for m in measures:
        lines.append(_hanging(f"{m.name}: {m.definition}" + _chosen(m)))
    lines.append(_hanging("whole image, centre: the same with that box for every picture; the centre box "
                          f"has {CENTRE:g} of each side"))
    if evaluation.failures:
        lines += ["", f"{len(evaluation.failures)} of {evaluation.done} pictures could not be measured:"]
        lines += [f"    {failure}" for failure in evaluation.failures[:MOST_NAMED]]
        lines += ["    ..."] * (len(evaluation.failures) > MOST_NAMED)
    rate = evaluation.done / evaluation.seconds if evaluation.seconds else 0
    return "\n".join([*lines, "", f"{evaluation.seconds:.0f} s, {rate:.1f} pictures a second"])


def _hanging(text):
    return textwrap.fill(text, 80, subsequent_indent="    ")


def _chosen(measure):
    if not measure.thresholds:
        return ""
    return " (t = " + ", ".join(f"{t:.2f}" for t in measure.thresholds) + ")"


def as_dict(evaluation, settings, files):
    """The same as a dict for JSON.

    Parameters
    ----------
    evaluation : Evaluation
    settings : dict
        See `as_text`.
    files : list of str
        What was written.

    Returns
    -------
    record : dict
        The settings, pictures, total, partial, failures, seconds, measures (by
        key: value, interval, whole, centre, thresholds), curve, files.
    """
    return {
        **settings,
        "pictures": len(evaluation.rows), "total": evaluation.total, "partial": evaluation.partial,
        "failures": evaluation.failures, "seconds": round(evaluation.seconds, 3),
        "measures": {
            m.key: {"value": m.value, "interval": list(m.interval), "whole": m.whole, "centre": m.centre,
                    "thresholds": list(m.thresholds)}
            for m in summarise(evaluation.rows)
        },
        "curve": {
            name: [float(f"{v:.6g}") for v in values] for name, values in curve(evaluation.rows).items()
        },
        "files": files,
    }


def as_csv(evaluation):
    """The curve as text: one line a threshold, values as parts of 1."""
    table = curve(evaluation.rows)
    lines = [",".join(table)]
    lines += [",".join(f"{values[i]:.4f}" for values in table.values()) for i in range(len(CURVE))]
    return "\n".join(lines) + "\n"
