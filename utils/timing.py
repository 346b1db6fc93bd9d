"""A stopwatch that is not deceived by a device that works on while Python goes ahead, as lesson 11 writes it."""

import time

import torch


def synchronise():
    """Wait until the accelerator, if there is one, has done all that it was asked for."""
    if torch.accelerator.is_available():
        torch.accelerator.synchronize()


def seconds_of(run, repeats=5, warm_up=1):
    """Call `run` a few times and return the list of seconds that each call took, the first `warm_up` calls left out.

    Each begins and ends with the accelerator idle, so the work is measured and not the time to ask for it.
    """
    seconds = []
    for _ in range(warm_up + repeats):
        synchronise()
        start = time.perf_counter()
        run()
        synchronise()
        seconds.append(time.perf_counter() - start)
    return seconds[warm_up:]
