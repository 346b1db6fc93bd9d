"""How much sooner: the textbook loop against lesson 08's `fit_fast`, side by side in one run. `make bench`

(a) MNIST to 98.8 % and (b) CIFAR-10 to 70 % of the validation split: seconds until an epoch ends at or above that,
scoring included on both sides. (c) Images a second of a training step, one lever at a time. Three seeds each; the
table has means. Prints it, writes tests/results/bench.json, and has images/figures/08.py draw it.

`--only mnist` (or cifar10, or levers) measures one of them anew, all its rows, and keeps the others.
`--images N` is a trial on N training images of each data set; it writes nothing.
"""

import argparse
import functools
import json
import subprocess
import sys
import time

import torch
from PIL import Image
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2
from tqdm import tqdm

from tests.tools.kernels import ROOT, settle_course_data
from tests.tools.machine import surroundings
from tests.tools.measure_08 import GENTLE, LR, new_network, normalised
from utils.data import batches, load_cifar10, load_mnist
from utils.models import ResidualCNN, SmallCNN
from utils.training import choose_dtype, evaluate, fit_fast, get_device, set_seed

PATH = ROOT / "tests" / "results" / "bench.json"
LIMIT = 300  # seconds after which a loop that has not arrived is stopped, at the end of its epoch
TARGETS = {"MNIST": 0.988, "CIFAR-10": 0.70}
FAST_EPOCHS = {"MNIST": 2, "CIFAR-10": 1}  # the schedule is planned for that many
SEEDS = range(3)


# --- the textbook loop -----------------------------------------------------------------------------------------------


class Items(Dataset):
    """One picture at a time: a PIL image, turned into a tensor and normalised, and its label."""

    def __init__(self, images, labels, mean, std):
        self.pictures = images.permute(0, 2, 3, 1).squeeze(-1).contiguous().numpy()
        self.labels = labels.tolist()
        steps = [v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.Normalize(mean, std)]
        self.transform = v2.Compose(steps)

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, index):
        return self.transform(Image.fromarray(self.pictures[index])), self.labels[index]


def plain_cnn():
    """Return a plain network for digits: two convolutions, a pooling, two dense layers."""
    return nn.Sequential(
        nn.Conv2d(1, 32, 3), nn.ReLU(), nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(0.25),
        nn.Flatten(), nn.Linear(64 * 12 * 12, 128), nn.ReLU(), nn.Dropout(0.5), nn.Linear(128, 10),
    )  # fmt: skip


def lenet_sized():
    """Return a network of LeNet's size for colour images, as quickstarts have it."""
    return nn.Sequential(
        nn.Conv2d(3, 6, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10),
    )  # fmt: skip


def textbook(make, split, validation, target, limit, statistics, seed=0):
    """Train as textbooks do (items, batches of 64, float32, Adam) up to the target; return what row does."""
    set_seed(seed)
    device, model, start = get_device(), make().to(get_device()), time.perf_counter()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.001)
    loader = DataLoader(Items(*split, *statistics), batch_size=64, shuffle=True)
    epochs, score = 0, 0.0
    while score < target and time.perf_counter() - start < limit:
        model.train()
        for images, labels in tqdm(loader, f"textbook, epoch {epochs + 1}", leave=False):
            loss = F.cross_entropy(model(images.to(device)), labels.to(device))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        epochs, score = epochs + 1, evaluate(model, *validation)[1]
    return row(start, epochs, score, target)


def row(start, epochs, score, target):
    """Return what is kept of a training; without seconds where it did not arrive."""
    seconds = round(time.perf_counter() - start, 1)
    arrived = seconds if score >= target else None
    return {"seconds": arrived, "spent": seconds, "epochs": epochs, "validation_accuracy": round(score, 4)}


def repeat(name, train, seeds):
    """Train with each seed; return a row of the table: means, and the trainings themselves."""
    runs = [train(seed=seed) for seed in seeds]
    means = {key: sum(run[key] for run in runs) / len(runs) for key in ("spent", "epochs", "validation_accuracy")}
    seconds = means["spent"] if all(run["seconds"] is not None for run in runs) else None
    return {"name": name, "seconds": seconds, **means, "runs": runs}


# --- fit_fast --------------------------------------------------------------------------------------------------------


def new_small(seed):
    """Return lesson 05's network of this seed."""
    set_seed(seed)
    return SmallCNN().to(get_device())


def fast(make, train, validation, target, num_epochs, seed=0, lr=LR, **settings):
    """Train by fit_fast; return what row does."""
    start = time.perf_counter()
    model = make(seed)
    history = fit_fast(model, train, validation, num_epochs, lr, **settings)
    return row(start, num_epochs, history["validation_accuracy"][-1], target)


# --- the three measurements ------------------------------------------------------------------------------------------


def first(split, count):
    return split if count is None else type(split)(*(part[:count] for part in split))


def bench_mnist(count, limit, seeds):
    """(a) MNIST: the textbook loop with a plain network against fit_fast."""
    mnist = load_mnist()
    split = first(mnist.train, count)
    pixels = split.images.float() / 255
    mean, std = pixels.mean().item(), pixels.std().item()
    train, validation = [((part.images.float() / 255 - mean) / std, part.labels) for part in (split, mnist.validation)]
    target = TARGETS["MNIST"]
    slow = functools.partial(textbook, plain_cnn, split, validation, target, limit, ([mean], [std]))
    rows = [repeat("textbook loop, plain network", slow, seeds)]
    quick = functools.partial(
        fast, new_small, train, validation, target, FAST_EPOCHS["MNIST"], lr=0.2, batch_size=128,
        draw=functools.partial(batches, shuffle=True),
    )  # fmt: skip
    rows.append(repeat("fit_fast, lesson 05's network", quick, seeds))
    return {"title": f"MNIST to {target:.1%}", "target": target, "source": mnist.source, "rows": rows}


