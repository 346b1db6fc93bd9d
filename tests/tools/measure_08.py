"""Lesson 08's measurements for `make ledger`: depth with and without skips, the recipe row by row, its final accuracy.

Everything runs by the lesson's own code: what `utils` holds is imported, and what stands in the notebook alone (the
networks of growing depth, whitening, flips and averages) is read out of its cells.
"""

import ast
import functools
import time

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from tqdm import tqdm

from tests.tools.cells import code_cells, parse, read
from tests.tools.kernels import ROOT, offline_data
from tests.tools.taught import definitions
from utils import drawn, models, training
from utils.data import augmented_batches, batches, load_cifar10, load_mnist, normalise_channels
from utils.models import ResidualCNN
from utils.training import choose_dtype, evaluate, fast_epoch, fit_fast, get_device, predict, recalibrate, set_seed

LESSON = ROOT / "notebooks" / "08_residual_networks.ipynb"
PLAIN = functools.partial(batches, shuffle=True)
GENTLE = functools.partial(augmented_batches, padding=2)
DEPTHS, DEPTH_IMAGES, DEPTH_EPOCHS, DEPTH_LRS = (8, 16, 32, 50), 10_000, 3, (0.01, 0.03, 0.1)
HEADLINE_EPOCHS, DRAWN_EPOCHS, LR = 8, 6, 0.4
ROW_EPOCHS, AVERAGE_DECAY = 3, 0.99
SHIFTS = functools.partial(augmented_batches, padding=2, flip=0.0)  # a mirrored digit is no digit
MNIST_WIDTHS, MNIST_EPOCHS = (16, 32, 64), 3
ROWS = [  # each keeps what stands above it and adds its own change
    ("constant learning rate", {"lr": 0.05, "one_cycle": False, "decay": 0.0, "draw": PLAIN, "smooth": 0.0}),
    ("+ one-cycle", {"lr": LR, "one_cycle": True}),
    ("+ weight decay", {"decay": 5e-4}),
    ("+ label smoothing", {"smooth": 0.2}),
    ("+ whitened stem", {"whiten": True}),
    ("+ flips and shifts", {"draw": GENTLE}),
]
ASKED = ["+ flips at test time", "+ averaged weights"]  # of the last row's networks, which need no other training
IN_FLOAT32 = "all of it in float32"


@functools.cache
def lesson_08():
    """Return what lesson 08 defines in its cells: {name: function}, with what they use beside them."""
    space = {"np": np, "torch": torch, "nn": nn, "F": F, "device": get_device()}
    space |= {"augmented_batches": augmented_batches, "batches": batches, "gentle": GENTLE}
    space |= {name: value for module in (models, training) for name, value in vars(module).items()}
    own = [nodes[-1] for _, cell in code_cells(read(LESSON)) for nodes in definitions(parse(cell)).values()]
    own = [node for node in own if isinstance(node, ast.FunctionDef) and node.name not in space]
    exec(compile(ast.Module(own, []), str(LESSON), "exec"), space)
    return space


@functools.cache
def prepare():
    """Return (source, training, validation and test split), normalised as in lesson 08."""
    cifar10 = load_cifar10()
    return cifar10.source, *normalised(cifar10)


def normalised(data):
    """Return a data set's three splits as pairs of float images and labels, by its first training images."""
    pixels = data.train.images[:10_000].float() / 255
    statistics = pixels.mean(dim=(0, 2, 3)), pixels.std(dim=(0, 2, 3))
    return [
        (normalise_channels(split.images, *statistics), split.labels)
        for split in (data.train, data.validation, data.test)
    ]


def new_network(seed, images=None, **settings):
    """Return lesson 08's network of this seed; where images are given, its stem is whitened by them."""
    set_seed(seed)
    model = ResidualCNN(**settings).to(get_device())
    if images is not None:
        lesson_08()["whiten"](model.stem, images)
    return model


def as_colour(images):
    """Return grey images (N, 1, 28, 28) as lesson 08's network wants them: (N, 3, 32, 32), three times the same."""
    return F.pad(images, (2, 2, 2, 2), value=images.min().item()).expand(-1, 3, -1, -1).contiguous()


def mnist_splits(mnist):
    """Return MNIST's three splits for lesson 08's network, normalised by its training images."""
    mean, std = (getattr(mnist.train.images.float() / 255, name)() for name in ("mean", "std"))
    return [
        (as_colour((split.images.float() / 255 - mean) / std), split.labels)
        for split in (mnist.train, mnist.validation, mnist.test)
    ]


