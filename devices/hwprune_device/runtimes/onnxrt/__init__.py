"""Runtime "onnxrt": ONNX Runtime on the CPU, or on another of its execution providers.

`options.py` is read without ONNX Runtime; `session.py` alone touches it.
"""
