"""An album to practise on: a folder for each class, as people bring them, faults included (lesson 14).

Four classes are drawings, each scene a series of three pictures that differ as those of one moment do. The fifth is
photographs that scikit-image and scikit-learn ship, a series of three details each; one of a real cat lies among the
drawn ones. What is amiss in it is known, because it was put there: copies saved again (their names begin with WA),
series that lie on their side, pictures that are turned by a note in the file, and files that are no pictures.
"""

import secrets
import shutil
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance
from skimage import data
from sklearn.datasets import load_sample_image

from utils import drawn

VERSION = "1"
SCENES = {"airplane": 16, "cat": 23, "frog": 20, "ship": 18}
COPIES = {"airplane": 3, "cat": 4, "frog": 3, "ship": 4}  # saved again, as messengers do
TURNED = {("airplane", 5): 90, ("frog", 8): 180, ("ship", 11): 270}  # series that lie on their side: degrees
NOTED = (("cat", 4), ("ship", 2))  # series that are stored lying, with a note that says so
PIXELS = 112
CREDITS = (
    "Photographs: scikit-image (Chelsea by Stéfan van der Walt; coffee by Rachel Michetti; rocket by SpaceX; astronaut "
    "by NASA; and others: skimage.data says of each whose it is) and scikit-learn (china by danielbuechele and flower "
    "by vultilion, both from Flickr, CC BY 2.0)."
)


def make_album(folder):
    """Write the album into `folder`, unless it is there already, and return the folder's path.

    It is whole or not there at all: it is written beside its place, and moved there in the end.
    """
    folder, stamp = Path(folder), f"{VERSION} {drawn.version()}"
    note = folder / "about.txt"
    if note.is_file() and note.read_text(encoding="utf-8").startswith(stamp):
        return folder
    part = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}")
    try:
        for name, count in SCENES.items():
            for scene in range(count):
                _write_scene(part / name, name, scene)
        for name, picture in photographs().items():
            place = "cat" if name == "chelsea" else "other things"
            _write_series(part / place / name, picture, _generator(name, 0), (0.6, 0.9))
        _add_faults(part)
        (part / "about.txt").write_text(f"{stamp}\n\n{CREDITS}\n", encoding="utf-8")
        shutil.rmtree(folder, ignore_errors=True)
        part.rename(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return folder


def photographs():
    """Return {name: picture} of the photographs that the packages ship, in RGB."""
    names = "astronaut brick camera chelsea coffee coins grass gravel moon page rocket".split()
    arrays = {name: getattr(data, name)() for name in names} | {"motorcycle": data.stereo_motorcycle()[0]}
    arrays |= {name: load_sample_image(f"{name}.jpg") for name in ("china", "flower")}
    return {name: Image.fromarray(array).convert("RGB") for name, array in sorted(arrays.items())}


def view(picture, rng, zoom):
    """Return a square detail, a `zoom` (from, to) of the shorter side, as one of a series: shifted, tilted, noisy."""
    side = int(min(picture.size) * rng.uniform(*zoom))
    left, top = (int(rng.integers(length - side + 1)) for length in picture.size)
    tilted = picture.rotate(rng.normal(0, 2), Image.Resampling.BICUBIC)
    detail = tilted.crop((left, top, left + side, top + side)).resize((PIXELS, PIXELS), Image.Resampling.BICUBIC)
    detail = ImageEnhance.Brightness(detail).enhance(rng.uniform(0.85, 1.15))
    noisy = np.asarray(detail, np.float64) + rng.normal(0, 3, (PIXELS, PIXELS, 3))
    return Image.fromarray(noisy.clip(0, 255).round().astype(np.uint8))


def _generator(name, number):
    return np.random.default_rng([14, number, *name.encode()])


def _write_scene(place, name, scene):
    """Write one drawn scene as a series of three, lying on its side where TURNED or NOTED says so."""
    rng = _generator(name, scene)
    picture = Image.fromarray(drawn.draw(name, 128, rng))
    noted = (name, scene) in NOTED
    _write_series(
        place / f"scene {scene:02d}", picture, rng, (0.88, 1), TURNED.get((name, scene), 90 if noted else 0), noted
    )


def _write_series(place, picture, rng, zoom, turn=0, noted=False):
    place.mkdir(parents=True)
    exif = Image.Exif()
    if noted:
        exif[0x0112] = 6  # "turn me by 90 degrees, clockwise"
    for number in range(1, 4):
        view(picture, rng, zoom).rotate(turn, expand=True).save(place / f"{number}.jpg", quality=90, exif=exif)


def _add_faults(folder):
    """Add copies that were saved again, one of them in a wrong class, and files that are no pictures."""
    number = 0
    for name, count in COPIES.items():
        for scene in range(count):
            number += 1
            with Image.open(folder / name / f"scene {scene + 12:02d}" / "2.jpg") as original:
                copy = ImageEnhance.Brightness(original.resize((80, 80), Image.Resampling.BICUBIC)).enhance(1.1)
            place = "airplane" if (name, scene) == ("ship", 3) else name
            copy.save(folder / place / f"WA{number:04d}.jpg", quality=35)
    (folder / "ship" / "download.jpg").write_text("<html>404 Not Found</html>", encoding="utf-8")
    whole = (folder / "frog" / "scene 00" / "1.jpg").read_bytes()
    (folder / "frog" / "half.jpg").write_bytes(whole[: len(whole) // 2])
    (folder / "cat" / "IMG_0042.HEIC").write_bytes(b"from a phone")
    Image.new("RGB", (12, 12), "gray").save(folder / "airplane" / "icon.png")
