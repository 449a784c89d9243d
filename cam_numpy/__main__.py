"""The command: `cam-numpy`, or `python -m cam_numpy`."""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import sys
from pathlib import Path

from .errors import InputError

EXAMPLES = """\
examples:
  cam-numpy explain                          the portrait that matplotlib ships
  cam-numpy explain cat.jpg dog.jpg          two photos, the network opened once
  cam-numpy explain cat.jpg --class tabby    where is the evidence for "tabby"?
  cam-numpy explain cat.jpg --plain          the overlay alone, at the photo's size
  cam-numpy explain cat.jpg --save-arrays    f, F, w, b, S, P and M as cat.cam.npz
"""
MOST_PANELS = 7  # maps in one figure


def main(arguments=None):
    """Run the command.

    Parameters
    ----------
    arguments : list of str, optional
        By default those of the command line.

    Returns
    -------
    status : int
        0, or 2 where something given could not be used, or 130 after Ctrl-C.
    """
    for stream in (sys.stdout, sys.stderr):  # a terminal may not know every letter
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    options = _parser().parse_args(arguments)
    try:
        return _explain(options)
    except InputError as error:
        return _complain(error)
    except KeyboardInterrupt:
        print("cam-numpy: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # `cam-numpy ... | head`: the reader has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _complain(error):
    print(f"cam-numpy: {error}", file=sys.stderr)
    return 2


def _parser():
    parser = argparse.ArgumentParser(
        prog="cam-numpy",
        description="Class activation mapping (CVPR 2016), equation by equation.",
    )
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    explain = commands.add_parser(
        "explain",
        help="show what the network saw in a photo, and every equation with its numbers",
        description="Print the paper's computation for each photo with its numbers, and draw the "
        "photo with the maps of its best classes to <stem>.cam.png.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    explain.add_argument("photos", nargs="*", metavar="PHOTO", help="default: the portrait that matplotlib ships")
    explain.add_argument("--model", metavar="FILE", help="an ONNX network (default: the one of cam_numpy)")
    explain.add_argument("--class", dest="classes", nargs="+", action="extend", metavar="NAME_OR_INDEX",
                         help="the classes to map, instead of the best ones")
    explain.add_argument("--top", type=_count, default=3, metavar="N", help="how many of the best (default: 3)")
    explain.add_argument("--out", default=".", metavar="DIR", help="where to write (default: here)")
    explain.add_argument("--plain", action="store_true",
                         help="write only the overlay of the best (or each named) class, at the photo's size")
    explain.add_argument("--colors", choices=("inferno", "jet", "diverging"), default="inferno",
                         help="the colour map: jet is the paper's, diverging sets off negative evidence")
    explain.add_argument("--json", action="store_true", help="print one JSON object per photo instead of text")
    explain.add_argument("--save-arrays", action="store_true", help="write the arrays to <stem>.cam.npz")
    return parser


def _count(text):
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of classes; give 1 or more")
    return int(text)


def _explain(options):
    from .network import load

    photos = options.photos or [_portrait()]
    out = _folder(options.out)
    network = load(options.model)
    named = _named(network, options.classes or [])
    status, stems = 0, set()
    for i, photo in enumerate(photos, 1):
        if len(photos) > 1:
            print(f"[{i}/{len(photos)}] {photo}", file=sys.stderr, flush=True)
        try:
            _explain_one(Path(photo), network, named, out / _free(Path(photo).stem, stems), options)
        except InputError as error:
            status = _complain(error)
    return status


def _explain_one(photo, network, named, target, options):
    """Explain one photo; `target` is where to write, less the endings."""
    from .explanation import explain

    explanation = explain(photo, network)
    chosen = named or [int(c) for c in explanation.ranking[: options.top]]
    if options.plain:
        files = _write_overlays(explanation, chosen if named else chosen[:1], target, options.colors)
    else:
        files = [_write_figure(explanation, chosen[:MOST_PANELS], target, photo.name, options.colors)]
    if options.save_arrays:
        files.append(_write_arrays(explanation, target))
    names = [str(file) for file in files]
    if options.json:
        from .report import as_dict

        print(json.dumps(as_dict(explanation, chosen, str(photo), names)), flush=True)
    else:
        from .report import as_text

        print(as_text(explanation, chosen, photo.name))
        print(*(f"wrote    {name}" for name in names), "", sep="\n", flush=True)


def _portrait():
    """Grace Hopper (512 x 600, public domain), found without importing matplotlib."""
    found = importlib.util.find_spec("matplotlib")
    if found and found.origin:
        path = Path(found.origin).parent / "mpl-data" / "sample_data" / "grace_hopper.jpg"
        if path.is_file():
            return str(path)
    raise InputError("no photo given, and this matplotlib comes without its sample portrait; "
                     "give a photo: cam-numpy explain PHOTO")


def _folder(name):
    out = Path(name)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"--out {out} cannot be made ({error.strerror}); give another folder") from None
    if not os.access(out, os.W_OK):
        raise InputError(f"--out {out} may not be written to; give another folder")
    return out


def _named(network, wanted):
    """The indices of the classes asked for, each once."""
    from .classes import find_class

    for name in wanted:
        if Path(name).suffix and Path(name).is_file():
            raise InputError(f"--class {name} is a file; give the photos before --class")
    return list(dict.fromkeys(find_class(network.classes, name) for name in wanted))


def _free(stem, taken):
    """The stem, numbered where an earlier photo of this run has it already."""
    name, n = stem, 1
    while name.casefold() in taken:
        n += 1
        name = f"{stem}-{n}"
    taken.add(name.casefold())
    return name


def _write_figure(explanation, chosen, target, name, colors):
    from .figure import draw
    from .output import whole_file

    path = target.with_name(f"{target.name}.cam.png")
    with whole_file(path) as unfinished:
        draw(explanation, chosen, unfinished, name, colors)
    return path


def _write_overlays(explanation, chosen, target, colors):
    from .heatmap import overlay, scale_of
    from .output import whole_file

    scale, files = scale_of(explanation.M(chosen), colors), []
    for c in chosen:
        which = f".{c}" if len(chosen) > 1 else ""
        path = target.with_name(f"{target.name}{which}.cam.png")
        picture = overlay(explanation.photo, explanation.view.lay(explanation.M(c)), scale, colors)
        with whole_file(path) as unfinished:
            picture.save(unfinished, format="PNG")
        files.append(path)
    return files


def _write_arrays(explanation, target):
    import numpy as np

    from .cam import class_activation_maps
    from .output import whole_file

    e = explanation
    path = target.with_name(f"{target.name}.cam.npz")
    M = class_activation_maps(e.f, e.w)
    with whole_file(path) as unfinished, open(unfinished, "wb") as file:
        np.savez(file, f=e.f, F=e.F, w=e.w, b=e.b, S=e.S, P=e.P, M=M, classes=np.array(e.classes))
    return path


if __name__ == "__main__":
    sys.exit(main())
