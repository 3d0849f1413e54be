"""Which networks a version of ONNX Runtime reads: opsets, and versions of ONNX's file format."""

from __future__ import annotations

import re

_NEWEST_OPSETS = {12: 17, 14: 18, 15: 19, 17: 20, 18: 21, 21: 22, 23: 23, 24: 25, 25: 26, 32: 28}
"""By the minor version of ONNX Runtime 1 that brought it. From 1.15 on each release was asked, the
two before are from its release notes."""
_LAST_ASKED = 32
_OTHER_OPSET = re.compile(
    r"Opset (\d+) is under development.*domain ai\.onnx is till opset (\d+)", re.DOTALL
)
_OTHER_FORMAT = re.compile(r"max supported IR version: (\d+)")
_FORMAT_KEY = b"\x08"
"""How protobuf begins the field ir_version, the first of a network."""
_ONE_BYTE = 0x80
NO_FORMAT = _FORMAT_KEY + b"\x7f"
"""Behind a network: a version of the file format that there will not be."""


def newest_opset(version: str) -> int | None:
    """The newest opset that a version such as "1.17.3" reads; None where that is not known."""
    found = re.match(r"1\.(\d+)\.", f"{version}.")
    minor = int(found[1]) if found else 0
    known = [opset for since, opset in _NEWEST_OPSETS.items() if since <= minor]
    return known[-1] if known and minor <= _LAST_ASKED else None


def least_version(opset: int) -> str:
    """Return which versions of ONNX Runtime read an opset, as text for a message."""
    minors = [minor for minor, newest in _NEWEST_OPSETS.items() if newest >= opset]
    return f"1.{minors[0]} or newer" if minors else f"newer than 1.{_LAST_ASKED}"


def newest_format(error: str) -> int | None:
    """The newest version of the file format, from what ONNX Runtime says of one that is newer."""
    found = _OTHER_FORMAT.search(error)
    return int(found[1]) if found else None


def refused_opset(error: str) -> str:
    """What to do about an opset that ONNX Runtime refused; empty when that was not the matter."""
    found = _OTHER_OPSET.search(error)
    if found is None:
        return ""
    opset, newest = int(found[1]), found[2]
    return (
        f"the network is of opset {opset}, and the ONNX Runtime here reads opsets up to {newest}: "
        f"install ONNX Runtime {least_version(opset)} on the board, or export the network at "
        f"opset {newest}"
    )


def lowered(model: bytes, newest: int | None) -> bytes:
    """The network in version `newest` of the file format, or as it is where that is no newer.

    What a newer format adds, such as 4-bit weights, comes with operators of a newer opset, which
    is looked at by itself.
    """
    if newest is None or _format(model) <= newest:
        return model
    # Of a field that is there twice, protobuf takes the last.
    return model + _FORMAT_KEY + bytes((newest,))


def _format(model: bytes) -> int:
    # Parsing a large network for one number would take seconds.
    if model[:1] == _FORMAT_KEY and model[1:2] and model[1] < _ONE_BYTE:
        return model[1]
    # Here, because the facts of a runtime are read without any package.
    import onnx

    return int(onnx.load_model_from_string(model).ir_version)
