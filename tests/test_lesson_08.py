"""Lesson 08: the block, the network, the fast loop, and what stands in the notebook alone."""

import functools
import json
import math

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional as F
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

import utils.training
from tests.test_figures import import_script
from tests.test_weights import CARD_ENTRIES
from tests.tools import bench, checkpoints, measure_08
from tests.tools.cells import code_cells, read, text
from utils.checks import lesson_08 as checks
from utils.data import ImageData, Split, batches
from utils.models import ResidualBlock, ResidualCNN
from utils.training import choose_dtype, evaluate, fast_epoch, fit_fast, predict, set_seed
from utils.weights import NEWEST, load_residual_cnn

PLAIN = functools.partial(batches, shuffle=True)


@pytest.fixture
def split():
    """Forty images (3, 8, 8) of ten classes, each class with a bright pixel of its own."""
    set_seed(0)
    labels = torch.arange(40) % 10
    images = 0.1 * torch.randn(40, 3, 8, 8)
    images[range(40), 0, 4, labels % 8] += 3
    images[range(40), 1, labels // 8, 4] += 3
    return images, labels


@pytest.fixture
def photos():
    """Twenty images (3, 32, 32) of ten classes."""
    set_seed(1)
    return torch.randn(20, 3, 32, 32), torch.arange(20) % 10


def linear():
    set_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, 10))


def constant(model, lr=0.0):
    """Return what fast_epoch needs besides model and batches, at a constant learning rate."""
    optimizer = torch.optim.SGD(model.parameters(), lr)
    return optimizer, torch.optim.lr_scheduler.ConstantLR(optimizer, 1.0), torch.amp.GradScaler("cpu", enabled=False)


# --- the block and the network ---------------------------------------------------------------------------------------


def test_a_block_whose_branch_is_zero_does_nothing():
    block, maps = ResidualBlock(4, 4), torch.randn(2, 4, 6, 6)
    nn.init.zeros_(block.conv2.weight)
    assert torch.equal(block(maps), maps)


@pytest.mark.parametrize(
    ("settings", "shape", "projection"),
    [
        ((4, 4), (4, 7, 6), False),
        ((4, 6), (6, 7, 6), True),
        ((4, 4, True), (4, 3, 3), False),
        ((4, 8, True), (8, 3, 3), True),
    ],
)
def test_a_block_projects_where_and_only_where_the_channels_change(settings, shape, projection):
    block, maps = ResidualBlock(*settings), torch.randn(2, 4, 7, 6)
    assert block(maps).shape == (2, *shape)
    assert any(isinstance(layer, nn.Conv2d) for layer in block.shortcut) == projection
    assert torch.allclose(block(maps), block.shortcut(maps) + block.branch(maps))
    convs = [layer for layer in block.modules() if isinstance(layer, nn.Conv2d)]
    assert all(conv.bias is None for conv in convs)


def test_the_network_has_the_shapes_and_the_size_it_promises():
    model = ResidualCNN()
    assert model(torch.zeros(2, 3, 32, 32)).shape == (2, 10)
    assert sum(p.numel() for p in model.parameters()) == 503_026
    assert ResidualCNN(widths=(8, 16), num_classes=4)(torch.zeros(1, 3, 32, 32)).shape == (1, 4)


@pytest.mark.parametrize("shape", [(2, 1, 32, 32), (2, 3, 28, 28), (2, 3, 64, 64), (3, 32, 32)])
def test_the_network_refuses_other_images(shape):
    with pytest.raises(ValueError, match=r"ResidualCNN wants images \(N, 3, 32, 32\), but these are"):
        ResidualCNN()(torch.zeros(shape))


# --- the number format -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("device", "has_bfloat16", "expected"),
    [
        ("cuda", True, torch.bfloat16),
        ("cuda", False, torch.float16),  # Colab's T4
        ("cpu", True, torch.bfloat16),
        ("cpu", False, torch.float32),
        ("mps", True, torch.float32),
    ],
)
def test_the_format_follows_what_the_device_has(device, has_bfloat16, expected, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: has_bfloat16)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": has_bfloat16}, raising=False)
    assert choose_dtype(torch.device(device)) == expected


