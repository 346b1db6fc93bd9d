"""Drawn-10: ten drawn classes with CIFAR-10's names, for when there is neither a network nor a copy of CIFAR-10.

Each image is a small scene in space: a body of balls, tubes and faces (solids.py; beasts.py, small.py, road.py,
craft.py build the classes), seen by a camera from any side (camera.py), before a background and behind whatever
gets in the way (scenes.py). Chance decides on build, pose, colours, place, light, blur and noise (compose.py).
Its numbers are its own: never quote them as CIFAR-10's.
"""

import contextlib
import hashlib
import os
import secrets
import zipfile
import zlib
from numbers import Integral
from pathlib import Path

import numpy as np
from tqdm.auto import tqdm

from utils.drawn.compose import MAKERS, compose

CLASSES = tuple(MAKERS)
SPLITS = ("train", "validation", "test")
COUNTS = (5000, 1000, 1000)


def draw(label, size=32, rng=None):
    """Return one image (size, size, 3) uint8, RGB, of the class `label` (0 to 9, or its name).

    `rng` is a NumPy Generator; the same state gives the same picture at every size, but for the noise in it.
    Without one, each call gives another image. Raises ValueError for an unknown class or a size outside 32..128.
    """
    name = _class_name(label)
    _check_size(size)
    return compose(name, int(size), np.random.default_rng() if rng is None else rng)


def make_drawn10(counts=COUNTS, size=32, seed=0, progress=True):
    """Return a dict of arrays: train_images (N, size, size, 3) uint8, train_labels (N,) uint8, validation_…, test_….

    `counts` are the images in the three splits. Each image depends on (seed, split, its place) alone, so a
    shorter split is the beginning of a longer one. Every ten images in a row hold each class once.
    Raises ValueError where counts are not three positive whole numbers, or the size is outside 32..128.
    """
    _check_size(size)
    _check_counts(counts)
    arrays = {}
    with tqdm(total=sum(counts), desc="Drawn-10", unit=" images", leave=False, disable=not progress) as bar:
        for split, (name, count) in enumerate(zip(SPLITS, counts)):
            blocks = [_generator(seed, split, i, 1).permutation(10) for i in range((count + 9) // 10)]
            labels = np.concatenate(blocks)[:count].astype(np.uint8)
            images = np.empty((count, size, size, 3), np.uint8)
            for i in range(count):
                images[i] = compose(CLASSES[labels[i]], int(size), _generator(seed, split, i, 0))
                bar.update()
            arrays[f"{name}_images"], arrays[f"{name}_labels"] = images, labels
    return arrays


def load_drawn10(folder, size=32):
    """Return make_drawn10's arrays for `size`, from the file drawn10_SIZE.npz in `folder`, or made and kept there.

    A file that is damaged, or that another version drew, is replaced. Where `folder` is None or cannot be
    written to, the images are made each time. Raises ValueError where the size is outside 32..128.
    """
    _check_size(size)
    path = None if folder is None else Path(folder) / f"drawn10_{size}.npz"
    if path and (arrays := _read(path, size)):
        return arrays
    arrays = make_drawn10(COUNTS, size)
    if path:
        with contextlib.suppress(OSError):
            _write(path, arrays)
    return arrays


def version():
    """Return what tells one version of the drawings from another: a checksum over this folder's code."""
    files = sorted(Path(__file__).parent.glob("*.py"))
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:16]


def _read(path, size):
    """Return the arrays in the file, or None where it is not there, not sound, or not of this version."""
    try:
        with np.load(path, allow_pickle=False) as file:
            if str(file["version"]) != version():
                return None
            arrays = {f"{split}_{kind}": file[f"{split}_{kind}"] for split in SPLITS for kind in ("images", "labels")}
    except (OSError, ValueError, KeyError, EOFError, AttributeError, TypeError, zipfile.BadZipFile, zlib.error):
        return None
    for split, count in zip(SPLITS, COUNTS):
        images, labels = arrays[f"{split}_images"], arrays[f"{split}_labels"]
        if (images.shape, labels.shape) != ((count, size, size, 3), (count,)) or labels.max() > 9:
            return None
        if images.dtype != np.uint8 or labels.dtype != np.uint8:
            return None
    return arrays


def _write(path, arrays):
    """Write the file whole or not at all: under a name of its own, which becomes `path` at the end."""
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(part, "xb") as file:
            np.savez(file, version=version(), **arrays)
        os.replace(part, path)
    finally:
        with contextlib.suppress(OSError):
            part.unlink()


def _generator(seed, split, index, purpose):
    """Return the generator of one image (purpose 0), or of the order of classes in one block of ten (purpose 1)."""
    return np.random.default_rng([seed, split, index, purpose])


def _class_name(label):
    if _is_whole(label) and 0 <= label < len(CLASSES):
        return CLASSES[label]
    if isinstance(label, str) and label in CLASSES:
        return label
    raise ValueError(f"there is no class {label!r}: give a label from 0 to 9, or one of {', '.join(CLASSES)}")


def _check_size(size):
    if not _is_whole(size) or not 32 <= size <= 128:
        raise ValueError(f"size is {size!r}: give a whole number of pixels from 32 to 128")


def _check_counts(counts):
    sound = isinstance(counts, (tuple, list)) and len(counts) == 3
    if not sound or not all(_is_whole(count) and count > 0 for count in counts):
        raise ValueError(f"counts is {counts!r}: give three positive whole numbers, for example {COUNTS}")


def _is_whole(number):
    return isinstance(number, Integral) and not isinstance(number, bool)
