"""Training and evaluation, as lessons 05 to 08 write them: plain functions over plain PyTorch."""

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from tqdm.auto import tqdm

from utils.data import augmented_batches, batches


def set_seed(seed):
    """Seed the generators that lessons draw from: NumPy's, and PyTorch's on every device."""
    np.random.seed(seed)
    torch.manual_seed(seed)


def get_device():
    """Return the accelerator that PyTorch can use (a CUDA GPU, Apple's MPS, …), else the CPU."""
    if torch.accelerator.is_available():
        return torch.accelerator.current_accelerator()
    return torch.device("cpu")


@torch.no_grad()
def predict(model, images, batch_size=1000):
    """Return the logits (N, num_classes) for images (N, C, H, W), in evaluation mode, on the CPU."""
    model.eval()
    device = next(model.parameters()).device
    return torch.cat([model(batch.to(device)).cpu() for batch in images.split(batch_size)])


def evaluate(model, images, labels):
    """Return the mean loss and the accuracy (0..1) over all images; every image counts once."""
    logits = predict(model, images)
    loss = F.cross_entropy(logits, labels).item()
    accuracy = (logits.argmax(dim=1) == labels).double().mean().item()
    return loss, accuracy


def fit(model, train, validation, optimizer, num_epochs, batch_size=64):
    """Train `model` in place and return its history: a dict of lists with one entry an epoch.

    `train` and `validation` are pairs (images, labels). Each epoch goes once through the training images in
    a new random order, then scores the validation split. An interruption (Ctrl-C, or the stop button) ends
    the training early: the model keeps its weights so far, and the history its finished epochs.
    """
    history = {"train_loss": [], "validation_loss": [], "validation_accuracy": []}
    device = next(model.parameters()).device
    try:
        for epoch in range(1, num_epochs + 1):
            model.train()
            total_loss = 0.0
            with tqdm(total=len(train[0]), desc=f"epoch {epoch} of {num_epochs}", leave=False) as progress:
                for images, labels in batches(*train, batch_size, shuffle=True):
                    loss = F.cross_entropy(model(images.to(device)), labels.to(device))
                    optimizer.zero_grad()
                    loss.backward()
                    optimizer.step()
                    total_loss += loss.item() * len(labels)
                    progress.update(len(labels))
            row = (total_loss / len(train[0]), *evaluate(model, *validation))
            print(f"epoch {epoch}: training loss {row[0]:.4f}, validation loss {row[1]:.4f}, accuracy {row[2]:.4f}")
            for name, value in zip(history, row):
                history[name].append(value)
    except KeyboardInterrupt:
        print(f"Stopped in epoch {epoch}: the weights so far and {epoch - 1} epochs of history are kept.")
    return history


def require_split(images, labels, num_classes=10):
    """Raise ValueError, saying what is wrong, where a split is not fit for training or scoring."""
    if len(labels) == 0 or len(images) != len(labels):
        raise ValueError(f"a split needs images and as many labels, but it has {len(images)} and {len(labels)}")
    if images.dim() != 4 or not images.is_floating_point():
        raise ValueError(f"images must be floats (N, C, H, W), but they are {images.dtype} {tuple(images.shape)}")
    if labels.min() < 0 or labels.max() >= num_classes:
        found = f"from {labels.min().item()} to {labels.max().item()}"
        raise ValueError(f"labels must lie in 0..{num_classes - 1}, but they reach {found}")
    if missing := sorted(set(range(num_classes)) - set(labels.tolist())):
        raise ValueError(f"no image of this split belongs to the classes {missing}")


def fit_augmented(model, train, validation, optimizer, scheduler, num_epochs, batch_size=64, draw=augmented_batches):
    """Train `model` in place on ten classes, and return the history that `fit` returns.

    `train` and `validation` are pairs (images, labels). `draw(images, labels, batch_size)` yields an epoch's batches;
    their labels may be numbers or, where images are mixed, shares (N, 10). The scheduler steps after each batch. An
    interruption ends the training early: the model keeps its weights so far, and the history its finished epochs.

    Raises ValueError, as require_split does, where a split is not fit for it.
    """
    history = {"train_loss": [], "validation_loss": [], "validation_accuracy": []}
    device = next(model.parameters()).device
    require_split(*train)
    require_split(*validation)
    try:
        with tqdm(total=num_epochs * len(train[0]), leave=False) as progress:
            for epoch in range(1, num_epochs + 1):
                model.train()
                total_loss = 0.0
                for images, labels in draw(*train, batch_size):
                    loss = F.cross_entropy(model(images.to(device)), labels.to(device))
                    optimizer.zero_grad()
                    loss.backward()
                    optimizer.step()
                    scheduler.step()
                    total_loss += loss.item() * len(labels)
                    progress.update(len(labels))
                row = (total_loss / len(train[0]), *evaluate(model, *validation))
                progress.set_description(f"epoch {epoch}: validation accuracy {row[2]:.3f}")
                for name, value in zip(history, row):
                    history[name].append(value)
    except KeyboardInterrupt:
        print(f"Stopped in epoch {epoch}: the weights so far and {epoch - 1} epochs of history are kept.")
    return history


