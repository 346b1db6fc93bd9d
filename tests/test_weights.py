"""The shipped networks: they fit, they read, their cards tell what they are, and a bad file gets a sentence."""

import pytest
import torch
from safetensors.torch import save_file

from utils.models import SmallCNN
from utils.training import evaluate
from utils.weights import FOLDER, load_digit_reader, read_checkpoint

CARD_ENTRIES = ["Data:", "Split for choosing:", "Test split", "Recipe:", "Trained by:", "Licence:", "cannot do"]


def test_the_digit_reader_reads_digits_it_has_never_seen(monkeypatch, capsys):
    monkeypatch.setenv("COURSE_DATA", "offline")
    from utils.data import load_mnist

    digits = load_mnist().test  # of MNIST's training images 0 to 5,847; the reader was trained on 6,000 and up
    accuracy = evaluate(load_digit_reader(), digits.images.float() / 255, digits.labels)[1]
    assert accuracy > 0.97


def test_the_digit_reader_normalises_by_itself():
    tensors, notes = read_checkpoint(FOLDER / "digit_reader.safetensors")
    network = SmallCNN().eval()
    network.load_state_dict(tensors)
    images = torch.rand(3, 1, 28, 28)
    normalised = (images - float(notes["mean"])) / float(notes["std"])
    assert torch.allclose(load_digit_reader()(images), network(normalised), atol=1e-5)


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.safetensors")), ids=lambda path: path.stem)
def test_each_checkpoint_is_small_and_has_its_card(path):
    assert path.stat().st_size < {"residual_cifar10": 10e6, "residual_drawn10": 2e6}.get(path.stem, 1e6)
    card = path.with_suffix(".md").read_text(encoding="utf-8")
    assert not [entry for entry in CARD_ENTRIES if entry not in card]


def test_a_missing_file_names_the_command(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"x.safetensors is missing: fetch the course again, or train it"):
        load_digit_reader(tmp_path / "x.safetensors")


@pytest.mark.parametrize(
    "content", [b"", b"<html>log in</html>", (FOLDER / "digit_reader.safetensors").read_bytes()[:9000]]
)
def test_a_damaged_file_is_named(tmp_path, content):
    (tmp_path / "x.safetensors").write_bytes(content)
    with pytest.raises(ValueError, match=r"x.safetensors is damaged .* `make checkpoints`"):
        load_digit_reader(tmp_path / "x.safetensors")


def test_another_networks_file_is_named(tmp_path):
    save_file({"weight": torch.zeros(3)}, tmp_path / "x.safetensors", {"mean": "0", "std": "1"})
    with pytest.raises(ValueError, match=r"x.safetensors does not fit SmallCNN"):
        load_digit_reader(tmp_path / "x.safetensors")


def test_a_file_without_its_notes_is_named(tmp_path):
    save_file(SmallCNN().state_dict(), tmp_path / "x.safetensors")
    with pytest.raises(ValueError, match=r"x.safetensors does not fit SmallCNN: 'mean'"):
        load_digit_reader(tmp_path / "x.safetensors")
