"""Repeat the lessons' measurements over several seeds: `make ledger` writes tests/results/ledger.json.

Each measurement calls the code that its lesson taught, and records where it ran, on which data, and every score.
`python -m tests.tools.ledger 05_mnist` repeats the named ones and leaves the others in the file as they are.
"""

import argparse
import json
import time

import torch
from torch.nn import functional as F
from tqdm import tqdm

from tests.tools import measure_06, measure_07, measure_08, measure_10, measure_12
from tests.tools.kernels import ROOT, offline_data, settle_course_data
from tests.tools.machine import surroundings
from utils.data import batches, load_mnist
from utils.models import SmallCNN
from utils.training import evaluate, fit, get_device, set_seed

PATH = ROOT / "tests" / "results" / "ledger.json"


def prepare(mnist):
    """Return the three splits normalised as lesson 05 does."""
    pixels = mnist.train.images.float() / 255
    mean, std = pixels.mean(), pixels.std()
    splits = (mnist.train, mnist.validation, mnist.test)
    return [((split.images.float() / 255 - mean) / std, split.labels) for split in splits]


def lesson_05_run(seed, train, validation, test):
    """Train as lesson 05's headline cells do, and return the scores and the seconds of training."""
    set_seed(seed)
    model = SmallCNN().to(get_device())
    optimizer = torch.optim.Adam(model.parameters(), lr=0.002)
    start = time.perf_counter()
    fit(model, train, validation, optimizer, num_epochs=4)
    for group in optimizer.param_groups:
        group["lr"] = 0.0002
    history = fit(model, train, validation, optimizer, num_epochs=2)
    seconds = time.perf_counter() - start
    return {
        "seed": seed,
        "validation_accuracy": round(history["validation_accuracy"][-1], 5),
        "test_accuracy": round(evaluate(model, *test)[1], 5),
        "seconds": round(seconds, 1),
    }


def measure_05_mnist(seeds=range(5)):
    """The final accuracy of lesson 05's recipe: spread over seeds."""
    mnist = load_mnist()
    splits = prepare(mnist)
    return {"source": mnist.source, "runs": [lesson_05_run(seed, *splits) for seed in seeds]}


def measure_05_mnist_offline(seeds=range(5)):
    """The same recipe on the digits that need no network."""
    with offline_data():
        return measure_05_mnist(seeds)


def optimizer_run(make_optimizer, seed, train, validation):
    """One epoch over 10,000 images; return the validation accuracy."""
    set_seed(seed)
    model = SmallCNN().to(get_device())
    optimizer = make_optimizer(model.parameters())
    for images, labels in batches(train[0][:10_000], train[1][:10_000], batch_size=64, shuffle=True):
        loss = F.cross_entropy(model(images.to(get_device())), labels.to(get_device()))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return round(evaluate(model, *validation)[1], 5)


def measure_05_optimizers(seeds=range(3)):
    """Accuracy after one epoch over 10,000 images, by optimiser and learning rate."""
    mnist = load_mnist()
    train, validation, _ = prepare(mnist)
    grid = {
        "SGD": (lambda parameters, lr: torch.optim.SGD(parameters, lr), 10 ** torch.arange(-3, 0.6, 0.5)),
        "SGD, momentum 0.9": (
            lambda parameters, lr: torch.optim.SGD(parameters, lr, momentum=0.9),
            10 ** torch.arange(-4, 0.1, 0.5),
        ),
        "Adam": (lambda parameters, lr: torch.optim.Adam(parameters, lr), 10 ** torch.arange(-4.5, -0.9, 0.5)),
    }
    settings = [(name, lr, seed) for name, (_, lrs) in grid.items() for lr in lrs.tolist() for seed in seeds]
    runs = []
    for name, lr, seed in tqdm(settings):
        accuracy = optimizer_run(lambda parameters, n=name, r=lr: grid[n][0](parameters, r), seed, train, validation)
        runs.append({"optimizer": name, "lr": float(f"{lr:.3g}"), "seed": seed, "validation_accuracy": accuracy})
    about = f"10,000 images, 1 epoch, {len(seeds)} seeds"
    return {"source": mnist.source, "split": "validation", "about": about, "runs": runs}


MEASUREMENTS = {
    "05_mnist": measure_05_mnist,
    "05_mnist_offline": measure_05_mnist_offline,
    "05_optimizers": measure_05_optimizers,
    "06_cifar10": measure_06.measure_06_cifar10,
    "06_drawn10": measure_06.measure_06_drawn10,
    "06_loading": measure_06.measure_06_loading,
    "06_augmentation": measure_06.measure_06_augmentation,
    "06_patience": measure_06.measure_06_patience,
    "06_overfitting": measure_06.measure_06_overfitting,
    "06_normalisation": measure_06.measure_06_normalisation,
    "07_learning_rates": measure_07.measure_07_learning_rates,
    "07_batch_sizes": measure_07.measure_07_batch_sizes,
    "07_small_set": measure_07.measure_07_small_set,
    "08_residual_networks": measure_08.measure_08_residual_networks,
    "08_drawn10": measure_08.measure_08_drawn10,
    "08_depth": measure_08.measure_08_depth,
    "08_recipe": measure_08.measure_08_recipe,
    "08_shortcuts": measure_08.measure_08_shortcuts,
    "08_mnist": measure_08.measure_08_mnist,
    "10_transfer": measure_10.measure_10_transfer,
    "10_rates": measure_10.measure_10_rates,
    "12_two_processes": measure_12.measure_12_two_processes,
}


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m tests.tools.ledger", description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(MEASUREMENTS)}; all, if none is named")
    names = parser.parse_args(arguments).names or list(MEASUREMENTS)
    if unknown := set(names) - set(MEASUREMENTS):
        parser.error(f"there is no measurement called {', '.join(sorted(unknown))}")
    settle_course_data("data")
    for name in names:
        entry = {**MEASUREMENTS[name](), **surroundings()}
        results = json.loads(PATH.read_text(encoding="utf-8")) if PATH.is_file() else {}
        PATH.parent.mkdir(exist_ok=True)
        PATH.write_text(json.dumps({**results, name: entry}, indent=1) + "\n", encoding="utf-8")
        print(f"{name}: {len(entry['runs'])} runs on {entry['source']}")


if __name__ == "__main__":
    main()
