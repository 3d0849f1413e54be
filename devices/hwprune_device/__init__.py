"""What runs on a board: cut, build, time and weigh networks, driven by frames on stdin and stdout.

Needs Python 3.10, numpy, onnx and one runtime; never torch, never ray, never the head's package.
"""

__version__ = "0.1.0"
PROTOCOL = 2
"""Version of the frames and of the timing protocol; readings of another protocol never mix."""
