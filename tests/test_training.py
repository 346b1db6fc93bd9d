"""Training, evaluation and batches: what lesson 05 writes, held to what it promises."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import utils.training
from utils.data import batches, runs_folder
from utils.models import SmallCNN
from utils.training import evaluate, fit, get_device, predict, set_seed


@pytest.fixture
def toy():
    """Two classes of 6×6 images that a linear layer can tell apart: bright left half, bright right half."""
    set_seed(0)
    labels = torch.arange(50) % 2
    images = 0.1 * torch.randn(50, 1, 6, 6)
    images[labels == 0, :, :, :3] += 1
    images[labels == 1, :, :, 3:] += 1
    return images, labels


@pytest.fixture
def model():
    set_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(36, 2))


def test_batches_hold_every_image_once_with_its_own_label():
    images, labels = torch.arange(10.0).reshape(10, 1, 1, 1), torch.arange(10)
    found = list(batches(images, labels, batch_size=4, shuffle=True))
    assert [len(labels) for _, labels in found] == [4, 4, 2]
    assert sorted(torch.cat([labels for _, labels in found]).tolist()) == list(range(10))
    assert all(torch.equal(images.flatten().long(), labels) for images, labels in found)


def test_batches_keep_the_order_unless_shuffled():
    images, labels = torch.zeros(9, 1, 2, 2), torch.arange(9)
    assert torch.cat([labels for _, labels in batches(images, labels, 2)]).tolist() == list(range(9))
    set_seed(1)
    shuffled = torch.cat([labels for _, labels in batches(images, labels, 2, shuffle=True)])
    again = torch.cat([labels for _, labels in batches(images, labels, 2, shuffle=True)])
    assert shuffled.tolist() != list(range(9))
    assert shuffled.tolist() != again.tolist()


def test_batches_refuse_images_without_labels():
    with pytest.raises(ValueError, match="every image needs one label, but there are 3 images and 2 labels"):
        next(batches(torch.zeros(3, 1, 2, 2), torch.zeros(2), 2))


def test_a_seed_repeats_a_training(toy, model):
    def train():
        set_seed(3)
        model = nn.Sequential(nn.Flatten(), nn.Linear(36, 2))
        return fit(model, toy, toy, torch.optim.SGD(model.parameters(), 0.1), 2, batch_size=8)

    assert train() == train()


def test_fit_learns_and_keeps_a_history(toy, model, capsys):
    history = fit(model, toy, toy, torch.optim.SGD(model.parameters(), 0.1), num_epochs=5, batch_size=8)
    assert {name: len(values) for name, values in history.items()} == {
        "train_loss": 5,
        "validation_loss": 5,
        "validation_accuracy": 5,
    }
    assert history["validation_accuracy"][-1] == 1.0
    assert history["train_loss"][-1] < history["train_loss"][0]
    assert "epoch 5: training loss" in capsys.readouterr().out


def test_fit_reports_the_loss_weighted_by_count(toy, model):
    """With a learning rate of zero the epoch's mean must not depend on how the images are cut into batches."""
    expected = F.cross_entropy(model(toy[0]), toy[1]).item()
    for batch_size in (7, 50, 64):
        history = fit(model, toy, toy, torch.optim.SGD(model.parameters(), 0.0), 1, batch_size)
        assert history["train_loss"][0] == pytest.approx(expected, rel=1e-5)


def test_an_interruption_keeps_model_and_history(toy, model, monkeypatch, capsys):
    """Ctrl-C in the third epoch: two epochs of history stay, and the weights are those of the moment."""
    calls = 0

    def interrupted(*arguments, **settings):
        nonlocal calls
        calls += 1
        for number, batch in enumerate(batches(*arguments, **settings)):
            if calls == 3 and number == 2:
                raise KeyboardInterrupt
            yield batch

    monkeypatch.setattr(utils.training, "batches", interrupted)
    before = model[1].weight.clone()
    history = fit(model, toy, toy, torch.optim.SGD(model.parameters(), 0.1), num_epochs=9, batch_size=8)
    assert [len(values) for values in history.values()] == [2, 2, 2]
    assert not torch.equal(model[1].weight, before)
    assert "Stopped in epoch 3: the weights so far and 2 epochs of history are kept." in capsys.readouterr().out


def test_evaluate_counts_every_image_once(toy):
    images, labels = toy
    constant = nn.Sequential(nn.Flatten(), nn.Linear(36, 2))
    nn.init.zeros_(constant[1].weight)
    constant[1].bias.data = torch.tensor([1.0, 0.0])  # always class 0
    loss, accuracy = evaluate(constant, images[:11], labels[:11])
    assert accuracy == pytest.approx(6 / 11)
    assert loss == pytest.approx(F.cross_entropy(constant(images[:11]), labels[:11]).item(), rel=1e-6)


def test_predict_does_not_depend_on_the_batch_size_and_uses_evaluation_mode(toy):
    model = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(36, 2)).double().train()
    images = toy[0].double()  # in float32, some processors round differently for each batch size
    assert torch.allclose(predict(model, images, 7), predict(model, images, 50))
    assert not model.training
    assert not predict(model, images).requires_grad


def test_small_cnn_has_the_shapes_and_the_size_it_promises():
    model = SmallCNN()
    assert model(torch.zeros(2, 1, 28, 28)).shape == (2, 10)
    assert sum(p.numel() for p in model.parameters()) == 20_490


def test_the_device_is_one_that_pytorch_can_use():
    assert torch.zeros(1, device=get_device()).device.type == get_device().type


def test_trained_files_go_where_one_can_write(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_RUNS", str(tmp_path / "mine"))
    assert runs_folder() == tmp_path / "mine"
    assert runs_folder().is_dir()
    (tmp_path / "a file").write_text("")
    monkeypatch.setenv("COURSE_RUNS", str(tmp_path / "a file" / "below"))  # cannot be made
    assert runs_folder() != tmp_path / "a file" / "below"
