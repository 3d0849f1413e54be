from tests.digits import cifar_root, resnet20_weights, resnet56_weights, trained_digits  # noqa: F401
