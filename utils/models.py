"""The networks that later lessons reuse, each as its own lesson writes it."""

from torch import nn
from torch.nn import functional as F


class SmallCNN(nn.Module):
    """Lesson 05's network for 28×28 grey images: (N, 1, 28, 28) → logits (N, num_classes).

    Two convolutions, each followed by ReLU and max pooling, then one linear layer: 20,490 parameters for ten classes.
    """

    def __init__(self, num_classes=10):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 16, kernel_size=3, padding=1),  # (N, 16, 28, 28)
            nn.ReLU(),
            nn.MaxPool2d(2),  # (N, 16, 14, 14)
            nn.Conv2d(16, 32, kernel_size=3, padding=1),  # (N, 32, 14, 14)
            nn.ReLU(),
            nn.MaxPool2d(2),  # (N, 32, 7, 7)
        )
        self.classifier = nn.Sequential(
            nn.Flatten(),  # (N, 1568)
            nn.Linear(32 * 7 * 7, num_classes),  # (N, num_classes)
        )

    def forward(self, images):
        return self.classifier(self.features(images))


class ColourCNN(nn.Module):
    """Lesson 06's network for 32×32 colour images: (N, 3, 32, 32) → logits (N, num_classes).

    Three convolutions (the first with stride 2) with ReLU, two poolings, two dense layers: 251,834 parameters and six
    million multiply-adds an image.

    Raises ValueError for images of another size.
    """

    def __init__(self, num_classes=10):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 24, kernel_size=5, stride=2, padding=2),  # (N, 24, 16, 16)
            nn.ReLU(),
            nn.Conv2d(24, 48, kernel_size=3, padding=1),  # (N, 48, 16, 16)
            nn.ReLU(),
            nn.MaxPool2d(2),  # (N, 48, 8, 8)
            nn.Conv2d(48, 96, kernel_size=3, padding=1),  # (N, 96, 8, 8)
            nn.ReLU(),
            nn.MaxPool2d(2),  # (N, 96, 4, 4)
        )
        self.classifier = nn.Sequential(
            nn.Flatten(),  # (N, 1536)
            nn.Linear(96 * 4 * 4, 128),  # (N, 128)
            nn.ReLU(),
            nn.Linear(128, num_classes),  # (N, num_classes)
        )

    def forward(self, images):
        if images.shape[1:] != (3, 32, 32):
            raise ValueError(f"ColourCNN wants images (N, 3, 32, 32), but these are {tuple(images.shape)}")
        return self.classifier(self.features(images))


class NormCNN(nn.Module):
    """Lesson 07's network for 32×32 colour images, with or without normalisation: (N, 3, 32, 32) → logits.

    Six convolutions with ReLU, three poolings, global average pooling and one linear layer. `norm` makes the layer
    behind each convolution from a number of channels (nn.Identity for none: then the convolutions have biases).
    `drop_maps` is the probability of spatial dropout behind each ReLU, `drop_features` that of dropout before the
    linear layer. With batch norm: 107,610 parameters for ten classes.
    """

    def __init__(self, norm=nn.BatchNorm2d, drop_maps=0.0, drop_features=0.0, num_classes=10):
        super().__init__()
        layers, in_channels = [], 3
        for out_channels, pool in [(16, True), (32, True), (32, False), (64, True), (64, False), (64, False)]:
            conv = nn.Conv2d(in_channels, out_channels, kernel_size=3, padding=1, bias=norm is nn.Identity)
            nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
            layers += [conv, norm(out_channels), nn.ReLU()]
            if pool:
                layers.append(nn.MaxPool2d(2))
            if drop_maps:
                layers.append(nn.Dropout2d(drop_maps))
            in_channels = out_channels
        self.features = nn.Sequential(*layers)  # (N, 64, 4, 4)
        head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(drop_features), nn.Linear(64, num_classes)]
        self.classifier = nn.Sequential(*head)  # (N, num_classes)

    def forward(self, images):
        return self.classifier(self.features(images))


class ResidualBlock(nn.Module):
    """Lesson 08's block, with pre-activation: (N, in_channels, H, W) → (N, out_channels, H, W), or half H and W.

    Two 3×3 convolutions, with batch norm and ReLU before each, make what is added to the input. Where `halve` is set,
    max pooling follows the first convolution, and the way around takes averages of 2×2 pixels; where the channels
    change, it has a 1×1 convolution. `branch` returns what is added. Sources: He et al., arXiv 1603.05027 (the order),
    and He et al., arXiv 1812.01187 (the averages).
    """

    def __init__(self, in_channels, out_channels, halve=False):
        super().__init__()
        self.norm1 = nn.BatchNorm2d(in_channels)
        self.conv1 = nn.Conv2d(in_channels, out_channels, kernel_size=3, padding=1, bias=False)
        self.pool = nn.MaxPool2d(2) if halve else nn.Identity()
        self.norm2 = nn.BatchNorm2d(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, kernel_size=3, padding=1, bias=False)
        average = nn.AvgPool2d(2) if halve else nn.Identity()
        same = in_channels == out_channels
        project = nn.Identity() if same else nn.Conv2d(in_channels, out_channels, kernel_size=1, bias=False)
        self.shortcut = nn.Sequential(average, project)

    def branch(self, x):
        x = self.pool(self.conv1(F.relu(self.norm1(x))))  # (N, out_channels, H, W), or half H and W
        return self.conv2(F.relu(self.norm2(x)))

    def forward(self, x):
        return self.shortcut(x) + self.branch(x)


class ResidualCNN(nn.Module):
    """Lesson 08's network for 32×32 colour images: (N, 3, 32, 32) → logits (N, num_classes).

    A 2×2 convolution (the stem, which lesson 08 whitens), a residual block that halves the maps for each of `widths`,
    and a linear layer on the average of each map: 503,026 parameters for ten classes.

    Raises ValueError for images of another size.
    """

    def __init__(self, widths=(32, 128, 128), num_classes=10):
        super().__init__()
        self.stem = nn.Conv2d(3, 24, kernel_size=2)  # (N, 24, 31, 31)
        self.blocks = nn.Sequential(  # 31 → 15 → 7 → 3 rows
            *[ResidualBlock(before, width, halve=True) for before, width in zip((24, *widths), widths)]
        )
        self.norm = nn.BatchNorm2d(widths[-1])
        self.classifier = nn.Linear(widths[-1], num_classes)

    def forward(self, images):
        if images.shape[1:] != (3, 32, 32):
            raise ValueError(f"ResidualCNN wants images (N, 3, 32, 32), but these are {tuple(images.shape)}")
        maps = F.relu(self.norm(self.blocks(self.stem(images))))  # (N, 128, 3, 3)
        return self.classifier(maps.mean(dim=(2, 3)))  # (N, num_classes)
