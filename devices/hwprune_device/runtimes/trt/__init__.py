"""Runtime "trt": TensorRT through its Python API and pycuda.

`options.py` is read without either; `tensorrt.py`, `callbacks.py` and `engine.py` hold objects of
TensorRT, and nothing of theirs leaves them.
"""
