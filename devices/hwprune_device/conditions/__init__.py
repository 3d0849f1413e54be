"""Conditions: what a board is, how it is doing, and when it is fit to be measured on.

Told by the kernel's files, by small programs and by NVML; nothing here runs a network. Whatever a
board does not tell is "unavailable".
"""
