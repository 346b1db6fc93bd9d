"""Lesson 10's measurements for `make ledger`: four ways to reuse a network at equal compute, and learning rates.

Everything runs by the lesson's own code, which is read out of its cells.
"""

import copy
import functools

import torch
from PIL import Image
from torch import nn
from torch.nn import functional as F
from torchvision.models import get_model
from tqdm import tqdm

from tests.tools.kernels import ROOT
from tests.tools.taught import define
from utils.arithmetic import layer_table
from utils.data import batches, load_cifar10
from utils.pretrained import load_pretrained
from utils.training import get_device, predict, set_seed

LESSON = ROOT / "notebooks" / "10_transfer_learning.ipynb"
CLASSES = ["airplane", "cat", "frog", "horse", "ship"]
COUNTS, VALIDATION = (5, 10, 20, 40), 100  # images a class
RATES, RATES_COUNT, RATES_BUDGET = (1e-4, 3e-4, 1e-3, 3e-3), 20, 1_000


@functools.cache
def lesson_10():
    """Return what lesson 10 defines in its cells: {name: function}, with what they use beside them."""
    expert = load_pretrained("squeezenet1_1")
    prepare = expert.weights.transforms(resize_size=96, crop_size=96)
    space = {
        "torch": torch,
        "nn": nn,
        "F": F,
        "copy": copy,
        "tqdm": tqdm,
        "Image": Image,
        "device": get_device(),
        "classes": CLASSES,
    }
    space |= {"batches": batches, "predict": predict, "set_seed": set_seed, "get_model": get_model}
    space |= {"layer_table": layer_table, "expert": expert, "prepare": prepare}
    return define(LESSON, space, {"WAYS"})


def prepared(split, names, count):
    """Return the first `count` images of each of the lesson's classes as the lesson's folders hold them, and labels."""
    lesson = lesson_10()
    chosen = [split.images[split.labels == names.index(name)][:count] for name in CLASSES]
    images = torch.stack([lesson["prepare"](lesson["enlarge"](image)) for image in torch.cat(chosen)])
    return images, torch.arange(len(CLASSES)).repeat_interleave(count)


def first_of_each(images, labels, count):
    """Return the first `count` images of each class."""
    chosen = torch.cat([(labels == label).nonzero()[:count, 0] for label in labels.unique()])
    return images[chosen], labels[chosen]


def score(model, validation):
    return round(lesson_10()["accuracy"](model, *validation), 5)


def measure_10_transfer(seeds=range(3), counts=COUNTS):
    """Validation accuracy of four ways to reuse a network, at equal compute, by the number of images a class."""
    cifar10, lesson, runs = load_cifar10(), lesson_10(), []
    train, validation = (
        prepared(split, cifar10.classes, count)
        for split, count in ((cifar10.train, max(counts)), (cifar10.validation, VALIDATION))
    )
    settings = [(way, count, seed) for way in lesson["WAYS"] for count in counts for seed in seeds]
    for way, count, seed in tqdm(settings):
        model, num_epochs = lesson["reuse"](way, *first_of_each(*train, count), seed)
        run = {"network": way, "images": count, "seed": seed, "epochs": num_epochs}
        runs.append(run | {"validation_accuracy": score(model, validation)})
    about = f"{len(CLASSES)} classes, equal compute, {len(seeds)} seeds"
    return {"source": cifar10.source, "split": "validation", "about": about, "runs": runs}


def measure_10_rates(seeds=range(3), rates=RATES):
    """Validation accuracy of full fine-tuning by learning rate: one rate for all layers, or smaller ones below."""
    cifar10, lesson, runs = load_cifar10(), lesson_10(), []
    train = prepared(cifar10.train, cifar10.classes, RATES_COUNT)
    validation = prepared(cifar10.validation, cifar10.classes, VALIDATION)
    settings = [(name, lr, seed) for name in ("one rate", "discriminative") for lr in rates for seed in seeds]
    for name, lr, seed in tqdm(settings):
        factor = 1 if name == "one rate" else 3
        model, _ = lesson["reuse"]("everything", *train, seed, lr=lr, factor=factor, budget=RATES_BUDGET)
        run = {"network": name, "lr": lr, "seed": seed}
        runs.append(run | {"validation_accuracy": score(model, validation)})
    about = f"{RATES_COUNT} images a class, {len(seeds)} seeds"
    return {"source": cifar10.source, "split": "validation", "about": about, "runs": runs}
