"""How a scripted TensorRT shall build: flags, limits, timing cache, where layers run."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from tests.doubles.scripted_tensorrt.names import DeviceType, MemoryPoolType
from tests.doubles.scripted_tensorrt.network import ILayer
from tests.doubles.scripted_tensorrt.scene import Scene


class IHostMemory:
    """Bytes that the library holds."""

    def __init__(self, scene: Scene, data: bytes) -> None:
        self._data = data
        scene.watch(self)

    def __bytes__(self) -> bytes:
        return self._data


class ITimingCache:
    """Which layers need not be timed again, with which release and on which device."""

    def __init__(self, scene: Scene, home: str, layers: Iterable[str] = ()) -> None:
        self._scene, self.home = scene, home
        self.layers = set(layers)
        scene.watch(self)

    def serialize(self) -> IHostMemory:
        """As bytes."""
        return IHostMemory(self._scene, json.dumps([self.home, sorted(self.layers)]).encode())


@dataclass(slots=True, weakref_slot=True, eq=False)
class IBuilderConfig:
    """Everything that a build hangs on beside the network; of generation 11.

    It has slots, so that an attribute which the release lacks cannot be set.
    """

    scene: Scene
    builder: Any
    """Kept alive, as the bindings keep it."""
    DLA_core: int = -1
    builder_optimization_level: int = 3
    default_device_type: DeviceType = DeviceType.GPU
    progress_monitor: Any = None
    cache: ITimingCache | None = None
    flags: set[str] = field(default_factory=lambda: {"TF32"})
    workspace_bytes: float = float("inf")
    """Scratch memory that a kernel may take."""

    def __post_init__(self) -> None:
        self.scene.watch(self)

    def set_flag(self, flag: Enum) -> None:
        """Set."""
        self.flags.add(flag.name)

    def clear_flag(self, flag: Enum) -> None:
        """Clear."""
        self.flags.discard(flag.name)

    def set_memory_pool_limit(self, pool: MemoryPoolType, pool_size: int) -> None:
        """Bytes that the one pool may come to."""
        self.workspace_bytes = pool_size

    def create_timing_cache(self, serialized_timing_cache: bytes) -> ITimingCache | None:
        """A new cache of this device, or one that was written down; None for other bytes."""
        if not serialized_timing_cache:
            return ITimingCache(self.scene, self.scene.home)
        try:
            home, layers = json.loads(serialized_timing_cache)
        except ValueError:
            return None
        return ITimingCache(self.scene, home, layers)

    def set_timing_cache(self, cache: ITimingCache, ignore_mismatch: bool) -> bool:
        """Use a cache; False where it is of another device or release and that is not ignored."""
        if not ignore_mismatch and cache.home != self.scene.home:
            return False
        self.cache = cache
        return True

    def get_timing_cache(self) -> ITimingCache | None:
        """The cache in use; None where the build has only its own."""
        return self.cache

    def can_run_on_DLA(self, layer: ILayer) -> bool:
        """Whether the script lets a DLA run it."""
        return layer.op not in self.scene.script.not_on_dla


@dataclass(slots=True, eq=False)
class IBuilderConfig10(IBuilderConfig):
    """Of generation 10, in which precision is a matter of flags."""

    int8_calibrator: Any = None

    def can_run_on_DLA(self, layer: ILayer) -> bool:
        """Whether the script lets a DLA run it, and its precision does."""
        halved = bool({"FP16", "INT8"} & self.flags)
        return halved and IBuilderConfig.can_run_on_DLA(self, layer)
