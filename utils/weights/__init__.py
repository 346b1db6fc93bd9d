"""The few small trained networks that the course ships, each with its card beside it (NAME.md).

They are safetensors files: numbers and names, nothing that could run. `make checkpoints` trains them anew.
"""

from pathlib import Path

from safetensors import SafetensorError, safe_open
from torch import nn
from torchvision.transforms import v2

from utils.models import ResidualCNN, SmallCNN

FOLDER = Path(__file__).resolve().parent
NEWEST = 1  # the newest layout of a checkpoint's notes that this code can read


def read_checkpoint(path):
    """Return (tensors by name, notes by name) of a safetensors file.

    Raises FileNotFoundError or ValueError, for a file that is damaged or newer than this code, with what mends it.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path.name} is missing: fetch the course again, or train it with `make checkpoints`")
    try:
        with safe_open(path, framework="pt") as file:
            tensors, notes = {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except SafetensorError as error:
        raise ValueError(
            f"{path.name} is damaged ({error}): fetch the course again, or train it with `make checkpoints`"
        ) from error
    layout = notes.get("layout", "1")
    if not layout.isdigit() or int(layout) > NEWEST:
        raise ValueError(
            f"{path.name} has layout {layout}, and this code reads layouts up to {NEWEST}: the file is newer than the "
            "course's code. Fetch the course again, or train it with `make checkpoints`"
        )
    return tensors, notes


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


def load_residual_cnn(source, folder=FOLDER):
    """Return lesson 08's network in evaluation mode: (N, 3, 32, 32) in 0..1 → logits (N, 10).

    `source` is the data's own (`load_cifar10().source`): for Drawn-10 it is the network that learned Drawn-10's
    training drawings, for anything else the one that learned CIFAR-10's training photographs. Neither has seen a
    validation or test image. Its first layer normalises, with the means and spreads that it was trained with.

    Raises FileNotFoundError or ValueError where the file is missing, damaged, another's, or newer than this code.
    """
    path = Path(folder) / f"residual_{'drawn10' if source.startswith('Drawn-10') else 'cifar10'}.safetensors"
    tensors, notes = read_checkpoint(path)
    try:
        network = ResidualCNN(widths=[int(width) for width in notes["widths"].split()])
        network.load_state_dict({name: tensor.to(network.state_dict()[name].dtype) for name, tensor in tensors.items()})
        mean, std = ([float(number) for number in notes[name].split()] for name in ("mean", "std"))
        normalise = v2.Normalize(mean, std)
    except (RuntimeError, KeyError, ValueError) as error:
        raise ValueError(f"{path.name} does not fit ResidualCNN: {error}") from error
    return nn.Sequential(normalise, network).eval()