def test_where_pytorch_cannot_tell_the_processor_gets_float32(monkeypatch):
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    assert choose_dtype(torch.device("cpu")) == torch.float32


# --- one epoch -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_the_mean_loss_weighs_every_image_once(split, dtype):
    model = linear()
    expected = F.cross_entropy(model(split[0]), split[1], label_smoothing=0.2).item()
    for batch_size in (7, 40):
        loss = fast_epoch(model, batches(*split, batch_size), *constant(model), dtype, 0.2)
        assert loss == pytest.approx(expected, rel=1e-6 if dtype == torch.float32 else 0.02)


def test_a_loss_that_is_not_finite_stops_the_training_and_leaves_the_weights(split):
    model = linear()
    images = split[0].clone()
    images[25] = torch.inf
    seen = []

    def watched():
        for batch in batches(images, split[1], 10):
            seen.append(model[1].weight.detach().clone())
            yield batch

    words = r"the loss is (nan|inf) in step 3, at the learning rate 0\.01: try a tenth of that rate, .* float32"
    with pytest.raises(FloatingPointError, match=words):
        fast_epoch(model, watched(), *constant(model, lr=0.01), torch.float32, 0.0)
    assert torch.equal(model[1].weight, seen[2])
    assert model[1].weight.isfinite().all()


# --- fit_fast --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [None, torch.float32, torch.bfloat16, torch.float16])
def test_fit_fast_learns_in_every_format_and_says_which(split, dtype, capsys):
    history = fit_fast(linear(), split, split, 8, lr=0.1, batch_size=8, smooth=0.0, draw=PLAIN, dtype=dtype)
    assert list(history) == ["train_loss", "validation_loss", "validation_accuracy"]
    assert [len(values) for values in history.values()] == [8, 8, 8]
    assert history["validation_accuracy"][-1] > 0.9
    chosen = dtype or choose_dtype(torch.device("cpu"))
    assert f"training on cpu in {chosen}\n" in capsys.readouterr().out


def test_fit_fast_is_the_plain_loop_with_its_recipe(split):
    """In float32 the same steps by hand: SGD with Nesterov's momentum, weight decay, one cycle, smoothing."""
    fast, slow = linear(), linear()
    set_seed(5)
    fit_fast(fast, split, split, 2, lr=0.05, batch_size=16, decay=0.01, smooth=0.3, draw=PLAIN, dtype=torch.float32)
    optimizer = torch.optim.SGD(slow.parameters(), 0.05, momentum=0.9, weight_decay=0.01, nesterov=True)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.05, total_steps=6, cycle_momentum=False)
    set_seed(5)
    for _ in range(2):
        for images, labels in PLAIN(*split, 16):
            optimizer.zero_grad()
            F.cross_entropy(slow(images), labels, label_smoothing=0.3).backward()
            optimizer.step()
            scheduler.step()
    assert torch.allclose(fast[1].weight, slow[1].weight, atol=1e-6)


def test_fit_fast_refuses_a_batch_larger_than_the_data(split):
    with pytest.raises(ValueError, match="a batch of 256 is larger than the training split of 40 images"):
        fit_fast(linear(), split, split, 1, lr=0.1)
    fit_fast(linear(), split, split, 1, lr=0.1, batch_size=40)


def test_fit_fast_refuses_a_split_that_is_not_fit(split):
    with pytest.raises(ValueError, match=r"labels must lie in 0\.\.9"):
        fit_fast(linear(), (split[0], split[1] + 1), split, 1, lr=0.1, batch_size=8)
    with pytest.raises(ValueError, match="images must be floats"):
        fit_fast(linear(), split, (split[0].byte(), split[1]), 1, lr=0.1, batch_size=8)


