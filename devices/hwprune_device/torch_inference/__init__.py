"""Networks that torch runs: readied for a target, run in one of three modes, weighed.

Imports torch, as `torch_graph` does; the torch runtime alone imports this, when it is used.
"""
