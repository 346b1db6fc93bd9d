"""The parts of lesson 08's recipe beside its loop: the whitened stem, gentle augmentation, and Muon."""

import torch
from torch.nn import functional as F
from tqdm.auto import tqdm

from utils.data import augmented_batches
from utils.training import choose_dtype, fast_epoch


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


@torch.no_grad()
def orthogonalise(matrix, steps=5):
    """Return a matrix with the singular vectors of this one, and with singular values near 1 (0.7 to 1.2).

    A singular value 0 stays 0. Each step sends every singular value s to 3.4445 s − 4.7750 s³ + 2.0315 s⁵ (a
    Newton–Schulz iteration; the coefficients are K. Jordan's, "Muon", 2024).
    """
    x = matrix / matrix.norm().clamp(min=1e-12)  # now no singular value is above 1
    for _ in range(steps):
        square = x @ x.T
        x = 3.4445 * x + (2.0315 * square @ square - 4.7750 * square) @ x
    return x


class Muon(torch.optim.Optimizer):
    """Steps of equal size in all directions for the kernels, SGD with Nesterov's momentum and decay for all else.

    `kernel_lr` is the size of a kernel's step, where the kernel itself, a matrix (out_channels, all the rest), is kept
    at the norm √out_channels; `lr` and `decay` are those of biases, norms and linear layers. The first parameter
    group holds the kernels (all parameters with four axes), the second the rest.

    Source: K. Jordan, "94% on CIFAR-10 in 3.29 seconds on a single GPU", arXiv 2404.00498, and "Muon", 2024.
    """

    def __init__(self, model, kernel_lr=0.12, lr=0.2, decay=5e-4):
        kernels, others = [[p for p in model.parameters() if (p.dim() == 4) == wanted] for wanted in (True, False)]
        kernels = {"params": kernels, "lr": kernel_lr, "momentum": 0.6, "decay": 0.0}
        super().__init__([kernels, {"params": others}], {"lr": lr, "momentum": 0.9, "decay": decay})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in [p for p in group["params"] if p.grad is not None]:
                gradient = p.grad + group["decay"] * p
                memory = self.state[p]["memory"] = gradient + group["momentum"] * self.state[p].get("memory", 0.0)
                step = gradient + group["momentum"] * memory  # Nesterov's
                if p.dim() == 4:
                    p.mul_(len(p) ** 0.5 / p.norm())
                    step = orthogonalise(step.flatten(1)).view_as(p)
                p.sub_(group["lr"] * step)


def fit_muon(model, train, num_epochs, batch_size=500, padding=3):
    """Train `model` in place as fit_fast does, but with Muon and an earlier, straight one-cycle schedule.

    `train` is a pair (images, labels); nothing is scored. Returns the training loss of each epoch (smoothed labels).
    An interruption is passed on; the model keeps its weights so far. Raises FloatingPointError, as fast_epoch does,
    where a loss is not finite.
    """
    model.to(memory_format=torch.channels_last)
    optimizer, device, losses = Muon(model), next(model.parameters()).device, []
    peaks, num_steps = [group["lr"] for group in optimizer.param_groups], num_epochs * -(-len(train[1]) // batch_size)
    cycle = {"pct_start": 0.15, "anneal_strategy": "linear", "cycle_momentum": False}
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, peaks, num_steps, **cycle)
    dtype = choose_dtype(device)
    scaler = torch.amp.GradScaler(device.type, enabled=dtype == torch.float16)
    for _ in tqdm(range(num_epochs), leave=False):
        steps = augmented_batches(*train, batch_size, padding=padding)
        losses.append(fast_epoch(model, steps, optimizer, scheduler, scaler, dtype, smooth=0.2))
    return losses
