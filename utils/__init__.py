"""What the lessons share. Each module holds only what a lesson has already shown in full.

fetch       downloads that are checked, bounded in time, and never leave half a file behind
data        load_mnist(), load_cifar10(): train / validation / test, their classes and their source; batches()
sources     where data's images come from: a pack, TorchVision's folder, a download, or what needs no network
drawn       Drawn-10: ten drawn classes with CIFAR-10's names, for when there is no network and no pack
formats     the files that hold them: packs, MNIST's IDX files, CIFAR-10's batches
arithmetic  output size (lesson 01), parameters and multiply-adds (03), receptive field and summarise() (04)
models      the networks that later lessons reuse (lesson 05)
training    set_seed, get_device, fit and evaluate (lesson 05), fit_fast (lesson 08)
recipe      what comes before lesson 08's loop: the whitened stem, gentle augmentation
timing      a stopwatch that waits for the device (lesson 11)
tracebacks  an error's traceback in short lines
pretrained  TorchVision's networks with their ImageNet weights: cache, download, or what a package ships
folders     pictures of every kind opened as upright RGB, and a folder of classes checked (lesson 10)
shipping    temperature, calibration error, an interval, and the two files of a shipped classifier (lesson 13)
album       an album of drawings and photographs with known faults, to practise on (lesson 14)
uploads     a ZIP file that somebody uploads, unpacked with care (lesson 14)
weights     the few small trained networks that the course ships, each with its card
plotting    figures: every function takes or makes axes and returns them
checks      one module a lesson: says what differs in an exercise's answer, and why
ready       one line for each thing that the course needs of a machine (lesson 00)
explorers   the interactive figures, each with a still equivalent in its lesson
service     a classifier that answers over HTTP, with its page; it runs by itself, without PyTorch (lesson 13)
serving     starts that service, asks it, and stops it (lesson 13)
"""

import re
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

__course__ = "cnn-course"
OLDEST_PYTHON = (3, 11, 4)
OLDEST_TORCH = (2, 9)


def _refuse_old_versions():
    """Raise ImportError, in one sentence, where Python or torch is too old: later it would fail less clearly."""
    if sys.version_info[:3] < OLDEST_PYTHON:
        raise ImportError(
            f"This course needs Python {_dotted(OLDEST_PYTHON)} or newer, and this is {_dotted(sys.version_info[:3])}: "
            "in the course's folder, run make lab PYTHON=python3.12 (or another newer Python that you have)."
        )
    requirements = Path(__file__).resolve().parent.parent / "requirements.txt"
    mend = f'run "{sys.executable}" -m pip install -r "{requirements}" and restart the kernel.'
    try:
        found = version("torch")  # from its files: importing torch takes seconds
    except PackageNotFoundError:
        raise ImportError(
            f"This course needs torch {_dotted(OLDEST_TORCH)} or newer, and there is none: {mend}"
        ) from None
    if tuple(map(int, re.findall(r"\d+", found)[:2])) < OLDEST_TORCH:
        raise ImportError(f"This course needs torch {_dotted(OLDEST_TORCH)} or newer, and this is {found}: {mend}")


def _dotted(numbers):
    return ".".join(map(str, numbers))


_refuse_old_versions()
