"""What the lessons share. Each module holds only what a lesson has already shown in full.

fetch       downloads that are checked, bounded in time, and never leave half a file behind
data        load_mnist(), load_cifar10(): train / validation / test, their classes and their source; batches()
sources     where data's images come from: a pack, TorchVision's folder, a download, or what needs no network
formats     the files that hold them: packs, MNIST's IDX files, CIFAR-10's batches
arithmetic  output size of a convolution or pooling layer (lesson 01)
models      the networks that later lessons reuse (lesson 05)
training    set_seed, get_device, fit and evaluate (lesson 05)
plotting    figures: every function takes or makes axes and returns them
checks      one module a lesson: says what differs in an exercise's answer, and why
explorers   the interactive figures, each with a still equivalent in its lesson
"""

__course__ = "cnn-course"
