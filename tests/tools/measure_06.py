"""Lesson 06's measurements for `make ledger`: its final accuracy, augmentations, treatments of overfitting, wrong
normalisations, and the same network on Drawn-10.

Everything runs by the lesson's own code: what `utils` holds is imported, and what stands in the notebook alone (the
recipe `train_on`, the augmentations of the gallery) is read out of its cells.
"""

import ast
import functools
import statistics
import time

import numpy as np
import torch
from torch.nn import functional as F
from torch.utils.data import DataLoader
from torchvision.transforms import v2
from tqdm import tqdm

from tests.tools.cells import code_cells, parse, read
from tests.tools.kernels import ROOT, offline_data
from tests.tools.taught import definitions
from utils import drawn, models, training
from utils.data import ImageDataset, augmented_batches, batches, load_cifar10, normalise_channels
from utils.training import evaluate

LESSON = ROOT / "notebooks" / "06_cifar10.ipynb"
NUM_IMAGES, NUM_EPOCHS = 3_000, 12  # few images, seen often
WEIGHT_DECAY = 2
PLAIN = functools.partial(batches, shuffle=True)


def lesson_06(**values):
    """Return what lesson 06 defines: {name: function or class}. `values` are what its functions find beside them."""
    space = {"np": np, "torch": torch, "F": F, "augmented_batches": augmented_batches, "batches": batches}
    space |= {"statistics": statistics, "time": time, "plain": PLAIN}
    space |= {name: value for module in (models, training) for name, value in vars(module).items()}
    own = [nodes[-1] for _, cell in code_cells(read(LESSON)) for nodes in definitions(parse(cell)).values()]
    own = [node for node in own if isinstance(node, ast.FunctionDef) and node.name not in space]
    space |= values
    exec(compile(ast.Module(own, []), str(LESSON), "exec"), space)
    return space


@functools.cache
def prepare():
    """Return (CIFAR-10, the lesson's functions, its training split and its validation split, normalised)."""
    cifar10 = load_cifar10()
    numbers = channel_statistics(cifar10.train.images)
    train, validation = [
        (normalise_channels(images, *numbers), labels)
        for images, labels in ((part[:20_000] for part in cifar10.train), cifar10.validation)
    ]
    return cifar10, lesson_06(validation=validation), train, validation


