"""The course's lessons: file name, title and the question each answers. README.md's table is made from this list."""

from typing import NamedTuple


class Lesson(NamedTuple):
    name: str
    title: str
    question: str


LESSONS = [
    Lesson(
        "00_start_here",
        "Start here",
        "Is my machine ready, where did my data come from, and how do I use this course?",
    ),
    Lesson(
        "01_convolution",
        "Convolution",
        "How does a kernel turn an image into an activation map, number by number?",
    ),
    Lesson(
        "02_activations_and_pooling",
        "Activations and pooling",
        "What do the non-linearity and the pooling add, and what do they throw away?",
    ),
    Lesson("03_channels", "Channels", "How do many input and output channels combine?"),
    Lesson(
        "04_cnn_architecture",
        "CNN architecture",
        "How do the pieces become a network, and what shape is every tensor in it?",
    ),
    Lesson("05_mnist", "MNIST", "How is a CNN trained, evaluated and saved, end to end?"),
    Lesson(
        "06_cifar10",
        "CIFAR-10",
        "What changes with colour photographs: normalisation, augmentation, overfitting?",
    ),
    Lesson("07_batchnorm_and_dropout", "Batch norm and dropout", "Why do they work, and when do they not?"),
    Lesson(
        "08_residual_networks",
        "Residual networks",
        "Why did deep nets get worse, and how do skip connections and a good recipe fix it?",
    ),
    Lesson(
        "09_looking_inside",
        "Looking inside",
        "What has the network learned, and can I trust the picture that explains it?",
    ),
    Lesson("10_transfer_learning", "Transfer learning", "How do I reuse an expert's network on my own few images?"),
    Lesson("11_gpu_training", "GPU training", "How do I move to a GPU, and what really makes training fast?"),
    Lesson("12_many_gpus", "Many GPUs", "What changes when one GPU is not enough?"),
    Lesson(
        "13_shipping_a_classifier",
        "Shipping a classifier",
        "What stands between a good accuracy and a classifier people can rely on?",
    ),
    Lesson("14_your_own_photos", "Your own photos", "Can I do all of it on my own folder of pictures?"),
]
