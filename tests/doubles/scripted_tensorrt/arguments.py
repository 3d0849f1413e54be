"""Arguments of a call against the recorded overloads, as pybind11 resolves them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tests.doubles.tensorrt_signature import Parameter, Signature


class Arguments:
    """What a call may be given.

    Args:
        classes: the scripted classes by name, to tell what an argument has to be an instance of.
    """

    def __init__(self, classes: Mapping[str, type]) -> None:
        self._classes = classes

    def bound(
        self,
        called: str,
        overloads: Sequence[Signature],
        given: Sequence[Any],
        named: Mapping[str, Any],
    ) -> tuple[list[Any], dict[str, Any]]:
        """Positional and keyword arguments of the first overload that takes them.

        Raises:
            TypeError: none does; in pybind11's words.
        """
        for overload in overloads:
            found = self._fit(overload, given, named)
            if found is not None:
                return found
        supported = "\n".join(f"    {at}. {one}" for at, one in enumerate(overloads, 1))
        invoked = ", ".join(map(repr, given))
        keywords = ", ".join(f"{name}={value!r}" for name, value in named.items())
        raise TypeError(
            f"{called}(): incompatible function arguments. The following argument types are "
            f"supported:\n{supported}\n\nInvoked with: {invoked}"
            + (f"; kwargs: {keywords}" if keywords else "")
        )

    def _fit(
        self, overload: Signature, given: Sequence[Any], named: Mapping[str, Any]
    ) -> tuple[list[Any], dict[str, Any]] | None:
        parameters = overload.parameters
        if len(given) > len(parameters) or not set(named) <= overload.keywords:
            return None
        values = dict(zip((parameter.name for parameter in parameters), given, strict=False))
        if set(values) & set(named):
            return None
        values.update(named)
        for parameter in parameters:
            if parameter.name not in values and parameter.default is None:
                return None
            if parameter.name in values and not self.takes(parameter, values[parameter.name]):
                return None
        return self._ordered(parameters, values)

    def _ordered(
        self, parameters: Sequence[Parameter], values: Mapping[str, Any]
    ) -> tuple[list[Any], dict[str, Any]]:
        """By position up to the first that was left out."""
        names = [parameter.name for parameter in parameters]
        at = next((i for i, name in enumerate(names) if name not in values), len(names))
        later = {name: values[name] for name in names[at:] if name in values}
        return [values[name] for name in names[:at]], later

    def takes(self, parameter: Parameter, value: Any) -> bool:
        """Whether a value is of a parameter's type."""
        return self.is_of(parameter.type, value, optional=parameter.default == "None")

    def is_of(self, kind: str, value: Any, *, optional: bool) -> bool:
        """Whether pybind11 converts a value to a type; types not known here take anything."""
        if value is None:
            return optional or kind in ("object", "", "bool", "str")
        if kind == "int":
            return hasattr(value, "__index__")
        if kind == "float":
            return isinstance(value, float | int | np.number)
        if kind == "str":
            return isinstance(value, str | bytes)
        if kind == "buffer":
            held = isinstance(value, bytes | bytearray | memoryview | np.ndarray)
            return held or isinstance(value, self._classes["IHostMemory"])
        if kind == "Dims":
            return isinstance(value, list | tuple | self._classes["Dims"])
        if kind in ("tuple", "list"):
            return isinstance(value, tuple if kind == "tuple" else list)
        wanted = self._classes.get(kind)
        return wanted is None or isinstance(value, wanted)
