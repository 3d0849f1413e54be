"""An ONNX graph as a torch module; the one part of this package that imports torch.

A board that runs networks as torch needs it, and so does the head, which scores and trains them.
"""