def test_an_interruption_keeps_model_and_history(split, capsys):
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
    history = fit_fast(model, split, split, 9, lr=0.1, batch_size=8, draw=interrupted)
    assert [len(values) for values in history.values()] == [2, 2, 2]
    assert not torch.equal(model[1].weight, before)
    assert "Stopped in epoch 3: the weights so far and 2 epochs of history are kept." in capsys.readouterr().out


def test_the_functions_are_short():
    """At most three functions of at most 25 lines, without their docstrings."""
    import ast
    from pathlib import Path

    tree = ast.parse(Path(utils.training.__file__).read_text(encoding="utf-8"))
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name in ("choose_dtype", "fast_epoch", "fit_fast"):
            documentation = node.body[0].end_lineno - node.body[0].lineno + 1
            assert node.end_lineno - node.lineno + 1 - documentation <= 25


# --- what stands in the notebook alone -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def lesson():
    return measure_08.lesson_08()


def test_the_plain_and_the_residual_network_differ_in_their_additions_only(lesson):
    for depth in (8, 32):
        plain, residual = lesson["plain_cnn"](depth), lesson["residual_cnn"](depth)
        shapes = [sorted(tuple(p.shape) for p in model.parameters()) for model in (plain, residual)]
        assert shapes[0] == shapes[1]
        weighing = [layer for layer in plain.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
        assert len(weighing) == depth


def test_idle_layers_change_nothing(lesson):
    model = lesson["plain_cnn"](4).eval()
    deeper, images = lesson["with_idle_layers"](model, 2).eval(), torch.randn(3, 3, 32, 32)
    assert torch.allclose(deeper(images), model(images), atol=1e-6)
    assert len(deeper) == len(model) + 3 * 2 * 2


def test_a_whitened_stem_makes_maps_that_are_not_correlated(lesson):
    set_seed(0)
    mixture = torch.randn(3, 3)
    images = F.avg_pool2d(torch.einsum("ij,njhw->nihw", mixture, torch.randn(50, 3, 34, 34)), 3, 1)
    stem = nn.Conv2d(3, 24, kernel_size=2)
    lesson["whiten"](stem, images, eps=0.0)
    maps = stem(images)
    covariance = torch.cov(maps[:, :12].transpose(0, 1).flatten(1))
    assert torch.allclose(covariance, torch.eye(12), atol=0.01)
    assert torch.allclose(maps[:, :12], -maps[:, 12:], atol=1e-5)
    assert not stem.weight.requires_grad
    lesson["whiten"](stem, images, eps=1.0)
    assert torch.cov(stem(images)[:, :12].transpose(0, 1).flatten(1)).diagonal().max() < 1


def test_flips_ask_the_network_twice(lesson, photos):
    model = ResidualCNN(widths=(8,)).eval()
    expected = (model(photos[0]) + model(photos[0].flip(3))) / 2
    assert torch.allclose(lesson["predict_flipped"](model, photos[0]), expected, atol=1e-5)
    mirrored = lesson["predict_flipped"](model, photos[0].flip(3))
    assert torch.allclose(mirrored, expected, atol=1e-5)


def test_the_average_moves_after_each_step(lesson, split):
    model = linear()
    average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.9), use_buffers=True)
    weights = []

    def recorded(images, labels, batch_size):
        for batch in batches(images, labels, batch_size):
            yield batch
            weights.append(model[1].weight.detach().clone())

    draw = lesson["averaging"](recorded, model, average)
    fit_fast(model, split, split, 1, lr=0.1, batch_size=10, draw=draw, dtype=torch.float32)
    expected = weights[0]
    for weight in weights[1:]:
        expected = 0.9 * expected + 0.1 * weight
    assert len(weights) == 4
    assert torch.allclose(average.module[1].weight, expected, atol=1e-6)


