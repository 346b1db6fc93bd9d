"""A ZIP file that somebody uploads, unpacked with care: nothing is written outside its folder, and not too much."""

import io
import secrets
import shutil
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from utils.folders import is_picture

MOST_FILES, MOST_BYTES = 20_000, 2_000_000_000  # unpacked
CHUNK = 1 << 20


def unpack(content, folder):
    """Unpack the pictures of a ZIP file, given as bytes or a path, into `folder`; return the classes' folder.

    `folder` is replaced. The classes' folder is that or, where the ZIP holds a single folder with the classes in it,
    the one inside. Hidden files and whatever is no picture by its name are left out. Raises ValueError, in a sentence,
    where the file is no ZIP, is damaged or locked, holds no picture in a folder, wants to write elsewhere, or is too
    large when unpacked.
    """
    folder = Path(folder)
    part = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}")
    try:
        with zipfile.ZipFile(io.BytesIO(content) if isinstance(content, bytes) else content) as archive:
            entries = _wanted(archive)
            part.mkdir(parents=True)
            _write(archive, entries, part)
        shutil.rmtree(folder, ignore_errors=True)
        part.rename(folder)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        raise ValueError("this is no ZIP file that can be read, or it is damaged: make it again") from error
    except RuntimeError as error:
        raise ValueError("this ZIP file is locked with a password: make one without") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return classes_in(folder)


def classes_in(folder):
    """Return the folder of the classes: `folder` itself or, where it holds nothing but one with folders in it, that."""
    inside = list(Path(folder).iterdir())
    nested = len(inside) == 1 and inside[0].is_dir() and any(path.is_dir() for path in inside[0].iterdir())
    return inside[0] if nested else Path(folder)


def _wanted(archive):
    """Return {entry: its parts} of the pictures that lie in a folder. Raises ValueError where that is not safe."""
    entries = {}
    for entry in archive.infolist():
        path = PurePosixPath(entry.filename.replace("\\", "/"))
        if path.is_absolute() or ".." in path.parts or ":" in path.parts[0]:
            raise ValueError(f"the ZIP file wants to write outside its folder ({path.name}): do not use it")
        visible = not any(part.startswith((".", "__MACOSX")) for part in path.parts)
        if not entry.is_dir() and visible and len(path.parts) > 1 and is_picture(path):
            entries[entry] = path.parts
    if not entries:
        raise ValueError("there is no picture in a folder in it: zip a folder that has a folder for each class")
    if len(entries) > MOST_FILES:
        raise ValueError(f"it holds {len(entries):,} pictures: send at most {MOST_FILES:,}")
    return entries


def _write(archive, entries, folder):
    """Write the entries piece by piece, and stop where they turn out larger than they may be."""
    left = MOST_BYTES
    for entry, parts in entries.items():
        path = folder.joinpath(*parts)
        path.parent.mkdir(parents=True, exist_ok=True)
        with archive.open(entry) as source, open(path, "wb") as target:
            while piece := source.read(CHUNK):
                left -= len(piece)
                if left < 0:
                    raise ValueError(f"it is larger than {MOST_BYTES / 1e9:g} GB when unpacked: send fewer pictures")
                target.write(piece)
