"""Lesson 07's figures: the numbers of batch norm, and its relatives."""

from collections import Counter

import torch
from torch.nn import functional as F

from tests.test_figures import import_script


def test_the_numbers_of_batch_norm_are_pytorchs(monkeypatch):
    module = import_script("07", monkeypatch)
    images = torch.tensor(module.IMAGES).float()[:, None]  # (N, C, H, W) = (2, 1, 2, 2)
    assert images.mean().item() == module.MEAN
    assert images.var(correction=0).item() == module.VARIANCE
    gamma, beta = torch.tensor([float(module.GAMMA)]), torch.tensor([float(module.BETA)])
    memory = [torch.tensor([float(number)]) for number in module.MEMORY]
    trained = F.batch_norm(images, None, None, gamma, beta, training=True, eps=1e-12).round(decimals=4)
    used = F.batch_norm(images[:1], *memory, gamma, beta, training=False, eps=1e-12).round(decimals=4)
    for image, output, statistics in [
        (module.IMAGES[0], trained[0, 0], (module.MEAN, module.VARIANCE)),
        (module.IMAGES[1], trained[1, 0], (module.MEAN, module.VARIANCE)),
        (module.IMAGES[0], used[0, 0], module.MEMORY),
    ]:
        assert module.apply(image, *statistics)[1] == output.tolist()
    written = [text.get_text() for text in module.draw_batch_norm().axes[0].texts]
    shown = [module.short(value) for value in [*trained.flatten().tolist(), *used.flatten().tolist()]]
    assert not Counter(shown) - Counter(written), "every output is written in the figure"
    assert {"mean 6, variance 4", "mean 5, variance 4", "× 2, + 1"} <= set(written)


def test_the_relatives_count_their_means_as_pytorch_does(monkeypatch):
    module = import_script("07", monkeypatch)
    maps = torch.randn(module.N, module.C, 2, 2, generator=torch.Generator().manual_seed(0))
    layers = {
        "batch norm": F.batch_norm(maps, None, None, training=True),
        "layer norm": F.layer_norm(maps, maps.shape[1:]),
        "instance norm": F.instance_norm(maps),
        "group norm, 2 groups": F.group_norm(maps, module.GROUPS),
    }
    assert maps[0, 0].numel() == module.PIXELS
    for name, chosen, count, _ in module.RELATIVES:
        together = torch.tensor([[chosen(n, c) for c in range(module.C)] for n in range(module.N)])
        assert maps.shape[0] * maps.shape[1] == count * together.sum(), "equal parts fill the block"
        normalised = layers[name][together]  # (cells, 2, 2)
        assert normalised.mean().abs() < 1e-5
        assert abs(normalised.var(correction=0) - 1) < 1e-3
        cells = module.N * module.C
        if count < cells:  # a smaller part of it is not centred by itself
            assert normalised[0].mean().abs() > 1e-3
