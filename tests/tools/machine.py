"""What a measurement depends on besides its code and data: the machine, the versions, the commit, the day."""

import datetime
import importlib.metadata
import os
import platform
import re
import subprocess
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parents[2]


def cores():
    """Return the number of CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def processor():
    """Return the processor's name."""
    info = Path("/proc/cpuinfo")
    names = re.findall(r"^model name\s*:\s*(.+)$", info.read_text(), re.MULTILINE) if info.is_file() else []
    return names[0].strip() if names else platform.processor() or platform.machine()


def git(*arguments):
    done = subprocess.run(["git", "-C", ROOT, *arguments], capture_output=True, text=True)
    return done.stdout.strip()


def surroundings():
    """Return them as a dict for a result's file; a "+" at the commit says that files had changed since."""
    gpu = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    name = {"accelerator": torch.cuda.get_device_name() if gpu.type == "cuda" else gpu.type} if gpu else {}
    return name | {
        "processor": processor(),
        "cores": cores(),
        "device": gpu.type if gpu else "cpu",
        "python": platform.python_version(),
        "torch": importlib.metadata.version("torch").partition("+")[0],
        "commit": (git("rev-parse", "--short", "HEAD") or "unknown") + ("+" if git("status", "-uno", "-s") else ""),
        "date": datetime.date.today().isoformat(),
    }
