"""What a network looks at: the methods of lesson 09, each as that lesson writes it.

`images` are floats (N, 3, H, W) as the model takes them, on the model's device, and `classes` whole numbers (N,), the
class that is asked about for each image. The model has to be in evaluation mode. Layers go by the names that
`model.named_modules()` gives them.
"""

import torch
from torch.nn import functional as F


def find_layer(model, name):
    """Return the layer of that name. Raises ValueError, with the names that there are, where there is none."""
    layers = dict(model.named_modules())
    if name not in layers:
        raise ValueError(f"there is no layer {name!r}; there are: {', '.join(filter(None, layers))}")
    return layers[name]


def record(model, names, images):
    """Return ({name: output of that layer}, the model's output) of one forward pass.

    Raises ValueError for a name that is not there.
    """
    outputs, hooks = {}, []

    def keep(name):
        def hook(layer, inputs, output):
            outputs[name] = output
            return output.clone()  # a later layer may work in place, and would change what was kept

        return hook

    try:
        for name in names:
            hooks.append(find_layer(model, name).register_forward_hook(keep(name)))
        return outputs, model(images)
    finally:
        for hook in hooks:
            hook.remove()


def pick(logits, classes):
    """Return (N,): of each row of logits (N, K) the one of its class. Raises ValueError for a class that is none."""
    if classes.min() < 0 or classes.max() >= logits.shape[1]:
        raise ValueError(f"this network's classes are 0 to {logits.shape[1] - 1}, but {classes.tolist()} are asked for")
    return logits.gather(1, classes.view(-1, 1)).squeeze(1)


def input_gradients(model, images, classes):
    """Return the gradient (N, 3, H, W) of each image's logit of its class with respect to its pixels."""
    images = images.detach().clone().requires_grad_()
    score = pick(model(images), classes).sum()
    return torch.autograd.grad(score, images)[0]


def saliency(model, images, classes):
    """Return (N, H, W): how strongly each pixel moves the logit, the largest of its three channels.

    Simonyan, Vedaldi and Zisserman, "Deep inside convolutional networks", arXiv 1312.6034.
    """
    return input_gradients(model, images, classes).abs().amax(dim=1)


def smooth_grad(model, images, classes, count=25, spread=0.02):
    """Return (N, H, W): saliency from the mean gradient over `count` noisy copies; `spread` is the noise's.

    Smilkov, Thorat, Kim, Viégas and Wattenberg, "SmoothGrad", arXiv 1706.03825.
    """
    total = torch.zeros_like(images)
    for _ in range(count):
        total += input_gradients(model, images + spread * torch.randn_like(images), classes)
    return (total / count).abs().amax(dim=1)


def integrated_gradients(model, images, classes, baseline=0.5, steps=32):
    """Return (N, 3, H, W): each number's share of logit(images) − logit(baseline); the shares add up to it, nearly.

    `baseline` is an image or one value for all pixels; the gradient is averaged over the middles of `steps` parts of
    the straight way from it. Sundararajan, Taly and Yan, "Axiomatic attribution for deep networks", arXiv 1703.01365.
    """
    way, total = images - baseline, torch.zeros_like(images)
    for step in range(steps):
        total += input_gradients(model, baseline + (step + 0.5) / steps * way, classes)
    return way * total / steps


@torch.no_grad()
def occlusion(model, images, classes, size=8, stride=4, fill=0.5):
    """Return (N, H, W): by how much the logit falls when a patch of `size` × `size` covers the pixel, on average.

    Raises ValueError for a patch larger than the image. Zeiler and Fergus, "Visualizing and understanding
    convolutional networks", arXiv 1311.2901.
    """
    height, width = images.shape[2:]
    if size > min(height, width):
        raise ValueError(f"a patch of {size} × {size} is larger than the image of {height} × {width}")
    scores = pick(model(images), classes)
    total, count = images.new_zeros(len(images), height, width), images.new_zeros(height, width)
    for top in range(0, height - size + 1, stride):
        for left in range(0, width - size + 1, stride):
            place = slice(top, top + size), slice(left, left + size)
            covered = images.clone()
            covered[:, :, *place] = fill
            total[:, *place] += (scores - pick(model(covered), classes)).view(-1, 1, 1)
            count[place] += 1
    return total / count.clamp(min=1)


