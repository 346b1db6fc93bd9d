"""Downloads against servers that misbehave, all of them on 127.0.0.1: each ends soon, and in a clear sentence."""

import contextlib
import errno
import hashlib
import io
import os
import re
import signal
import socketserver
import ssl
import subprocess
import sys
import tarfile
import threading
import time
import urllib.error
from pathlib import Path

import pytest

from utils import fetch as fetch_module
from utils.fetch import FetchError, atomic_write, extract, fetch

ROOT = Path(__file__).resolve().parent.parent
CONTENT = bytes(range(256)) * 1200  # 300 kB, more than one chunk
MD5 = hashlib.md5(CONTENT, usedforsecurity=False).hexdigest()
QUICK = {"deadline": 6.0, "answer": 0.6, "timeout": 0.6}
HTML = b"<!DOCTYPE html><title>Log in</title>"


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@pytest.fixture
def serve():
    """Start a server for a test: `serve(behave)` returns its URL; behave(send, wait) writes the whole answer."""
    servers, closing = [], threading.Event()

    def start(behave):
        class Handler(socketserver.StreamRequestHandler):
            def handle(self):
                server.requests += 1
                while self.rfile.readline().strip():
                    pass
                with contextlib.suppress(OSError):  # the client left, as it should
                    behave(self.wfile.write, closing.wait)

        server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads, server.requests = True, 0
        servers.append(server)
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        return f"http://127.0.0.1:{server.server_address[1]}/file.bin"

    start.requests = lambda: sum(server.requests for server in servers)
    yield start
    closing.set()
    for server in servers:
        server.shutdown()
        server.server_close()


def head(length=None, kind="application/octet-stream", status="200 OK"):
    size = "" if length is None else f"Content-Length: {length}\r\n"
    return f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\n{size}Connection: close\r\n\r\n".encode()


def good(send, wait):
    send(head(len(CONTENT)) + CONTENT)


def silent(send, wait):
    wait(20)


def trickle(prefix, byte):
    """Send `prefix`, then `byte` again and again: no single wait is long enough for a socket's timeout."""

    def behave(send, wait):
        send(prefix)
        while not wait(0.05):
            send(byte)

    return behave


def sends(answer):
    return lambda send, wait: send(answer)


def closed_port_url():
    with socketserver.TCPServer(("127.0.0.1", 0), None) as server:
        return f"http://127.0.0.1:{server.server_address[1]}/file.bin"


def files_in(folder):
    return sorted(path.name for path in folder.iterdir())


def refused_by(urls, path, **settings):
    """Run a download that must fail; return its message and its seconds."""
    start = time.monotonic()
    with pytest.raises(FetchError) as error:
        fetch(urls, path, MD5, **{**QUICK, **settings})
    return str(error.value), time.monotonic() - start


def test_good_file_arrives_whole_and_alone(serve, tmp_path):
    path = fetch([serve(good)], tmp_path / "new" / "file.bin", MD5, size=len(CONTENT))
    assert path.read_bytes() == CONTENT
    assert files_in(path.parent) == ["file.bin"]


def test_sha256_and_its_leading_digits_serve_as_checksum(serve, tmp_path):
    digest = hashlib.sha256(CONTENT).hexdigest()
    assert fetch([serve(good)], tmp_path / "file.bin", sha256=digest[:8]).read_bytes() == CONTENT
    with pytest.raises(FetchError, match="wrong checksum"):
        fetch([serve(good)], tmp_path / "other.bin", sha256="00000000")


def test_checksum_is_required(tmp_path):
    with pytest.raises(ValueError, match="checksum"):
        fetch([], tmp_path / "file.bin")


def test_right_file_is_kept_and_wrong_one_replaced(serve, tmp_path):
    path = tmp_path / "file.bin"
    path.write_bytes(CONTENT)
    fetch([serve(good)], path, MD5)
    assert serve.requests() == 0
    path.write_bytes(b"half")
    fetch([serve(good)], path, MD5)
    assert path.read_bytes() == CONTENT


