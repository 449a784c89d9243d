"""Heads as they are met in the wild: the verdict on each, and its w, b, F and S.

`tests/exports/heads.py` made the files and, without cam_numpy, the golden values in
`expected.json`.
"""

import json
from pathlib import Path

import numpy as np
import pytest

from cam_numpy import inspect, load
from cam_numpy.errors import CamNotApplicable

HEADS = Path(__file__).parent / "exports" / "heads"
EXPECTED = json.loads((HEADS / "expected.json").read_text(encoding="utf-8"))
APPLIES = [name for name, e in EXPECTED.items() if e["verdict"] != "refused"]
CLOSE = {24: 1e-4, 11: 1e-2, 8: 0.1}  # float32; float16; integers in steps of 0.02 (w) and 0.08 (S)


def picture(name):
    x = np.sin(np.arange(np.prod(EXPECTED[name]["input"]))).reshape(EXPECTED[name]["input"])
    return (np.rint(255 * np.abs(x)) if name == "bytes" else x).astype(np.float32)


def test_every_file_is_expected():
    assert {path.stem for path in HEADS.glob("*.onnx")} == set(EXPECTED)
    assert sum(path.stat().st_size for path in HEADS.glob("*.onnx")) < 100_000


@pytest.mark.parametrize("name", APPLIES)
def test_the_verdict_and_the_numbers_are_those_that_the_head_was_made_with(name):
    expected, network = EXPECTED[name], load(HEADS / f"{name}.onnx")
    f, S = network.run(picture(name))
    form = network.form
    assert (form.name, form.verdict, form.bits) == (expected["form"], expected["verdict"], expected["bits"])
    assert f.shape == (5, 4, 5)
    np.testing.assert_allclose(form.pool(f), expected["F"], rtol=1e-4, atol=1e-5)
    close = {"rtol": 1e-3, "atol": CLOSE[expected["bits"]]}
    np.testing.assert_allclose(S, expected["S"], **close)
    np.testing.assert_allclose(network.w, expected["w"], **close)
    np.testing.assert_allclose(network.b, expected["b"], **close)
    form.check(f, network.w, network.b, S)


@pytest.mark.parametrize("name", sorted(set(EXPECTED) - set(APPLIES)))
def test_the_reason_is_true(name):
    inspection = inspect(HEADS / f"{name}.onnx")
    assert inspection.verdict == "refused" and EXPECTED[name]["reason"] in inspection.reason
    assert "; the paper " in inspection.reason
    with pytest.raises(CamNotApplicable):
        load(HEADS / f"{name}.onnx")
