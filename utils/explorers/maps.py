"""Explanations to explore: an image, a class, a method, and for Grad-CAM a layer; or a picture of one's own."""

import html
import io

import ipywidgets as widgets
import torch
from torchvision.transforms import v2

from utils import explain
from utils.explorers.common import StillFigure, to_png
from utils.folders import open_picture
from utils.training import predict

STEPS = 16  # of integrated gradients, and noisy copies of SmoothGrad: an explorer should answer soon


def methods(model, images, classes, layer):
    """Return {name: a function that makes the maps (N, H, W)} of lesson 09's five methods, for images of any size."""
    size = max(1, min(images.shape[2:]) // 4)
    return {
        "saliency": lambda: explain.saliency(model, images, classes),
        "SmoothGrad": lambda: explain.smooth_grad(model, images, classes, count=STEPS),
        "integrated": lambda: explain.integrated_gradients(model, images, classes, steps=STEPS).sum(dim=1),
        "occlusion": lambda: explain.occlusion(model, images, classes, size, max(1, size // 2)),
        "Grad-CAM": lambda: explain.grad_cam(model, images, classes, layer),
    }


METHODS = tuple(methods(None, torch.zeros(1, 3, 4, 4), None, None))


def read_picture(content, size):
    """Return the bytes of an image file as a tensor (3, size, size) in 0..1, upright, its middle square.

    Raises ValueError, in a sentence, where utils.folders.open_picture does.
    """
    square = v2.Compose([v2.ToImage(), v2.Resize(size), v2.CenterCrop(size), v2.ToDtype(torch.float32, scale=True)])
    return square(open_picture(io.BytesIO(content)))


def named_class(classes, index):
    """Return a class's name. Raises ValueError for one that does not exist."""
    if not 0 <= index < len(classes):
        raise ValueError(f"class {index} does not exist: the classes are 0 to {len(classes) - 1}")
    return classes[index]


def layers_with_maps(model, image):
    """Return the names of the layers that give maps of more than one place, from the first to the last.

    Raises ValueError for a model that has none.
    """
    names = [name for name, _ in model.named_modules() if name]
    with torch.no_grad():
        outputs, _ = explain.record(model, names, image[None])
    found = [name for name in names if name in outputs and outputs[name].dim() == 4 and outputs[name][0, 0].numel() > 1]
    if not found:
        raise ValueError("this model gives no maps: it has no convolutions, so Grad-CAM has nothing to look at")
    return found


def draw_explanation(model, image, class_index, classes, method="Grad-CAM", layer=None, figure=None):
    """Draw an image (3, H, W) in 0..1 beside one method's map for one class.

    `model` takes images (N, 3, H, W) in 0..1, is in evaluation mode, and gives a logit for each of `classes`. `layer`
    is for Grad-CAM, by default the last layer with maps. Returns the Figure (a new one, unless an empty one is given).

    Raises ValueError for a class, a method or a layer that does not exist.
    """
    if method not in METHODS:
        raise ValueError(f"there is no method {method!r}: choose from {', '.join(METHODS)}")
    name = named_class(classes, class_index)
    image = image.to(next(model.parameters()).device)
    layer = layer or layers_with_maps(model, image)[-1]
    asked = torch.tensor([class_index], device=image.device)
    heat = methods(model, image[None], asked, layer)[method]()[0].cpu()
    probability = predict(model, image[None]).softmax(dim=1)[0, class_index].item()
    figure = figure or StillFigure(figsize=(10, 5.2), dpi=80, layout="none", facecolor="white")
    left, right = (
        figure.add_axes(place, xticks=[], yticks=[]) for place in [(0.02, 0.03, 0.47, 0.85), (0.51, 0.03, 0.47, 0.85)]
    )
    left.imshow(image.permute(1, 2, 0).cpu().numpy())
    left.set_title(f"{name}: probability {probability:.3f}", fontsize=15)
    limit, signed = (
        max(heat.abs().flatten().kthvalue(max(1, int(0.995 * heat.numel()))).values.item(), 1e-12),
        heat.min() < 0,
    )
    right.imshow(heat.numpy(), cmap="RdBu_r" if signed else "magma", vmin=-limit if signed else 0, vmax=limit)
    right.set_title(f"{method}{f' at {layer}' if method == 'Grad-CAM' else ''}: up to {heat.max():.2g}", fontsize=15)
    return figure


class MapExplorer(widgets.VBox):
    """Controls over a picture drawn by draw_explanation."""

    def __init__(self, model, images, classes):
        self.model, self.images, self.classes = model, dict(images), list(classes)
        first = next(iter(self.images.values()))
        self.size = first.shape[-1]
        layers = layers_with_maps(model, first.to(next(model.parameters()).device))
        self.image = widgets.Dropdown(description="image", options=list(self.images))
        wide = widgets.Layout(width="auto")  # for all of its words
        self.upload = widgets.FileUpload(
            description="a picture of yours", accept="image/*", multiple=False, layout=wide
        )
        self.asked = widgets.Dropdown(description="class")
        self.method = widgets.ToggleButtons(options=METHODS, value="Grad-CAM")
        self.layer = widgets.Dropdown(description="layer", options=layers, value=layers[-1])
        self.sentence = widgets.HTML()
        self.picture = widgets.Image(format="png", layout=widgets.Layout(max_width="100%"))
        controls = [self.image, self.upload, self.asked, self.layer, self.method]
        wrapped = widgets.HBox(controls, layout=widgets.Layout(flex_flow="row wrap"))
        super().__init__([wrapped, self.sentence, self.picture])
        self.image.observe(self.ask_anew, names="value")
        self.upload.observe(self.take, names="value")
        for control in (self.asked, self.layer, self.method):
            control.observe(self.redraw, names="value")
        self.ask_anew()

    def take(self, change=None):
        """Take the picture that was uploaded, or say what is wrong with it; what was shown stays."""
        value = self.upload.value
        files = list(value.values()) if isinstance(value, dict) else list(value)  # ipywidgets 7, or 8
        if not files:
            return
        try:
            self.images["your picture"] = read_picture(bytes(files[-1]["content"]), self.size)
        except ValueError as error:
            self.sentence.value = f"<b>Not taken:</b> {html.escape(str(error))}."
            return
        self.image.options = list(self.images)
        if self.image.value == "your picture":
            self.ask_anew()
        else:
            self.image.value = "your picture"

    def ask_anew(self, change=None):
        """Offer the network's own answers for this image first, and explain the first of them."""
        image = self.images[self.image.value].to(next(self.model.parameters()).device)
        order = predict(self.model, image[None])[0].argsort(descending=True).tolist()
        best, rest = order[:10], sorted(order[10:], key=lambda index: self.classes[index])
        self.asked.unobserve(self.redraw, names="value")  # one drawing is enough
        self.asked.options = [(self.classes[index], index) for index in best + rest]
        self.asked.value = order[0]
        self.asked.observe(self.redraw, names="value")
        self.redraw()

    def redraw(self, change=None):
        """Draw the present settings."""
        if self.asked.value is None:
            return
        image = self.images[self.image.value]
        figure = draw_explanation(
            self.model, image, self.asked.value, self.classes, self.method.value, self.layer.value
        )
        self.sentence.value = "The classes begin with the network's ten best answers for this image."
        self.picture.value = to_png(figure)


def explore_maps(model, images, classes):
    """Return an explorer of lesson 09's methods; a cell that ends on it shows it.

    `images` is {name: image (3, H, W) in 0..1}, all of one size; `model` takes (N, 3, H, W) in 0..1 and gives a logit
    for each of `classes`. A picture of one's own can be uploaded in JupyterLab and on Colab. The still equivalent is
    draw_explanation.
    """
    return MapExplorer(model, images, classes)
