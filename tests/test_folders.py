"""Pictures of every kind are opened as upright RGB, and every fault of a folder gets its sentence."""

import io
import json
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from torchvision.datasets import ImageFolder

from utils import folders
from utils.folders import find_problems, list_pictures, open_picture, store_split

NOISE = np.random.default_rng(0).integers(0, 256, (24, 20, 3), dtype=np.uint8)


def save(path, picture=None, **options):
    """Save a picture (a noisy one of its own, unless given) at a path, whose folders are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if picture is None:
        seed = zlib.crc32(str(path).encode())
        picture = Image.fromarray(np.random.default_rng(seed).integers(0, 256, (24, 20, 3), dtype=np.uint8))
    picture.save(path, **options)
    return path


@pytest.fixture
def sound(tmp_path):
    """A folder of two classes with two pictures each."""
    for name in ("cat", "dog"):
        for number in range(2):
            save(tmp_path / "pets" / name / f"{number}.png")
    return tmp_path / "pets"


def opened(path):
    picture = open_picture(path)
    assert picture.mode == "RGB"
    return np.asarray(picture)


# --- every kind of picture --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", ["png", "bmp", "ppm", "tif", "webp"])
def test_rgb_comes_back_unchanged(tmp_path, ending):
    options = {"lossless": True} if ending == "webp" else {}
    assert np.array_equal(opened(save(tmp_path / f"a.{ending}", Image.fromarray(NOISE), **options)), NOISE)


def test_a_palette_becomes_its_colours(tmp_path):
    picture = Image.new("P", (3, 2))
    picture.putpalette([255, 0, 0, 0, 0, 255])
    picture.putpixel((1, 0), 1)
    pixels = opened(save(tmp_path / "a.png", picture))
    assert pixels[0, 0].tolist() == [255, 0, 0]
    assert pixels[0, 1].tolist() == [0, 0, 255]


def test_a_transparent_palette_is_laid_on_white(tmp_path):
    picture = Image.new("P", (2, 1))
    picture.putpalette([255, 0, 0, 0, 0, 255])
    picture.putpixel((1, 0), 1)
    pixels = opened(save(tmp_path / "a.gif", picture, transparency=1))
    assert pixels[0].tolist() == [[255, 0, 0], [255, 255, 255]]


def test_cmyk_becomes_rgb(tmp_path):
    path = save(tmp_path / "a.jpg", Image.new("CMYK", (16, 16), (0, 255, 255, 0)), quality=95)
    assert opened(path)[8, 8].astype(int) == pytest.approx([255, 0, 0], abs=6)


@pytest.mark.parametrize(
    ("mode", "colour", "expected"),
    [
        ("RGBA", (255, 0, 0, 255), (255, 0, 0)),
        ("RGBA", (255, 0, 0, 0), (255, 255, 255)),
        ("RGBA", (0, 0, 0, 51), (204, 204, 204)),
        ("LA", (0, 0), (255, 255, 255)),
        ("LA", (100, 255), (100, 100, 100)),
        ("L", 7, (7, 7, 7)),
        ("1", 1, (255, 255, 255)),
    ],
)
def test_transparency_and_grey(tmp_path, mode, colour, expected):
    assert opened(save(tmp_path / "a.png", Image.new(mode, (4, 4), colour)))[0, 0].tolist() == list(expected)


@pytest.mark.parametrize("ending", ["png", "tif"])
def test_16_bits_are_scaled_and_not_cut_off(tmp_path, ending):
    numbers = np.array([[0, 257, 25_700, 65_535]], dtype=np.uint16)
    pixels = opened(save(tmp_path / f"a.{ending}", Image.fromarray(numbers)))
    assert pixels[0, :, 0].tolist() == [0, 1, 100, 255]
    assert (pixels == pixels[:, :, :1]).all()


def test_two_exposures_of_16_bits_stay_different(tmp_path):
    dark, bright = (Image.fromarray(np.full((2, 2), value, np.uint16)) for value in (10_000, 40_000))
    assert opened(save(tmp_path / "a.png", dark)).max() < opened(save(tmp_path / "b.png", bright)).min()


def test_floating_point_counts_as_0_to_1(tmp_path):
    picture = Image.fromarray(np.array([[-1.0, 0.0, 0.5, 2.0]], np.float32))
    assert opened(save(tmp_path / "a.tif", picture))[0, :, 0].tolist() == [0, 0, 128, 255]


@pytest.mark.parametrize(("turn", "corner"), [(1, (0, 0)), (3, (23, 19)), (6, (0, 23)), (8, (19, 0)), (2, (0, 19))])
def test_exif_turns_the_picture_upright(tmp_path, turn, corner):
    pixels = np.zeros((24, 20, 3), np.uint8)
    pixels[0, 0] = 255
    exif = Image.Exif()
    exif[0x0112] = turn
    upright = opened(save(tmp_path / "a.png", Image.fromarray(pixels), exif=exif))
    assert upright.shape[:2] == ((20, 24) if turn in (6, 8) else (24, 20))
    assert upright[corner].tolist() == [255, 255, 255]
    assert (upright > 0).any(axis=2).sum() == 1


def test_one_pixel_is_a_picture(tmp_path):
    assert opened(save(tmp_path / "a.png", Image.new("RGB", (1, 1), "red"))).tolist() == [[[255, 0, 0]]]


def test_of_an_animation_the_first_picture_counts(tmp_path):
    first, second = (Image.new("RGB", (4, 4), colour) for colour in ("red", "blue"))
    path = save(tmp_path / "a.png", first, save_all=True, append_images=[second])
    assert opened(path)[0, 0].tolist() == [255, 0, 0]


def test_the_file_is_closed_again(tmp_path):
    path = save(tmp_path / "a.png")
    picture = open_picture(path)
    path.unlink()
    assert picture.size == (20, 24)
    picture.getpixel((0, 0))


# --- what is no picture -----------------------------------------------------------------------------------------------


def truncated(tmp_path):
    path = save(tmp_path / "a.jpg", Image.fromarray(np.tile(NOISE, (4, 4, 1))))
    path.write_bytes(path.read_bytes()[:900])
    return path


def bad_chunk(tmp_path):
    path = save(tmp_path / "a.png")
    content = bytearray(path.read_bytes())
    place = content.index(b"IDAT") + 10
    content[place : place + 8] = b"\xff" * 8
    path.write_bytes(content)
    return path


def text(tmp_path):
    path = tmp_path / "a.jpg"
    path.write_text("<html>404 Not Found</html>")
    return path


def nothing(tmp_path):
    path = tmp_path / "a.jpg"
    path.touch()
    return path


def folder(tmp_path):
    path = tmp_path / "a.jpg"
    path.mkdir()
    return path


def bomb(tmp_path):
    """A PNG of a few bytes that says it has 60,000 × 60,000 pixels."""
    path = tmp_path / "a.png"
    header = b"IHDR" + struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    parts = (header, b"IDAT" + zlib.compress(b"\0"))
    chunks = [struct.pack(">I", len(part) - 4) + part + struct.pack(">I", zlib.crc32(part)) for part in parts]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunks))
    return path


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (truncated, "the file is damaged or cut off; copy it again, or remove it"),
        (bad_chunk, "the file is damaged or cut off"),
        (text, "this is no picture that can be read; save it as JPEG or PNG"),
        (nothing, "this is no picture that can be read"),
        (folder, "it cannot be opened; is it a folder, or a file that you may not read"),
        (bomb, "it has far too many pixels; make it smaller"),
        (lambda tmp_path: tmp_path / "a.png", "there is no such file"),
    ],
)
def test_what_is_no_picture_gets_a_sentence(tmp_path, make, words):
    path = make(tmp_path)
    with pytest.raises(ValueError, match=f"^{path.name}: {words}"):
        open_picture(path)


def test_too_many_pixels_are_refused_without_a_warning(tmp_path, monkeypatch, recwarn):
    monkeypatch.setattr(folders, "LARGEST", 100)
    with pytest.raises(ValueError, match="20 × 24 pixels are too many; make it smaller"):
        open_picture(save(tmp_path / "a.png"))
    assert not recwarn.list


# --- folders ----------------------------------------------------------------------------------------------------------


def test_a_sound_folder_has_no_problem(sound):
    assert find_problems(sound) == []
    assert find_problems(str(sound)) == []
    assert len(ImageFolder(sound, loader=open_picture)) == 4


def problem(folder):
    """Return the only problem of a folder."""
    (found,) = find_problems(folder)
    return found


def test_a_folder_that_is_not_there(tmp_path):
    assert "there is no such folder" in problem(tmp_path / "pets")
    assert "there is no such folder" in problem(save(tmp_path / "pets.png"))


def test_a_folder_without_classes(tmp_path):
    assert problem(tmp_path).startswith("There is no class")


def test_a_single_class(sound):
    for path in (sound / "dog").iterdir():
        path.unlink()
    (sound / "dog").rmdir()
    assert problem(sound) == "cat is the only class: a classifier needs at least two to tell apart."


def test_an_empty_class(sound):
    (sound / "owl").mkdir()
    assert problem(sound) == "owl holds no picture: add some, or remove the folder."
    with pytest.raises(FileNotFoundError):  # which is what ImageFolder makes of it
        ImageFolder(sound)


def test_a_picture_beside_the_classes(sound):
    save(sound / "lost.png")
    assert problem(sound).startswith("lost.png lies beside the class folders")


def test_a_hidden_folder_counts_as_a_class_for_imagefolder(sound):
    save(sound / ".ipynb_checkpoints" / "a.png")
    assert problem(sound).startswith(".ipynb_checkpoints is a hidden folder")
    assert ".ipynb_checkpoints" in ImageFolder(sound).classes


def test_other_files(sound):
    (sound / "cat" / "notes.txt").write_text("Chelsea")
    (sound / "dog" / "phone.HEIC").write_bytes(b"ftypheic")
    assert [sentence.partition(" ")[0] for sentence in find_problems(sound)] == ["cat/notes.txt", "dog/phone.HEIC"]
    assert all("is skipped" in sentence for sentence in find_problems(sound))


def test_a_file_beside_the_classes_that_is_no_picture_does_not_matter(sound):
    (sound / "README.md").write_text("where they come from")
    assert find_problems(sound) == []


def test_a_file_in_a_folder_inside_a_class_is_named_with_it(sound):
    save(sound / "cat" / "the grey one" / "1.png", Image.new("RGB", (1, 1)))
    (sound / "cat" / "the grey one" / "2.jpg").write_text("<html>")
    (sound / "cat" / "the grey one" / "3.txt").write_text("Chelsea")
    (sound / "dog" / "a copy").mkdir()
    (sound / "dog" / "a copy" / "4.png").write_bytes((sound / "cat" / "0.png").read_bytes())
    assert [sentence.partition(".")[0] for sentence in find_problems(sound)] == [
        "cat/the grey one/3",
        "cat/the grey one/1",
        "cat/the grey one/2",
        "dog/a copy/4",
    ]


def test_what_a_system_hides_in_every_folder_is_not_mentioned(sound):
    (sound / "cat" / ".DS_Store").write_bytes(b"Bud1")
    assert find_problems(sound) == []
    (sound / "cat" / "._0.png").write_bytes(b"Mac OS X")  # ImageFolder would take it for a picture
    assert problem(sound).startswith("cat/._0.png: this is no picture")


def test_a_relative_path_says_where_it_was_looked_for(tmp_path, monkeypatch):
    (tmp_path / "notebooks").mkdir()
    monkeypatch.chdir(tmp_path / "notebooks")
    assert problem(Path("pets")).startswith(
        "pets: there is no such folder, seen from notebooks, where this runs; make it"
    )
    with pytest.raises(ValueError, match="pets: there is no such folder, seen from notebooks, where this runs; give"):
        list_pictures("pets")


# --- a split that stays ---

DRAWN = {"cat/1.png": "training", "cat/2.png": "validation", "cat/3.png": "test"}
GROUPS = {"cat/1.png": 0, "cat/2.png": 1, "cat/3.png": 2}


def test_a_split_is_stored_and_drawn_anew_unless_it_is_kept(tmp_path):
    file = tmp_path / "split.json"
    assert store_split(file, DRAWN, GROUPS, keep=True) == DRAWN, "there is none to keep"
    other = dict(zip(DRAWN, ("test", "training", "validation")))
    assert store_split(file, other, GROUPS, keep=True) == DRAWN
    assert store_split(file, other, GROUPS, keep=False) == other
    assert json.loads(file.read_text(encoding="utf-8")) == other


def test_a_kept_split_takes_in_what_is_new_and_lets_go_what_is_gone(tmp_path):
    file = tmp_path / "split.json"
    store_split(file, DRAWN, GROUPS, keep=False)
    groups = {"cat/1.png": 5, "cat/3.png": 7, "cat/№ 4.png": 7, "dog/1.png": 8}
    kept = store_split(file, dict.fromkeys(groups, "test"), groups, keep=True)
    assert kept == {"cat/1.png": "training", "cat/3.png": "test", "cat/№ 4.png": "test", "dog/1.png": "training"}
    assert json.loads(file.read_text(encoding="utf-8")) == kept
    with pytest.raises(ValueError, match=r"cat/3\.png \(test\) and cat/1\.png \(training\) are in one group now"):
        store_split(file, kept, dict.fromkeys(kept, 1), keep=True)
    assert json.loads(file.read_text(encoding="utf-8")) == kept


@pytest.mark.parametrize(
    ("content", "words"),
    [("{", "is damaged"), ('{"mug/1.png": "test"}', "of another folder")],
    ids=["cut off", "other"],
)
def test_a_stored_split_that_cannot_be_kept_is_said_and_left(tmp_path, content, words):
    (tmp_path / "split.json").write_text(content)
    with pytest.raises(ValueError, match=rf"split\.json .*{words}"):
        store_split(tmp_path / "split.json", DRAWN, GROUPS, keep=True)
    assert (tmp_path / "split.json").read_text() == content


def test_broken_pictures(sound):
    (sound / "cat" / "page.jpg").write_text("<html>")
    (sound / "dog" / "half.jpg").write_bytes(truncated(sound.parent).read_bytes())
    first, second = find_problems(sound)
    assert first == "cat/page.jpg: this is no picture that can be read; save it as JPEG or PNG."
    assert second == "dog/half.jpg: the file is damaged or cut off; copy it again, or remove it."


def test_tiny_pictures(sound):
    save(sound / "cat" / "dot.png", Image.new("RGB", (1, 1)))
    assert problem(sound) == "cat/dot.png has 1 × 1 pixels, too few to show anything: remove it."


def test_the_same_picture_in_two_classes(sound):
    (sound / "dog" / "copy.png").write_bytes((sound / "cat" / "0.png").read_bytes())
    assert problem(sound) == "dog/copy.png is the same picture as cat/0.png: keep it in one class."
    (sound / "cat" / "again.png").write_bytes((sound / "cat" / "1.png").read_bytes())
    assert len(find_problems(sound)) == 1, "twice in one class is no contradiction"


def test_pictures_in_folders_inside_a_class_count_as_imagefolder_counts_them(sound):
    save(sound / "owl" / "night" / "a.png")
    assert find_problems(sound) == []
    assert len(ImageFolder(sound)) == 5


def test_several_problems_are_all_told(sound):
    (sound / "owl").mkdir()
    save(sound / "lost.png")
    save(sound / "cat" / "dot.png", Image.new("RGB", (40, 3)))
    assert len(find_problems(sound)) == 3


def test_an_upload_can_be_opened_too():
    file = io.BytesIO()
    Image.fromarray(NOISE).save(file, "PNG")
    file.seek(0)
    assert open_picture(file).size == (20, 24)
    with pytest.raises(ValueError, match="the upload: this is no picture"):
        open_picture(io.BytesIO(b"text"))


# --- links ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def linked(sound):
    """The sound folder, with links: to a picture outside, to a folder outside, to nothing, to itself, and inside."""
    outside = sound.parent / "private"
    save(outside / "secret.png")
    (sound / "cat" / "a.png").symlink_to(outside / "secret.png")
    (sound / "cat" / "more").symlink_to(outside, target_is_directory=True)
    (sound / "cat" / "gone.png").symlink_to(sound / "cat" / "never.png")
    (sound / "dog" / "loop.png").symlink_to(sound / "dog" / "loop.png")
    (sound / "dog" / "round").symlink_to(sound, target_is_directory=True)
    (sound / "dog" / "2.png").symlink_to(sound / "dog" / "1.png")
    (sound / "owl").symlink_to(outside, target_is_directory=True)
    return sound


def test_links_that_lead_out_are_named_and_not_followed(linked):
    found = find_problems(linked)
    assert all("is a link that leads out of the folder, or nowhere: put the pictures" in sentence for sentence in found)
    assert [sentence.partition(" is ")[0] for sentence in found] == [
        "owl", "cat/a.png", "cat/gone.png", "cat/more", "dog/loop.png", "dog/round",
    ]  # fmt: skip


def test_what_a_link_leads_to_is_not_listed(linked):
    paths, labels, classes = list_pictures(linked, fewest=2)
    assert [path.relative_to(linked).as_posix() for path in paths] == [
        "cat/0.png", "cat/1.png", "dog/0.png", "dog/1.png", "dog/2.png",
    ]  # fmt: skip
    assert (labels, classes) == ([0, 0, 1, 1, 1], ["cat", "dog"])


def test_the_folder_itself_may_be_a_link(sound):
    link = sound.parent / "my pets"
    link.symlink_to(sound, target_is_directory=True)
    assert find_problems(link) == []
    assert len(list_pictures(link, fewest=2)[0]) == 4


# --- what can be used -------------------------------------------------------------------------------------------------


def test_everything_usable_is_listed_and_nothing_else(sound):
    (sound / "cat" / "notes.txt").write_text("Chelsea")
    (sound / "cat" / "page.jpg").write_text("<html>")
    save(sound / "cat" / "dot.png", Image.new("RGB", (1, 1)))
    save(sound / ".ipynb_checkpoints" / "a.png")
    save(sound / "lost.png")
    save(sound / "dog" / "the old one" / "1.png")
    paths, labels, classes = list_pictures(str(sound), fewest=2)
    assert [path.relative_to(sound).as_posix() for path in paths] == [
        "cat/0.png", "cat/1.png", "dog/0.png", "dog/1.png", "dog/the old one/1.png",
    ]  # fmt: skip
    assert (labels, classes) == ([0, 0, 1, 1, 1], ["cat", "dog"])


def test_names_with_spaces_and_letters_of_all_kinds(tmp_path):
    names = ["crème brûlée", "Straße № 5", "猫", "two  words"]
    for name in names:
        for number in range(3):
            save(tmp_path / "my pictures" / name / f"Ä {number} (1).png")
    paths, labels, classes = list_pictures(tmp_path / "my pictures")
    assert sorted(classes) == sorted(names)
    assert len(paths) == len(labels) == 12
    assert find_problems(tmp_path / "my pictures") == []


def texts_only(folder):
    for name in ("cat", "dog"):
        (folder / name).mkdir()
        (folder / name / "notes.txt").write_text("no picture")


def one_class(folder):
    for number in range(5):
        save(folder / "cat" / f"{number}.png")


def one_picture_each(folder):
    for name in ("cat", "dog"):
        save(folder / name / "only.png")


def pictures_without_classes(folder):
    for number in range(5):
        save(folder / f"{number}.png")


@pytest.mark.parametrize(
    ("fill", "words"),
    [
        (lambda folder: None, "pets has no folders in it: make one for each class, and put its pictures into it"),
        (lambda folder: folder.rmdir(), "pets: there is no such folder; give the path of one"),
        (pictures_without_classes, "pets has no folders in it"),
        (one_class, "cat is the only class in pets: at least two are needed"),
        (one_picture_each, "too few pictures that can be read: cat has 1, dog has 1. Each class needs at least 3"),
        (texts_only, "too few pictures that can be read: cat has 0, dog has 0."),
    ],
)
def test_a_folder_that_cannot_be_used_gets_a_sentence(tmp_path, fill, words):
    folder = tmp_path / "pets"
    folder.mkdir()
    fill(folder)
    with pytest.raises(ValueError, match=words):
        list_pictures(folder)