def test_no_network_fails_at_once_with_one_line_a_mirror(tmp_path):
    message, seconds = refused_by([closed_port_url(), closed_port_url()], tmp_path / "file.bin")
    assert seconds < 1
    assert message.splitlines()[0] == "file.bin could not be downloaded:"
    assert message.count("\n  127.0.0.1: the connection was refused") == 2
    assert files_in(tmp_path) == []


@pytest.mark.parametrize(
    ("cause", "words"),
    [
        (urllib.error.URLError(OSError(errno.ENETUNREACH, "Network is unreachable")), "Network is unreachable"),
        (urllib.error.URLError(fetch_module.socket.gaierror(-2, "unknown")), "is this machine online?"),
        (urllib.error.URLError(ssl.SSLCertVerificationError(1, "self-signed")), "log-in page or a filter"),
        (urllib.error.URLError(TimeoutError()), "did not answer in time"),
        (ConnectionResetError(errno.ECONNRESET, "reset"), "the connection broke off"),
        (ValueError("unknown url type"), "unknown url type"),
    ],
)
def test_cause_is_said_in_words(monkeypatch, tmp_path, cause, words):
    def urlopen(*args, **kwargs):
        raise cause

    monkeypatch.setattr(fetch_module.urllib.request, "urlopen", urlopen)
    message, seconds = refused_by(["https://mirror.example/file.bin"], tmp_path / "file.bin")
    assert words in message
    assert "mirror.example: " in message
    assert seconds < 1


HANGS = {
    "says nothing": silent,
    "trickles its status line": trickle(b"HTTP/1.1 ", b"2"),
    "trickles its headers": trickle(b"HTTP/1.1 200 OK\r\nX-A: ", b"a"),
    "stops after its headers": lambda send, wait: (send(head(len(CONTENT))), wait(20)),
    "stops half-way": lambda send, wait: (send(head(len(CONTENT)) + CONTENT[:1000]), wait(20)),
    "trickles the file": trickle(head(len(CONTENT)), b"\0"),
    "trickles chunk sizes": trickle(head()[:-2] + b"Transfer-Encoding: chunked\r\n\r\n", b"0"),
}


@pytest.mark.parametrize("size", [len(CONTENT), None])
@pytest.mark.parametrize("behave", HANGS.values(), ids=HANGS)
def test_server_that_hangs_is_left_for_the_next(serve, tmp_path, behave, size):
    start = time.monotonic()
    fetch([serve(behave), serve(good)], tmp_path / "file.bin", MD5, **QUICK, size=size)
    assert time.monotonic() - start < QUICK["deadline"] / 2
    assert (tmp_path / "file.bin").read_bytes() == CONTENT
    assert files_in(tmp_path) == ["file.bin"]


def test_trickle_of_unknown_length_is_left_after_its_share_of_the_time(serve, tmp_path):
    endless = serve(trickle(head(), b"\0"))
    start = time.monotonic()
    fetch([endless, serve(good)], tmp_path / "file.bin", MD5, deadline=4.0, answer=1.0, timeout=1.0)
    assert 1.8 < time.monotonic() - start < 3.8


def test_deadline_holds_for_all_mirrors_together(serve, tmp_path):
    urls = [serve(silent) for _ in range(4)]
    message, seconds = refused_by(urls, tmp_path / "file.bin", size=9, deadline=1.2, answer=0.8)
    assert 1.1 < seconds < 2.2
    assert "no answer within 0.8 seconds" in message
    assert "too slow: the time allowed was used up" in message
    assert message.count("not tried: the 1.2 seconds allowed were used up") == 2


def test_too_slow_a_mirror_is_named_with_its_speed(serve, tmp_path):
    message, _ = refused_by([serve(trickle(head(len(CONTENT)), b"\0"))], tmp_path / "file.bin")
    assert re.search(r"too slow to finish in time \(0\.0 kB/s\)", message)


