"""An error's traceback in short lines, for a lesson that reads one."""

import traceback

# how PyTorch calls its own functions, which no learner needs to read
INNER = ("torch/_", "torch/utils/", "torch/nn/modules/module.py")


def show_traceback(error):
    """Print a line for each call on the way to an error, the outermost first, then the error itself.

    A line has the function's name and the source that called on; PyTorch's inner machinery is left out.
    """
    for step in traceback.extract_tb(error.__traceback__):
        if not any(part in step.filename.replace("\\", "/") for part in INNER):
            print(f"{step.name:19} {step.line}")
    print(f"{type(error).__name__}: {error}")
