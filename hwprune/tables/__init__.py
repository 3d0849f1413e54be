"""Latency tables: what a board takes for the blocks of networks, and what follows from that."""
