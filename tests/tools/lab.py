"""JupyterLab in a real browser: a server of its own, headless Chromium, and a page that shows one notebook.

Chromium comes from the system's packages; CHROMIUM names it where it lies elsewhere. The server listens on
127.0.0.1 with a token, and both end with the block that started them.
"""

import contextlib
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

from playwright.sync_api import sync_playwright

from tests.tools.kernels import ROOT, kernel_environment

QUIET = (
    "--disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-component-update "
    "--disable-sync"
).split()
SETTINGS = {
    # A container's tests run as root; and the page's own model tells more than its HTML.
    "ServerApp": {"allow_root": True},
    "LabApp": {"expose_app_in_browser": True, "news_url": None},
}
NO_NEWS = {"fetchNews": "false", "checkForUpdates": False}


def chromium():
    """Return Chromium's path. Raises FileNotFoundError with the command that installs it."""
    names = [os.environ.get("CHROMIUM", ""), "chromium", "chromium-browser", "google-chrome"]
    found = next((path for name in names if name and (path := shutil.which(name))), None)
    if not found:
        raise FileNotFoundError(
            "Chromium is not installed: on Debian or Ubuntu `apt-get install chromium fonts-dejavu-core`, "
            "or set CHROMIUM to the browser's path."
        )
    return found


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@contextlib.contextmanager
def lab_environment(windowing=None, **variables):
    """Give an environment in which JupyterLab keeps its settings in a folder that is gone at the end.

    windowing: JupyterLab's `windowingMode`; "none" keeps every cell in the page. variables: for the environment.
    """
    with tempfile.TemporaryDirectory(prefix="course-lab-") as folder, kernel_environment():
        config = Path(folder) / "config"
        config.mkdir()
        (config / "jupyter_server_config.json").write_text(json.dumps(SETTINGS))
        (config / "jupyter_lab_config.json").write_text(json.dumps(SETTINGS))
        chosen = {"apputils-extension/notification": NO_NEWS}
        if windowing:
            chosen["notebook-extension/tracker"] = {"windowingMode": windowing}
        for plugin, setting in chosen.items():
            path = config / "lab" / "user-settings" / "@jupyterlab" / f"{plugin}.jupyterlab-settings"
            path.parent.mkdir(parents=True)
            path.write_text(json.dumps(setting))
        yield {
            **os.environ,
            "JUPYTER_CONFIG_DIR": str(config),
            "JUPYTERLAB_WORKSPACES_DIR": str(Path(folder) / "workspaces"),
            "JUPYTERLAB_SETTINGS_DIR": str(config / "lab" / "user-settings"),
            **variables,
        }


def stop(process):
    """End a server that we started, and its kernels: it is asked twice, then told."""
    for kind in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        if process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, kind)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(5)


@contextlib.contextmanager
def lab_server(root=ROOT, seconds=60, **settings):
    """Start JupyterLab on `root`, with the settings of lab_environment; give its (address, token)."""
    port, token = free_port(), secrets.token_hex(16)
    address = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--ip=127.0.0.1", f"--port={port}"]
    command += [f"--IdentityProvider.token={token}", f"--ServerApp.root_dir={root}"]
    with lab_environment(**settings) as environment, tempfile.TemporaryFile() as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
        try:
            deadline = time.monotonic() + seconds
            while not answers(f"{address}/api?token={token}"):
                if process.poll() is not None or time.monotonic() > deadline:
                    log.seek(0)
                    raise RuntimeError(f"JupyterLab did not start:\n{log.read().decode()[-3000:]}")
                time.sleep(0.1)
            yield address, token
        finally:
            stop(process)


def answers(url):
    try:
        with urllib.request.urlopen(url, timeout=2):
            return True
    except (urllib.error.URLError, TimeoutError, ConnectionError):
        return False


@contextlib.contextmanager
def browser_page(*arguments, **size):
    """Give a page of headless Chromium that reaches nothing but this machine; arguments: for Chromium."""
    with sync_playwright() as playwright, browser(playwright, *arguments) as chromium_window:
        yield new_page(chromium_window, **size)


@contextlib.contextmanager
def browser(playwright, *arguments):
    """Give headless Chromium, started with further arguments."""
    sandbox = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    window = playwright.chromium.launch(executable_path=chromium(), args=[*QUIET, *sandbox, *arguments])
    try:
        yield window
    finally:
        window.close()


def new_page(window, width=1300, height=1600):
    """Return a new page, width by height pixels, that reaches nothing but this machine."""
    page = window.new_page(viewport={"width": width, "height": height})
    page.route(lambda url: not url.startswith(("http://127.0.0.1:", "data:", "blob:", "file:")), answer_offline)
    # From its first listener on, Playwright keeps the browser's own file dialogs away, but it does not wait until that
    # holds: a listener that comes right before a key is pressed may be late, and headless Chromium cancels the dialog.
    page.on("filechooser", lambda _: None)
    return page


def answer_offline(route):
    """Answer for the world outside: a badge is an empty picture, anything else cannot be reached."""
    if route.request.resource_type == "image":
        picture = '<svg xmlns="http://www.w3.org/2000/svg" width="117" height="20"/>'
        route.fulfill(status=200, content_type="image/svg+xml", body=picture)
    else:
        route.abort()


PANEL = "window.jupyterapp.shell.currentWidget"


def open_notebook(page, address, token, path, seconds=60):
    """Open the notebook at `path` (relative to the server's root) and wait for its kernel."""
    workspace = secrets.token_hex(4)  # its own: pages that share one take each other's notebooks over
    page.goto(f"{address}/lab/workspaces/{workspace}/tree/{path}?token={token}", timeout=1000 * seconds)
    wait_for_kernel(page, Path(path).name, seconds)


def wait_for_kernel(page, name, seconds=60):
    """Wait until the notebook called `name` is shown and its kernel has said what it is."""
    shown = f"() => window.jupyterapp && {PANEL} && {PANEL}.title.label === {json.dumps(name)}"
    page.wait_for_function(f"{shown} && {PANEL}.sessionContext", timeout=1000 * seconds)
    ready = f"async () => {{ await {PANEL}.context.ready; await {PANEL}.sessionContext.ready; "
    page.evaluate(f"{ready} await {PANEL}.sessionContext.session.kernel.info; }}")


def run_all_cells(page):
    """Run every cell, and return when the last has finished."""
    page.evaluate("async () => { await window.jupyterapp.commands.execute('notebook:run-all-cells'); }")


def outputs(page):
    """Return the outputs of the open notebook, read from its model: a list for each cell."""
    script = f"""() => {{ const cells = {PANEL}.content.model.cells, found = [];
        for (let i = 0; i < cells.length; i++) {{
            const cell = cells.get(i), list = [];
            for (let j = 0; cell.type === 'code' && j < cell.outputs.length; j++)
                list.push(cell.outputs.get(j).toJSON());
            found.push(list); }}
        return found; }}"""
    return page.evaluate(script)


def shut_down_kernel(page):
    """End the open notebook's kernel."""
    page.evaluate(f"async () => {{ await {PANEL}.sessionContext.shutdown(); }}")