def grad_cam(model, images, classes, name):
    """Return (N, H, W), never negative: where the maps of the layer `name` speak for the class, enlarged bilinearly.

    Raises ValueError for a layer that is not there or gives no maps. Selvaraju and colleagues, "Grad-CAM", ICCV 2017,
    arXiv 1610.02391.
    """
    images = images.detach().clone().requires_grad_()
    outputs, logits = record(model, [name], images)
    maps = outputs[name]
    if maps.dim() != 4:
        raise ValueError(f"Grad-CAM needs maps (N, C, H, W), but the layer {name!r} gives {tuple(maps.shape)}")
    gradients = torch.autograd.grad(pick(logits, classes).sum(), maps)[0]
    weights = gradients.mean(dim=(2, 3), keepdim=True)  # (N, C, 1, 1): one number a map
    small = F.relu((weights * maps).sum(dim=1, keepdim=True))  # (N, 1, h, w)
    return F.interpolate(small, images.shape[2:], mode="bilinear")[:, 0].detach()


def roughness(images):
    """Return how much neighbouring pixels differ: the mean of their squared differences."""
    return images.diff(dim=2).square().mean() + images.diff(dim=3).square().mean()


def maximise(model, objective, name, size, steps=100, lr=0.05, jitter=0, smooth=0.0):
    """Return an image (1, 3, size, size) in 0..1 for which objective(output of the layer `name`) is large.

    It starts from noise; `jitter` shifts it by up to so many pixels in each step, `smooth` weighs its roughness.
    Erhan, Bengio, Courville and Vincent, 2009; Olah, Mordvintsev and Schubert, "Feature visualization", Distill 2017.
    """
    device = next(model.parameters()).device
    image = (0.5 + 0.1 * torch.randn(1, 3, size, size)).to(device).requires_grad_()
    optimizer = torch.optim.Adam([image], lr)
    for _ in range(steps):
        shifts = torch.randint(-jitter, jitter + 1, (2,)).tolist()
        outputs, _ = record(model, [name], image.roll(shifts, dims=(2, 3)))
        loss = smooth * roughness(image) - objective(outputs[name])
        optimizer.zero_grad()
        loss.backward(inputs=[image])
        optimizer.step()
        with torch.no_grad():
            image.clamp_(0, 1)
    return image.detach()


@torch.no_grad()
def deletion_curve(model, images, maps, classes, steps=16, fill=0.5, insert=False):
    """Return (N, steps + 1): the class's probability while a growing share of the pixels is replaced by `fill`.

    The pixels with the largest values in `maps` (N, H, W) go first; with `insert` they come first, into an image of
    `fill`. Petsiuk, Das and Saenko, "RISE", BMVC 2018, arXiv 1806.07421.
    """
    ranks = maps.flatten(1).argsort(dim=1, descending=True).argsort(dim=1).view(maps.shape)  # 0: the largest
    curve = []
    for step in range(steps + 1):
        first = (ranks < step / steps * ranks[0].numel()).unsqueeze(1)  # (N, 1, H, W)
        shown = torch.where(first == insert, images, fill)
        curve.append(pick(model(shown).softmax(dim=1), classes))
    return torch.stack(curve, dim=1)


def fgsm(model, images, labels, epsilon):
    """Return the images, every number moved by `epsilon` to where the loss grows, and kept in 0..1.

    Goodfellow, Shlens and Szegedy, "Explaining and harnessing adversarial examples", ICLR 2015, arXiv 1412.6572.
    """
    images = images.detach().clone().requires_grad_()
    loss = F.cross_entropy(model(images), labels)
    gradient = torch.autograd.grad(loss, images)[0]
    return (images + epsilon * gradient.sign()).clamp(0, 1).detach()
