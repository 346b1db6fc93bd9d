"""Lesson 07's comparisons, for the ledger: learning rates, batch sizes, and a small training set, over seeds."""

import time

import torch
from torch import nn
from torch.nn import functional as F
from tqdm import tqdm

from utils.data import batches, load_cifar10, normalise_channels
from utils.models import NormCNN
from utils.training import evaluate, get_device, recalibrate, set_seed

NORMS = {
    "no normalisation": nn.Identity,
    "batch norm": nn.BatchNorm2d,
    "group norm": lambda num_channels: nn.GroupNorm(8, num_channels),
}
NUM_IMAGES = 10_000
LEARNING_RATES = {
    "no normalisation": (0.003, 0.01, 0.03, 0.1, 0.3, 1.0),
    "batch norm": (0.003, 0.01, 0.03, 0.1, 0.3, 1.0),
    "group norm": (0.03, 0.1, 0.3),
}
PARTS = {"batch norm": (2, 4, 8, 16, 64), "group norm": (64,)}  # to group norm the size of a part makes no difference
SMALL, SMALL_EPOCHS = 2_000, 15
SMALL_NETWORKS = {  # name: norm, learning rate, dropouts
    "no normalisation": ("no normalisation", 0.05, {}),
    "batch norm": ("batch norm", 0.3, {}),
    "group norm": ("group norm", 0.1, {}),
    "batch norm + dropout at the end": ("batch norm", 0.3, {"drop_features": 0.5}),
    "batch norm + spatial dropout": ("batch norm", 0.3, {"drop_maps": 0.1}),
}


def prepare(num_images=NUM_IMAGES):
    """Return CIFAR-10's source, its first training images and its validation split, normalised as in lesson 07."""
    cifar10 = load_cifar10()
    images, labels = (part[:num_images] for part in cifar10.train)
    pixels = images.float() / 255
    statistics = pixels.mean(dim=(0, 2, 3)), pixels.std(dim=(0, 2, 3))
    validation = normalise_channels(cifar10.validation.images, *statistics), cifar10.validation.labels
    return cifar10.source, (normalise_channels(images, *statistics), labels), validation


def network(seed, norm, **dropout):
    """Return a NormCNN of this seed, on the device."""
    set_seed(seed)
    return NormCNN(NORMS[norm], **dropout).to(get_device())


def run(model, train, lr, num_epochs=1, one_cycle=False, part=64):
    """Train with SGD and momentum 0.9 on batches of 64, which go through the model in parts; return the seconds."""
    optimizer = torch.optim.SGD(model.parameters(), lr=lr, momentum=0.9)
    scheduler = None
    if one_cycle:
        steps = num_epochs * -(-len(train[1]) // 64)
        scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, lr, total_steps=steps, cycle_momentum=False)
    device, start = next(model.parameters()).device, time.perf_counter()
    model.train()
    for _ in range(num_epochs):
        for images, labels in batches(*train, batch_size=64, shuffle=True):
            logits = torch.cat([model(some) for some in images.to(device).split(part)])
            loss = F.cross_entropy(logits, labels.to(device))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            if scheduler:
                scheduler.step()
    return round(time.perf_counter() - start, 1)


def report(source, seeds, images, epochs, runs):
    """Return what the ledger keeps of a measurement."""
    about = f"{images:,} images, {epochs} epoch{'s' * (epochs > 1)}, {len(seeds)} seeds"
    return {"source": source, "split": "validation", "about": about, "runs": runs}


def measure_07_learning_rates(seeds=range(3)):
    """Accuracy after one epoch by learning rate, for three norms."""
    source, train, validation = prepare()
    runs = []
    settings = [(norm, lr, seed) for norm, rates in LEARNING_RATES.items() for lr in rates for seed in seeds]
    for norm, lr, seed in tqdm(settings):
        model = network(seed, norm)
        seconds = run(model, train, lr)
        accuracy = round(evaluate(model, *validation)[1], 5)
        runs.append({"network": norm, "lr": lr, "seed": seed, "validation_accuracy": accuracy, "seconds": seconds})
    return report(source, seeds, NUM_IMAGES, 1, runs)


def measure_07_batch_sizes(seeds=range(3)):
    """Accuracy after one epoch by the number of images that are normalised together, of the 64 in each step."""
    source, train, validation = prepare()
    runs = []
    settings = [(norm, part, seed) for norm, parts in PARTS.items() for part in parts for seed in seeds]
    for norm, part, seed in tqdm(settings):
        model = network(seed, norm)
        seconds = run(model, train, lr=0.1, one_cycle=True, part=part)
        accuracy = round(evaluate(model, *validation)[1], 5)
        row = {"batch_size": part, "seed": seed, "seconds": seconds}
        runs.append({"network": norm, **row, "validation_accuracy": accuracy})
        if norm == "batch norm":
            recalibrate(model, train[0])
            accuracy = round(evaluate(model, *validation)[1], 5)
            runs.append({"network": f"{norm}, memory renewed", **row, "validation_accuracy": accuracy})
    return report(source, seeds, NUM_IMAGES, 1, runs)


def measure_07_small_set(seeds=range(3)):
    """Training and validation accuracy on few images, with and without normalisation and dropout."""
    source, train, validation = prepare(SMALL)
    runs = []
    for name, seed in tqdm([(name, seed) for name in SMALL_NETWORKS for seed in seeds]):
        norm, lr, dropout = SMALL_NETWORKS[name]
        model = network(seed, norm, **dropout)
        seconds = run(model, train, lr, num_epochs=SMALL_EPOCHS, one_cycle=True)
        loss, accuracy = evaluate(model, *validation)
        row = {"name": name, "seed": seed, "train_accuracy": round(evaluate(model, *train)[1], 5)}
        row |= {"validation_accuracy": round(accuracy, 5), "validation_loss": round(loss, 4), "seconds": seconds}
        recalibrate(model, train[0])
        runs.append(row | {"renewed_accuracy": round(evaluate(model, *validation)[1], 5)})
    return report(source, seeds, SMALL, SMALL_EPOCHS, runs)
