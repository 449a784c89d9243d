"""`cam-numpy layers`: what does every layer see in a photo?"""

from __future__ import annotations

import argparse
import json
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
                        help="how many layers to draw, one for each resolution at least (default: 8)")
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
    from ..network.layers import open_body
    from ..output import whole_file
    from ..show.figure import save

    photo = options.photo or portrait()
    path = Targets(options.out, [photo, options.model, options.labels]).path(f"{Path(photo).stem}.layers.png")
    maps = layer_maps(photo, open_body(options.model, **load_options(options)))
    figure = maps.show(options.rows, options.units, options.colors)
    with whole_file(path) as unfinished:
        save(figure, unfinished)
    say(json.dumps(_as_dict(maps, photo, str(path))) if options.json else _as_text(maps, path))
    return 0


def _as_text(maps, path):
    from ..show.layers import field_of, stride_of
    from ..show.text import heading

    width, height = maps.view.input
    lines = [f"photo    {cut(maps.name, 44)}, {maps.photo.width} x {maps.photo.height} pixels",
             f"network  {cut(maps.model, 34)} sees it at {width} x {height}",
             *(heading("assumed", text) for text in maps.assumed), "",
             f"  layer  {'K x H x W':<17}{'stride':<9}{'a cell sees':<22}name"]
    for i, layer in enumerate(maps.layers):
        shape, stride = " x ".join(map(str, maps[layer.name].shape)), stride_of(layer).removeprefix("stride ")
        lines.append(f"{i:>7}  {shape:<17}{stride:<9}{field_of(layer):<22}{_end(layer.name, 23)}")
    if any(layer.gated for layer in maps.layers):
        lines.append("+ gate: all of the photo acts on a cell, too, through a global pooling")
    return "\n".join([*lines, f"wrote    {plain(path)}"])


def _end(name, length):
    """The end of a tensor's name, which tells most."""
    name = plain(name)
    return name if len(name) <= length else "…" + name[1 - length:]


def _as_dict(maps, photo, path):
    layers = [{**layer._asdict(), "shape": maps[layer.name].shape} for layer in maps.layers]
    return {"photo": photo, "model": maps.model, "input": list(maps.view.input), "assumed": maps.assumed,
            "layers": layers, "files": [path]}
