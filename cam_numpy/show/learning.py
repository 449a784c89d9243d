"""The text of `cam-numpy learn`: what was learned, and how good it is."""

from __future__ import annotations

import numpy as np

from ..names import cut, plain
from .text import heading

COLUMNS = 6  # classes of a confusion table; of more classes the most frequent confusions are listed
MOST = 10  # confusions, or skipped photos, that are listed


def as_text(found):
    """What was learned, for an 80-column terminal.

    Parameters
    ----------
    found : NewClasses

    Returns
    -------
    text : str
    """
    C, K = found.classifier.w.shape
    _, _, l2, source, gradient, steps = found.classifier
    state = "converged" if found.classifier.converged else "NOT converged"
    photos = ", ".join(f"{plain(name)} {count}" for name, count in zip(found.names[:MOST], found.learned))
    more = f" and {C - MOST} classes more" if C > MOST else ""
    lines = [
        heading("photos", f"learned from {sum(found.learned)}: {photos}{more}"),
        heading("network", f"{cut(found.network.name, 34)}, F ({K},)"),
        *(heading("assumed", text) for text in found.assumed),
        heading("learned", f"w ({C}, {K}) and b ({C},) by softmax regression, l2 = {l2:g} ({source}); "
                f"{state}: gradient {gradient:.0e} after {steps} steps"),
        heading("accuracy", found.measured),
    ]
    if found.aside:
        lines += ["", *(_table(found) if C <= COLUMNS else _confusions(found))]
    return "\n".join(lines)


def _table(found):
    """A row for each class, a column for each class that was named."""
    yield f"{'':9}{'photos of':<12}named" + "".join(f"{cut(name, 7):>8}" for name in found.names)
    for name, counts in zip(found.names, found.confusion):
        yield f"{'':9}{cut(name, 16):<17}" + "".join(f"{count:>8}" for count in counts)


def _confusions(found):
    """The most frequent confusions, one a line."""
    wrong = found.confusion * (1 - np.eye(len(found.names), dtype=int))
    yield f"{'':9}the most frequent confusions:"
    for place in np.argsort(-wrong, axis=None, kind="stable")[:MOST]:
        c, d = divmod(int(place), len(found.names))
        if wrong[c, d]:
            yield (f"{'':9}{cut(found.names[c], 24)} named {cut(found.names[d], 24)}: "
                   f"{wrong[c, d]} of {found.confusion[c].sum()}")


def as_dict(found, files):
    """The same as a dict for JSON."""
    return {
        "classes": [{"name": name, "learned": count, "aside": int(row.sum())}
                    for name, count, row in zip(found.names, found.learned, found.confusion)],
        "model": found.network.name,
        "assumed": found.assumed,
        "l2": found.classifier.l2,
        "l2_source": found.classifier.l2_source,
        "converged": found.classifier.converged,
        "gradient": found.classifier.gradient,
        "steps": found.classifier.steps,
        "aside": found.aside,
        "accuracy": found.accuracy,
        "interval": found.interval,
        "baseline": dict(zip(("class", "accuracy"), found.baseline)) if found.baseline else None,
        "confusion": found.confusion.tolist(),
        "skipped": found.skipped,
        "files": files,
    }
