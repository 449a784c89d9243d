"""Look-alikes of well-known networks, exported by torch's two exporters.

`tests/exports/make.py` made the files and, with torch, the golden values in
`expected.json`: w, b, F and S of each network for one input.
"""

import json
from pathlib import Path

import numpy as np
import pytest

from cam_numpy import inspect, load
from cam_numpy.errors import CamNotApplicable

EXPORTS = Path(__file__).parent / "exports"
EXPECTED = json.loads((EXPORTS / "expected.json").read_text(encoding="utf-8"))
APPLIES = [name for name, e in EXPECTED.items() if e["verdict"] != "refused"]
REFUSED = {
    "vgg": "flattened into the linear layer",
    "mobilenetv3": "HardSwish",
    "convnext": "LayerNormalization",
    "vit": "a class token stands beside the places, and attention brings to it",
}
TORCH = {"rtol": 1e-4, "atol": 1e-4}  # float32 in torch and in onnxruntime


def picture(expected):
    c, h, w = expected["input"]
    return np.sin(np.arange(c * h * w)).reshape(c, h, w).astype(np.float32)


def test_every_family_is_there():
    families = {name.removesuffix("-dynamo") for name in EXPECTED}
    assert families >= {"resnet", "densenet", "googlenet", "mobilenetv2", "shufflenetv2", "efficientnet",
                        "squeezenet", "mobilenetv3", "convnext", "vgg", "nin", "vit", "binary"}
    assert {path.stem for path in EXPORTS.glob("*.onnx")} == set(EXPECTED)
    assert sum(path.stat().st_size for path in EXPORTS.glob("*.onnx")) < 250_000


@pytest.mark.parametrize("name", APPLIES)
def test_f_w_b_and_scores_are_torchs(name):
    expected, network = EXPECTED[name], load(EXPORTS / f"{name}.onnx")
    f, S = network.run(picture(expected))
    assert (network.form.name, network.form.verdict) == (expected["form"], expected["verdict"])
    assert list(f.shape) == expected["f_shape"]
    w, b, own = network.w, network.b, S
    if network.binary:
        w, b, own = w[1:], b[1:], S[1:]
    np.testing.assert_allclose(w, expected["w"], rtol=1e-6)
    np.testing.assert_allclose(b, expected["b"], rtol=1e-6)
    np.testing.assert_allclose(own, expected["S"], **TORCH)
    np.testing.assert_allclose(network.form.pool(f), expected["F"], **TORCH)
    network.form.check(f, network.w, network.b, S)


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_cam_network_is_refused_with_its_reason(name):
    inspection = inspect(EXPORTS / f"{name}.onnx")
    assert inspection.verdict == "refused" and REFUSED[name] in inspection.reason
    assert "; the paper " in inspection.reason and str(inspection).startswith(f"{name}.onnx: refused")
    with pytest.raises(CamNotApplicable):
        load(EXPORTS / f"{name}.onnx")


def test_every_export_has_a_test():
    assert set(REFUSED) == {name for name, e in EXPECTED.items() if e["verdict"] == "refused"}
