"""`cam-numpy models`, `cam-numpy fetch`, and `--model NAME` once fetched. Nothing leaves this machine."""

import json
from dataclasses import replace

import pytest

from cam_numpy.__main__ import main
from cam_numpy.errors import InputError
from cam_numpy.network import catalogue, download
from cam_numpy.network.catalogue import MODELS
from tests import networks


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("CAM_NUMPY_CACHE", str(tmp_path / "cache"))
    (tmp_path / "cache").mkdir()
    return tmp_path / "cache"


@pytest.fixture
def put(cache, monkeypatch):
    """Put a small network where a model of the catalogue would lie."""
    def put_(name, **options):
        path = networks.classifier(cache / MODELS[name].file, metadata=None, **options)
        monkeypatch.setitem(catalogue.MODELS, name, replace(MODELS[name], bytes=path.stat().st_size,
                                                               sha256=catalogue.checksum(path)))
        return path

    return put_


def test_models_are_listed(cache, put, capsys):
    put("resnet18-v1")
    assert main(["models"]) == 0
    lines = {line.split()[0]: line.split() for line in capsys.readouterr().out.splitlines() if line}
    assert all(name in lines for name in MODELS) and len(MODELS) == 10
    assert lines["squeezenet1.1"] == ["squeezenet1.1", "5.0", "MB", "approximate", "Apache-2.0", "no"]
    assert lines["resnet18-v1"][-1] == "yes" and str(cache) in lines


def test_a_fetched_model_is_known_by_its_name(put, capsys, photo, tmp_path):
    put("resnet18-v1", x=(None, 3, 224, 224))
    arguments = ["--model", "ResNet18-v1", "--plain", "--json", "--out", str(tmp_path)]
    assert main(["explain", str(photo), *arguments]) == 0
    assert json.loads(capsys.readouterr().out)["model"] == "resnet18-v1-7.onnx"
    put("efficientnet-lite4")
    main(["inspect", "efficientnet-lite4", "--json"])
    preprocessing = json.loads(capsys.readouterr().out)["input"]["preprocessing"]
    assert preprocessing.endswith("mean 0.498 0.498 0.498, std 0.502 0.502 0.502")


def test_nothing_is_fetched_unless_asked(cache, capsys, monkeypatch, photo, tmp_path):
    monkeypatch.setattr(download, "fetch_url", lambda *_: pytest.fail("fetched"))
    assert main(["explain", str(photo), "--model", "squeezenet1.1", "--out", str(tmp_path)]) == 2
    assert capsys.readouterr().err == (
        "cam-numpy: squeezenet1.1 is not on this machine yet; fetch it first: "
        'cam-numpy fetch squeezenet1.1, or cam_numpy.fetch("squeezenet1.1")\n')
    assert main(["inspect", "squeezenet11"]) == 2
    assert "did you mean squeezenet1.1" in capsys.readouterr().err


def test_fetch_gets_the_model_and_the_names_of_its_classes(cache, capsys, monkeypatch):
    asked = []

    def fetch(urls, target, *_):
        asked.append(target.name)
        return target

    monkeypatch.setattr(download, "fetch_url", fetch)
    assert main(["fetch", "googlenet", "squeezenet1.0"]) == 0
    assert asked == ["googlenet-12.onnx", "squeezenet1.0-12.onnx", "synset.txt"]
    assert f"googlenet: {cache / 'googlenet-12.onnx'}" in capsys.readouterr().out


def test_a_failed_fetch_is_one_line(cache, capsys, monkeypatch):
    def fetch(*_):
        raise InputError("offline; try again")

    monkeypatch.setattr(download, "fetch_url", fetch)
    assert main(["fetch", "googlenet"]) == 2 and capsys.readouterr().err == "cam-numpy: offline; try again\n"
    assert main(["fetch", "alexnet"]) == 2
    assert 'no network is called "alexnet"; did you mean googlenet?' in capsys.readouterr().err
