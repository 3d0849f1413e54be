"""Measurement: a batch of candidates, from the job that asks for it to the readings that come out.

`batch.py` is the way in. What is measured runs in a child, and whatever happens to that child,
every candidate gets its outcome.
"""
