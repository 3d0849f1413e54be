"""Runtime "ncnn": Tencent's engine for ARM and x86 processors.

`options.py` is read without ncnn; `net.py` alone touches it, and `conversion.py` starts pnnx.
"""
