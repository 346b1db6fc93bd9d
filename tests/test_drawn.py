"""Drawn-10: the same everywhere, kept soundly, and as hard for shortcuts as photographs are."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from utils import drawn
from utils.plotting import load_results

ROOT = Path(__file__).resolve().parent.parent
SMALL = (20, 10, 10)
NAMES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


@pytest.fixture(scope="module")
def drawings():
    """The beginning of each split."""
    return drawn.make_drawn10((1200, 800, 50), progress=False)


@pytest.fixture
def few(monkeypatch):
    """Let the kept data set be small."""
    monkeypatch.setattr(drawn, "COUNTS", SMALL)


def checksum(arrays):
    return hashlib.sha256(b"".join(arrays[name].tobytes() for name in sorted(arrays))).hexdigest()


def same(one, other):
    return one.keys() == other.keys() and all(np.array_equal(one[name], other[name]) for name in one)


# ---------------------------------------------------------------- what is drawn


def test_shapes_classes_and_balance(drawings):
    assert drawn.CLASSES == NAMES
    for split, count in (("train", 1200), ("validation", 800), ("test", 50)):
        images, labels = drawings[f"{split}_images"], drawings[f"{split}_labels"]
        assert images.shape == (count, 32, 32, 3)
        assert labels.shape == (count,)
        assert images.dtype == labels.dtype == np.uint8
        assert np.bincount(labels).tolist() == [count // 10] * 10
        assert (np.sort(labels.reshape(-1, 10)) == np.arange(10)).all(), "every ten in a row hold each class once"
    assert (np.diff(drawings["train_labels"].astype(int)) != 0).mean() > 0.8, "the classes are not mixed"


def test_splits_share_no_image(drawings):
    images = [image.tobytes() for name in drawings if name.endswith("images") for image in drawings[name]]
    assert len(set(images)) == len(images)


def test_shorter_split_is_the_beginning_of_a_longer_one(drawings):
    few = drawn.make_drawn10((13, 5, 1), progress=False)
    assert same(few, {name: drawings[name][: len(few[name])] for name in drawings})


def test_same_bytes_on_every_run_and_others_with_another_seed():
    code = (
        "from tests.test_drawn import SMALL, checksum; from utils import drawn;"
        "print(checksum(drawn.make_drawn10(SMALL, progress=False)))"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "7", "OMP_NUM_THREADS": "1"}
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True)
    here = checksum(drawn.make_drawn10(SMALL, progress=False))
    assert ended.stdout.strip() == here, ended.stderr
    assert checksum(drawn.make_drawn10(SMALL, seed=1, progress=False)) != here


@pytest.mark.parametrize("name", NAMES)
def test_every_size_shows_the_same_picture(name):
    likeness = []
    for seed in range(3):
        small, large = (drawn.draw(name, size, np.random.default_rng(seed)).astype(float) for size in (32, 96))
        reduced = large.reshape(32, 3, 32, 3, 3).mean((1, 3))
        likeness.append(np.corrcoef(small.ravel(), reduced.ravel())[0, 1])
    assert np.mean(likeness) > 0.9


def test_any_size_up_to_128_and_any_way_to_name_a_class():
    for size in (32, 45, 64, 65, 128):
        assert drawn.draw(3, size, np.random.default_rng(0)).shape == (size, size, 3)
    by_name = drawn.draw("cat", rng=np.random.default_rng(0))
    assert np.array_equal(by_name, drawn.draw(np.int64(3), 32, np.random.default_rng(0)))
    assert not np.array_equal(drawn.draw("cat"), drawn.draw("cat"))


@pytest.mark.parametrize("label", [-1, 10, "lorry", 1.0, None, True])
def test_unknown_class_is_refused(label):
    with pytest.raises(ValueError, match="give a label from 0 to 9, or one of airplane, automobile"):
        drawn.draw(label)


@pytest.mark.parametrize("size", [31, 129, 0, -32, 48.0, "32", None])
def test_size_is_checked(size, tmp_path):
    for call in (lambda: drawn.draw(0, size), lambda: drawn.make_drawn10(SMALL, size)):
        with pytest.raises(ValueError, match="give a whole number of pixels from 32 to 128"):
            call()
    with pytest.raises(ValueError, match="from 32 to 128"):
        drawn.load_drawn10(tmp_path, size)


@pytest.mark.parametrize("counts", [(0, 1, 1), (10, -1, 10), (10, 10), (10, 10, 2.5), (True, 1, 1), 5000, None, "abc"])
def test_counts_are_checked(counts):
    with pytest.raises(ValueError, match="give three positive whole numbers"):
        drawn.make_drawn10(counts)


# ---------------------------------------------------------------- no shortcuts


def score(drawings, features, strength):
    """Return the validation accuracy of a logistic regression on `features` of the training images."""
    model = make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=1000, tol=1e-3))
    model.fit(features(drawings["train_images"]), drawings["train_labels"])
    return model.score(features(drawings["validation_images"]), drawings["validation_labels"])


def test_colour_alone_does_not_tell_the_class(drawings):
    def colours(images):
        pixels = images.reshape(len(images), -1, 3) / 255
        return np.hstack([pixels.mean(1), pixels.std(1)])

    assert score(drawings, colours, 1.0) <= 0.20


def test_pixels_tell_a_linear_model_little_but_not_nothing(drawings):
    assert 0.15 <= score(drawings, lambda images: images.reshape(len(images), -1) / 255, 3e-4) <= 0.40


def test_lesson_06s_network_learns_it_and_augmentation_helps():
    """What `make ledger` measured, five seeds each, on the drawings as they are now."""
    results = load_results("06_drawn10")
    assert results["drawings"] == drawn.version(), "the drawings have changed: python -m tests.tools.ledger 06_drawn10"
    plain, augmented = (
        [100 * run["validation_accuracy"] for run in results["runs"] if run["name"] == name]
        for name in ("nothing", "flips and shifts")
    )
    assert len(plain) == len(augmented) == 5
    assert all(65 <= accuracy <= 88 for accuracy in plain + augmented)
    assert np.mean(augmented) >= np.mean(plain) + 2


# ---------------------------------------------------------------- what is kept


@pytest.mark.usefixtures("few")
def test_drawn_once_then_read(tmp_path, monkeypatch):
    first = drawn.load_drawn10(tmp_path / "data")
    assert same(first, drawn.make_drawn10(SMALL, progress=False))
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["drawn10_32.npz"]
    monkeypatch.setattr(drawn, "compose", None)
    assert same(drawn.load_drawn10(tmp_path / "data"), first)


def damage_of(content):
    return {
        "empty": b"",
        "truncated": content[:-3000],
        "one byte": content[:40_000] + bytes([content[40_000] ^ 1]) + content[40_001:],
        "no archive": b"<html>log in</html>",
    }


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize("damage", damage_of(bytes(50_000)))
def test_damaged_file_is_replaced(tmp_path, damage):
    first, path = drawn.load_drawn10(tmp_path), tmp_path / "drawn10_32.npz"
    sound = path.read_bytes()
    path.write_bytes(damage_of(sound)[damage])
    assert same(drawn.load_drawn10(tmp_path), first)
    with np.load(path) as file:
        assert same({name: file[name] for name in first}, first)


WRONG = {
    "another version": {"version": "0"},
    "no version": {"version": None},
    "pickled labels": {"test_labels": np.array([object()] * 10)},
    "pickled version": {"version": np.array(object())},
    "fewer images": {"train_images": np.zeros((19, 32, 32, 3), np.uint8)},
    "floats": {"train_images": np.zeros((20, 32, 32, 3))},
    "label 10": {"test_labels": np.full(10, 10, np.uint8)},
    "no labels": {"validation_labels": None},
}


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize("changes", WRONG.values(), ids=WRONG)
def test_file_that_does_not_fit_is_replaced(tmp_path, changes):
    first, path = drawn.make_drawn10(SMALL, progress=False), tmp_path / "drawn10_32.npz"
    content = {"version": drawn.version(), **first, **changes}
    np.savez(path, **{name: array for name, array in content.items() if array is not None})
    assert same(drawn.load_drawn10(tmp_path), first)
    with np.load(path) as file:
        assert str(file["version"]) == drawn.version()


@pytest.mark.usefixtures("few")
def test_folder_that_cannot_be_written_to_is_no_obstacle(tmp_path):
    (tmp_path / "a_file").write_text("below it no folder can be made, not even by root")
    expected = drawn.make_drawn10(SMALL, progress=False)
    assert same(drawn.load_drawn10(tmp_path / "a_file"), expected)
    assert same(drawn.load_drawn10(None), expected)


@pytest.mark.usefixtures("few")
def test_interruption_leaves_nothing_half_written(tmp_path, monkeypatch):
    def interrupted(file, **arrays):
        file.write(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(drawn.np, "savez", interrupted)
    with pytest.raises(KeyboardInterrupt):
        drawn.load_drawn10(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_progress_can_be_seen_or_not(capsys):
    drawn.make_drawn10((1, 1, 1), progress=True)
    assert "Drawn-10" in capsys.readouterr().err
    drawn.make_drawn10((1, 1, 1), progress=False)
    assert capsys.readouterr() == ("", "")
