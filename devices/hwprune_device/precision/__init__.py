"""A network's number types as its graph says them: half precision, and int8 by Q/DQ.

Graph in, graph out: numpy and onnx alone, and nothing of what runs a network.
"""
