"""Runs a lesson's cells on a device that is not there (pretend.py), with few images and little patience.

What is looked for is a tensor that was left on the CPU, or one from the device that is handed to NumPy; nothing is
learned, so numbers, assertions and other errors do not matter. `python -m tests.tools.rehearse [05 …]` takes its time
(minutes a lesson) and reports on whole lessons: what was left behind, and which statements did not end.
"""

import ast
import contextlib
import functools
import io
import os
import re
import sys
import tempfile
import warnings
from typing import NamedTuple
from unittest import mock

import numpy as np
import torch

import utils.data
from tests.tools import pretend
from tests.tools.cells import code_cells, parse, read, tags, text
from tests.tools.kernels import lesson_paths, offline_data
from utils.data import ImageData, Split
from utils.drawn import make_drawn10

LONG, SHORT = 30, 3  # a loop over a longer range than this ends early
FAULT = re.compile(r"same device|not supported for tensor subclasses|MPS has no|meta tensor")


class Effort(NamedTuple):
    """What a rehearsal may take."""

    counts: tuple[int, int, int]  # images for training (half of them copies), validation and test
    patience: int  # operations on the device, after which a statement is interrupted; after five times as many for good
    memory: int  # numbers in one tensor on the device, at most


LITTLE, MUCH = Effort((300, 160, 40), 300, 2**23), Effort((1000, 1000, 100), 1_000_000, 2**27)


class GivenUp(BaseException):
    """A statement took too long. Not an Exception: nothing in a lesson catches it."""


class Fault(NamedTuple):
    cell: int
    line: str
    message: str


@functools.cache
def few_images(name, counts):
    """Return a small data set in place of MNIST (noise) or CIFAR-10 (drawings, which the shipped network knows)."""
    if name == "MNIST":
        rng = np.random.default_rng(0)
        splits = [(rng.integers(0, 256, (count, 28, 28), np.uint8), np.arange(count) % 10) for count in counts]
    else:
        drawn = make_drawn10((counts[0] // 2, *counts[1:]), progress=False)
        splits = [(drawn[f"{split}_images"], drawn[f"{split}_labels"]) for split in ("train", "validation", "test")]
        splits[0] = [np.tile(part, (2,) + (1,) * (part.ndim - 1)) for part in splits[0]]
    return [Split(*utils.data._tensors(*split)) for split in splits]


def load(data_set, counts):
    return ImageData(data_set.name, *few_images(data_set.name, counts), data_set.classes, "Drawn-10, a few")


def short_range(*limits):
    return range(*limits)[:SHORT] if len(range(*limits)) > LONG else range(*limits)


def lose_patience(effort, count, made):
    """Interrupt what runs on the device too long: first as a learner would, who presses stop, then for good."""
    if max(tensor.numel() for tensor in made) > effort.memory:
        raise torch.OutOfMemoryError("out of memory: this device is small")
    if count == effort.patience:
        raise KeyboardInterrupt
    if count == 5 * effort.patience:
        raise GivenUp


class WithoutAsserts(ast.NodeTransformer):
    def visit_Assert(self, node):
        return ast.Pass()


def mentions_device(path):
    """Tell whether a lesson moves anything to a device."""
    return any(re.search(r"\bdevice\)", text(cell["source"])) for _, cell in code_cells(read(path))[1:])


def rehearse(path, label="mps", effort=LITTLE):
    """Run a lesson's statements one by one on the device, the set-up cell aside; return (faults, other errors)."""
    space = {
        "__name__": "__main__",
        "range": short_range,
        "get_ipython": mock.MagicMock,
        "display": lambda *_, **__: None,
    }
    faults, others = [], []
    with on_stage(path, effort), pretend.device(label) as operations:
        for index, cell in code_cells(read(path))[1:]:
            tree = WithoutAsserts().visit(parse(cell))
            for statement in ast.fix_missing_locations(tree).body:
                operations.count, operations.watch = 0, functools.partial(lose_patience, effort)
                try:
                    exec(compile(ast.Module([statement], []), f"{path.name}, cell {index}", "exec"), space)
                except (Exception, KeyboardInterrupt, GivenUp) as error:
                    found = Fault(index, ast.unparse(statement).splitlines()[0], f"{type(error).__name__}: {error}")
                    real = FAULT.search(str(error)) and "raises-exception" not in tags(cell)
                    (faults if real else others).append(found)
            sys.modules["matplotlib.pyplot"].close("all")
    return faults, others


@contextlib.contextmanager
def on_stage(path, effort):
    """Few images, no processes, no bars, no printing, no network, and a folder of its own for what a lesson writes."""
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        stack.enter_context(contextlib.chdir(path.parent))
        stack.enter_context(offline_data())
        stack.enter_context(mock.patch.dict(os.environ, {"COURSE_RUNS": folder, "TQDM_DISABLE": "1"}))
        stack.enter_context(mock.patch.object(utils.data, "_load", functools.partial(load, counts=effort.counts)))
        for start in ("subprocess.Popen", "multiprocessing.process.BaseProcess.start"):
            stack.enter_context(mock.patch(start, side_effect=RuntimeError("a rehearsal starts no process")))
        stack.enter_context(contextlib.redirect_stdout(io.StringIO()))
        stack.enter_context(contextlib.redirect_stderr(io.StringIO()))
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")
        yield


def main(numbers):
    for path in lesson_paths():
        if mentions_device(path) and (not numbers or path.name[:2] in numbers):
            for label in ("cuda", "mps"):
                faults, others = rehearse(path, label, MUCH)
                print(f"{path.name} on {label}: {len(faults)} faults, {len(others)} statements did not end")
                for kind, found in (("fault", faults), ("other", others)):
                    for cell, line, message in found:
                        print(f"  {kind} in cell {cell}, {line[:90]}\n    {message[:160]}")


if __name__ == "__main__":
    main(sys.argv[1:])
