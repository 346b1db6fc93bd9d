"""The networks that later lessons reuse, each as its own lesson writes it."""

from torch import nn


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
