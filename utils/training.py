"""Training and evaluation, as lesson 05 writes them: plain functions over plain PyTorch."""

import numpy as np
import torch
from torch.nn import functional as F
from tqdm.auto import tqdm

from utils.data import batches


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
