"""A TensorRT of a recorded release that does what a script says."""

from tests.doubles.scripted_tensorrt.module import scripted_tensorrt
from tests.doubles.scripted_tensorrt.script import Complaint, Script

__all__ = ["Complaint", "Script", "scripted_tensorrt"]
