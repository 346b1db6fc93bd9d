"""Lesson 12's measurements for `make ledger`: two processes against one, in their gradients and in their speed.

Everything runs by the lesson's own code: its functions, and the files that it writes with %%writefile.
"""

import contextlib
import functools
import io
import os
import re
import subprocess
import sys

import psutil
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DistributedSampler
from tqdm import tqdm

from tests.tools.cells import code_cells, read, text
from tests.tools.kernels import ROOT
from tests.tools.taught import define
from utils.data import load_cifar10, normalise_channels, runs_folder
from utils.models import ColourCNN

LESSON = ROOT / "notebooks" / "12_many_gpus.ipynb"
CONSTANTS = {"CAUSES", "LINKS", "num_gpus"}
WRITES = re.compile(r'\A%%capture\n%%writefile "\{scripts\}/(\w+\.py)"\n')


def scripts():
    """Return {name: source} of the files that the lesson writes."""
    sources = (text(cell["source"]) for _, cell in code_cells(read(LESSON)))
    return {found[1]: source[found.end() :] + "\n" for source in sources if (found := WRITES.match(source))}


def write_scripts(folder):
    """Write the lesson's files into a folder, as its cells do."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, source in scripts().items():
        (folder / name).write_text(source, encoding="utf-8")


@functools.cache
def lesson_12():
    """Return what lesson 12 defines in its cells: {name: function}, with what they use beside them."""
    space = {"os": os, "re": re, "sys": sys, "subprocess": subprocess, "psutil": psutil, "homes": [ROOT]}
    space |= {"torch": torch, "nn": nn, "F": F, "DistributedSampler": DistributedSampler, "ColourCNN": ColourCNN}
    space |= {"socket": __import__("socket"), "scripts": runs_folder() / "12_many_gpus"}
    return define(LESSON, space, CONSTANTS)


def photographs(count=1920, dtype=torch.float32):
    """Return the lesson's photographs and labels, and where they came from."""
    cifar10 = load_cifar10()
    pixels = cifar10.train.images[:count].float() / 255
    statistics = pixels.mean(dim=(0, 2, 3)), pixels.std(dim=(0, 2, 3))
    images = normalise_channels(cifar10.train.images[:count], *statistics).to(dtype)
    return images, cifar10.train.labels[:count], cifar10.source


def run(*arguments, **settings):
    """Start a script as the lesson does, and return (exit codes, what was printed)."""
    told = io.StringIO()
    with contextlib.redirect_stdout(told):
        codes = lesson_12()["finish"](lesson_12()["start"](*arguments, gpus=0, **settings))
    return codes, told.getvalue()


def speed(told):
    return float(re.search(r"([\d,]+) images/s", told)[1].replace(",", ""))


def measure_12_two_processes(repeats=range(3)):
    """Images a second of one process and of two, a thread each, and how far their gradients and weights are apart."""
    folder = lesson_12()["scripts"]
    write_scripts(folder)
    images, labels, source = photographs()
    torch.save((images, labels), folder / "photos.pt")
    codes, told = run("gradients.py")
    differences = dict(re.findall(r"^(\w[\w ]*?) +largest difference from the whole batch (\S+)$", told, re.MULTILINE))
    runs = []
    for repeat in tqdm(repeats):
        speeds = {}
        for processes in (1, 2):
            for old in folder.glob(f"measured_{processes}.pt*"):
                old.unlink()
            codes, told = run("train.py", f"measured_{processes}", "2", processes=processes)
            assert codes == [0], told
            speeds[processes] = speed(told)
        entry = {"repeat": repeat, "one_images_a_second": speeds[1], "two_images_a_second": speeds[2]}
        runs.append(entry | {"speed_up": round(speeds[2] / speeds[1], 3)})
    apart = {name: float(value) for name, value in differences.items()}
    apart["weights after 60 steps"] = lesson_12()["distance"]("measured_1", "measured_2")
    about = "two epochs of 30 steps of 64 images, gloo, one thread for each process"
    return {"source": source, "about": about, "largest_differences": apart, "runs": runs}
