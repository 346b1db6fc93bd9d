"""Lesson 06: batches that are flipped and shifted, its network, its training loop, and the gallery's augmentations."""

import ast
import functools
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader

import utils.data
import utils.training
from tests.tools import measure_06, taught
from tests.tools.cells import code_cells, parse, read
from utils.arithmetic import layer_table
from utils.data import ImageDataset, augmented_batches, batches, normalise_channels
from utils.models import ColourCNN
from utils.training import evaluate, fit_augmented, require_split, set_seed


@pytest.fixture
def split():
    """Thirty images (3, 8, 9), no two alike, of ten classes."""
    set_seed(0)
    return torch.randn(30, 3, 8, 9), torch.arange(30) % 10


def linear():
    set_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 9, 10))


def one_cycle(model, steps, lr=0.02):
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr)
    return optimizer, torch.optim.lr_scheduler.OneCycleLR(optimizer, lr, total_steps=steps, cycle_momentum=False)


# --- batches that are flipped and shifted ------------------------------------------------------------------------


def variants(image, padding, flips):
    """Return every image that augmented_batches may make of one, by plain slicing: (how many, C, H, W)."""
    height, width = image.shape[1:]
    found = []
    for start in [image, image.flip(2)] if flips else [image]:
        padded = F.pad(start[None], (padding,) * 4, mode="reflect")[0]
        for row in range(2 * padding + 1):
            found += [padded[:, row : row + height, left : left + width] for left in range(2 * padding + 1)]
    return torch.stack(found)


@pytest.mark.parametrize(("padding", "flip"), [(4, 0.5), (2, 0.0), (0, 1.0), (1, 1.0)])
def test_each_image_is_one_of_its_own_variants_and_keeps_its_label(split, padding, flip):
    images = split[0]
    before = images.clone()
    found = list(augmented_batches(images, torch.arange(30), 7, padding, flip))
    assert [len(labels) for _, labels in found] == [7, 7, 7, 7, 2]
    assert sorted(torch.cat([labels for _, labels in found]).tolist()) == list(range(30))
    for made, labels in found:
        for image, label in zip(made, labels.tolist()):
            assert (variants(images[label], padding, flip > 0) == image).flatten(1).all(dim=1).any()
    assert torch.equal(images, before)


def test_without_padding_and_flips_nothing_changes(split):
    for made, labels in augmented_batches(split[0], torch.arange(30), 8, padding=0, flip=0.0):
        assert torch.equal(made, split[0][labels])
    for made, labels in augmented_batches(split[0], torch.arange(30), 8, padding=0, flip=1.0):
        assert torch.equal(made, split[0][labels].flip(3))


def test_each_image_draws_its_own_flip_and_shift():
    """Of one image 2,000 times: half are flipped, and each of the 81 shifts comes up about equally often."""
    set_seed(0)
    image = torch.randn(1, 3, 8, 9)
    many = image.expand(2000, -1, -1, -1), torch.zeros(2000)
    made, _ = next(augmented_batches(*many, 2000, padding=0))
    assert (made == image).flatten(1).all(dim=1).sum() == pytest.approx(1000, abs=100)
    made, _ = next(augmented_batches(*many, 2000, flip=0.0))
    which = torch.cdist(made.flatten(1), variants(image[0], 4, False).flatten(1)).argmin(dim=1)
    counts = which.bincount(minlength=81)
    assert counts.min() >= 8
    assert counts.max() <= 50


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            {"images": torch.zeros(3, 3, 8, 9, dtype=torch.uint8)},
            r"images must be floats .* torch\.uint8 \(3, 3, 8, 9\)",
        ),
        ({"images": torch.zeros(3, 8, 9)}, r"images must be floats \(N, C, H, W\)"),
        ({"padding": 8}, r"padding must lie in 0\.\.7, but it is 8"),
        ({"padding": -1}, r"padding must lie in 0\.\.7, but it is -1"),
        ({"labels": torch.zeros(2)}, "every image needs one label"),
    ],
)
def test_augmented_batches_refuse_what_cannot_be_shifted(change, words):
    settings = {"images": torch.zeros(3, 3, 8, 9), "labels": torch.zeros(3), "batch_size": 2} | change
    with pytest.raises(ValueError, match=words):
        next(augmented_batches(**settings))


# --- one image at a time -----------------------------------------------------------------------------------------


def test_the_dataset_is_the_lessons_own():
    trees = [parse(cell) for _, cell in code_cells(read(measure_06.LESSON))]
    lesson = [node for tree in trees for node in taught.definitions(tree).get("ImageDataset", [])]
    module = ast.parse(Path(utils.data.__file__).read_text(encoding="utf-8"))
    assert len(lesson) == 1
    assert taught.same(lesson[0], taught.definitions(module)["ImageDataset"][0])


