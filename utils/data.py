"""MNIST and CIFAR-10 as tensors: training, validation and test split, their classes and their source.

Where the images come from is decided in sources.py: the environment variable COURSE_DATA names a folder to
look in first, or is the word offline. `python -m utils.data pack DIR` writes the images into a folder that
serves a whole classroom without a network.
"""

import os
from dataclasses import dataclass
from typing import NamedTuple

import torch
from PIL import Image
from torch.nn import functional as F
from torch.utils.data import Dataset

from utils import sources


class Split(NamedTuple):
    """Images (N, C, H, W) uint8 and their labels (N,) int64."""

    images: torch.Tensor
    labels: torch.Tensor

    def __repr__(self):
        return f"Split(images={tuple(self.images.shape)} uint8, labels={tuple(self.labels.shape)} int64)"


@dataclass(frozen=True, eq=False, repr=False)
class ImageData:
    """A data set in three splits, the names of its classes, and where it came from (for plot titles)."""

    name: str
    train: Split
    validation: Split
    test: Split
    classes: tuple[str, ...]
    source: str

    def __repr__(self):
        sizes = " / ".join(f"{len(split.labels):,}" for split in (self.train, self.validation, self.test))
        shape = "×".join(map(str, self.train.images.shape[1:]))
        return f"ImageData({self.name}: {sizes} images of {shape}, {len(self.classes)} classes; {self.source})"


def load_mnist():
    """Return MNIST: 55,000 training, 5,000 validation and 10,000 test images (1, 28, 28), classes "0" to "9".

    The validation split is the last of the training images. Offline, 5,000 real digits: 4,000 / 500 / 500.
    Prints one line that says where the images came from.

    Raises ValueError where a pack cannot be used, and FileNotFoundError where COURSE_DATA names no folder.
    """
    return _load(sources.MNIST)


def load_cifar10():
    """Return CIFAR-10: 45,000 training, 5,000 validation and 10,000 test images (3, 32, 32), RGB.

    The validation split is the last of the training images. Offline, Drawn-10: drawings of the same ten classes,
    5,000 / 1,000 / 1,000, whose numbers are never CIFAR-10's. Prints one line that says where the images came from.

    Raises ValueError where a pack cannot be used, and FileNotFoundError where COURSE_DATA names no folder.
    """
    return _load(sources.CIFAR10)


def _load(data_set):
    found = sources.find(data_set)
    arrays, cut = found.arrays, len(found.arrays["train_labels"]) - found.num_validation
    images, labels = _tensors(arrays["train_images"], arrays["train_labels"])
    train, validation = Split(images[:cut], labels[:cut]), Split(images[cut:], labels[cut:])
    test = Split(*_tensors(arrays["test_images"], arrays["test_labels"]))
    sizes = f"{cut:,} training, {found.num_validation:,} validation, {len(test.labels):,} test images"
    name = found.name or data_set.name
    print(f"{name}: {sizes} · source: {found.provenance}")
    return ImageData(name, train, validation, test, data_set.classes, found.source)


def _tensors(images, labels):
    """Turn (N, H, W) or (N, H, W, C) arrays into images (N, C, H, W) uint8 and labels (N,) int64."""
    images = torch.from_numpy(images)
    images = images.unsqueeze(1) if images.ndim == 3 else images.permute(0, 3, 1, 2)
    return images.contiguous(), torch.from_numpy(labels).long()


def batches(images, labels, batch_size, shuffle=False):
    """Yield pairs (images, labels) of `batch_size` each, the last one smaller, in order or shuffled.

    Raises ValueError where images and labels are not equally many.
    """
    if len(images) != len(labels):
        raise ValueError(f"every image needs one label, but there are {len(images)} images and {len(labels)} labels")
    order = torch.randperm(len(images)) if shuffle else torch.arange(len(images))
    for chosen in order.split(batch_size):
        yield images[chosen], labels[chosen]


def normalise_channels(images, mean, std):
    """Return images 0..255 as floats with mean 0 and standard deviation 1 in each channel.

    `images` are (N, 3, H, W); `mean` and `std` are (3,), of the training split, for pixels from 0 to 1.
    Raises ValueError for a channel without spread.
    """
    if not (std > 0).all():
        raise ValueError(f"a channel without spread cannot be normalised: its standard deviations are {std.tolist()}")
    pixels = images.to(torch.float32, copy=True).div_(255)
    return pixels.sub_(mean.view(3, 1, 1)).div_(std.view(3, 1, 1))


class ImageDataset(Dataset):
    """One image at a time: (transform(PIL image), label), from images (N, 3, H, W) uint8 and labels (N,).

    Lesson 06 writes this class too. It stands here for the workers of a DataLoader: where they are started afresh
    ("spawn", as on macOS and Windows), they can import a class from a module and not from a notebook.
    """

    def __init__(self, images, labels, transform):
        self.pictures = images.permute(0, 2, 3, 1).contiguous().numpy()  # (N, H, W, 3), as PIL wants it
        self.labels = labels.tolist()
        self.transform = transform

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, index):
        picture = Image.fromarray(self.pictures[index])
        return self.transform(picture), self.labels[index]


def augmented_batches(images, labels, batch_size, padding=4, flip=0.5):
    """Yield shuffled pairs (images, labels); each image is flipped left to right and shifted, at random.

    `images` are floats (N, C, H, W), already normalised. `flip` is the probability of a flip; a shift goes up to
    `padding` pixels in each direction, and what comes into view is the image's own border, mirrored.

    Raises ValueError where the images are no floats of four axes, where padding is negative or reaches beyond the
    image, and where images and labels are not equally many.
    """
    if images.dim() != 4 or not images.is_floating_point():
        raise ValueError(f"images must be floats (N, C, H, W), but they are {images.dtype} {tuple(images.shape)}")
    height, width = images.shape[-2:]
    if not 0 <= padding < min(height, width):
        raise ValueError(f"padding must lie in 0..{min(height, width) - 1}, but it is {padding}")
    for chosen, chosen_labels in batches(images, labels, batch_size, shuffle=True):
        flips = torch.rand(len(chosen)) < flip
        chosen[flips] = chosen[flips].flip(3)  # choosing rows made a copy, so the originals stay
        padded = F.pad(chosen, (padding,) * 4, mode="reflect")  # (N, C, H + 2 padding, W + 2 padding)
        windows = padded.unfold(2, height, 1).unfold(3, width, 1)  # every window, and nothing is copied
        rows, columns = torch.randint(2 * padding + 1, (2, len(chosen)))
        yield windows[torch.arange(len(chosen)), :, rows, columns], chosen_labels


def runs_folder():
    """Return the folder for what a learner trains: COURSE_RUNS, else `runs/` in the course, else in the cache.

    It is made if it is not there. The first of these that can be written to is taken.
    """
    return sources.first_writable([os.environ.get("COURSE_RUNS"), sources.ROOT / "runs", sources.cache() / "runs"])


if __name__ == "__main__":
    sources.main()
