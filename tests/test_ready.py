"""Lesson 00's look at the machine: what is missing is named, with what to do."""

from collections import namedtuple
from importlib import metadata

import pytest

from utils import ready


def test_this_machine_is_ready_for_its_own_tests(capsys):
    ready.describe_machine()
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 5
    assert all(line.startswith("✓ ") for line in lines[:3])


@pytest.mark.parametrize("version", ["3.10.4", "3.11.3", "3.14.0", "2.7.18"])
def test_another_python_is_named_with_the_versions_wanted(monkeypatch, version):
    monkeypatch.setattr(ready.platform, "python_version", lambda: version)
    monkeypatch.setattr(ready.platform, "python_version_tuple", lambda: tuple(version.split(".")))
    is_ready, sentence = ready.check_python()
    assert not is_ready
    assert f"Python {version}: the course is tested with 3.11.4 to 3.13" in sentence


def test_an_old_or_missing_package_is_named_with_the_command_that_mends_it(monkeypatch):
    def version(name):
        if name == "seaborn":
            raise metadata.PackageNotFoundError(name)
        return {"torch": "2.3.1+cu121"}.get(name, "99.0")

    monkeypatch.setattr(ready.metadata, "version", version)
    is_ready, sentence = ready.check_packages()
    assert not is_ready
    assert "torch is 2.3.1, and the course needs 2.9 or newer" in sentence
    assert "seaborn is not installed" in sentence
    assert "python -m pip install -r requirements.txt" in sentence


def test_little_memory_says_what_to_close(monkeypatch):
    Memory = namedtuple("Memory", "available")
    monkeypatch.setattr(ready.psutil, "virtual_memory", lambda: Memory(1.2e9))
    assert ready.check_memory() == (
        False,
        "memory: 1.2 GB free, a lesson may take 3. Close other programs and kernels.",
    )


def test_a_full_disk_is_named(monkeypatch):
    Disk = namedtuple("Disk", "free")
    monkeypatch.setattr(ready.shutil, "disk_usage", lambda path: Disk(2e8))
    is_ready, sentence = ready.check_disk()
    assert not is_ready
    assert "0.2 GB free" in sentence


def test_a_gpu_is_named(monkeypatch):
    monkeypatch.setattr(ready.torch.accelerator, "is_available", lambda: True)
    monkeypatch.setattr(ready.torch.accelerator, "current_accelerator", lambda: ready.torch.device("mps"))
    assert ready.check_device() == (True, "device: MPS")
