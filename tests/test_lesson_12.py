"""Lesson 12: the files it writes, run as it runs them; what ends badly, in a sentence; and what its stored run says."""

import importlib.util
import re
import subprocess
import sys
import time

import psutil
import pytest
import torch
from torch import distributed, nn
from torch.utils.data import DistributedSampler

from tests.test_figures import import_script
from tests.tools import measure_12
from tests.tools.cells import code_cells, printed, read, text
from tests.tools.kernels import ROOT
from utils.checks.lesson_12 import complete
from utils.models import ColourCNN

STEPS = 10  # in an epoch of the small trainings below


@pytest.fixture(scope="module")
def lesson():
    return measure_12.lesson_12()


@pytest.fixture
def folder(lesson, tmp_path, monkeypatch):
    """A folder with the lesson's files and noise for photographs, in float64, so that rounding stays small."""
    monkeypatch.setitem(lesson, "scripts", tmp_path / "with a space")
    measure_12.write_scripts(lesson["scripts"])
    torch.manual_seed(0)
    images, labels = torch.randn(64 * STEPS, 3, 32, 32, dtype=torch.float64), torch.arange(64 * STEPS) % 10
    torch.save((images, labels), lesson["scripts"] / "photos.pt")
    return lesson["scripts"]


def imported(folder, name, monkeypatch):
    """Import one of the lesson's files."""
    monkeypatch.syspath_prepend(folder)
    spec = importlib.util.spec_from_file_location(f"lesson_12_{name}", folder / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def shown():
    return "\n".join(printed(cell) for _, cell in code_cells(read(measure_12.LESSON)))


# --- the files -------------------------------------------------------------------------------------------------------


def test_the_files_are_few_short_and_clean(folder):
    sources = measure_12.scripts()
    assert list(sources) == ["gradients.py", "group.py", "state.py", "epoch.py", "train.py"]
    lines = [line for name, source in sources.items() if name != "gradients.py" for line in source.splitlines() if line]
    assert len(lines) <= 80
    for command in (["check"], ["format", "--check"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *command, "--config", ROOT / "pyproject.toml", folder],
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_a_folder_whose_name_has_a_space_is_written_to(folder):
    cell = next(text(cell["source"]) for _, cell in code_cells(read(measure_12.LESSON)) if "/group.py" in str(cell))
    (folder / "group.py").unlink()
    code = f"""from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell(user_ns={{"scripts": {str(folder)!r}}})
shell.run_cell({cell!r})"""
    subprocess.run([sys.executable, "-c", code], check=True)
    assert (folder / "group.py").read_text(encoding="utf-8").rstrip() == measure_12.scripts()["group.py"].rstrip()


def test_two_processes_train_what_one_trains_and_a_killed_worker_changes_nothing(folder, lesson):
    for name, settings in {
        "one": {"processes": 1},
        "two": {},
        "killed": {"launch": ("--standalone", "--max-restarts=1"), "DIE_AFTER": str(STEPS + 4)},
    }.items():
        codes, told = measure_12.run("train.py", name, "2", **settings)
        assert codes == [0], told
        assert lesson["checkpoint"](name)["step"] == 2 * STEPS
    assert f"resumed after step {STEPS}: the checkpoint is by 2 process(es), now there are 2" in told
    start = ColourCNN().state_dict()
    assert any((start[key] - w).abs().max() > 1e-3 for key, w in lesson["checkpoint"]("one")["model"].items())
    assert lesson["distance"]("one", "two") < 1e-12
    assert lesson["distance"]("two", "killed") == 0
    assert not list(folder.glob("*.part"))


def test_more_processes_than_the_batch_can_be_shared_by_are_refused_in_a_sentence(folder):
    codes, told = measure_12.run("train.py", "three", "1", processes=3)
    assert 0 not in codes
    assert told.strip() == "The batch cannot be shared equally: choose a size that the number of processes divides."
    assert not (folder / "three.pt").exists()


@pytest.mark.parametrize("count", [1, 2, 4, 8])
def test_any_number_of_processes_has_the_same_images_in_a_step(count):
    orders = []
    for rank in range(count):
        sampler = DistributedSampler(range(640), num_replicas=count, rank=rank)
        sampler.set_epoch(3)
        orders.append(torch.tensor(list(sampler)).split(64 // count))
    whole = torch.tensor(list(_epoch(DistributedSampler(range(640), num_replicas=1, rank=0), 3))).split(64)
    for step, parts in enumerate(zip(*orders)):
        assert torch.equal(torch.cat(parts).sort().values, whole[step].sort().values)


def _epoch(sampler, epoch):
    sampler.set_epoch(epoch)
    return sampler


# --- a checkpoint is whole or not there ------------------------------------------------------------------------------


@pytest.fixture
def group_of_one():
    distributed.init_process_group("gloo", store=distributed.HashStore(), rank=0, world_size=1)
    yield
    distributed.destroy_process_group()


def test_whoever_is_stopped_while_writing_leaves_the_last_checkpoint(folder, monkeypatch, group_of_one):
    state, path = imported(folder, "state", monkeypatch), folder / "kept.pt"
    model, optimizer, step = state.begin(path, torch.device("cpu"), torch.float32)
    assert step == 0
    state.save(path, model, optimizer, 10)
    whole = path.read_bytes()

    def half(contents, file):
        with open(file, "wb") as written:
            written.write(whole[: len(whole) // 2])
        raise KeyboardInterrupt

    monkeypatch.setattr(torch, "save", half)
    with pytest.raises(KeyboardInterrupt):
        state.save(path, model, optimizer, 20)
    assert path.read_bytes() == whole
    assert state.begin(path, torch.device("cpu"), torch.float32)[2] == 10


def test_a_checkpoint_of_more_processes_is_read_by_fewer_and_says_so(folder, monkeypatch, group_of_one, capsys):
    state, path = imported(folder, "state", monkeypatch), folder / "many.pt"
    model, optimizer, _ = state.begin(path, torch.device("cpu"), torch.float32)
    monkeypatch.setattr(state.dist, "get_world_size", lambda: 64)
    state.save(path, model, optimizer, 30)
    monkeypatch.undo()
    assert state.begin(path, torch.device("cpu"), torch.float32)[2] == 30
    assert "resumed after step 30: the checkpoint is by 64 process(es), now there are 1" in capsys.readouterr().out


def test_batch_norm_across_processes_refuses_cpus(group_of_one):
    with pytest.raises(ValueError, match="GPU"):
        nn.SyncBatchNorm(1)(torch.randn(4, 1))


# --- what ends badly -------------------------------------------------------------------------------------------------

SLEEP = """import os, time
from pathlib import Path
Path(__file__).with_name(f"pid_{os.getpid()}").touch()
time.sleep(600)
"""


def workers(folder):
    return [int(path.name[4:]) for path in folder.glob("pid_*")]


@pytest.mark.parametrize("how", ["time is up", "the stop button"])
def test_nobody_is_left_behind(folder, lesson, how, capsys, monkeypatch):
    (folder / "sleep.py").write_text(SLEEP, encoding="utf-8")
    launcher = lesson["start"]("sleep.py", gpus=0)
    deadline = time.monotonic() + 120
    while len(workers(folder)) < 2 and time.monotonic() < deadline:
        time.sleep(0.2)
    assert len(workers(folder)) == 2
    if how == "the stop button":
        real, calls = launcher.communicate, []

        def communicate(timeout=None):
            calls.append(timeout)
            if len(calls) == 1:
                raise KeyboardInterrupt
            return real(timeout=timeout)

        monkeypatch.setattr(launcher, "communicate", communicate)
    lesson["finish"](launcher, seconds=1)
    assert "Stopped, by hand or after 1 s; what was saved is kept." in capsys.readouterr().out
    assert launcher.poll() is not None
    deadline = time.monotonic() + 10
    while any(map(alive, workers(folder))) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not any(map(alive, workers(folder)))


def alive(pid):
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


@pytest.mark.parametrize(
    ("errors", "words"),
    [
        ("…\ntorch.distributed.elastic.rendezvous.api.RendezvousTimeoutError\n", "Not everybody arrived in time"),
        ("DistNetworkError: … port: 29500, useIpv6: false, code: -98, name: EADDRINUSE", "The port is taken"),
        ("No module named torch.distributed.run", "torchrun is missing"),
        ("RuntimeError: Timed out waiting 60000ms for recv operation to complete", "One process waited for another"),
        ("a batch of 64 images cannot be shared equally by 3 processes", "The batch cannot be shared equally"),
    ],
)
def test_each_cause_has_its_sentence(lesson, errors, words):
    assert lesson["explain"](errors).startswith(words)


def test_an_unknown_error_is_shown_by_its_last_lines(lesson):
    errors = "\n".join(f"line {number}" for number in range(100))
    assert lesson["explain"](errors).splitlines() == [f"line {number}" for number in range(85, 100)]


def test_a_worker_s_own_traceback_comes_before_the_launcher_s(lesson):
    own = "[rank0]: Traceback (most recent call last):\n[rank0]: NameError: name 'oops' is not defined\n"
    summary = "E1127 elastic/api.py:1002] failed (exitcode: 1) local_rank: 0\n" + "the launcher's own line\n" * 40
    shown = lesson["explain"](own + summary)
    assert "NameError: name 'oops'" in shown
    assert "launcher" not in shown


# --- the ring --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [2, 3, 4, 7])
def test_the_two_halves_of_the_ring_are_the_sum(lesson, n):
    torch.manual_seed(n)
    rows = torch.randint(100, (n, n))
    assert torch.equal(complete(lesson["reduce_scatter"](rows)), rows.sum(dim=0).repeat(n, 1))


def test_the_figure_goes_the_way_of_the_lessons_ring(lesson, monkeypatch, capsys):
    figure = import_script("12", monkeypatch)
    states = [rows for rows, _ in figure.ring_states(figure.HELD)]
    lesson["reduce_scatter"](torch.tensor(figure.HELD))
    assert [f"after step {step} {states[step]}" for step in (1, 2)] == capsys.readouterr().out.splitlines()
    assert states[-1] == [figure.TOTALS] * 3


# --- what the stored run says ----------------------------------------------------------------------------------------


def test_the_stored_gradients_agree_to_a_millionth():
    differences = {
        name: float(size)
        for name, size in re.findall(r"^(\w[\w ]*?) +largest difference from the whole batch (\S+)$", shown(), re.M)
    }
    assert max(differences["all_reduce"], differences["DDP"]) < 1e-6 < differences["around DDP"]


def test_the_stored_run_survived_its_accident():
    assert "resumed after step 40: the checkpoint is by 2 process(es), now there are 2" in shown()
    assert "steps: 60 unbroken, 60 with the accident; the same weights: True" in shown()
    assert "resumed after step 30: the checkpoint is by 2 process(es), now there are 1" in shown()


def test_both_failures_have_their_sentences_in_the_stored_run():
    assert "Not everybody arrived in time" in shown()
    assert "The port is taken" in shown()
