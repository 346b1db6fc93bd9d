"""How soon the course shows its first output, and how long its tests take: `python -m tests.tools.first_light`.

1. `make lab` on an installed environment, as a learner types it: the seconds until JupyterLab calls the browser,
   until the first lesson's kernel is ready, and until the first cell with an output has run in that browser.
2. `make test`: its seconds (only with --test).

Writes tests/results/first_light.json.
"""

import argparse
import contextlib
import json
import subprocess
import tempfile
import time
from pathlib import Path

from tests.tools.kernels import ROOT, lesson_paths
from tests.tools.lab import PANEL, browser_page, lab_environment, stop, wait_for_kernel
from tests.tools.machine import surroundings

PATH = ROOT / "tests" / "results" / "first_light.json"
FIRST_OUTPUT = f"""() => {{ const cells = {PANEL}.content.model.cells;
    for (let i = 0; i < cells.length; i++) {{
        const cell = cells.get(i);
        if (cell.type === 'code' && cell.outputs.length > 0) return cell.executionCount !== null; }}
    return false; }}"""


def from_make_lab_to_the_first_output():
    """Return {what had happened: seconds since `make lab` was typed}."""
    with tempfile.TemporaryDirectory() as folder, lab_environment() as environment, contextlib.ExitStack() as at_end:
        called = Path(folder) / "url"
        # The standard library's webbrowser starts what BROWSER names, with the address as its argument.
        caller = Path(folder) / "browser"
        caller.write_text(f'#!/bin/sh\nprintf %s "$1" > {called}.part && mv {called}.part {called}\n')
        caller.chmod(0o755)
        start = time.monotonic()
        process = subprocess.Popen(
            ["make", "lab"],
            cwd=ROOT,
            env={**environment, "BROWSER": str(caller)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        at_end.callback(stop, process)
        while not called.exists():
            if process.poll() is not None or time.monotonic() - start > 120:
                raise RuntimeError("`make lab` did not open a browser within 120 s")
            time.sleep(0.05)
        seconds = {"browser_called": time.monotonic() - start}
        # A desktop's browser is running already; headless Chromium's own start is taken out of the account.
        starting = time.monotonic()
        page = at_end.enter_context(browser_page())
        start += time.monotonic() - starting
        page.goto(address(called.read_text()))
        wait_for_kernel(page, lesson_paths()[0].name)
        seconds["kernel_ready"] = time.monotonic() - start
        page.evaluate("() => { window.jupyterapp.commands.execute('notebook:clear-all-cell-outputs'); }")
        page.evaluate("() => { window.jupyterapp.commands.execute('notebook:run-all-cells'); }")
        page.wait_for_function(FIRST_OUTPUT, timeout=120_000)
        seconds["first_output"] = time.monotonic() - start
    return {name: round(value, 1) for name, value in seconds.items()}


def address(text):
    """Return the lesson's address. JupyterLab hands the browser a local page that leads there, token included."""
    if text.startswith("file://"):
        page = Path(text.removeprefix("file://")).read_text(encoding="utf-8")
        text = page.partition("url=")[2].partition('"')[0]
    return text.replace("&amp;", "&")


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m tests.tools.first_light", description=__doc__.partition("\n")[0])
    parser.add_argument("--test", action="store_true", help="time `make test` too (minutes)")
    with_test = parser.parse_args(arguments).test
    entry = {"make_lab_seconds": [from_make_lab_to_the_first_output() for _ in range(3)], **surroundings()}
    if with_test:
        start = time.monotonic()
        subprocess.run(["make", "test"], cwd=ROOT, check=True)
        entry["make_test_seconds"] = round(time.monotonic() - start, 1)
    PATH.write_text(json.dumps(entry, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(entry, indent=1))


if __name__ == "__main__":
    main()
