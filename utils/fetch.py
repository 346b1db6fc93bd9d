"""Bounded, checked downloads: never a hang, never half a file under the real name.

Each transfer runs in a thread of its own, and the caller waits for its next piece with a limit. A socket's
timeout alone is no such limit: every byte that trickles in starts it again, and looking up a name has none.
"""

import contextlib
import errno
import gzip
import hashlib
import http.client
import os
import queue
import secrets
import shutil
import socket
import ssl
import tarfile
import threading
import time
import urllib.error
import urllib.request
import zlib
from pathlib import Path
from urllib.parse import urlsplit

from tqdm.auto import tqdm

CHUNK = 1 << 16  # bytes that one read asks for
POLL = 0.25  # seconds: Windows notices Ctrl-C only between two waits


class FetchError(RuntimeError):
    """A download failed; `reasons` holds one line for each mirror (empty where the disk was the reason)."""

    def __init__(self, message, reasons=()):
        super().__init__("\n  ".join([message, *reasons]))
        self.reasons = tuple(reasons)


class _MirrorError(Exception):
    """One mirror failed; the next is tried."""


def fetch(urls, path, md5=None, *, sha256=None, size=None, deadline=60.0, answer=5.0, timeout=10.0):
    """Download the first of `urls` (mirrors of one file) that delivers the right bytes, and return `path`.

    `md5` or `sha256` is the published checksum in hexadecimal (of a SHA-256 the leading digits will do);
    `size` is the file's size in bytes, where it is known. A file at `path` with that checksum is kept as it is.
    All limits are in seconds: `deadline` for everything, `answer` until a server begins to answer, `timeout`
    without a single byte. A mirror too slow to finish within the deadline is left after `timeout` seconds.

    Raises FetchError if no mirror delivers, or if the file cannot be written. Other files stay untouched.
    """
    path = Path(path)
    if has_checksum(path, md5, sha256):
        return path
    reasons = []
    stop = time.monotonic() + deadline
    for i, url in enumerate(urls):
        left = stop - time.monotonic()
        # Where nothing tells a slow mirror from a large file, the mirrors share the time equally.
        limit = left if size else left / (len(urls) - i)
        try:
            if left <= 0:
                raise _MirrorError(f"not tried: the {max(deadline, 0):g} seconds allowed were used up")
            _fetch_one(url, path, (md5, sha256), size, limit, answer, timeout)
            return path
        except _MirrorError as error:
            reasons.append(f"{urlsplit(url).hostname}: {error}")
    raise FetchError(f"{path.name} could not be downloaded:", reasons)


def has_checksum(path, md5=None, sha256=None):
    """Return whether the file at `path` exists and has the MD5 or the SHA-256 (or its leading digits)."""
    hasher, expected = _hasher(md5, sha256)
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, lambda: hasher).hexdigest().startswith(expected)
    except OSError:
        return False


def _hasher(md5, sha256):
    if not (md5 or sha256):
        raise ValueError("a download needs its published checksum: md5=… or sha256=…")
    if sha256:
        return hashlib.sha256(), sha256.lower()
    return hashlib.md5(usedforsecurity=False), md5.lower()