def test_the_range_test_follows_its_list_and_says_where_it_began_too_high(lesson, split):
    losses = lesson["lr_range_test"](linear(), split, [0.001 * 1.1**i for i in range(20)], batch_size=20)
    assert len(losses) == 20
    assert all(math.isfinite(loss) for loss in losses)
    with pytest.raises(ValueError, match=r"it diverged after \d steps: begin at a rate far below 1e\+06"):
        lesson["lr_range_test"](linear(), split, [1e6] * 20, batch_size=20)


@pytest.mark.parametrize("epochs_before_the_stop", [0, 2])
def test_a_stopped_headline_keeps_what_it_learned_and_the_next_run_says_so(tmp_path, capsys, epochs_before_the_stop):
    sources = [text(cell["source"]) for _, cell in code_cells(read(measure_08.LESSON))]
    cell = next(source for source in sources if "skip_training = False" in source)
    count = epochs_before_the_stop
    space = {"ResidualCNN": functools.partial(ResidualCNN, widths=(8,)), "set_seed": set_seed, "train": [None]}
    space |= {"cifar10": None, "device": "cpu", "photographs": False, "validation": None, "gentle": None}
    space |= {"runs_folder": lambda: tmp_path, "whiten": lambda *_: None, "plot_history": lambda _: None}

    def fit_fast(model, train, validation, num_epochs, **settings):
        nn.init.constant_(model.classifier.bias, 8.0)
        epochs = min(num_epochs, count)
        return {"train_loss": [0.0] * epochs, "validation_accuracy": [0.5] * epochs}

    space["fit_fast"] = fit_fast
    exec(cell, space)
    (kept,) = tmp_path.iterdir()
    assert load_file(kept)["classifier.bias"].eq(8).all()
    assert_only_accuracies(capsys.readouterr().out)
    count = 1000
    exec(cell, space)
    assert f"stopped early; what it had learned is in {tmp_path.name}/{kept.name}." in capsys.readouterr().out
    assert not kept.exists()
    exec(cell, space)
    assert_only_accuracies(capsys.readouterr().out)


# --- the ledger ------------------------------------------------------------------------------------------------------


def assert_only_accuracies(printed):
    assert printed.startswith("validation accuracy:")
    assert printed.count("\n") == 1


def test_the_last_rows_of_the_ledger_train_as_fit_fast_does(photos, lesson):
    settings = functools.reduce(lambda before, row: before | row[1], measure_08.ROWS, {})
    trained, *_ = measure_08.recipe_run(photos, 0, 1, **settings, batch_size=10, dtype=torch.float32)
    model = measure_08.new_network(0, photos[0])
    fit_fast(model, photos, photos, 1, measure_08.LR, batch_size=10, draw=measure_08.GENTLE, dtype=torch.float32)
    assert torch.allclose(predict(trained, photos[0]), predict(model, photos[0]), atol=1e-4)


def test_every_row_of_the_ledger_has_its_seeds_in_the_order_of_the_recipe(photos, monkeypatch):
    splits = (photos, photos, photos)
    monkeypatch.setattr(measure_08, "prepare", lambda: ("noise", *splits))
    monkeypatch.setattr(measure_08, "ROWS", [("plain", measure_08.ROWS[0][1]), ("+ whitened stem", {"whiten": True})])
    runs = measure_08.measure_08_recipe(range(2), num_epochs=1)["runs"]
    names = ["plain", "+ whitened stem", *measure_08.ASKED, measure_08.IN_FLOAT32]
    assert [(run["name"], run["seed"]) for run in runs] == [(name, seed) for name in names for seed in range(2)]


def test_the_measured_headline_is_the_lessons():
    sources = "\n".join(text(cell["source"]) for _, cell in code_cells(read(measure_08.LESSON)))
    assert f"num_epochs, kept = {measure_08.HEADLINE_EPOCHS} if photographs else {measure_08.DRAWN_EPOCHS}," in sources
    assert f"fit_fast(model, train, validation, num_epochs, lr={measure_08.LR}, draw=gentle)" in sources
    assert f"batches(images, labels, batch_size, padding={measure_08.GENTLE.keywords['padding']})" in sources


