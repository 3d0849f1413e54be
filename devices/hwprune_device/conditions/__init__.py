"""Conditions: what a board is, how it is doing, and when it is fit to be measured on.

Read from the kernel's files, from small programs and from NVML; nothing here runs a network.
Whatever a board does not report is "unavailable".
"""