def brightness(picture):
    return torch.tensor(picture.getpixel((0, 0)))


def test_workers_that_start_afresh_can_use_the_dataset():
    images = torch.arange(12, dtype=torch.uint8).view(4, 3, 1, 1).expand(4, 3, 32, 32)
    dataset = ImageDataset(images, torch.tensor([3, 1, 2, 0]), brightness)
    assert len(dataset) == 4
    loader = DataLoader(dataset, 4, num_workers=1, multiprocessing_context="spawn")
    pixels, labels = next(iter(loader))
    assert pixels.tolist() == [[0, 1, 2], [3, 4, 5], [6, 7, 8], [9, 10, 11]]
    assert labels.tolist() == [3, 1, 2, 0]


# --- the network -------------------------------------------------------------------------------------------------


def test_colour_cnn_has_the_shapes_and_the_size_it_promises():
    model = ColourCNN()
    assert model(torch.zeros(2, 3, 32, 32)).shape == (2, 10)
    assert ColourCNN(num_classes=4)(torch.zeros(1, 3, 32, 32)).shape == (1, 4)
    assert sum(p.numel() for p in model.parameters()) == 251_834
    assert sum(row[3] for row in layer_table(model, (3, 32, 32))) == 5_967_104


@pytest.mark.parametrize("shape", [(2, 1, 28, 28), (2, 3, 28, 28), (2, 3, 64, 64), (3, 32, 32)])
def test_colour_cnn_refuses_other_images(shape):
    with pytest.raises(ValueError, match=r"ColourCNN wants images \(N, 3, 32, 32\), but these are"):
        ColourCNN()(torch.zeros(shape))


# --- splits and training -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda images, labels: (images, labels + 1), r"labels must lie in 0\.\.9, but they reach from 1 to 10"),
        (lambda images, labels: (images, labels - 1), r"labels must lie in 0\.\.9, but they reach from -1 to 8"),
        (lambda images, labels: (images.byte(), labels), r"images must be floats .* torch\.uint8"),
        (lambda images, labels: (images[:, 0], labels), r"images must be floats \(N, C, H, W\)"),
        (
            lambda images, labels: (images[:0], labels[:0]),
            "a split needs images and as many labels, but it has 0 and 0",
        ),
        (lambda images, labels: (images, labels[:7]), "but it has 30 and 7"),
        (
            lambda images, labels: (images, labels.clamp(min=2)),
            r"no image of this split belongs to the classes \[0, 1\]",
        ),
    ],
)
def test_a_split_that_is_not_fit_is_refused_in_words(split, change, words):
    require_split(*split)
    model = linear()
    with pytest.raises(ValueError, match=words):
        require_split(*change(*split))
    for pair in [(change(*split), split), (split, change(*split))]:
        with pytest.raises(ValueError, match=words):
            fit_augmented(model, *pair, *one_cycle(model, 9), num_epochs=1)


def test_fit_augmented_learns_keeps_a_history_and_steps_the_scheduler_by_batch(split):
    model = linear()
    optimizer, scheduler = one_cycle(model, steps=4 * 20)
    history = fit_augmented(
        model, split, split, optimizer, scheduler, 20, batch_size=8, draw=functools.partial(batches, shuffle=True)
    )
    assert {name: len(values) for name, values in history.items()} == dict.fromkeys(history, 20)
    assert list(history) == ["train_loss", "validation_loss", "validation_accuracy"]
    assert history["validation_accuracy"][-1] == 1.0
    assert scheduler.last_epoch == 80


def test_fit_augmented_reports_the_loss_weighted_by_count(split):
    model = linear()
    expected = evaluate(model, *split)[0]
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    for batch_size in (7, 30):
        scheduler = torch.optim.lr_scheduler.ConstantLR(optimizer)
        history = fit_augmented(model, split, split, optimizer, scheduler, 1, batch_size, batches)
        assert history["train_loss"][0] == pytest.approx(expected, rel=1e-5)


def test_fit_augmented_takes_shares_for_labels(split, lesson):
    model = linear()
    draw = lesson["batches_with"](lesson["mixup"])
    history = fit_augmented(model, split, split, *one_cycle(model, 4 * 5), 5, batch_size=8, draw=draw)
    assert history["train_loss"][-1] < history["train_loss"][0]


def test_an_interruption_keeps_model_and_history(split, capsys):
    """Ctrl-C in the third epoch: two epochs of history stay, and the weights are those of the moment."""
    calls = 0

    def interrupted(images, labels, batch_size):
        nonlocal calls
        calls += 1
        for number, batch in enumerate(batches(images, labels, batch_size)):
            if calls == 3 and number == 2:
                raise KeyboardInterrupt
            yield batch

    model = linear()
    before = model[1].weight.clone()
    history = fit_augmented(model, split, split, *one_cycle(model, 40), 9, batch_size=8, draw=interrupted)
    assert [len(values) for values in history.values()] == [2, 2, 2]
    assert not torch.equal(model[1].weight, before)
    assert "Stopped in epoch 3: the weights so far and 2 epochs of history are kept." in capsys.readouterr().out