def test_a_run_of_the_depth_measurement_scores_both_splits(photos):
    for name in ("plain", "residual"):
        run = measure_08.depth_run(name, 4, 0.01, 0, photos, photos)
        assert (run["network"], run["depth"], run["lr"], run["seed"]) == (name, 4, 0.01, 0)
        assert run["train_accuracy"] == run["validation_accuracy"]


# --- the shipped networks --------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path):
    """Two small networks as `make checkpoints` saves them, one for each source."""
    for seed, name in enumerate(("cifar10", "drawn10")):
        set_seed(seed)
        tensors = {key: value.half() for key, value in ResidualCNN(widths=(8, 16)).state_dict().items()}
        notes = {"widths": "8 16", "mean": "0.5 0.4 0.3", "std": "0.2 0.25 0.3", "layout": "1"}
        save_file(tensors, tmp_path / f"residual_{name}.safetensors", notes)
    return tmp_path


def test_the_source_chooses_the_network_and_its_first_layer_normalises(folder):
    images = torch.rand(2, 3, 32, 32)
    for seed, source in enumerate(("CIFAR-10 (JPEG copy)", "Drawn-10, drawings made on this machine")):
        set_seed(seed)
        network = ResidualCNN(widths=(8, 16)).eval()
        mean, std = torch.tensor([0.5, 0.4, 0.3]), torch.tensor([0.2, 0.25, 0.3])
        expected = network((images - mean.view(3, 1, 1)) / std.view(3, 1, 1))
        loaded = load_residual_cnn(source, folder)
        assert not loaded.training
        assert loaded[1].stem.weight.dtype == torch.float32
        assert torch.allclose(predict(loaded, images), expected, atol=0.02)


def test_the_recipe_of_a_checkpoint_writes_what_can_be_loaded_and_a_whole_card(tmp_path, monkeypatch):
    images = torch.randint(0, 256, (300, 3, 32, 32), dtype=torch.uint8)
    split = Split(images, torch.arange(300) % 10)
    data = ImageData("Drawn-10", split, split, split, tuple("abcdefghij"), "Drawn-10, drawings made on this machine")
    monkeypatch.setattr(checkpoints, "FOLDER", tmp_path)
    monkeypatch.setattr(checkpoints, "load_cifar10", lambda: data)
    words = checkpoints.RESIDUAL["residual_drawn10"][2]
    monkeypatch.setitem(checkpoints.RESIDUAL, "residual_drawn10", ((8,), 1, words))
    card = checkpoints.RECIPES["residual_drawn10"]()
    assert not [entry for entry in CARD_ENTRIES if entry not in card]
    assert max(map(len, card.splitlines())) < 200
    loaded = load_residual_cnn(data.source, tmp_path)
    score = evaluate(loaded, images / 255, split.labels)[1]
    assert f"**Test split, used once:** 300 drawings; accuracy {score:.4f}" in card


@pytest.mark.parametrize("source", ["CIFAR-10 (JPEG copy)", "Drawn-10"])
def test_each_shipped_network_loads_and_answers(source):
    logits = predict(load_residual_cnn(source), torch.rand(2, 3, 32, 32))
    assert logits.shape == (2, 10)
    assert logits.isfinite().all()


def test_folding_a_skip_into_the_weight_that_was_given_is_noticed():
    def in_place(weight):
        weight[range(len(weight)), range(len(weight)), 1, 1] += 1
        return weight

    assert "has changed: work on a copy" in checks.check_fold_skip.verdict(in_place)
    assert checks.check_fold_skip.verdict(lambda weight: in_place(weight.clone())).startswith("✓")


