"""How channels pass through each kind of op; importing this package fills the registry."""

from hwprune.channels.rules import (
    convolution,
    elementwise,
    gathering,
    linear,
    normalization,
    pooling,
    quantization,
    recurrent,
    shaping,
    slicing,
)
from hwprune.channels.rules.registry import RULES, apply_rule, rule, rule_of

__all__ = [
    "RULES",
    "apply_rule",
    "convolution",
    "elementwise",
    "gathering",
    "linear",
    "normalization",
    "pooling",
    "quantization",
    "recurrent",
    "rule",
    "rule_of",
    "shaping",
    "slicing",
]
