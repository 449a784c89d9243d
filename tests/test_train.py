"""The trainer, on a handful of made-up pictures. Optional: it needs the extra `train`."""

import csv
import importlib
import json
import subprocess
import sys

import numpy as np
import onnx
import pytest

from cam_numpy import load

torch = pytest.importorskip("torch", reason="torch comes with the extra `train`")
train = importlib.import_module("weights.train")  # only where torch is there
ONLY = ["--pooling", "mean"]


def run(tiny_imagenet, folder, *options):
    """Both networks, or the one with average pooling, trained for 1x16,1x24, the last epoch twice."""
    folder.mkdir(exist_ok=True)
    train.main([str(tiny_imagenet), "--out", str(folder), "--state", str(folder / "state.pt"),
                "--schedule", "1x16,1x24", "--ending", "1", *options])
    return load(folder / train.NAMES["mean"])


def test_trains_exports_and_describes(tiny_imagenet, tmp_path, capsys):
    network = run(tiny_imagenet, tmp_path / "a", "--per-class", "5", *ONLY)
    assert network.classes == [f"thing {c}, Res" for c in range(3)]
    assert network.preprocessing.size == train.Recipe.size and network.w.shape == (3, 256)
    assert "of 4 validation pictures" in network.metadata["accuracy"]
    onnx.checker.check_model(onnx.load(network.path), full_check=True)
    with open(tmp_path / "a" / "state-mean.csv", encoding="utf-8") as file:
        log = list(csv.DictReader(file))
    assert [(row["epoch"], row["size"]) for row in log] == [("1", "16"), ("2", "24")]
    assert "epoch 2/2" in capsys.readouterr().out
    assert {path.name for path in (tmp_path / "a").iterdir()} == {
        "tiny-imagenet-gap.onnx", "state.csv", "state.pt", "state-mean.csv", "state-mean.pt"}


def test_an_interrupted_training_ends_like_an_uninterrupted_one(tiny_imagenet, tmp_path, monkeypatch):
    whole = run(tiny_imagenet, tmp_path / "a", *ONLY)
    epoch = train.Trainer.epoch

    def interrupted(self, number, *arguments, **options):
        if number == 1:
            raise KeyboardInterrupt
        return epoch(self, number, *arguments, **options)

    monkeypatch.setattr(train.Trainer, "epoch", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(tiny_imagenet, tmp_path / "b", *ONLY)
    assert not (tmp_path / "b" / train.NAMES["mean"]).exists()
    monkeypatch.setattr(train.Trainer, "epoch", epoch)
    resumed = run(tiny_imagenet, tmp_path / "b", *ONLY)
    np.testing.assert_allclose(resumed.w, whole.w, rtol=1e-5, atol=1e-6)


def test_a_checkpoint_of_another_recipe_is_refused(tiny_imagenet, tmp_path):
    run(tiny_imagenet, tmp_path / "a", *ONLY)
    with pytest.raises(SystemExit, match="was made by another recipe"):
        run(tiny_imagenet, tmp_path / "a", "--schedule", "1x32")
    with pytest.raises(SystemExit, match="was made by another recipe"):  # the first epoch averaged
        run(tiny_imagenet, tmp_path / "a", "--pooling", "max", "--ending", "2")


@pytest.mark.parametrize("options, message", [
    (["nowhere"], "no Tiny ImageNet in nowhere"), (["x", "--schedule", "3x10"], "sizes being multiples of 8"),
    (["--schedule", "1x16,2x24", "--ending", "4"], "--ending 4: give 1 to 3"),
    (["--ending", "0"], "--ending 0: give 1 to 29"),
])
def test_wrong_arguments(tiny_imagenet, capsys, options, message):
    with pytest.raises(SystemExit) as stopped:
        train.main(options if options[0][0] != "-" else [str(tiny_imagenet), *options])
    assert stopped.value.code == 2 and message in capsys.readouterr().err


def test_muon_makes_all_directions_move_alike():
    G = torch.randn(5, 12, generator=torch.Generator().manual_seed(0))
    singular = torch.linalg.svdvals(train.orthogonal(G))
    assert singular.min() > 0.6 and singular.max() < 1.3  # bfloat16, five steps


def test_the_learning_rate_rises_and_falls():
    assert train.rate(0.05, 0.1) == 0.5 and train.rate(0.1, 0.1) == 1 and train.rate(1, 0.1) == 0
    assert train.rate(0.55, 0.1) == pytest.approx(0.5)


def test_crops_stay_inside_and_flip():
    x = torch.arange(16.0).view(1, 1, 1, 16).expand(40, 3, 16, 16).contiguous()
    crops = train.random_crops(x, 8, (0.35, 1.0), torch.Generator().manual_seed(0))
    assert crops.shape == (40, 3, 8, 8) and crops.min() >= 0 and crops.max() <= 15
    rising = (crops[:, 0, 0, -1] > crops[:, 0, 0, 0]).float().mean()
    assert 0.25 < rising < 0.75


def test_help_needs_no_data():
    done = subprocess.run([sys.executable, "-m", "weights.train", "--help"],
                          capture_output=True, text=True, check=True)
    assert "--schedule" in done.stdout


def test_only_the_pooling_of_the_last_epochs_differs(tiny_imagenet, tmp_path, monkeypatch):
    seen = []

    def crops(x, *arguments):
        seen.append(random_crops(x, *arguments))
        return seen[-1]

    random_crops = train.random_crops
    monkeypatch.setattr(train, "random_crops", crops)
    average = run(tiny_imagenet, tmp_path / "a")
    maximum = load(tmp_path / "a" / train.NAMES["max"])
    assert (average.form.name, maximum.form.name) == ("gap", "gmp")
    assert (average.metadata["pooling"], maximum.metadata["pooling"]) == ("mean", "max")
    assert average.metadata["recipe"] == maximum.metadata["recipe"]
    assert json.loads(average.metadata["recipe"])["ending"] == 1
    shared, one, other = seen  # the first epoch once, the last one twice, on the same crops
    assert shared.shape[-1] == 16 and torch.equal(one, other)
    alone = run(tiny_imagenet, tmp_path / "b", *ONLY, "--ending", "2")  # divided elsewhere: the same average
    np.testing.assert_array_equal(alone.w, average.w)
    assert not np.array_equal(average.w, maximum.w)