def rewrite(folder, **change):
    tensors = change.pop("tensors", ResidualCNN(widths=(8, 16)).state_dict())
    notes = {"widths": "8 16", "mean": "0.5 0.4 0.3", "std": "0.2 0.25 0.3", "layout": "1"} | change
    notes = {name: value for name, value in notes.items() if value is not None}
    save_file(tensors, folder / "residual_cifar10.safetensors", notes)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"layout": str(NEWEST + 1)}, r"has layout 2, .* the file is newer than the course's code"),
        ({"widths": "8 32"}, "does not fit ResidualCNN"),
        ({"widths": "wide"}, "does not fit ResidualCNN"),
        ({"widths": None}, "does not fit ResidualCNN: 'widths'"),
        ({"tensors": {"weight": torch.zeros(3)}}, "does not fit ResidualCNN"),
    ],
)
def test_a_file_that_does_not_fit_is_named(folder, change, words):
    rewrite(folder, **change)
    with pytest.raises(ValueError, match=rf"residual_cifar10.safetensors {words}"):
        load_residual_cnn("CIFAR-10", folder)


def test_a_missing_and_a_damaged_file_are_named(folder):
    path = folder / "residual_cifar10.safetensors"
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(ValueError, match=r"residual_cifar10.safetensors is damaged .* `make checkpoints`"):
        load_residual_cnn("CIFAR-10", folder)
    path.unlink()
    with pytest.raises(FileNotFoundError, match=r"residual_cifar10.safetensors is missing"):
        load_residual_cnn("CIFAR-10", folder)


# --- figures ---------------------------------------------------------------------------------------------------------


def test_the_blocks_in_the_figure_are_the_lessons(monkeypatch):
    """Convolutions and norms are called in the order in which the figure draws them."""
    module = import_script("08", monkeypatch)
    names = {nn.Conv2d: "conv", nn.BatchNorm2d: "batch", nn.MaxPool2d: "max"}
    for title, settings in (("pre-activation, 2016", (4, 4)), ("with halving", (4, 8, True))):
        drawn = next(layers for name, layers, _ in module.BLOCKS if name == title)
        called, block = [], ResidualBlock(*settings)
        for layer in block.modules():
            if type(layer) not in names or layer in list(block.shortcut):
                continue
            layer.register_forward_hook(lambda layer, *_, called=called: called.append(names[type(layer)]))
        block(torch.randn(2, 4, 6, 6))
        assert called == [name.split()[0] for name in drawn if name not in (module.RELU, module.ADD)]


def test_the_paths_in_the_figure_are_all_of_them(monkeypatch):
    module = import_script("08", monkeypatch)
    ways = module.paths()
    assert len(set(ways)) == len(ways) == 2**module.COUNT
    written = [text.get_text() for text in module.draw_paths().axes[0].texts]
    taken = sum(map(sum, ways))
    assert len([text for text in written if text.startswith("$F_")]) == taken + module.COUNT


BENCH = {
    "mnist": {
        "title": "MNIST to 98.8%",
        "source": "MNIST",
        "rows": [
            {"name": "textbook loop", "seconds": 120.0, "spent": 120, "epochs": 2, "validation_accuracy": 0.989},
            {"name": "slow one", "seconds": None, "spent": 900, "epochs": 9, "validation_accuracy": 0.91},
            {"name": "fit_fast", "seconds": 12.0, "spent": 12, "epochs": 1, "validation_accuracy": 0.99},
        ],
    },
    "cifar10": {
        "title": "CIFAR-10 to 70%",
        "source": "CIFAR-10",
        "rows": [
            {"name": "another", "seconds": 200.0, "spent": 200, "epochs": 3, "validation_accuracy": 0.71},
            {"name": "fit_fast, lesson 08", "seconds": 25.0, "spent": 25, "epochs": 1, "validation_accuracy": 0.72},
        ],
    },
    "levers": [{"name": "float32, NCHW", "images_a_second": 400}, {"name": "+ bfloat16", "images_a_second": 1200}],
    "about": "a processor",
    "processor": "one",
}


