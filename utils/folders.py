"""A folder of pictures, a folder inside it for each class: opened safely, and checked before anything is trained.

Pictures from phones, scanners and the web come rotated, transparent, in 256 colours, in CMYK or in 16 bits. For
`torchvision.datasets.ImageFolder`, open_picture is the loader: it returns every one of them as an upright RGB image
of 8 bits. find_problems says, in a sentence for each problem, what is wrong with a folder and what to do;
list_pictures lists what can be used all the same, and store_split keeps its split from one day to the next.
"""

import hashlib
import io
import json
import warnings
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torchvision.datasets.folder import IMG_EXTENSIONS

from utils.fetch import atomic_write

LARGEST = 100_000_000  # pixels of one picture; more would fill the memory
SMALLEST = 16  # pixels along the shorter side: less shows nothing that can be learned
LEADS_OUT = "is a link that leads out of the folder, or nowhere: put the pictures themselves there."


def open_picture(path):
    """Return a picture file as a PIL image in RGB, 8 bits a channel, upright; what is transparent becomes white.

    `path` is a path, or a file that is open for reading bytes (an upload: `io.BytesIO(content)`).

    16-bit pictures are scaled by what their format can hold (0..65535), never by their own darkest and brightest
    pixel, so that two exposures stay different; floating-point ones are taken as 0..1. Of an animation, the first
    picture counts. Raises ValueError, with the file's name and what to do, where there is no picture to be had.
    """
    name = Path(path).name if isinstance(path, str | Path) else getattr(path, "name", "the upload")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path) as picture:
                if picture.width * picture.height > LARGEST:
                    raise ValueError(f"{name}: {picture.width} × {picture.height} pixels are too many; make it smaller")
                picture.load()
                upright = ImageOps.exif_transpose(picture)
        return _to_rgb(upright)
    except UnidentifiedImageError as error:
        raise ValueError(f"{name}: this is no picture that can be read; save it as JPEG or PNG") from error
    except Image.DecompressionBombError as error:
        raise ValueError(f"{name}: it has far too many pixels; make it smaller") from error
    except FileNotFoundError as error:
        raise ValueError(f"{name}: there is no such file") from error
    except (IsADirectoryError, PermissionError) as error:
        raise ValueError(f"{name}: it cannot be opened; is it a folder, or a file that you may not read?") from error
    except (OSError, SyntaxError, EOFError) as error:
        raise ValueError(f"{name}: the file is damaged or cut off; copy it again, or remove it") from error


def _to_rgb(picture):
    """Return an upright picture of any mode in RGB, on white."""
    if picture.mode.startswith("I") or picture.mode == "F":  # PIL's convert() would cut 16 bits off at 255
        numbers = np.asarray(picture, dtype=np.float64) * (255 if picture.mode == "F" else 255 / 65535)
        return Image.fromarray(numbers.clip(0, 255).round().astype(np.uint8)).convert("RGB")
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture).convert("RGB")
    return picture.convert("RGB")


def find_problems(folder):
    """Return what is wrong with a folder of classes: a list of sentences, empty where it is fit for ImageFolder.

    Looked for: no folder, pictures beside the class folders, fewer than two classes, a class without a picture,
    folders that ImageFolder would take for a class, files that are no pictures, cannot be read or are tiny, links
    that lead out of the folder, and the same picture in two classes. Every picture is opened once. Nothing is changed.
    """
    folder = Path(folder)
    if not folder.is_dir():
        return [f"{_missing(folder)}; make it, with a folder for each class in it."]
    problems = [
        f"{path.name} lies beside the class folders, where it is not seen: move it into its class."
        for path in sorted(folder.iterdir())
        if path.is_file() and is_picture(path)
    ]
    places = sorted(path for path in folder.iterdir() if path.is_dir())
    problems += [
        f"{path.name} is a hidden folder, which ImageFolder takes for a class: remove it."
        for path in places
        if path.name.startswith(".")
    ]
    problems += [f"{path.name} {LEADS_OUT}" for path in places if leads_out(path, folder)]
    classes = _class_folders(folder)
    if not classes:
        problems.append("There is no class: make a folder for each class, and put its pictures into it.")
    elif len(classes) == 1:
        problems.append(f"{classes[0].name} is the only class: a classifier needs at least two to tell apart.")
    owners = {}
    for place in classes:
        problems += _check_class(place, folder, owners)
    return problems


