"""The parts of lesson 08's recipe that come before its loop: the whitened stem, and gentle augmentation."""

import torch
from torch.nn import functional as F

from utils.data import augmented_batches


@torch.no_grad()
def whiten(stem, images, eps=5e-4):
    """Set a convolution's kernels so that its maps are uncorrelated and equally spread, and freeze it.

    `stem` is an nn.Conv2d with two output channels for each number of a patch (24 for 2×2 patches in three colours);
    `images` (N, 3, H, W) are normalised; the first 5,000 of them are looked at. The second half of the
    kernels are the first half's negatives; `eps` holds back directions with hardly any spread.
    """
    size = stem.weight.shape[1:]  # (3, 2, 2)
    patches = F.unfold(images[:5000], size[1:]).transpose(1, 2).reshape(-1, size.numel())  # (all of them, 12)
    variances, vectors = torch.linalg.eigh(torch.cov(patches.T))  # a vector a column
    kernels = (vectors / (variances + eps).sqrt()).T.reshape(-1, *size)  # (12, 3, 2, 2)
    stem.weight.copy_(torch.cat([kernels, -kernels]))
    stem.bias.zero_()
    stem.requires_grad_(False)


def gentle(images, labels, batch_size):
    """Yield augmented_batches whose shifts go up to two pixels."""
    return augmented_batches(images, labels, batch_size, padding=2)  # flips, and shifts of up to two pixels