def test_the_table_of_the_bench_names_ratios_and_who_did_not_arrive():
    lines = bench.table(BENCH).splitlines()
    assert "120 s   10.0 ×" in lines[1]
    assert "not there" in lines[2]
    assert "×" not in lines[2]
    assert "1,200 images/s   3.0 ×" in lines[-1]


def test_the_figure_of_the_bench_shows_every_row(monkeypatch):
    written = {text.get_text() for text in import_script("08", monkeypatch).draw_bench(BENCH).axes[0].texts}
    assert {"textbook loop", "slow one", "not there after 900 s", "12 s", "1,200 images/s", "a processor"} <= written


def test_both_loops_of_the_bench_learn():
    """On pixels whose class can be read off, both get there; where they cannot, no seconds are given."""
    images = torch.zeros(60, 3, 32, 32, dtype=torch.uint8)
    labels = torch.arange(60) % 10
    images[range(60), 0, 3 * labels] = 255
    split, ones = Split(images, labels), ([0.5] * 3, [0.5] * 3)
    ready = images.float() / 127.5 - 1, labels
    found = bench.textbook(bench.lenet_sized, split, ready, 0.8, 15, ones)
    assert found["seconds"] == found["spent"] > 0
    assert bench.textbook(bench.lenet_sized, split, ready, 1.1, 0.1, ones)["seconds"] is None

    def network(seed):
        set_seed(seed)
        return nn.Sequential(nn.Flatten(), nn.BatchNorm1d(3 * 32 * 32), nn.Linear(3 * 32 * 32, 10))

    found = bench.fast(network, ready, ready, 0.8, 12, batch_size=10, draw=PLAIN)
    assert found["seconds"] is not None
    ends = [(4.0, 0.8), (8.0, 0.9), (None, 0.4)]
    runs = [{"seconds": end, "spent": end or 9.0, "epochs": 2, "validation_accuracy": score} for end, score in ends]
    both = bench.repeat("both", lambda seed: runs[seed], range(2))
    assert (both["seconds"], both["epochs"]) == (6.0, 2)
    assert both["validation_accuracy"] == pytest.approx(0.85)
    assert bench.repeat("all", lambda seed: runs[seed], range(3))["seconds"] is None
    grey = torch.rand(2, 1, 28, 28)
    assert measure_08.as_colour(grey).shape == (2, 3, 32, 32)


def test_one_part_of_the_bench_is_measured_anew_and_the_others_stay(tmp_path, monkeypatch, capsys):
    path = tmp_path / "bench.json"
    path.write_text(json.dumps(BENCH), encoding="utf-8")
    monkeypatch.setattr(bench, "PATH", path)
    monkeypatch.setattr(bench, "surroundings", lambda: {"processor": "one", "cores": 2, "torch": "2"})
    monkeypatch.setattr(bench.subprocess, "run", lambda *arguments, **settings: None)  # the figure stays as it is
    monkeypatch.setitem(bench.PARTS, "levers", lambda *settings: [{"name": "new", "images_a_second": 7}])
    bench.main(["--only", "levers"])
    found = json.loads(path.read_text(encoding="utf-8"))
    assert found["levers"] == [{"name": "new", "images_a_second": 7}]
    assert (found["mnist"], found["cifar10"]) == (BENCH["mnist"], BENCH["cifar10"])
    assert "7 images/s" in capsys.readouterr().out
    for stored, words in (("{}", "another machine"), (None, "no results yet")):
        path.write_text(stored, encoding="utf-8") if stored else path.unlink()
        with pytest.raises(SystemExit):
            bench.main(["--only", "levers"])
        assert words in capsys.readouterr().err


def test_evaluation_needs_no_training_mode(photos):
    """fit_fast scores in evaluation mode after each epoch: the last score is the model's own."""
    model = ResidualCNN(widths=(8,))
    history = fit_fast(model, photos, photos, 1, lr=0.01, batch_size=10, dtype=torch.float32)
    assert history["validation_loss"][0] == pytest.approx(evaluate(model, *photos)[0], rel=1e-5)