# --- what stands in the notebook alone ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def lesson():
    return measure_06.lesson_06()


@pytest.fixture
def colours():
    set_seed(0)
    return torch.randn(200, 3, 32, 32), torch.arange(200) % 10


def test_normalise_gives_each_channel_mean_0_and_spread_1_and_leaves_its_images(lesson):
    images = torch.randint(0, 256, (20, 3, 32, 32), dtype=torch.uint8)
    pixels = images.float() / 255
    mean, std = pixels.mean(dim=(0, 2, 3)), pixels.std(dim=(0, 2, 3))
    for given in (images, images.float()):
        before = given.clone()
        made = normalise_channels(given, mean, std)
        assert torch.allclose(made.mean(dim=(0, 2, 3)), torch.zeros(3), atol=1e-5)
        assert torch.allclose(made.std(dim=(0, 2, 3)), torch.ones(3), atol=1e-5)
        assert torch.equal(given, before)
    with pytest.raises(ValueError, match="a channel without spread cannot be normalised"):
        normalise_channels(images, mean, torch.tensor([0.2, 0.0, 0.3]))


@pytest.mark.parametrize("name", ["crop", "colour", "erasing"])
def test_these_augmentations_change_each_image_and_no_label(lesson, colours, name):
    images, labels = colours
    same = images[:1].expand(200, -1, -1, -1)
    made, kept = lesson[name](same, labels)
    assert made.shape == same.shape
    assert torch.equal(kept, labels)
    assert torch.equal(same, images[:1].expand(200, -1, -1, -1))
    assert len(made.flatten(1).unique(dim=0)) > 100, "the images are changed alike"


def test_crop_shows_a_part_of_the_image_enlarged(lesson):
    """On a ramp from -1 to 1 a crop is a ramp too, that lies inside and is 0.7 to 1 times as steep."""
    ramp = (torch.arange(32) * 2 + 1) / 32 - 1
    images = torch.stack([ramp.expand(32, 32), ramp[:, None].expand(32, 32)]).expand(100, 2, 32, 32)
    made, _ = lesson["crop"](images, torch.zeros(100))
    steepness = (made[:, 0, 0, 20] - made[:, 0, 0, 10]) / (ramp[20] - ramp[10])
    assert 0.699 < steepness.min() < 0.75
    assert 0.95 < steepness.max() < 1.001
    assert torch.allclose(steepness, (made[:, 1, 20, 0] - made[:, 1, 10, 0]) / (ramp[20] - ramp[10]), atol=1e-4)
    assert made.abs().max() <= ramp.abs().max() + 1e-5


def test_erasing_puts_one_square_of_zeros_into_each_image(lesson):
    made, _ = lesson["erasing"](torch.ones(100, 3, 32, 32), torch.zeros(100))
    assert (made == 0).flatten(1).sum(dim=1).tolist() == [3 * 12 * 12] * 100
    assert ((made == 0).any(dim=3).sum(dim=2) == 12).all()


def test_mixup_mixes_images_and_shares_alike(lesson):
    """Images that hold their own label's share as pixels show the shares again."""
    labels = torch.arange(50) % 10
    images = F.one_hot(labels, 10).float()[:, :, None, None].expand(-1, -1, 32, 32)
    made, shares = lesson["mixup"](images, labels)
    assert torch.allclose(made[:, :, 0, 0], shares, atol=1e-6)
    assert torch.allclose(shares.sum(dim=1), torch.ones(50))
    assert len(shares.amax(dim=1).unique()) > 20


def test_cutmix_shares_are_the_pixels_that_can_be_seen(lesson):
    set_seed(0)
    labels = torch.arange(50) % 10
    images = F.one_hot(labels, 10).float()[:, :, None, None].expand(-1, -1, 32, 32)
    areas = set()
    for _ in range(20):
        made, shares = lesson["cutmix"](images, labels)
        assert torch.allclose(made.mean(dim=(2, 3)), shares, atol=1e-6)
        areas.add(round(shares.amax(dim=1).median().item(), 4))
    assert len(areas) > 10
    assert torch.equal(images[:, :, 0, 0], F.one_hot(labels, 10).float()), "the images given were changed"


def test_batches_with_draws_every_image_once(lesson):
    draw = lesson["batches_with"](lambda images, labels: (images + 1, labels))
    found = list(draw(torch.arange(10.0), torch.arange(10), 4))
    assert sorted(torch.cat([labels for _, labels in found]).tolist()) == list(range(10))
    assert all(torch.equal(images, labels + 1.0) for images, labels in found)
