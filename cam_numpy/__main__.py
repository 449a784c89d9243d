"""The command: `cam-numpy`, or `python -m cam_numpy`."""

from __future__ import annotations

import argparse
import importlib.util
import json
import math
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
  cam-numpy explain cat.jpg --model my.onnx --labels names.txt
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
        return options.command(options)
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
    explain.add_argument("--model", metavar="MODEL",
                         help="an ONNX file, or a name that `cam-numpy fetch` knows (default: cam_numpy's own)")
    _add_model_options(explain)
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
    explain.set_defaults(command=_explain)

    inspect = commands.add_parser(
        "inspect", help="show whether CAM applies to a network, and why",
        description="Draw the way from f to the scores. Exit status: 0 where CAM applies, "
        "1 where it does not, 2 where the file cannot be read.",
    )
    inspect.add_argument("model", metavar="MODEL", help="an ONNX file, or a name that `cam-numpy fetch` knows")
    _add_model_options(inspect)
    inspect.add_argument("--json", action="store_true", help="print a JSON object instead")
    inspect.set_defaults(command=_inspect)

    models = commands.add_parser("models", help="list the public networks that can be fetched")
    models.set_defaults(command=_models)
    fetch = commands.add_parser("fetch", help="download public networks, so that --model NAME works")
    fetch.add_argument("names", nargs="+", metavar="NAME", help="as `cam-numpy models` lists them")
    fetch.set_defaults(command=_fetch)
    return parser


def _add_model_options(parser):
    group = parser.add_argument_group("your own network", "what its file does not say")
    group.add_argument("--output", metavar="NAME", help="which output holds the scores, where there are several")
    group.add_argument("--labels", metavar="FILE", help="the names of the classes, one a line")
    group.add_argument("--preprocess", metavar="NAME", help="imagenet, caffe, zero-one, minus-one-one or efficientnet-lite")
    group.add_argument("--mean", type=_numbers, metavar="R,G,B", help="taken off, of values from 0 to 1")
    group.add_argument("--std", type=_numbers, metavar="R,G,B", help="divided by")
    group.add_argument("--size", type=_count, metavar="N", help="side of the input, in pixels")
    group.add_argument("--bgr", action="store_true", help="the network takes blue first")


def _numbers(text):
    try:
        numbers = tuple(float(part) for part in text.split(","))
    except ValueError:
        numbers = ()
    if len(numbers) not in (1, 3) or not all(math.isfinite(n) for n in numbers):
        raise argparse.ArgumentTypeError(f"{text!r}: give three numbers such as 0.485,0.456,0.406, or one")
    return numbers * 3 if len(numbers) == 1 else numbers


def _network(options):
    """The path of the network asked for, and the keyword arguments of `load`."""
    from dataclasses import replace

    from .preprocessing import preset

    path, habit, labels = options.model, None, options.labels
    if path is not None and not Path(path).suffix == ".onnx" and not Path(path).exists():
        path, habit, known = _fetched(path)
        labels = labels or known
    changes = {name: getattr(options, name) for name in ("mean", "std", "size", "bgr") if getattr(options, name)}
    habit = options.preprocess or habit
    preprocessing = replace(preset(habit), **changes) if habit else changes or None
    return path, {"output": options.output, "labels": labels, "preprocessing": preprocessing}


def _fetched(name):
    """The path, the preprocessing and the labels of a network of the catalogue."""
    from .catalogue import LABELS, find_model, is_fetched, local_path

    model = find_model(name)
    if not is_fetched(model):
        raise InputError(f"{model.name} is not on this machine yet; run: cam-numpy fetch {model.name}")
    return local_path(model), model.preprocessing, local_path(LABELS) if is_fetched(LABELS) else None


def _models(options):
    from .catalogue import MODELS, cache_folder, is_fetched

    print(f"{'name':<20}{'size':>10}  {'CAM':<12}{'licence':<14}fetched")
    for model in MODELS.values():
        print(f"{model.name:<20}{model.bytes / 1e6:>7.1f} MB  {model.form:<12}{model.licence:<14}"
              f"{'yes' if is_fetched(model) else 'no'}")
    print(f"\nThe ONNX Model Zoo's, for the 1000 classes of ImageNet; kept in\n{cache_folder()}")
    return 0


def _fetch(options):
    from .catalogue import LABELS, find_model
    from .download import fetch_file

    for file in [*map(find_model, options.names), LABELS]:
        path = fetch_file(file, _progress(file.name))
        print(f"{file.name}: {path}", flush=True)
    return 0


def _progress(name):
    """A line that counts up, where somebody watches it."""
    if not sys.stderr.isatty():
        return None
    shown = [-1]

    def progress(done, total):
        percent = 100 * done // total
        if percent != shown[0]:
            end = "\n" if done == total else ""
            print(f"\r{name}: {done / 1e6:.1f} of {total / 1e6:.1f} MB, {percent}% ", end=end, file=sys.stderr, flush=True)
            shown[0] = percent

    return progress


def _inspect(options):
    from .inspection import inspect

    path, told = _network(options)
    record, text = inspect(path, **told)
    print(json.dumps(record) if options.json else text)
    return 1 if record["verdict"] == "refused" else 0


def _count(text):
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of that kind; give 1 or more")
    return int(text)


def _explain(options):
    from .network import load

    photos = options.photos or [_portrait()]
    out = _folder(options.out)
    path, told = _network(options)
    network = load(path, **told)
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
        if not options.plain and len(chosen) > MOST_PANELS:
            names[0] += f" (the first {MOST_PANELS} of these classes)"
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
    from .output import PNG_LEVEL, whole_file

    scale, files = scale_of(explanation.M(chosen), colors), []
    for c in chosen:
        which = f".{c}" if len(chosen) > 1 else ""
        path = target.with_name(f"{target.name}{which}.cam.png")
        picture = overlay(explanation.photo, explanation.view.lay(explanation.M(c)), scale, colors)
        with whole_file(path) as unfinished:
            picture.save(unfinished, format="PNG", compress_level=PNG_LEVEL)
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