def accuracy(logits, labels):
    return round((logits.argmax(dim=1) == labels).double().mean().item(), 5)


# --- depth -----------------------------------------------------------------------------------------------------------


def depth_run(name, depth, lr, seed, train, validation):
    """Train a network of this kind and depth by SGD with momentum; return its scores on both splits.

    The memory of its batch norms is renewed before: it lags behind, and the more norms, the more that costs.
    """
    set_seed(seed)
    model, start = lesson_08()[f"{name}_cnn"](depth).to(get_device()), time.perf_counter()
    optimizer = torch.optim.SGD(model.parameters(), lr, momentum=0.9)
    for _ in range(DEPTH_EPOCHS):
        model.train()
        for images, labels in batches(*train, 64, shuffle=True):
            loss = F.cross_entropy(model(images.to(get_device())), labels.to(get_device()))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    run = {"network": name, "depth": depth, "lr": lr, "seed": seed, "seconds": round(time.perf_counter() - start, 1)}
    recalibrate(model, train[0])
    (train_loss, train_accuracy), (_, score) = evaluate(model, *train), evaluate(model, *validation)
    run |= {"train_loss": round(train_loss, 4), "train_accuracy": round(train_accuracy, 5)}
    return run | {"validation_accuracy": round(score, 5)}


def measure_08_depth(seeds=range(3)):
    """Accuracy on the images trained on and on validation images, by depth, with and without skips.

    Each network gets the learning rate, of DEPTH_LRS, at which its first seed has the lowest training loss.
    """
    source, train, validation, _ = prepare()
    few, first, runs = tuple(part[:DEPTH_IMAGES] for part in train), seeds[0], []
    for name, depth in tqdm([(name, depth) for name in ("plain", "residual") for depth in DEPTHS]):
        tried = [depth_run(name, depth, lr, first, few, validation) for lr in DEPTH_LRS]
        best = min(tried, key=lambda run: run["train_loss"])
        runs.append(best)
        runs += [depth_run(name, depth, best["lr"], seed, few, validation) for seed in seeds[1:]]
    about = f"{DEPTH_IMAGES:,} images, {DEPTH_EPOCHS} epochs, {len(seeds)} seeds"
    return {"source": source, "split": "train and validation", "about": about, "runs": runs}


# --- the recipe, row by row ------------------------------------------------------------------------------------------


def recipe_run(train, seed, num_epochs, lr, one_cycle, decay, draw, smooth, whiten=False, dtype=None, batch_size=256):
    """Train by one row's settings, as fit_fast does but for what the row leaves out.

    Return (the network, the average of its weights, the seconds).
    """
    model = new_network(seed, train[0] if whiten else None)
    model.to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(model.parameters(), lr, momentum=0.9, weight_decay=decay, nesterov=True)
    num_steps = num_epochs * -(-len(train[1]) // batch_size)
    if one_cycle:
        scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, lr, num_steps, cycle_momentum=False)
    else:
        scheduler = torch.optim.lr_scheduler.ConstantLR(optimizer, factor=1.0)
    average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(AVERAGE_DECAY), use_buffers=True)
    draw = lesson_08()["averaging"](draw, model, average)
    dtype, start = dtype or choose_dtype(get_device()), time.perf_counter()
    scaler = torch.amp.GradScaler(get_device().type, enabled=dtype == torch.float16)
    for _ in range(num_epochs):
        fast_epoch(model, draw(*train, batch_size), optimizer, scheduler, scaler, dtype, smooth)
    return model, average, round(time.perf_counter() - start, 1)


def measure_08_recipe(seeds=range(3), num_epochs=ROW_EPOCHS):
    """Validation accuracy at equal budget, row by row: each adds one change to the row above it.

    The last rows ask the networks of the row above them in another way; the very last trains them in float32.
    """
    source, train, (images, labels), _ = prepare()
    flipped, settings, runs = lesson_08()["predict_flipped"], {}, []

    def keep(name, seed, logits, seconds):
        score = accuracy(logits, labels)
        runs.append({"name": name, "seed": seed, "validation_accuracy": score, "seconds": seconds})

    for name, change in tqdm(ROWS):
        settings = settings | change
        for seed in seeds:
            model, average, seconds = recipe_run(train, seed, num_epochs, **settings)
            keep(name, seed, predict(model, images), seconds)
            if name == ROWS[-1][0]:
                keep(ASKED[0], seed, flipped(model, images), seconds)
                keep(ASKED[1], seed, flipped(average, images), seconds)
    for seed in seeds:
        model, _, seconds = recipe_run(train, seed, num_epochs, **settings, dtype=torch.float32)
        keep(IN_FLOAT32, seed, flipped(model, images), seconds)
    order = {name: place for place, name in enumerate([name for name, _ in ROWS] + [*ASKED, IN_FLOAT32])}
    runs.sort(key=lambda run: order[run["name"]])
    about = f"{len(train[1]):,} images, {num_epochs} epochs, {len(seeds)} seeds"
    return {"source": source, "split": "validation", "about": about, "runs": runs}


