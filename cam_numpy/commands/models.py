"""`cam-numpy models` and `cam-numpy fetch`: public networks."""

from __future__ import annotations

from ..names import plain
from .process import say
from .progress import Progress


def add_parser(commands):
    models = commands.add_parser("models", help="list the public networks that can be fetched")
    models.set_defaults(command=_models)
    fetch = commands.add_parser("fetch", help="download public networks, so that --model NAME works")
    fetch.add_argument("names", nargs="+", metavar="NAME", help="as `cam-numpy models` lists them")
    fetch.set_defaults(command=_fetch)


def _models(options):
    from ..network.catalogue import MODELS, SHIPPED, cache_folder, is_fetched

    lines = [f"{'name':<20}{'size':>10}  {'CAM':<12}{'licence':<14}fetched"]
    for model in MODELS.values():
        lines.append(f"{model.name:<20}{model.bytes / 1e6:>7.1f} MB  {model.form:<12}{model.licence:<14}"
                     f"{'yes' if is_fetched(model) else 'no'}")
    lines += ["", "From the ONNX Model Zoo, for the 1000 classes of ImageNet; kept in", plain(cache_folder())]
    lines += ["", f"{' and '.join(SHIPPED)} come with cam_numpy itself."]
    say("\n".join(lines))
    return 0


def _fetch(options):
    from ..network.catalogue import LABELS, find_model
    from ..network.download import fetch_file

    for file in [*map(find_model, options.names), LABELS]:
        with Progress(f"bytes of {file.name}") as line:
            path = fetch_file(file, line)
        say(f"{file.name}: {path}")
    return 0
