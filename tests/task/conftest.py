from tests.digits import cifar_root, resnet56_weights, trained_digits  # noqa: F401