@torch.no_grad()
def recalibrate(model, images, batch_size=500):
    """Measure the running statistics of every batch norm again, on images (N, C, H, W); no weight changes.

    Each becomes the plain average over the batches. Everything else stays in evaluation mode, dropout included, and
    so is the whole model afterwards.
    """
    model.eval()
    norms = [layer for layer in model.modules() if isinstance(layer, nn.BatchNorm2d)]
    momenta = [layer.momentum for layer in norms]
    for layer in norms:
        layer.reset_running_stats()
        layer.momentum = None
        layer.train()
    for batch in images.split(batch_size):
        model(batch.to(next(model.parameters()).device))
    for layer, momentum in zip(norms, momenta):
        layer.momentum = momentum
    model.eval()


def choose_dtype(device):
    """Return the quickest number format in which this device can train: bfloat16, float16 or float32."""
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
    has_bfloat16 = device.type == "cpu" and getattr(torch.cpu, "get_capabilities", dict)().get("avx512_bf16")
    return torch.bfloat16 if has_bfloat16 else torch.float32


def fast_epoch(model, steps, optimizer, scheduler, scaler, dtype, smooth):
    """Train on each batch of `steps` once, in this number format, and return the mean loss; every image counts once.

    `scaler` is a torch.amp.GradScaler, which does something in float16 alone. Raises FloatingPointError, before the
    weights are touched, where a loss is not finite.
    """
    model.train()
    device, total, count = next(model.parameters()).device, 0.0, 0
    for images, labels in steps:
        with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
            logits = model(images.to(device, memory_format=torch.channels_last))
        loss = F.cross_entropy(logits.float(), labels.to(device), label_smoothing=smooth)
        if not torch.isfinite(loss):
            place = f"in step {scheduler.last_epoch + 1}, at the learning rate {scheduler.get_last_lr()[0]:.3g}"
            advice = "try a tenth of that rate, look for images that are not finite, or train in float32"
            raise FloatingPointError(f"the loss is {loss.item()} {place}: {advice}")
        optimizer.zero_grad()
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        scheduler.step()
        total += loss.item() * len(labels)
        count += len(labels)
    return total / count


def fit_fast(
    model, train, validation, num_epochs, lr, batch_size=256, decay=5e-4, smooth=0.2, draw=augmented_batches, dtype=None
):
    """Train `model` in place by lesson 08's recipe, and return the history that `fit` returns.

    `train` and `validation` are pairs (images, labels) of ten classes; `draw(images, labels, batch_size)` yields an
    epoch's batches. SGD with Nesterov's momentum, weight decay `decay` and a one-cycle schedule that peaks at `lr`;
    label smoothing (so the training loss is not comparable with the validation loss); channels-last; in `dtype`, by
    default the quickest format that the device has. An interruption ends the training early: the model keeps its
    weights so far, and the history its finished epochs.

    Raises ValueError where a split is not fit for it or smaller than one batch, and FloatingPointError, with the
    step, the learning rate and what to try, where a loss is not finite: the weights are then those of the step before,
    but batch norm's running statistics have seen the batch (recalibrate renews them).
    """
    require_split(*train)
    require_split(*validation)
    if batch_size > len(train[1]):
        raise ValueError(f"a batch of {batch_size} is larger than the training split of {len(train[1])} images")
    device = next(model.parameters()).device
    dtype = dtype or choose_dtype(device)
    print(f"training on {device} in {dtype}")
    model.to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(model.parameters(), lr, momentum=0.9, weight_decay=decay, nesterov=True)
    num_steps = -(-len(train[1]) // batch_size)  # in an epoch, rounded up
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, lr, num_epochs * num_steps, cycle_momentum=False)
    scaler = torch.amp.GradScaler(device.type, enabled=dtype == torch.float16)
    history = {"train_loss": [], "validation_loss": [], "validation_accuracy": []}
    try:
        for epoch in range(1, num_epochs + 1):
            steps = tqdm(draw(*train, batch_size), f"epoch {epoch} of {num_epochs}", num_steps, leave=False)
            train_loss = fast_epoch(model, steps, optimizer, scheduler, scaler, dtype, smooth)
            for name, value in zip(history, (train_loss, *evaluate(model, *validation))):
                history[name].append(value)
    except KeyboardInterrupt:
        print(f"Stopped in epoch {epoch}: the weights so far and {epoch - 1} epochs of history are kept.")
    return history
