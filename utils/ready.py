"""Is this machine ready for the course? One line a question, and what to do where the answer is no (lesson 00)."""

import os
import platform
import re
import shutil
from importlib import metadata
from pathlib import Path

import psutil
import torch

ROOT = Path(__file__).resolve().parent.parent
NEEDED_MEMORY_GB = 3
NEEDED_DISK_GB = 1


def describe_machine():
    """Print one line for each thing that the course needs: ✓ it is there, ✗ it is not, and what to do."""
    for check in (check_python, check_packages, check_device, check_memory, check_disk):
        is_ready, sentence = check()
        print("✓" if is_ready else "✗", sentence)


def check_python():
    """Return (is it ready, a sentence)."""
    version = platform.python_version()
    if (3, 11, 4) <= tuple(int(re.match(r"\d+", part)[0]) for part in platform.python_version_tuple()) < (3, 14):
        return True, f"Python {version}"
    return False, f"Python {version}: the course is tested with 3.11.4 to 3.13. Install one of these, then `make lab`."


def check_packages():
    """Return (is it ready, a sentence): every package of requirements.txt is there, and new enough."""
    wanted = re.findall(r"^([\w-]+)>=([\d.]+)", (ROOT / "requirements.txt").read_text(encoding="utf-8"), re.MULTILINE)
    wanted = [(name, least) for name, least in wanted if name not in NOT_IMPORTED]
    problems = [problem for name, least in wanted if (problem := package_problem(name, least))]
    if problems:
        return False, f"{'; '.join(problems)}. Mend it with: python -m pip install -r requirements.txt"
    return (
        True,
        f"PyTorch {version_of('torch')}, TorchVision {version_of('torchvision')} and {len(wanted) - 2} more packages",
    )


NOT_IMPORTED = ("jupyterlab", "nbval")  # no lesson needs them, and Colab has neither


def version_of(name):
    return metadata.version(name).partition("+")[0]


def package_problem(name, least):
    """Return what is wrong with an installed package in a few words, or None."""
    try:
        version = version_of(name)
    except metadata.PackageNotFoundError:
        return f"{name} is not installed"
    have, need = ([int(number) for number in re.findall(r"\d+", text)[:3]] for text in (version, least))
    return f"{name} is {version}, and the course needs {least} or newer" if have < need else None


def check_device():
    """Return (is it ready, a sentence). Every device will do; a GPU is faster."""
    if torch.accelerator.is_available():
        device = torch.accelerator.current_accelerator()
        name = torch.cuda.get_device_name() if device.type == "cuda" else device.type.upper()
        return True, f"device: {name}"
    return True, f"device: CPU with {os.cpu_count()} cores, which is enough; a GPU shortens the lessons that train"


def check_memory():
    """Return (is it ready, a sentence): free memory in GB."""
    free = psutil.virtual_memory().available / 1e9
    if free >= NEEDED_MEMORY_GB:
        return True, f"memory: {free:.1f} GB free (a lesson takes up to {NEEDED_MEMORY_GB})"
    return False, f"memory: {free:.1f} GB free, a lesson may take {NEEDED_MEMORY_GB}. Close other programs and kernels."


def check_disk():
    """Return (is it ready, a sentence): free disk space in GB where the course lies."""
    free = shutil.disk_usage(ROOT).free / 1e9
    if free >= NEEDED_DISK_GB:
        return True, f"disk: {free:.0f} GB free (data and trained networks take up to {NEEDED_DISK_GB})"
    return False, f"disk: {free:.1f} GB free; data and trained networks take up to {NEEDED_DISK_GB}. Make room."