# --- the headline ----------------------------------------------------------------------------------------------------


def headline(train, validation, test, seed, num_epochs):
    """Train as lesson 08's headline cell does; return the scores, asked twice each, and the seconds."""
    model, start = new_network(seed, train[0]), time.perf_counter()
    fit_fast(model, train, validation, num_epochs, lr=LR, draw=GENTLE)
    run = {"seed": seed, "seconds": round(time.perf_counter() - start, 1)}
    ask = lesson_08()["predict_flipped"]
    for name, (images, labels) in {"validation": validation, "test": test}.items():
        run[f"{name}_accuracy"] = accuracy(ask(model, images), labels)
    return run


def measure_08_residual_networks(seeds=range(3)):
    """The final accuracy of lesson 08's headline training, and its seconds: spread over seeds."""
    source, *splits = prepare()
    runs = [headline(*splits, seed, HEADLINE_EPOCHS) for seed in seeds]
    about = f"{len(splits[0][1]):,} images, {HEADLINE_EPOCHS} epochs, {len(seeds)} seeds"
    return {"source": source, "split": "test", "about": about, "runs": runs}


def measure_08_drawn10(seeds=range(3)):
    """The same on Drawn-10, for as many epochs as the lesson takes there."""
    with offline_data():
        data = load_cifar10()
    splits = normalised(data)
    runs = [headline(*splits, seed, DRAWN_EPOCHS) for seed in seeds]
    about = f"{len(splits[0][1]):,} images, {DRAWN_EPOCHS} epochs, {len(seeds)} seeds"
    return {"source": data.source, "drawings": drawn.version(), "split": "test", "about": about, "runs": runs}


def without_shortcuts(seed, images):
    """Return lesson 08's network of this seed with its stem whitened, and no way around any block."""
    model = new_network(seed, images)
    for block in model.blocks:
        block.forward = block.branch
    return model


def measure_08_shortcuts(seeds=range(3), num_epochs=ROW_EPOCHS):
    """Validation accuracy without the shortcuts; with them it is the recipe's row of flips and shifts."""
    source, train, (images, labels), _ = prepare()
    runs = []
    for seed in seeds:
        model = without_shortcuts(seed, train[0])
        fit_fast(model, train, (images, labels), num_epochs, lr=LR, draw=GENTLE)
        score = accuracy(predict(model, images), labels)
        runs.append({"name": "without shortcuts", "seed": seed, "validation_accuracy": score})
    about = f"{len(train[1]):,} images, {num_epochs} epochs, {len(seeds)} seeds"
    return {"source": source, "split": "validation", "about": about, "runs": runs}


def measure_08_mnist(seeds=range(3)):
    """fit_fast on MNIST with a narrow network of lesson 08: its final accuracy, and its seconds.

    The stem learns. Three equal channels have directions without any spread, in which whitening would do nothing but
    amplify bfloat16's rounding; scored in float32, such a network had 95 %.
    """
    mnist = load_mnist()
    train, validation, test = mnist_splits(mnist)
    runs = []
    for seed in seeds:
        model, start = new_network(seed, widths=MNIST_WIDTHS), time.perf_counter()
        history = fit_fast(model, train, validation, MNIST_EPOCHS, lr=LR, draw=SHIFTS)
        run = {"seed": seed, "seconds": round(time.perf_counter() - start, 1)}
        run["validation_accuracy"] = round(history["validation_accuracy"][-1], 5)
        runs.append(run | {"test_accuracy": round(evaluate(model, *test)[1], 5)})
    about = f"{len(train[1]):,} images, {MNIST_EPOCHS} epochs, {len(seeds)} seeds"
    return {"source": mnist.source, "split": "test", "about": about, "runs": runs}
