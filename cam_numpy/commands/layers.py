"""`cam-numpy layers`: what does every layer see in a photo?"""

from __future__ import annotations

import argparse
import json
from os.path import commonprefix
from pathlib import Path

from ..names import cut, plain
from .options import add_model, count, load_options, name
from .process import say
from .targets import Targets

EXAMPLES = """\
examples:
  cam-numpy layers cat.jpg                   about eight layers, from edges to concepts
  cam-numpy layers cat.jpg --rows 20         more of them
  cam-numpy layers cat.jpg --model vgg.onnx  CAM need not apply to the network

A layer is an activation (ReLU, SiLU ...) behind a convolution; the last one is f.
"""


def add_parser(commands):
    layers = commands.add_parser(
        "layers",
        help="show what every layer of a network sees in a photo",
        description="List the maps of a network from shallow to deep, with their stride and receptive "
        "field, and draw some of them to <stem>.layers.png.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    layers.add_argument("photo", nargs="?", type=name, metavar="PHOTO",
                        help="default: the portrait that matplotlib ships")
    layers.add_argument("--rows", type=count, default=8, metavar="N",
                        help="how many layers to draw; more where the network has more resolutions, because "
                        "one of each is always shown (default: 8)")
    layers.add_argument("--units", type=count, default=8, metavar="N",
                        help="how many units of each: those that vary most (default: 8)")
    layers.add_argument("--colors", choices=("inferno", "jet", "diverging"), default="inferno",
                        help="the colour map (default: inferno)")
    layers.add_argument("--out", type=name, default=".", metavar="DIR", help="where to write (default: here)")
    layers.add_argument("--json", action="store_true", help="print a JSON object instead of text")
    add_model(layers)
    layers.set_defaults(command=_layers)


def _layers(options):
    from ..image.photo import portrait
    from ..layers import layer_maps
    from ..network.network import open_body
    from ..output import whole_file
    from ..show.figure import save

    photo = options.photo or portrait()
    path = Targets(options.out, [photo, options.model, options.labels]).path(f"{Path(photo).stem}.layers.png")
    maps = layer_maps(photo, open_body(options.model, **load_options(options)))
    figure = maps.show(options.rows, options.units, options.colors)
    with whole_file(path) as unfinished:
        save(figure, unfinished)
    say(json.dumps(_as_dict(maps, photo, str(path))) if options.json
        else _as_text(maps, path, len(maps.rows(options.rows))))
    return 0


def _as_text(maps, path, rows):
    from ..show.layers import field_of, shown, stride_of
    from ..show.text import heading

    width, height = maps.view.input
    lines = [f"photo    {cut(maps.name, 44)}, {maps.photo.width} x {maps.photo.height} pixels",
             f"network  {cut(maps.model, 34)} sees it at {width} x {height}",
             *(heading("assumed", text) for text in maps.assumed), "",
             f"  layer  {'K x H x W':<17}{'stride':<9}{'a cell sees':<22}name"]
    names = _apart([layer.name for layer in maps.layers], 23)
    for i, layer in enumerate(maps.layers):
        shape, stride = " x ".join(map(str, maps[layer.name].shape)), stride_of(layer).removeprefix("stride ")
        lines.append(f"{i:>7}  {shape:<17}{stride:<9}{field_of(layer):<22}{names[i]}")
    if any(layer.gated for layer in maps.layers):
        lines.append("+ gate: all of the photo acts on a cell, too, through a global pooling")
    if shown(maps, rows):
        lines.append(f"shown    {shown(maps, rows)}")
    return "\n".join([*lines, f"wrote    {plain(path)}"])


def _apart(names, length):
    """Names in at most `length` characters that can be told apart, or else the whole names.

    What all long names share at their beginning and at their end is left out: folders, or if need
    be letters.

    >>> _apart(["/body/body.0/Relu_output", "/body/body.11/Relu_output", "f"], 9)
    ['…body.0…', '…body.11…', 'f']
    """
    names = [plain(name) for name in names]
    long = [name for name in names if len(name) > length]
    if len(long) < 2:
        return [cut(name, length) for name in names]
    start = commonprefix(long)
    end = commonprefix([name[len(start):][::-1] for name in long])[::-1]

    def without(first, last):
        before, after = "…" * bool(first), "…" * bool(last)
        return [name if len(name) <= length else before + name[len(first):len(name) - len(last)] + after
                for name in names]

    by_folder = without(start[:start.rfind("/") + 1], end[end.find("/"):] if "/" in end else "")
    if max(map(len, by_folder)) <= length:
        return by_folder
    by_letter = [cut(name, length) for name in without(start, end)]
    return by_letter if len(set(by_letter)) == len(set(names)) else names


def _as_dict(maps, photo, path):
    layers = [{**layer._asdict(), "shape": maps[layer.name].shape} for layer in maps.layers]
    return {"photo": photo, "model": maps.model, "input": list(maps.view.input), "assumed": maps.assumed,
            "layers": layers, "files": [path]}
