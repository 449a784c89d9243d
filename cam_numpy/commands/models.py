"""`cam-numpy models` and `cam-numpy fetch`: public networks."""

from __future__ import annotations

from .progress import Progress


def add_parser(commands):
    models = commands.add_parser("models", help="list the public networks that can be fetched")
    models.set_defaults(command=_models)
    fetch = commands.add_parser("fetch", help="download public networks, so that --model NAME works")
    fetch.add_argument("names", nargs="+", metavar="NAME", help="as `cam-numpy models` lists them")
    fetch.set_defaults(command=_fetch)


def _models(options):
    from ..network.catalogue import MODELS, cache_folder, is_fetched
    from ..network.network import SHIPPED

    print(f"{'name':<20}{'size':>10}  {'CAM':<12}{'licence':<14}fetched")
    for model in MODELS.values():
        print(f"{model.name:<20}{model.bytes / 1e6:>7.1f} MB  {model.form:<12}{model.licence:<14}"
              f"{'yes' if is_fetched(model) else 'no'}")
    print(f"\nThe ONNX Model Zoo's, for the 1000 classes of ImageNet; kept in\n{cache_folder()}")
    print(f"\nWith cam_numpy itself come {' and '.join(SHIPPED)}.")
    return 0


def _fetch(options):
    from ..network.catalogue import LABELS, find_model
    from ..network.download import fetch_file

    for file in [*map(find_model, options.names), LABELS]:
        path = fetch_file(file, Progress(f"bytes of {file.name}"))
        print(f"{file.name}: {path}", flush=True)
    return 0
