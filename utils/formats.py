"""The files that hold the images: the course's packs, MNIST's IDX files, CIFAR-10's batches.

Every reader returns a dict of four uint8 arrays: train_images, train_labels, test_images, test_labels.
Images are (N, 28, 28) for MNIST and (N, 32, 32, 3), RGB, for CIFAR-10. Nothing here runs code from a file.
"""

import hashlib
import io
import pickle
import typing
import zipfile
import zlib
from pathlib import Path

import numpy as np
from numpy._core.multiarray import _reconstruct

from utils.fetch import atomic_write

ARRAYS = ("train_images", "train_labels", "test_images", "test_labels")
UNKNOWN = "pack, origin unknown"

# In TorchVision's MNIST/raw: size and MD5 of the published .gz, MD5 of the file inside it
MNIST_FILES = {
    "train-images-idx3-ubyte": (9912422, "f68b3c2dcbeaaa9fbdd348bbdeb94873", "6bbc9ace898e44ae57da46a324031adb"),
    "train-labels-idx1-ubyte": (28881, "d53e105ee54ea40749a09fcbcd1e9432", "a25bea736e30d166cdddb491f175f624"),
    "t10k-images-idx3-ubyte": (1648877, "9fb629c4189551a2d022fa330f9573f3", "2646ac647ad5339dbf082846283269ea"),
    "t10k-labels-idx1-ubyte": (4542, "ec29112dd5afa0611ce80d1b7f02629c", "27ae3e4e09519cfbb04c329615203637"),
}
# In TorchVision's cifar-10-batches-py
CIFAR10_FILES = {
    "data_batch_1": "c99cafc152244af753f735de768cd75f",
    "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
    "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
    "data_batch_4": "634d18415352ddfa80567beed471001a",
    "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
    "test_batch": "40351d587109b95175f43aff81a1287e",
    "batches.meta": "5ff9c542aee3614f3951f8cda6e48888",
}


def check_arrays(arrays, image_shape, fewest):
    """Raise ValueError, saying what is wrong, unless these are four arrays of labelled uint8 images.

    `image_shape` is an image's (H, W) or (H, W, C); the training split needs at least `fewest` images.
    """
    for split, least in (("train", fewest), ("test", 1)):
        images, labels = arrays[f"{split}_images"], arrays[f"{split}_labels"]
        for name, array in ((f"{split}_images", images), (f"{split}_labels", labels)):
            if array.dtype != np.uint8:
                raise ValueError(f"{name} holds {array.dtype} where uint8 is expected")
        wanted = ", ".join(["N", *map(str, image_shape)])
        if images.ndim == 0 or images.shape[1:] != tuple(image_shape):
            raise ValueError(f"{split}_images has the shape {images.shape} where ({wanted}) is expected")
        if labels.shape != images.shape[:1]:
            raise ValueError(f"{split}_labels has the shape {labels.shape} for {len(images)} images")
        if len(images) < least:
            raise ValueError(f"{split}_images holds {len(images)} images where {least} is the least")
        if labels.max() > 9:
            raise ValueError(f"{split}_labels holds the label {labels.max()}; labels go from 0 to 9")


