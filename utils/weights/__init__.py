"""The few small trained networks that the course ships, each with its card beside it (NAME.md).

They are safetensors files: numbers and names, nothing that could run. `make checkpoints` trains them anew.
"""

from pathlib import Path

from safetensors import SafetensorError, safe_open
from torch import nn
from torchvision.transforms import v2

from utils.models import SmallCNN

FOLDER = Path(__file__).resolve().parent


def read_checkpoint(path):
    """Return (tensors by name, notes by name) of a safetensors file.

    Raises FileNotFoundError or ValueError with the command that mends it.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path.name} is missing: fetch the course again, or train it with `make checkpoints`")
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except SafetensorError as error:
        raise ValueError(
            f"{path.name} is damaged ({error}): fetch the course again, or train it with `make checkpoints`"
        ) from error


def load_digit_reader(path=FOLDER / "digit_reader.safetensors"):
    """Return lesson 05's network, trained on MNIST, in evaluation mode: (N, 1, 28, 28) in 0..1 → logits (N, 10).

    Its first layer normalises, with the mean and spread that it was trained with. It has never seen the digits that
    the course uses offline. Raises FileNotFoundError or ValueError where the file is missing, damaged, or another's.
    """
    tensors, notes = read_checkpoint(path)
    network = SmallCNN()
    try:
        network.load_state_dict(tensors)
        normalise = v2.Normalize([float(notes["mean"])], [float(notes["std"])])
    except (RuntimeError, KeyError) as error:
        raise ValueError(f"{Path(path).name} does not fit SmallCNN: {error}") from error
    return nn.Sequential(normalise, network).eval()
