"""The explorer of explanations: what it draws, whom it asks, and which pictures it takes or refuses."""

import io
import struct
import types
import zlib

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from utils.explorers import draw_explanation, explore_maps
from utils.explorers.maps import METHODS, layers_with_maps, read_picture
from utils.folders import LARGEST

CLASSES = ["red", "green", "blue"]


@pytest.fixture
def model():
    """A network that answers with the mean of each colour."""
    conv = nn.Conv2d(3, 3, 1, bias=False)
    conv.weight.data = torch.eye(3)[:, :, None, None]
    return nn.Sequential(conv, nn.AdaptiveAvgPool2d(1), nn.Flatten()).eval()


@pytest.fixture
def images():
    red, blue = torch.zeros(2, 3, 16, 16)
    red[0, :8, :8], blue[2, 8:, 8:] = 1.0, 1.0
    return {"one": red, "other": blue}


@pytest.fixture
def explorer(model, images):
    return explore_maps(model, images, CLASSES)


@pytest.fixture(autouse=True)
def _nothing_left_in_pyplot():
    plt.close("all")
    yield
    assert plt.get_fignums() == []


def as_file(picture, kind="PNG", **settings):
    file = io.BytesIO()
    picture.save(file, kind, **settings)
    return file.getvalue()


def test_it_begins_with_the_networks_own_answer(explorer):
    assert explorer.asked.label == "red"
    assert bytes(explorer.picture.value).startswith(b"\x89PNG")
    explorer.image.value = "other"
    assert explorer.asked.label == "blue"


@pytest.mark.parametrize("method", METHODS)
def test_every_method_draws(explorer, method):
    explorer.method.value = "saliency" if method == "Grad-CAM" else "Grad-CAM"
    before = explorer.picture.value
    explorer.method.value = method
    assert explorer.picture.value != before


def test_another_class_is_another_picture(explorer):
    before = explorer.picture.value
    explorer.asked.value = 2
    assert explorer.picture.value != before


def test_the_map_is_where_the_colour_is(model, images):
    figure = draw_explanation(model, images["one"], 0, CLASSES)
    heat = figure.axes[1].images[0].get_array()
    assert heat[:6, :6].min() > 0
    assert heat[10:, 10:].max() == 0


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"class_index": 3}, "class 3 does not exist: the classes are 0 to 2"),
        ({"class_index": -1}, "class -1 does not exist"),
        ({"method": "magic"}, "there is no method 'magic': choose from saliency"),
        ({"layer": "7"}, "there is no layer '7'; there are: 0, 1, 2"),
    ],
)
def test_what_does_not_exist_is_named(model, images, settings, words):
    with pytest.raises(ValueError, match=words):
        draw_explanation(model, images["one"], **({"class_index": 0, "classes": CLASSES} | settings))


def test_a_model_without_convolutions_is_named(images):
    model = nn.Sequential(nn.Flatten(), nn.Linear(3 * 16 * 16, 3))
    with pytest.raises(ValueError, match="it has no convolutions"):
        layers_with_maps(model, images["one"])


# --- pictures of one's own -------------------------------------------------------------------------------------------

COLOURS = np.zeros((40, 60, 3), dtype=np.uint8)
COLOURS[..., 1] = 200
GREEN = Image.fromarray(COLOURS)


def claiming(content, width, height):
    """Return a PNG file whose header claims another size."""
    header = b"IHDR" + struct.pack(">II", width, height) + content[24:29]
    return content[:12] + header + struct.pack(">I", zlib.crc32(header)) + content[33:]


@pytest.mark.parametrize(
    "content",
    [
        as_file(GREEN),
        as_file(GREEN, "JPEG"),
        as_file(GREEN.convert("CMYK"), "JPEG"),
        as_file(GREEN.convert("P")),
        as_file(GREEN.convert("RGBA")),
        as_file(GREEN, "GIF"),
        as_file(GREEN.resize((1, 1))),
    ],
    ids=["png", "jpeg", "cmyk", "palette", "alpha", "gif", "one pixel"],
)
def test_pictures_of_every_kind_are_read(content):
    picture = read_picture(content, 16)
    assert picture.shape == (3, 16, 16)
    assert picture[1].mean() > 0.7
    assert picture[[0, 2]].mean() < 0.1


def test_sixteen_bits_are_not_cut_off():
    ramp = np.linspace(0, 65535, 64 * 64).reshape(64, 64).astype(np.uint16)
    picture = read_picture(as_file(Image.fromarray(ramp)), 64)
    assert picture[0, 0].mean() < 0.05
    assert 0.4 < picture[0, 32].mean() < 0.6


def test_a_turned_photograph_is_set_upright():
    wide = np.zeros((20, 40, 3), dtype=np.uint8)
    wide[:, :20] = 255  # its left half is white
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: rotate clockwise to see it
    picture = read_picture(as_file(Image.fromarray(wide), "JPEG", exif=exif.tobytes()), 20)
    assert picture[0, :8].mean() > 0.9  # what was left is above
    assert picture[0, 12:].mean() < 0.1


def test_what_is_transparent_is_white():
    picture = read_picture(as_file(Image.new("RGBA", (8, 8), (0, 0, 0, 0))), 8)
    assert picture.min() == 1


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "no picture that can be read"),
        (b"%PDF-1.7 not a picture", "no picture that can be read"),
        (as_file(GREEN.resize((600, 400)), "JPEG")[:900], "damaged"),
        (as_file(Image.new("1", (LARGEST // 1000 + 1, 1000))), "pixels are too many"),
        (claiming(as_file(GREEN), 30_000, 30_000), "far too many pixels"),
    ],
    ids=["empty", "pdf", "cut short", "large", "bomb"],
)
def test_other_files_are_refused_in_a_sentence(content, words):
    with pytest.raises(ValueError, match=words):
        read_picture(content, 16)


@pytest.mark.parametrize("version", [7, 8])
def test_an_uploaded_picture_is_shown_in_both_versions_of_ipywidgets(explorer, version):
    file = {"content": memoryview(as_file(GREEN))}
    explorer.upload = types.SimpleNamespace(value={"a.png": file} if version == 7 else (file,))
    explorer.take()
    assert explorer.image.value == "your picture"
    assert explorer.asked.label == "green"
    explorer.take()  # the same again
    assert list(explorer.images) == ["one", "other", "your picture"]


def test_a_bad_upload_says_so_and_changes_nothing(explorer):
    before = explorer.picture.value
    explorer.upload = types.SimpleNamespace(value=({"content": b"nothing"},))
    explorer.take()
    assert explorer.sentence.value.startswith("<b>Not taken:</b> the upload: this is no picture")
    assert explorer.picture.value == before
    assert "your picture" not in explorer.images
