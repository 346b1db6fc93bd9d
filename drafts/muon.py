"""A trial of Muon on the kernels of lesson 08's network, for the checkpoint of photographs: not part of the course yet.

CIFAR-10 (JPEG copy), 45,000 training images, widths 64/256/256, batches of 500, alternating flips, shifts of up to 3
pixels, label smoothing 0.2, bfloat16, whitened stem, one seed, validation only (5,000 images). 20 epochs on one core of a
busy two-core AMD EPYC (about 200 s an epoch there): accuracy 0.9050, asked twice 0.9106, asked ten times (each diagonal
shift by a pixel, and the middle twice, all mirrored too) 0.9164. The shipped one, SGD and 30 epochs: 0.8988, 0.9060, 0.912.
Short trials, widths 32/128/128, 4 epochs: with weights of fixed norm and momentum 0.6 0.8476 (asked ten times 0.858);
without, momentum 0.9, rate 0.05, weight decay 0.1: 0.8438.
Source: K. Jordan, "94% on CIFAR-10 in 3.29 seconds on a single GPU", arXiv 2404.00498, and his note on Muon, 2024.
"""

import torch
from torch.nn import functional as F

from utils.training import predict


@torch.no_grad()
def orthogonalise(matrix, steps=5):
    """Return roughly the nearest matrix whose singular values are all 1, by Newton and Schulz's iteration."""
    x = matrix.bfloat16() / (matrix.norm() + 1e-7)
    tall = x.shape[0] > x.shape[1]
    x = x.T if tall else x
    for _ in range(steps):
        square = x @ x.T
        x = 3.4445 * x + (-4.7750 * square + 2.0315 * square @ square) @ x
    return (x.T if tall else x).to(matrix.dtype)


class Muon(torch.optim.Optimizer):
    """Orthogonal steps for kernels (groups with kernels=True), SGD with Nesterov's momentum for all else.

    Groups of the trial: kernels of the blocks {"kernels": True, "lr": 0.12, "momentum": 0.6}; the rest
    {"lr": 0.2, "momentum": 0.9, "decay": 5e-4}. OneCycleLR with both rates, pct_start 0.15, linear.
    """

    def __init__(self, groups):
        super().__init__(groups, {"lr": 0.1, "momentum": 0.9, "decay": 0.0, "kernels": False})

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for p in group["params"]:
                grad = p.grad if group["kernels"] else p.grad + group["decay"] * p
                memory = self.state[p].setdefault("momentum", torch.zeros_like(p))
                memory.mul_(group["momentum"]).add_(grad)
                step = grad + group["momentum"] * memory
                if group["kernels"]:
                    p.mul_(len(p) ** 0.5 / p.norm())  # the norm after it makes the size of a kernel meaningless
                    step = orthogonalise(step.flatten(1)).view(p.shape)
                p.add_(step, alpha=-group["lr"])


def ask_ten_times(model, images):
    """Return summed logits over the middle (twice) and four diagonal shifts by a pixel, each mirrored too."""
    padded, total = F.pad(images, (1, 1, 1, 1), mode="reflect"), 0
    for down, right, weight in [(0, 0, 2)] + [(down, right, 1) for down in (-1, 1) for right in (-1, 1)]:
        view = padded[:, :, 1 + down : 33 + down, 1 + right : 33 + right].contiguous()
        total = total + weight * (predict(model, view) + predict(model, view.flip(3)))
    return total
