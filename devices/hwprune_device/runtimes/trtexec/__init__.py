"""Runtime "trtexec": TensorRT through its program trtexec, where its Python API is missing.

`options.py` is read without it; `program.py` alone knows the program's words.
"""
