from tests.digits import cifar_root, resnet20_weights  # noqa: F401