BAD_ANSWERS = {
    "wrong checksum": (head(len(CONTENT)) + CONTENT[::-1], "has the wrong checksum; it was not kept"),
    "log-in page": (head(len(HTML), "text/html") + HTML, r"sent a web page.*log-in page \(captive portal\)"),
    "page sent as data": (head() + b"\n " + HTML, "sent a web page"),
    "page of the right size": (head(len(CONTENT)) + HTML.ljust(len(CONTENT)), "sent a web page"),
    "shorter than announced": (head(len(CONTENT)) + CONTENT[:-1], "broke off after 307,199 of 307,200 bytes"),
    "other size announced": (head(26) + b"x" * 26, "offers 26 bytes where the file has 307,200"),
    "short, nothing announced": (head() + CONTENT[:-1], "broke off after 307,199 of 307,200 bytes"),
    "longer than the file": (head() + CONTENT + b"x", "sent more than the 307,200 bytes"),
    "not found": (head(0, status="404 Not Found"), "answered 404 Not Found"),
    "empty": (head(0), "broke off after 0 of|offers 0 bytes"),
    "no HTTP": (b"SSH-2.0-OpenSSH\r\n", "the connection broke off"),
    "nothing": (b"", "the connection broke off"),
    "bad length": (head("minus one") + CONTENT[:9], "broke off after 9 of"),
    "bad chunks": (head()[:-2] + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", "the connection broke off"),
}


@pytest.mark.parametrize(("answer", "words"), BAD_ANSWERS.values(), ids=BAD_ANSWERS)
def test_bad_answer_is_named_not_kept_and_the_next_mirror_used(serve, tmp_path, answer, words):
    path = tmp_path / "file.bin"
    message, _ = refused_by([serve(sends(answer))], path, size=len(CONTENT))
    assert re.search(f"127.0.0.1: .*{words}", message)
    assert files_in(tmp_path) == []
    fetch([serve(sends(answer)), serve(good)], path, MD5, **QUICK, size=len(CONTENT))
    assert path.read_bytes() == CONTENT


def test_endless_answer_is_cut_off_at_the_files_size(serve, tmp_path):
    sent = []

    def endless(send, wait):
        send(head())
        while not wait(0):
            send(CONTENT)
            sent.append(len(CONTENT))

    message, seconds = refused_by([serve(endless)], tmp_path / "file.bin", size=1000)
    assert "sent more than the 1,000 bytes" in message
    assert seconds < 1
    assert files_in(tmp_path) == []


@pytest.fixture
def full_disk(monkeypatch):
    class FullDisk(io.FileIO):
        def write(self, data):
            raise OSError(errno.ENOSPC, "No space left on device")

    def open_full(path, mode="r", *args):
        return FullDisk(path, mode) if "x" in mode else open(path, mode, *args)

    monkeypatch.setattr(fetch_module, "open", open_full, raising=False)


@pytest.mark.usefixtures("full_disk")
def test_full_disk_is_said_once_and_leaves_no_half_file(serve, tmp_path):
    (tmp_path / "file.bin").write_bytes(b"before")
    message, _ = refused_by([serve(good), serve(good)], tmp_path / "file.bin")
    assert message.startswith(f"The disk is full: {tmp_path} takes no more.")
    assert "set COURSE_DATA to a folder on another disk" in message
    assert serve.requests() == 1, "another mirror cannot mend a full disk"
    assert files_in(tmp_path) == ["file.bin"]
    assert (tmp_path / "file.bin").read_bytes() == b"before"


def test_folder_that_takes_no_file_is_named(serve, tmp_path):
    (tmp_path / "a_file").write_text("not a folder")
    message, _ = refused_by([serve(good)], tmp_path / "a_file" / "file.bin")
    assert f"The folder {tmp_path / 'a_file'} cannot be written to" in message
    assert "Set COURSE_DATA to a folder you can write in" in message


def test_read_only_folder_is_named(serve, tmp_path, monkeypatch):
    def read_only(path, mode="r", *args):
        raise PermissionError(errno.EACCES, "Permission denied", path)

    monkeypatch.setattr(fetch_module, "open", read_only, raising=False)
    message, _ = refused_by([serve(good)], tmp_path / "file.bin")
    assert f"The folder {tmp_path} cannot be written to (Permission denied)" in message


def test_ctrl_c_removes_the_part_keeps_the_old_file_and_the_next_try_succeeds(serve, tmp_path, monkeypatch):
    path = tmp_path / "file.bin"
    path.write_bytes(b"before")
    parts = []

    class Interrupted(fetch_module.tqdm):
        def update(self, count=1):
            parts.extend(tmp_path.glob(".*.part"))
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(fetch_module, "tqdm", Interrupted)
        with pytest.raises(KeyboardInterrupt):
            fetch([serve(good)], path, MD5, **QUICK)
    assert len(parts) == 1, "the interruption came too early to prove anything"
    assert files_in(tmp_path) == ["file.bin"]
    assert path.read_bytes() == b"before"
    fetch([serve(good)], path, MD5, **QUICK)
    assert path.read_bytes() == CONTENT


def start_process(url, path):
    code = "import sys; from utils.fetch import fetch; fetch([sys.argv[1]], sys.argv[2], sys.argv[3], timeout=9)"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", code, url, str(path), MD5]

    def heed_ctrl_c():  # a parent that was started in the background ignores it, and its children would too
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    return subprocess.Popen(
        command, env=environment, stderr=subprocess.PIPE, preexec_fn=None if os.name == "nt" else heed_ctrl_c
    )


@pytest.mark.skipif(os.name == "nt", reason="Windows sends Ctrl-C to the whole console")
@pytest.mark.parametrize("behave", [silent, HANGS["stops half-way"]], ids=["waiting", "half-way"])
def test_real_ctrl_c_ends_a_process_at_once(serve, tmp_path, behave):
    process = start_process(serve(behave), tmp_path / "file.bin")
    give_up = time.monotonic() + 20
    while not (files_in(tmp_path) if behave is not silent else serve.requests()):
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < give_up
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=6)
    assert b"KeyboardInterrupt" in errors
    assert files_in(tmp_path) == []


