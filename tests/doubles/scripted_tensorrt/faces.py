"""Classes that have exactly the names of a recorded release.

A face checks that a name and its keywords are recorded, and hands the call on to the object that
does something. What is recorded but does nothing here says so when it is called.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from typing import Any

from tests.doubles.scripted_tensorrt.arguments import Arguments
from tests.doubles.tensorrt_surface import ClassSurface, Overloads, Surface

_HANDLE = "_does"


class FaceType(type):
    """Refuses a subclass that does not call the `__init__` of its TensorRT class."""

    def __call__(cls, *given: Any, **named: Any) -> Any:
        """As pybind11 does it."""
        made = super().__call__(*given, **named)
        if _HANDLE not in vars(made):
            raise TypeError(f"{cls.__mro__[1].__name__}.__init__() must be called when overriding")
        return made


class Face(metaclass=FaceType):
    """The root of the scripted classes."""

    _recorded = False

    def __init__(self, *given: Any, **named: Any) -> None:
        raise TypeError(f"tensorrt.{type(self).__name__}: No constructor defined!")

    def __bytes__(self) -> bytes:
        """The bytes of host memory; nothing else has any."""
        if not hasattr(behind(self), "__bytes__"):
            raise TypeError(f"cannot convert '{type(self).__name__}' object to bytes")
        return bytes(behind(self))

    def __setattr__(self, name: str, value: Any) -> None:
        """Only what is recorded can be set; a subclass of a user's own may have more."""
        known = name == _HANDLE or isinstance(getattr(type(self), name, None), property)
        if not known and "_recorded" in vars(type(self)):
            raise AttributeError(
                f"'tensorrt.{type(self).__name__}' object has no attribute '{name}'"
            )
        object.__setattr__(self, name, value)


class Member(enum.Enum):
    """The root of the scripted enums; pybind11's are integers where integers are wanted."""

    def __int__(self) -> int:
        """The number."""
        return int(self.value)

    __index__ = __int__

    def __lt__(self, other: Any) -> bool:
        """By number."""
        return int(self) < int(other)

    def __le__(self, other: Any) -> bool:
        """By number."""
        return int(self) <= int(other)

    def __gt__(self, other: Any) -> bool:
        """By number."""
        return int(self) > int(other)

    def __ge__(self, other: Any) -> bool:
        """By number."""
        return int(self) >= int(other)


class SizedMember(Member):
    """The root of `DataType`."""

    @property
    def itemsize(self) -> float:
        """Bytes; a half where two values share a byte."""
        sizes = {"FLOAT": 4, "INT32": 4, "INT64": 8, "HALF": 2, "BF16": 2, "INT4": 0.5, "FP4": 0.5}
        return sizes.get(self.name, 1)


Maker = Callable[..., Any]
"""Makes the object that does something, from the arguments of a constructor."""


def make_classes(surface: Surface, makers: Mapping[str, Maker]) -> dict[str, Any]:
    """The classes of a release.

    Args:
        surface: the recording.
        makers: by class, for classes that can be constructed and do something then.
    """
    classes: dict[str, Any] = {}
    arguments = Arguments(classes)
    enums = {name for name, found in surface.classes.items() if _is_enum(found)}
    for name in sorted(enums):
        found = surface.classes[name]
        values = {member: int(at) for member, at in found.members.items()}
        root: Any = SizedMember if "itemsize" in found.properties else Member
        classes[name] = root(name.rpartition(".")[2], values)
    waiting = [name for name in surface.classes if name not in enums]
    while waiting:
        ready = [n for n in waiting if all(b in classes for b in surface.classes[n].bases)]
        for name in ready:
            classes[name] = _class(name, surface, classes, makers.get(name), arguments)
        waiting = [name for name in waiting if name not in ready]
    for name in sorted(classes):
        outer, _, inner = name.rpartition(".")
        if outer:
            setattr(classes[outer], inner, classes[name])
    for name in surface.classes:
        if name not in enums:
            for constant, said in surface.classes[name].members.items():
                type.__setattr__(classes[name], constant, constant_of(said, classes))
    return classes


def constant_of(said: str, classes: Mapping[str, Any]) -> Any:
    """A recorded constant: a member of an enum, a class, or its text."""
    if said in classes:
        return classes[said]
    owner, _, member = said.rpartition(".")
    known = [name for name in classes if name == owner or name.endswith("." + owner)]
    return classes[known[0]][member] if owner and known else said


def _is_enum(found: ClassSurface) -> bool:
    return bool(found.members) and all(
        text.lstrip("-").isdigit() for text in found.members.values()
    )


def _class(
    name: str,
    surface: Surface,
    classes: Mapping[str, type],
    maker: Maker | None,
    arguments: Arguments,
) -> type:
    found = surface.classes[name]
    namespace: dict[str, Any] = {"_recorded": True, "__module__": "tensorrt"}
    for called, overloads in found.methods.items():
        if called == "__init__":
            namespace[called] = _constructor(name, overloads, maker, arguments)
        elif called != "__del__":
            namespace[called] = _method(name, called, overloads, arguments)
    for called, said in found.properties.items():
        namespace[called] = _property(name, called, said, arguments)
    bases = tuple(classes[base] for base in found.bases) or (Face,)
    return FaceType(name.rpartition(".")[2], bases, namespace)


def _constructor(
    owner: str, overloads: Overloads, maker: Maker | None, arguments: Arguments
) -> Callable[..., None]:
    def __init__(self: Any, *given: Any, **named: Any) -> None:
        ordered, later = arguments.bound(f"{owner}.__init__", overloads, given, named)
        does = maker(self, *ordered, **later) if maker is not None else None
        object.__setattr__(self, _HANDLE, does)

    return __init__


def _method(
    owner: str, called: str, overloads: Overloads, arguments: Arguments
) -> Callable[..., Any]:
    def method(self: Any, *given: Any, **named: Any) -> Any:
        ordered, later = arguments.bound(called, overloads, given, named)
        does = behind(self)
        if does is None:
            raise RuntimeError(f'Tried to call pure virtual function "{owner}::{called}"')
        if not hasattr(does, called):
            raise NotImplementedError(f"the scripted TensorRT does nothing for {owner}.{called}")
        return getattr(does, called)(*ordered, **later)

    method.__name__ = called
    return method


def _property(owner: str, called: str, said: str, arguments: Arguments) -> property:
    kind, _, read_only = said.partition(" (read only")

    def get(self: Any) -> Any:
        does = behind(self)
        if not hasattr(does, called):
            raise NotImplementedError(f"the scripted TensorRT does nothing for {owner}.{called}")
        return getattr(does, called)

    def put(self: Any, value: Any) -> None:
        if not arguments.is_of(kind, value, optional=True):
            raise TypeError(f"{owner}.{called} is of type {kind or 'object'}, not {value!r}")
        setattr(behind(self), called, value)

    return property(get, None if read_only else put)


def behind(face: Any) -> Any:
    """The object that does something for a face; None for a class that a user derives from."""
    return vars(face).get(_HANDLE)


def face_over(cls: type, does: Any) -> Any:
    """A face that no constructor made."""
    face: Any = object.__new__(cls)
    object.__setattr__(face, _HANDLE, does)
    return face
