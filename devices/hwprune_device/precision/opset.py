"""The opset of a graph, and the same graph at a later one."""

from __future__ import annotations

from onnx import ModelProto, version_converter

_IR_VERSIONS = {22: 10, 19: 9, 15: 8, 0: 7}
"""By opset: the format that came with it."""


def opset(model: ModelProto) -> int:
    """The opset of ONNX's own operators."""
    return max((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), default=1)


def raised(model: ModelProto, least: int, purpose: str) -> ModelProto:
    """The model at opset `least`, or itself where it is there already.

    Raises:
        ValueError: an operator of it cannot be raised.
    """
    given = opset(model)
    if given >= least:
        return model
    try:
        made = version_converter.convert_version(model, least)
    except (RuntimeError, ValueError) as error:
        raise ValueError(
            f"{purpose} needs opset {least}; given: opset {given}, and ONNX cannot raise it: "
            f"{error}"
        ) from error
    # The converter leaves the file format as it was, which may be older than the opset.
    wanted = next(ir for since, ir in _IR_VERSIONS.items() if least >= since)
    made.ir_version = max(made.ir_version, wanted)
    return made
