"""Runtime "torch": networks as torch modules, readied for a target, run in one of three modes.

`runtime.py` and `options.py` know torch without importing it. The others import it, as
`torch_graph` does; `runtime.py` alone imports them, when it is used.
"""
