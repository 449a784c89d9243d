"""`cam-numpy explain`: what did the network see in a photo, and where?"""

from __future__ import annotations

import argparse
import json

from ..errors import InputError
from ..names import plain
from .options import add_model, box, classes_of, count, load_options, name, positive
from .process import REFUSED, complain, say, tell
from .targets import Targets

EXAMPLES = """\
examples:
  cam-numpy explain                          the portrait that matplotlib ships
  cam-numpy explain cat.jpg dog.jpg          two photos, the network opened once
  cam-numpy explain cat.jpg --class tabby    where is the evidence for "tabby"?
  cam-numpy explain cat.jpg --class tabby --minus "Egyptian cat"
                                             why the one and not the other?
  cam-numpy explain cat.jpg --plain          the overlay alone, at the photo's size
  cam-numpy explain cat.jpg --save-arrays    f, F, w, b, S, P and M as cat.cam.npz
  cam-numpy explain cat.jpg --model my.onnx --labels names.txt
"""
MOST_PANELS = 7  # maps in one figure


def add_parser(commands):
    explain = commands.add_parser(
        "explain",
        help="show what a network saw in a photo, and every equation with its numbers",
        description="Print the paper's computation for each photo with its numbers, and draw the "
        "photo with the maps of its best classes to <stem>.cam.png.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    explain.add_argument("photos", nargs="*", type=name, metavar="PHOTO",
                         help="default: the portrait that matplotlib ships")
    add_model(explain)
    explain.add_argument("--class", dest="classes", nargs="+", action="extend",
                         metavar="NAME_OR_INDEX", help="the classes to map, instead of the best ones")
    explain.add_argument("--minus", type=name, metavar="NAME_OR_INDEX",
                         help="subtract the map of this class from each: red speaks for the class, "
                         "blue for this one")
    explain.add_argument("--top", type=count, default=3, metavar="N",
                         help="how many of the best (default: 3)")
    explain.add_argument("--out", type=name, default=".", metavar="DIR",
                         help="where to write (default: here)")
    explain.add_argument("--plain", action="store_true",
                         help="write only the overlay of the best (or each named) class, at the photo's size")
    explain.add_argument("--colors", choices=("inferno", "jet", "diverging"),
                         help="the colour map: jet is the paper's, diverging shows negative evidence in blue "
                         "(default: inferno; diverging with --minus)")
    explain.add_argument("--scale", type=positive, metavar="S",
                         help="where the colours end, in units of S_c: the same for several photos")
    explain.add_argument("--boxes", action="store_true",
                         help="draw the box of each map: the largest component above 20 %% of its maximum")
    explain.add_argument("--true-box", type=box, action="append", default=[], metavar="X0,Y0,X1,Y1",
                         help="where the object is, in the photo's pixels, to compare (may be repeated)")
    explain.add_argument("--json", action="store_true",
                         help="print one JSON object per photo instead of text")
    explain.add_argument("--save-arrays", action="store_true", help="write the arrays to <stem>.cam.npz")
    explain.set_defaults(command=_explain)


def _explain(options):
    from ..explanation import minus_itself
    from ..image.photo import portrait
    from ..network.classes import short_name
    from ..network.network import load

    photos = options.photos or [portrait()]
    targets = Targets(options.out, [*photos, options.model, options.labels])
    network = load(options.model, **load_options(options))
    named = classes_of(network, options.classes or [])
    (minus,) = classes_of(network, [options.minus]) if options.minus else [None]
    if minus in named:
        raise minus_itself(short_name(network.classes[minus]))
    status = 0
    for i, photo in enumerate(photos, 1):
        if len(photos) > 1:
            tell(f"[{i}/{len(photos)}] {plain(photo)}")
        try:
            _explain_one(photo, network, named, minus, targets, options)
        except REFUSED as error:
            status = complain(error)
    return status


def _explain_one(photo, network, named, minus, targets, options):
    """Explain one photo."""
    from ..explanation import explain
    from ..show.text import as_dict, as_text

    explanation = explain(photo, network)
    chosen = explanation.choose(named, options.top, minus)
    boxes = _boxes(explanation, chosen, minus, options)
    stem = targets.stem(photo)

    def path(ending):
        return targets.path(f"{stem}.{ending}")

    if options.plain:
        shown = chosen if named else chosen[:1]
        files = _write_overlays(explanation, shown, minus, boxes, path, options)
    else:
        shown = chosen[:MOST_PANELS]
        files = [_write_figure(explanation, shown, minus, boxes, path("cam.png"), options)]
    if options.save_arrays:
        files.append(_write_arrays(explanation, path("cam.npz")))
    names = [str(file) for file in files]
    if options.json:
        say(json.dumps(as_dict(explanation, chosen, photo, names, boxes, options.true_box, minus)))
        return
    if not options.plain and len(chosen) > MOST_PANELS:
        names[0] += f" (the first {MOST_PANELS} of these classes)"
    written = [f"wrote    {plain(name)}" for name in names]
    say("\n".join([as_text(explanation, chosen, boxes, options.true_box, minus), *written, ""]))


def _boxes(explanation, chosen, minus, options):
    """The box of each class, or None where none are asked for."""
    if not options.boxes and not options.true_box:
        return None
    width, height = explanation.photo.size
    for given in options.true_box:
        if given[2] >= width or given[3] >= height:
            raise InputError(f"--true-box {','.join(map(str, given))} lies outside of the photo of {width} x "
                             f"{height} pixels; give its first and last column and row, counted from 0")
    return [explanation.box(c, minus=minus) for c in chosen]


def _write_figure(explanation, chosen, minus, boxes, path, options):
    from ..output import whole_file
    from ..show.figure import draw, save

    figure = draw(explanation, chosen, options.colors, boxes, options.true_box, minus, options.scale)
    with whole_file(path) as unfinished:
        save(figure, unfinished)
    return path


def _write_overlays(explanation, chosen, minus, boxes, path_of, options):
    from ..show.colours import scale_of
    from ..show.figure import default_colors, ground

    colors = options.colors or default_colors(minus)
    scale, files = scale_of(explanation.M(chosen, minus), colors, options.scale), []
    photo = ground(explanation.photo, minus)
    for c, found in zip(chosen, boxes or [None] * len(chosen), strict=False):
        path = path_of(f"{c}.cam.png" if len(chosen) > 1 else "cam.png")
        last = c == chosen[-1]  # then nothing needs the photo any more
        _write_overlay(path, photo, explanation.view, explanation.M(c, minus), scale, colors,
                       found, options.true_box, onto=photo if last else None)
        files.append(path)
    return files


def _write_overlay(path, photo, view, M, scale, colors, box, true_boxes, onto):
    from ..output import PNG_LEVEL, whole_file
    from ..show.colours import outline, overlay
    from ..show.figure import BOX, TRUE_BOX

    picture = overlay(photo, view, M, scale, colors, onto=onto)
    outline(picture, true_boxes, TRUE_BOX)
    outline(picture, [box] if box else [], BOX)
    with whole_file(path) as unfinished:
        picture.save(unfinished, format="PNG", compress_level=PNG_LEVEL)


def _write_arrays(explanation, path):
    import numpy as np

    from ..output import whole_file
    from ..paper.cam import class_activation_maps

    e = explanation
    M = class_activation_maps(e.f, e.w)
    with whole_file(path) as unfinished, open(unfinished, "wb") as file:
        np.savez(file, f=e.f, F=e.F, w=e.w, b=e.b, S=e.S, P=e.P, M=M, classes=np.array(e.classes))
    return path