@functools.cache
def few_images(name, seed, num_epochs=NUM_EPOCHS):
    """Train by one of the lesson's settings on few images; return (its run, its history)."""
    _, lesson, train, validation = prepare()
    augment = {
        "crop": lesson["crop"],
        "colour": lesson["colour"],
        "erasing": lesson["erasing"],
        "mixup": lesson["mixup"],
        "cutmix": lesson["cutmix"],
        "upside down": lambda images, labels: (upside_down(images), labels),
    }
    draws = {
        "flip": functools.partial(augmented_batches, padding=0),
        "shift": functools.partial(augmented_batches, flip=0.0),
        "flips and shifts": augmented_batches,
        **{key: lesson["batches_with"](function) for key, function in augment.items()},
        "flips, shifts, cutmix": lesson["batches_with"](lesson["cutmix"], augmented_batches),
    }
    options = {
        "nothing": {"num_judges": len(validation[1])},  # early stopping needs an exact score after each epoch
        f"weight decay {WEIGHT_DECAY}": {"weight_decay": WEIGHT_DECAY},
        "twice the images": {"num_epochs": num_epochs // 2},
    }.get(name, {})
    options = {"num_judges": 300, "num_epochs": num_epochs} | options
    count = NUM_IMAGES * (2 if name == "twice the images" else 1)
    images, labels = train[0][:count], train[1][:count]
    start = time.perf_counter()
    model, history = lesson["train_on"](images, labels, draws.get(name, PLAIN), seed, **options)
    seconds = time.perf_counter() - start
    loss, accuracy = evaluate(model, *validation)
    run = {"name": name, "seed": seed, "validation_accuracy": round(accuracy, 5), "validation_loss": round(loss, 4)}
    run |= {"train_accuracy": round(evaluate(model, images, labels)[1], 5), "seconds": round(seconds, 1)}
    return run, history


def channel_statistics(images):
    """Return the mean and the standard deviation of each channel, as the lesson takes them."""
    pixels = images.float().div_(255)
    return pixels.mean(dim=(0, 2, 3)), pixels.std(dim=(0, 2, 3))


def measure_06_cifar10(seeds=range(5)):
    """The final accuracy of lesson 06's headline training, and its seconds: spread over seeds."""
    cifar10 = load_cifar10()
    numbers = channel_statistics(cifar10.train.images)
    splits = (cifar10.train, cifar10.validation, cifar10.test)
    train, validation, test = [(normalise_channels(images, *numbers), labels) for images, labels in splits]
    lesson, draw = lesson_06(validation=validation), functools.partial(augmented_batches, padding=2)
    runs = []
    for seed in seeds:
        start = time.perf_counter()
        model, _ = lesson["train_on"](*train, draw, seed, num_epochs=4)
        run = {"seed": seed, "seconds": round(time.perf_counter() - start, 1)}
        scores = {"validation": evaluate(model, *validation)[1], "test": evaluate(model, *test)[1]}
        runs.append(run | {f"{split}_accuracy": round(accuracy, 5) for split, accuracy in scores.items()})
    about = f"{len(train[1]):,} images, 4 epochs, {len(seeds)} seeds"
    return {"source": cifar10.source, "split": "test", "about": about, "runs": runs}


def measure_06_drawn10(seeds=range(5)):
    """The same network and recipe on Drawn-10, 15 epochs, with and without flips and shifts."""
    with offline_data():
        data = load_cifar10()
    numbers = channel_statistics(data.train.images)
    train, validation = [
        (normalise_channels(images, *numbers), labels) for images, labels in (data.train, data.validation)
    ]
    train_on, runs = lesson_06(validation=validation)["train_on"], []
    draws = {"nothing": PLAIN, "flips and shifts": functools.partial(augmented_batches, padding=2)}
    for (name, draw), seed in tqdm([(draw, seed) for draw in draws.items() for seed in seeds]):
        start = time.perf_counter()
        model, _ = train_on(*train, draw, seed, num_epochs=15)
        run = {"name": name, "seed": seed, "validation_accuracy": round(evaluate(model, *validation)[1], 5)}
        runs.append(run | {"seconds": round(time.perf_counter() - start, 1)})
    about = f"{len(train[1]):,} images, 15 epochs, {len(seeds)} seeds"
    return {"source": data.source, "drawings": drawn.version(), "split": "validation", "about": about, "runs": runs}


def upside_down(images):
    """Return each image, with probability 1/2, with top and bottom exchanged."""
    chosen = torch.rand(len(images)) < 0.5
    return torch.where(chosen[:, None, None, None], images.flip(2), images)


def entry(runs, about):
    return {"source": prepare()[0].source, "split": "validation", "about": about, "runs": runs}


def measure_06_augmentation(seeds=range(3)):
    """Accuracy after equally many steps on few images, by augmentation."""
    names = [
        "nothing",
        "flip",
        "shift",
        "flips and shifts",
        "crop",
        "colour",
        "erasing",
        "mixup",
        "cutmix",
        "upside down",
    ]
    runs = [few_images(name, seed)[0] for name, seed in tqdm([(name, seed) for name in names for seed in seeds])]
    return entry(runs, f"{NUM_IMAGES:,} images, {NUM_EPOCHS} epochs, {len(seeds)} seeds")


def measure_06_patience(seeds=range(3)):
    """The same with three times as many epochs, for those augmentations that change an image most."""
    names, num_epochs = ["nothing", "flips and shifts", "cutmix", "flips, shifts, cutmix"], 3 * NUM_EPOCHS
    settings = [(name, seed) for name in names for seed in seeds]
    runs = [few_images(name, seed, num_epochs)[0] for name, seed in tqdm(settings)]
    return entry(runs, f"{NUM_IMAGES:,} images, {num_epochs} epochs, {len(seeds)} seeds")


def measure_06_loading(rounds=range(3), num_images=8_000, batch_size=128):
    """Images a second, with the same augmentation: a DataLoader with 0 to 4 workers, and whole batches."""
    cifar10, lesson, train, _ = prepare()
    numbers = [channel.tolist() for channel in channel_statistics(cifar10.train.images)]
    steps = [v2.RandomCrop(32, padding=4, padding_mode="reflect"), v2.RandomHorizontalFlip()]
    steps += [v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.Normalize(*numbers)]
    images, labels = (part[:num_images] for part in train)
    dataset = ImageDataset(cifar10.train.images[:num_images], labels, v2.Compose(steps))
    runs = []
    for number in rounds:
        for workers in range(5):
            ways = {"persistent_workers": True, "multiprocessing_context": "spawn"} if workers else {}
            loader = DataLoader(dataset, batch_size, shuffle=True, num_workers=workers, **ways)
            rate = lesson["images_a_second"](loader.__iter__)
            runs.append({"name": f"{workers} workers", "round": number, "images_a_second": round(rate)})
        rate = lesson["images_a_second"](lambda: augmented_batches(images, labels, batch_size))
        runs.append({"name": "whole batches", "round": number, "images_a_second": round(rate)})
    about = f"{num_images:,} images in batches of {batch_size}, {len(rounds)} rounds"
    return {"source": cifar10.source, "split": "training", "about": about, "runs": runs}


def measure_06_overfitting(seeds=range(3)):
    """Accuracy after equally many steps, by the treatment of overfitting.

    Early stopping takes the runs called "nothing" at the epoch whose validation loss was lowest.
    """
    names = ["nothing", f"weight decay {WEIGHT_DECAY}", "flips and shifts", "twice the images"]
    runs = {name: [few_images(name, seed) for seed in seeds] for name in tqdm(names)}
    early = []
    for run, history in runs["nothing"]:
        best = min(range(NUM_EPOCHS), key=history["validation_loss"].__getitem__)
        scores = {name: history[name][best] for name in ("validation_accuracy", "validation_loss")}
        early.append({**run, **scores, "name": "early stopping", "best_epoch": best + 1})
        del early[-1]["train_accuracy"]
    rows = [run for name in names for run, _ in runs[name]]
    about = f"{NUM_IMAGES:,} images, {NUM_EPOCHS} epochs, {len(seeds)} seeds"
    return entry(rows[: len(seeds)] + early + rows[len(seeds) :], about)


def measure_06_normalisation(seeds=range(3)):
    """Accuracy after one epoch on 10,000 images that were prepared rightly or wrongly, as were those that validate."""
    cifar10 = load_cifar10()
    pixels = cifar10.train.images.float().div_(255)
    mean, std = pixels.mean(dim=(0, 2, 3)), pixels.std(dim=(0, 2, 3))
    copied_std, everything = pixels.std(dim=(2, 3)).mean(dim=0), (pixels.mean().expand(3), pixels.std().expand(3))
    del pixels
    ways = {
        "each channel": lambda images: normalise_channels(images, mean, std),
        "one number for all": lambda images: normalise_channels(images, *everything),
        "copied std": lambda images: normalise_channels(images, mean, copied_std),
        "only divided by 255": lambda images: images.float() / 255,
        "bytes 0..255": lambda images: images.float(),
        "divided by 255 twice": lambda images: (images.float() / 255**2 - mean.view(3, 1, 1)) / std.view(3, 1, 1),
    }
    runs = []
    for (name, way), seed in tqdm([(way, seed) for way in ways.items() for seed in seeds]):
        validation = way(cifar10.validation.images), cifar10.validation.labels
        train_on = lesson_06(validation=validation)["train_on"]
        start = time.perf_counter()
        images, labels = (part[:10_000] for part in cifar10.train)
        model, _ = train_on(way(images), labels, PLAIN, seed, num_epochs=1, num_judges=300)
        run = {"name": name, "seed": seed, "validation_accuracy": round(evaluate(model, *validation)[1], 5)}
        runs.append(run | {"seconds": round(time.perf_counter() - start, 1)})
    return entry(runs, f"10,000 images, 1 epoch, {len(seeds)} seeds")