def bench_cifar10(count, limit, seeds):
    """(b) CIFAR-10: the textbook loop with two networks against fit_fast."""
    cifar10 = load_cifar10()
    split, target = first(cifar10.train, count), TARGETS["CIFAR-10"]
    train, validation, _ = normalised(cifar10)
    pixels = cifar10.train.images[:10_000].float() / 255
    statistics = pixels.mean(dim=(0, 2, 3)).tolist(), pixels.std(dim=(0, 2, 3)).tolist()
    rows = []
    for name, make in (("a LeNet-sized network", lenet_sized), ("lesson 08's network", ResidualCNN)):
        slow = functools.partial(textbook, make, split, validation, target, limit, statistics)
        rows.append(repeat(f"textbook loop, {name}", slow, seeds))
    train = tuple(part[:count] for part in train)
    make = functools.partial(new_network, images=train[0])
    quick = functools.partial(fast, make, train, validation, target, FAST_EPOCHS["CIFAR-10"], draw=GENTLE)
    rows.append(repeat("fit_fast, lesson 08's network", quick, seeds))
    return {"title": f"CIFAR-10 to {target:.0%}", "target": target, "source": cifar10.source, "rows": rows}


def bench_levers(count=None, limit=None, seeds=None, batch_size=128, rounds=10):
    """(c) Images a second of a training step of lesson 08's network, one lever at a time; the best round counts."""
    usual, last, quick = torch.contiguous_format, torch.channels_last, choose_dtype(get_device())
    levers = [("float32, NCHW", torch.float32, usual), ("+ channels-last", torch.float32, last)]
    if quick != torch.float32:
        levers.append((f"+ {str(quick).removeprefix('torch.')}", quick, last))
    return [{"name": name, "images_a_second": round(rate(*lever, batch_size, rounds))} for name, *lever in levers]


def rate(dtype, memory_format, batch_size, rounds):
    """Return the images a second of one setting."""
    set_seed(0)
    device, seconds = get_device(), []
    model = ResidualCNN().to(device, memory_format=memory_format)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, nesterov=True)
    images = torch.randn(batch_size, 3, 32, 32).to(device, memory_format=memory_format)
    labels = torch.arange(batch_size).to(device) % 10
    for _ in range(rounds):
        start = time.perf_counter()
        with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
            logits = model(images)
        loss = F.cross_entropy(logits.float(), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        model.classifier.bias.sum().item()  # a GPU runs ahead of Python; a number can only be read at the end
        seconds.append(time.perf_counter() - start)
    return batch_size / min(seconds)


PARTS = {"mnist": bench_mnist, "cifar10": bench_cifar10, "levers": bench_levers}

# --- the table -------------------------------------------------------------------------------------------------------


def table(results):
    """Return the results as lines of text; each row's ratio is to the last row of its group."""
    lines = []
    for task in (results["mnist"], results["cifar10"]):
        lines.append(f"{task['title']} ({task['source']})")
        quick = task["rows"][-1]["seconds"]
        for found in task["rows"]:
            arrived = f"{found['seconds']:7.0f} s" if found["seconds"] is not None else "not there"
            ratio = f"{found['seconds'] / quick:5.1f} ×" if found["seconds"] and quick else ""
            score = f"{found['validation_accuracy']:.1%} after {found['epochs']:.1f} epochs, {found['spent']:.0f} s"
            lines.append(f"  {found['name']:40} {arrived:>9} {ratio:>8}   {score}")
    lines.append("A training step")
    slowest = results["levers"][0]["images_a_second"]
    for found in results["levers"]:
        speed = found["images_a_second"]
        lines.append(f"  {found['name']:40} {speed:7,.0f} images/s {speed / slowest:5.1f} ×")
    return "\n".join(lines)


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m tests.tools.bench", description=__doc__.partition("\n")[0])
    parser.add_argument("--images", type=int, help="a trial on so many training images; nothing is written")
    parser.add_argument("--only", choices=PARTS, help="measure this part anew, and keep the others")
    parser.add_argument("--limit", type=float, default=LIMIT, help="seconds for a loop that does not arrive")
    parser.add_argument("--seeds", type=int, default=len(SEEDS), help="how many trainings of each kind")
    options = parser.parse_args(arguments)
    seeds = range(options.seeds)
    settle_course_data("data")
    about = surroundings()
    if options.only and not PATH.is_file():
        parser.error("there are no results yet to keep: run it without --only")
    results = json.loads(PATH.read_text(encoding="utf-8")) if options.only else {}
    if options.only and results.get("processor") != about["processor"]:
        parser.error("the other results are another machine's: run it without --only")
    for name in [options.only] if options.only else PARTS:
        results[name] = PARTS[name](options.images, options.limit, seeds)
    results["about"] = (
        f"means of {len(seeds)} seeds; {about['processor']}, {about['cores']} cores, torch {about['torch']}"
    )
    results |= about
    print(table(results))
    if options.images is None:
        PATH.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
        subprocess.run([sys.executable, ROOT / "images" / "figures" / "08.py"], check=True)


if __name__ == "__main__":
    main()
