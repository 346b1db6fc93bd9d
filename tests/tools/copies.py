"""A copy of the course, so that a test may write in it."""

import shutil
import subprocess
from pathlib import Path

from tests.tools.kernels import ROOT


def copy_course(folder, root=ROOT):
    """Copy what git has, or would take in, to `folder`; return it. Raises RuntimeError outside of a git clone."""
    command = ["git", "-C", root, "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{root} is no git clone: these tests copy the files that git lists.")
    for name in filter(None, done.stdout.split("\0")):
        source, target = Path(root) / name, Path(folder) / name
        if source.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)
    return Path(folder)