def test_two_processes_at_once_both_end_with_the_file(serve, tmp_path):
    together = threading.Barrier(2, timeout=20)

    def in_step(send, wait):
        together.wait()  # both have begun before either goes on
        good(send, wait)

    url = serve(in_step)
    processes = [start_process(url, tmp_path / "file.bin") for _ in range(2)]
    for process in processes:
        _, errors = process.communicate(timeout=30)
        assert process.returncode == 0, errors
    assert (tmp_path / "file.bin").read_bytes() == CONTENT
    assert files_in(tmp_path) == ["file.bin"]


def test_atomic_write_shows_the_file_only_when_it_is_whole(tmp_path):
    path = tmp_path / "file.bin"

    def write(content, error=None):
        with atomic_write(path) as file:
            file.write(content)
            file.flush()
            assert not path.exists() or path.read_bytes() == b"first"
            if error:
                raise error

    write(b"first")
    with pytest.raises(ZeroDivisionError):
        write(b"second", ZeroDivisionError())
    assert path.read_bytes() == b"first"
    assert files_in(tmp_path) == ["file.bin"]


def make_archive(path, names=("inside/a.txt",)):
    with tarfile.open(path, "w:gz") as tar:
        for name in names:
            member = tarfile.TarInfo(name)
            content = os.urandom(50_000)  # random bytes: compression cannot shorten them
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path


def test_archive_is_unpacked_whole(tmp_path):
    extract(make_archive(tmp_path / "a.tar.gz"), tmp_path / "out")
    assert (tmp_path / "out" / "inside" / "a.txt").stat().st_size == 50_000
    assert files_in(tmp_path) == ["a.tar.gz", "out"]


@pytest.mark.parametrize("keep", [0, 10, 1000, 40_000])
def test_truncated_archive_is_named_and_removed(tmp_path, keep):
    archive = make_archive(tmp_path / "a.tar.gz")
    archive.write_bytes(archive.read_bytes()[:keep])
    with pytest.raises(FetchError, match=r"^a\.tar\.gz is truncated or damaged \(.*\); it was removed: load again"):
        extract(archive, tmp_path / "out")
    assert files_in(tmp_path) == []


def test_archive_cannot_write_outside_of_its_folder(tmp_path):
    (tmp_path / "work").mkdir()
    archive = make_archive(tmp_path / "work" / "a.tar.gz", ["../../escaped.txt"])
    with pytest.raises(FetchError, match="outside"):
        extract(archive, tmp_path / "work" / "out")
    assert files_in(tmp_path) == ["work"]
    assert files_in(tmp_path / "work") == []