def list_pictures(folder, fewest=3):
    """Return (paths, labels, classes) of a folder of classes: what can be used of it, whatever else is in it.

    The classes are the folders' names in alphabetical order, the labels count them from 0, and the paths are sorted.
    Left out is what find_problems names: files that are no pictures, cannot be read or are tiny, hidden folders, and
    links that lead out of the folder. Raises ValueError, with what to do, where there is no folder, where fewer than
    two classes are left, or a class has fewer than `fewest` pictures.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ValueError(f"{_missing(folder)}; give the path of one with a folder for each class")
    classes = _class_folders(folder)
    if not classes:
        raise ValueError(f"{folder.name} has no folders in it: make one for each class, and put its pictures into it")
    if len(classes) == 1:
        raise ValueError(f"{classes[0].name} is the only class in {folder.name}: at least two are needed to tell apart")
    found = [[path for path in _files(place, folder) if is_picture(path) and _is_usable(path)] for place in classes]
    few = [f"{place.name} has {len(paths)}" for place, paths in zip(classes, found) if len(paths) < fewest]
    if few:
        raise ValueError(
            f"too few pictures that can be read: {', '.join(few)}. Each class needs at least {fewest}, of different "
            "things or occasions: one to train on, one to choose by, one to test on; find_problems says what is amiss"
        )
    labels = [label for label, paths in enumerate(found) for _ in paths]
    return [path for paths in found for path in paths], labels, [place.name for place in classes]


def store_split(file, drawn, groups, keep):
    """Return a split {picture's name: its part}, and store it as JSON in `file`.

    drawn: the split that was drawn. groups: {name: its group}, for all names of `drawn`. keep: whether a split that was
    stored earlier stays: each picture keeps its part, a new one goes to where its group is, or into "training", and
    one that is gone is left out. Raises ValueError where a group would then be in two parts, and where the file is
    damaged or holds none of these pictures; it is left as it is then.
    """
    file, split = Path(file), drawn
    if keep and file.is_file():
        try:
            stored = json.loads(file.read_text(encoding="utf-8"))
        except ValueError as error:
            raise ValueError(f"{file.name} is damaged: put a copy of it in its place, or draw another split") from error
        split = {name: part for name, part in stored.items() if name in drawn}
        if not split:
            raise ValueError(f"{file.name} holds none of these pictures: is it of another folder with the same name?")
        part_of, first = {}, {}
        for name, part in split.items():
            other = first.setdefault(groups[name], name)
            if part_of.setdefault(groups[name], part) != part:
                raise ValueError(
                    f"{name} ({part}) and {other} ({part_of[groups[name]]}) are in one group now, and the stored split "
                    "has parted them: look at both, and at what links them. Before any test another split can be drawn"
                )
        split |= {name: part_of.get(groups[name], "training") for name in drawn if name not in split}
    with atomic_write(file) as whole:
        whole.write(json.dumps(split, indent=1, ensure_ascii=False).encode())
    return split


def _missing(folder):
    """Say that a folder is not there, and from where a relative path was followed: people expect another place."""
    if folder.is_absolute():
        return f"{folder.name}: there is no such folder"
    return f"{folder.as_posix()}: there is no such folder, seen from {Path.cwd().name}, where this runs"


def is_picture(path):
    """Tell whether ImageFolder takes a file for a picture, which it decides by the name's ending alone."""
    return Path(path).suffix.lower() in IMG_EXTENSIONS


def leads_out(path, folder):
    """Tell whether a path is a link to something outside the folder, to a folder, or to nothing at all."""
    if not path.is_symlink():
        return False
    try:
        return not (path.is_file() and path.resolve().is_relative_to(Path(folder).resolve()))
    except (OSError, RuntimeError):  # a link that leads to itself
        return True


def _class_folders(folder):
    """Return the folders that count as classes, sorted: neither hidden nor links."""
    places = (path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    return sorted(path for path in places if not leads_out(path, folder))


def _files(place, folder):
    """Return the files of a class, sorted, those in folders inside it too; no link out of the folder is followed."""
    return sorted(path for path in place.rglob("*") if not leads_out(path, folder) and path.is_file())


def _is_usable(path):
    try:
        return min(open_picture(path).size) >= SMALLEST
    except ValueError:
        return False


def _check_class(place, folder, owners):
    """Return the problems of one class's folder; `owners` is {checksum of a file: (its class, its name)}, and grows."""
    files = _files(place, folder)
    links = sorted(path for path in place.rglob("*") if leads_out(path, folder))
    pictures = [path for path in files if is_picture(path)]
    names = {path: path.relative_to(folder).as_posix() for path in [*files, *links]}
    problems = [
        f"{names[path]} is skipped, since its name does not end as a picture's does: convert or remove it."
        for path in files
        if not is_picture(path) and not path.name.startswith(".")  # such as macOS's .DS_Store
    ]
    problems += [f"{names[path]} {LEADS_OUT}" for path in links]
    if not pictures:
        problems.append(f"{place.name} holds no picture: add some, or remove the folder.")
    for path in pictures:
        try:
            width, height = open_picture(path).size
        except ValueError as error:
            problems.append(f"{names[path].removesuffix(path.name)}{error}.")
            continue
        if min(width, height) < SMALLEST:
            problems.append(f"{names[path]} has {width} × {height} pixels, too few to show anything: remove it.")
        owner, first = owners.setdefault(hashlib.sha256(path.read_bytes()).hexdigest(), (place, names[path]))
        if owner != place:
            problems.append(f"{names[path]} is the same picture as {first}: keep it in one class.")
    return problems


def encode(picture, kind="PNG", **settings):
    """Return a picture file's bytes, of a Pillow image or of an image (3, H, W) of whole numbers 0 to 255."""
    if not isinstance(picture, Image.Image):
        picture = Image.fromarray(np.asarray(picture).transpose(1, 2, 0))
    picture.save(file := io.BytesIO(), kind, **settings)
    return file.getvalue()


def decode(content):
    """Return the image (3, H, W), whole numbers 0 to 255, of a picture file's bytes."""
    with Image.open(io.BytesIO(content)) as picture:
        return torch.from_numpy(np.array(picture.convert("RGB"))).permute(2, 0, 1)