@contextlib.contextmanager
def atomic_write(path):
    """Open a new binary file that takes the name `path` at the end of the block, whole or not at all.

    Until then it has a name of its own in the same folder; any failure, Ctrl-C included, removes it.
    Raises FetchError, in one sentence, where the disk is full or the folder cannot be written to.
    """
    path = Path(path)
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(part, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except OSError as error:
        raise storage_error(error, path.parent) from error
    finally:
        with contextlib.suppress(OSError):
            part.unlink()


def storage_error(error, folder):
    """Return the FetchError that says in one sentence why `folder` takes no file, and what to do."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return FetchError(
            f"The disk is full: {folder} takes no more. Make room, or set COURSE_DATA to a folder on another disk."
        )
    reason = error.strerror or type(error).__name__
    return FetchError(
        f"The folder {folder} cannot be written to ({reason}). Set COURSE_DATA to a folder you can write in."
    )


def extract(archive, folder):
    """Unpack a tar archive into the new folder `folder`: whole, or not at all.

    Raises FetchError: a truncated or damaged archive is named and removed; so is what was unpacked of it.
    """
    archive, folder = Path(archive), Path(folder)
    part = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}.part")
    try:
        with tarfile.open(archive) as tar:
            tar.extractall(part, filter="data")  # refuses members that point outside of the folder
        os.replace(part, folder)
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        archive.unlink(missing_ok=True)
        detail = str(error).partition(":\n")[0]  # the lines after it list every format that was tried
        raise FetchError(
            f"{archive.name} is truncated or damaged ({detail}); it was removed: load again to download it anew."
        ) from error
    except OSError as error:
        raise storage_error(error, folder.parent) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _fetch_one(url, path, checksums, size, limit, answer, timeout):
    """Download one URL to `path` within `limit` seconds, or raise _MirrorError and leave nothing behind."""
    hasher, checksum = _hasher(*checksums)
    stop = time.monotonic() + limit
    with contextlib.closing(_receive(url, stop, answer, timeout)) as stream:
        headers = next(stream)
        expected = _announced_size(headers, size)
        label = {"desc": path.name, "total": expected, "unit": "B", "unit_scale": True, "leave": False}
        with atomic_write(path) as file, tqdm(**label) as bar:
            pace = _Pace(expected, stop, timeout)
            for chunk in stream:
                if pace.received == 0 and _is_web_page(headers, chunk):
                    raise _MirrorError(_WEB_PAGE)
                pace.add(len(chunk))
                file.write(chunk)
                hasher.update(chunk)
                bar.update(len(chunk))
            if expected and pace.received < expected:
                raise _MirrorError(f"broke off after {pace.received:,} of {expected:,} bytes")
            if not hasher.hexdigest().startswith(checksum):
                raise _MirrorError("its file has the wrong checksum; it was not kept")


_WEB_PAGE = "sent a web page, not the file: is there a log-in page (captive portal) in between?"


def _is_web_page(headers, chunk):
    """Return whether this is HTML. No archive, weights file or other binary file begins with a `<`."""
    return chunk.lstrip()[:1] == b"<" or headers.get_content_type() == "text/html"


def _announced_size(headers, size):
    """Return the size to expect in bytes, or None where neither we nor the server know it."""
    announced = headers.get("Content-Length", "")
    announced = int(announced) if announced.isdecimal() else None
    if size and announced and announced != size:
        if headers.get_content_type() == "text/html":
            raise _MirrorError(_WEB_PAGE)
        raise _MirrorError(f"offers {announced:,} bytes where the file has {size:,}")
    return size or announced


class _Pace:
    """Counts the bytes; raises _MirrorError where they are too many, or come too slowly to be in time."""

    def __init__(self, expected, stop, window):
        self.expected, self.stop, self.window = expected, stop, window
        self.received = self.mark = 0
        self.since = time.monotonic()

    def add(self, count):
        self.received += count
        if self.expected and self.received > self.expected:
            raise _MirrorError(f"sent more than the {self.expected:,} bytes of the file; it was cut off")
        now = time.monotonic()
        if self.expected and now - self.since >= self.window:
            rate = (self.received - self.mark) / (now - self.since)
            if self.expected - self.received > rate * (self.stop - now):
                raise _MirrorError(f"too slow to finish in time ({rate / 1000:,.1f} kB/s)")
            self.mark, self.since = self.received, now


def _receive(url, stop, answer, timeout):
    """Yield the response's headers, then its bytes in chunks; each arrives in time or _MirrorError is raised."""
    items, abandoned = queue.Queue(maxsize=64), threading.Event()

    def deliver(item):
        while not abandoned.is_set():
            with contextlib.suppress(queue.Full):
                items.put(item, timeout=POLL)
                return True
        return False

    limit = max(answer, timeout) + 1  # the wait below ends first, and says why; this one only ends the thread
    threading.Thread(target=_transfer, args=(url, limit, deliver), daemon=True).start()
    try:
        patience, complaint = answer, f"no answer within {answer:g} seconds"
        while (item := _wait(items, stop, patience, complaint)) is not None:
            if isinstance(item, Exception):
                raise _MirrorError(_describe(item))
            yield item
            patience, complaint = timeout, f"sent nothing for {timeout:g} seconds"
    finally:
        abandoned.set()


def _transfer(url, timeout, deliver):
    """The thread: deliver the headers, the chunks, then None; or the exception that ended it."""
    try:
        request = urllib.request.Request(url, headers={"User-Agent": "cnn-course"})
        with urllib.request.urlopen(request, timeout=timeout) as response:
            wanted = deliver(response.headers)
            while wanted and (chunk := response.read1(CHUNK)):
                wanted = deliver(chunk)
        deliver(None)
    except Exception as error:  # whatever it is, the caller must hear of it
        if isinstance(error, urllib.error.HTTPError):
            error.close()
        deliver(error)


def _wait(items, stop, patience, complaint):
    """Return the next item; raise _MirrorError after `patience` seconds, or at the time `stop`."""
    end = time.monotonic() + patience
    while (left := min(end, stop) - time.monotonic()) > 0:
        with contextlib.suppress(queue.Empty):
            return items.get(timeout=min(left, POLL))
    raise _MirrorError(complaint if end <= stop else "too slow: the time allowed was used up")


def _describe(error):
    """Say in a few words what a failed transfer means."""
    if isinstance(error, urllib.error.HTTPError):
        return f"answered {error.code} {error.reason}"
    reason = getattr(error, "reason", error)  # URLError wraps the cause
    if isinstance(reason, socket.gaierror):
        return "its name was not found (is this machine online?)"
    if isinstance(reason, ssl.SSLCertVerificationError):
        return "its certificate could not be verified (a log-in page or a filter in between?)"
    if isinstance(reason, ConnectionRefusedError):
        return "the connection was refused"
    if isinstance(reason, TimeoutError):
        return "did not answer in time"
    if isinstance(reason, (ConnectionError, http.client.HTTPException)):
        return f"the connection broke off ({type(reason).__name__})"
    return str(reason) or type(reason).__name__
