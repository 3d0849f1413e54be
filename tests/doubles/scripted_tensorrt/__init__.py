"""A TensorRT with the names of a recorded release and a script for what happens."""

from tests.doubles.scripted_tensorrt.module import scripted_tensorrt
from tests.doubles.scripted_tensorrt.script import Complaint, Script

__all__ = ["Complaint", "Script", "scripted_tensorrt"]