def read_pack(path, image_shape, fewest):
    """Return a pack's arrays and its source (one line of text).

    Raises ValueError naming the file, what is wrong with it and what to do.
    """
    try:
        with open(path, "rb") as file:
            arrays, source = _read_npz(file)
        check_arrays(arrays, image_shape, fewest)
    except (ValueError, OSError, EOFError, KeyError, NotImplementedError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(
            f"The pack {path} cannot be used: {error}. Put a sound pack in its place, or move it away."
        ) from error
    return arrays, source


def _read_npz(file):
    pack = np.load(file, allow_pickle=False)  # a pickle may run any code: refused
    if not isinstance(pack, np.lib.npyio.NpzFile):
        raise ValueError("it is a single array, not an .npz file")
    with pack:
        missing = [name for name in ARRAYS if name not in pack.files]
        if missing:
            raise ValueError(f"it lacks {', '.join(missing)}")
        source = pack["source"] if "source" in pack.files else np.array("")
        if source.dtype.kind != "U" or source.ndim != 0:
            raise ValueError("its source is not a line of text")
        return {name: pack[name] for name in ARRAYS}, " ".join(str(source).split()) or UNKNOWN


def write_pack(path, arrays, source):
    """Write a pack at `path`, whole or not at all. Raises FetchError where the folder takes no file."""
    named = {} if source == UNKNOWN else {"source": source}
    with atomic_write(path) as file:
        np.savez_compressed(file, **named, **{name: arrays[name] for name in ARRAYS})


def read_mnist_folder(folder):
    """Return MNIST's arrays from `folder`/MNIST/raw, or None where it holds none of the files.

    Raises ValueError, naming the file, if one is missing or is not the published one.
    """
    raw = Path(folder) / "MNIST" / "raw"
    if not any((raw / name).is_file() for name in MNIST_FILES):
        return None
    files = [_read_idx(raw / name, md5) for name, (_, _, md5) in MNIST_FILES.items()]
    arrays = dict(zip(ARRAYS, files))
    check_arrays(arrays, (28, 28), fewest=1)
    return arrays


def _read_idx(path, md5):
    """Return an IDX file's uint8 array: two zero bytes, type 8, number of axes, big-endian sizes, values."""
    content = _read_checked(path, md5)
    num_axes = content[3] if content[:3] == b"\0\0\x08" else 0
    header = 4 + 4 * num_axes
    if num_axes == 0 or len(content) < header:
        raise ValueError(f"{path.name} is not an IDX file of bytes")
    shape = np.frombuffer(content, ">u4", num_axes, offset=4).astype(int)
    if len(content) != header + shape.prod():
        raise ValueError(f"{path.name} has {len(content) - header:,} values where its header says {shape.prod():,}")
    return np.frombuffer(content, np.uint8, offset=header).reshape(shape).copy()


def read_cifar10_folder(folder):
    """Return CIFAR-10's arrays from `folder`/cifar-10-batches-py, or None where it holds none of the files.

    Raises ValueError, naming the file, if one is missing or is not the published one.
    """
    batches = Path(folder) / "cifar-10-batches-py"
    if not any((batches / name).is_file() for name in CIFAR10_FILES):
        return None
    names = [name for name in CIFAR10_FILES if name != "batches.meta"]
    *train, test = (_read_batch(batches / name, CIFAR10_FILES[name]) for name in names)
    images, labels = (np.concatenate(parts) for parts in zip(*train))
    arrays = dict(zip(ARRAYS, (images, labels, *test)))
    check_arrays(arrays, (32, 32, 3), fewest=1)
    return arrays


def _read_batch(path, md5):
    """Return a batch's images (N, 32, 32, 3) and labels (N,); the file stores (N, 3 × 32 × 32), in planes."""
    try:
        batch = _BatchUnpickler(io.BytesIO(_read_checked(path, md5)), encoding="bytes").load()
        images = batch[b"data"].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
        return images, np.array(batch[b"labels"], np.uint8)
    except (pickle.UnpicklingError, EOFError, LookupError, TypeError, AttributeError, OverflowError) as error:
        raise ValueError(f"{path.name} is not a batch of CIFAR-10 ({error})") from error


class _BatchUnpickler(pickle.Unpickler):
    """Admits only what a dict of a NumPy array and lists needs: a pickle could otherwise run any code."""

    ADMITTED: typing.ClassVar = {
        ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
        ("numpy._core.multiarray", "_reconstruct"): _reconstruct,
        ("numpy", "ndarray"): np.ndarray,
        ("numpy", "dtype"): np.dtype,
        ("_codecs", "encode"): lambda text, encoding: text.encode("latin1"),
    }

    def find_class(self, module, name):
        if (module, name) not in self.ADMITTED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which no batch needs")
        return self.ADMITTED[module, name]


def _read_checked(path, md5):
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ValueError(f"{path.name} cannot be read ({error.strerror})") from error
    if hashlib.md5(content, usedforsecurity=False).hexdigest() != md5:
        raise ValueError(f"{path.name} is not the published file (its checksum differs)")
    return content
