"""How a scripted TensorRT shall build: flags, limits, timing cache, where layers run."""

from __future__ import annotations

from typing import Any

from tests.doubles.scripted_tensorrt.faces import behind
from tests.doubles.scripted_tensorrt.network import Layer
from tests.doubles.scripted_tensorrt.plan import NoPlanError, Timings
from tests.doubles.scripted_tensorrt.scene import Scene


class HostMemory:
    """Bytes that the library holds."""

    def __init__(self, scene: Scene, data: bytes) -> None:
        self._data = data
        self.nbytes = len(data)
        self.dtype = scene.member("DataType", "INT8")

    def __bytes__(self) -> bytes:
        return self._data


class TimingCache:
    """Which layers need not be timed again."""

    def __init__(self, scene: Scene, timings: Timings) -> None:
        self._scene, self.timings = scene, timings

    def serialize(self) -> Any:
        """As bytes."""
        return self._scene.face("IHostMemory", HostMemory(self._scene, self.timings.to_bytes()))

    def combine(self, input_cache: Any, ignore_mismatch: bool) -> bool:
        """Take over what another cache knows."""
        other: Timings = behind(input_cache).timings
        if not ignore_mismatch and self.home != (other.version, other.device):
            return False
        self.learn(other.layers)
        return True

    def reset(self) -> bool:
        """Forget everything."""
        version, device = self.home
        self.timings = Timings(version=version, device=device)
        return True

    @property
    def home(self) -> tuple[str, str]:
        """The release and device that it is good for."""
        return self.timings.version, self.timings.device

    def learn(self, layers: tuple[str, ...]) -> None:
        """Add layers that were timed."""
        known = dict.fromkeys((*self.timings.layers, *layers))
        version, device = self.home
        self.timings = Timings(version=version, device=device, layers=tuple(known))


class Profile:
    """Shapes that an engine shall take."""

    def __init__(self) -> None:
        self.shapes: dict[str, list[list[int]]] = {}

    def set_shape(self, input: str, min: Any, opt: Any, max: Any) -> None:
        """Least, best and largest shape of an input."""
        self.shapes[input] = [[int(size) for size in shape] for shape in (min, opt, max)]

    def __bool__(self) -> bool:
        return bool(self.shapes)


class BuilderConfig:
    """Everything that a build hangs on beside the network."""

    def __init__(self, scene: Scene, builder: Any) -> None:
        self.builder = builder
        """Kept, as the bindings keep it."""
        self._scene = scene
        self.reset()

    def reset(self) -> None:
        """Back to the defaults."""
        member = self._scene.member
        self.set_flags = {member("BuilderFlag", "TF32")}
        self.builder_optimization_level = 3
        self.profiling_verbosity = member("ProfilingVerbosity", "LAYER_NAMES_ONLY")
        self.default_device_type = member("DeviceType", "GPU")
        self.DLA_core = -1
        self.progress_monitor: Any = None
        self.int8_calibrator: Any = None
        self.avg_timing_iterations = 1
        self.max_aux_streams = -1
        self.profiles: list[Profile] = []
        self.cache: Any = None
        self._limits: dict[Any, int] = {}
        self._devices: dict[str, Any] = {}

    @property
    def flags(self) -> int:
        """A bit for each flag."""
        return sum(1 << int(flag) for flag in self.set_flags)

    @flags.setter
    def flags(self, bits: int) -> None:
        every = self._scene.classes["BuilderFlag"]
        self.set_flags = {flag for flag in every if bits >> int(flag) & 1}

    def set_flag(self, flag: Any) -> None:
        """Set."""
        self.set_flags.add(flag)

    def clear_flag(self, flag: Any) -> None:
        """Clear."""
        self.set_flags.discard(flag)

    def get_flag(self, flag: Any) -> bool:
        """Whether it is set."""
        return flag in self.set_flags

    def has(self, name: str) -> bool:
        """Whether a flag is set that this release may not have."""
        return any(flag.name == name for flag in self.set_flags)

    def set_memory_pool_limit(self, pool: Any, pool_size: int) -> None:
        """Bytes that a pool may come to."""
        self._limits[pool] = pool_size

    def get_memory_pool_limit(self, pool: Any) -> int:
        """Bytes; of scratch memory, when nothing was set, what the device has."""
        whole = self._scene.gpu.facts.total_bytes if pool.name == "WORKSPACE" else 0
        return self._limits.get(pool, whole)

    def create_timing_cache(self, serialized_timing_cache: Any) -> Any:
        """A new cache of this device, or one that was written down; None for other bytes."""
        data, (version, device) = bytes(serialized_timing_cache), self._home()
        try:
            known = Timings.from_bytes(data) if data else Timings(version=version, device=device)
        except NoPlanError:
            return None
        return self._scene.face("ITimingCache", TimingCache(self._scene, known))

    def set_timing_cache(self, cache: Any, ignore_mismatch: bool) -> bool:
        """Use a cache; False where it is of another device or release and that is not ignored."""
        if not ignore_mismatch and behind(cache).home != self._home():
            return False
        self.cache = cache
        return True

    def get_timing_cache(self) -> Any:
        """The cache in use; None where the build has only its own."""
        return self.cache

    def add_optimization_profile(self, profile: Any) -> int:
        """Its number, -1 where it is not whole."""
        if not behind(profile):
            return -1
        self.profiles.append(behind(profile))
        return len(self.profiles) - 1

    @property
    def num_optimization_profiles(self) -> int:
        """How many there are."""
        return len(self.profiles)

    def can_run_on_DLA(self, layer: Any) -> bool:
        """Whether a DLA can run it, at the precision that is set."""
        return self.fits_dla(behind(layer))

    def fits_dla(self, layer: Layer) -> bool:
        """Whether the script lets a DLA run it, and its precision does."""
        halved = self.has("FP16") or self.has("INT8")
        if self._scene.has_member("BuilderFlag", "FP16") and not halved:
            return False
        return layer.node.op_type not in self._scene.script.not_on_dla

    def set_device_type(self, layer: Any, device_type: Any) -> None:
        """Where one layer runs."""
        self._devices[behind(layer).name] = device_type

    def get_device_type(self, layer: Any) -> Any:
        """Where one layer runs."""
        return self.device_of(behind(layer))

    def device_of(self, layer: Layer) -> Any:
        """Where one layer shall run."""
        return self._devices.get(layer.name, self.default_device_type)

    def is_device_type_set(self, layer: Any) -> bool:
        """Whether it was said for this layer."""
        return behind(layer).name in self._devices

    def reset_device_type(self, layer: Any) -> None:
        """Back to the default."""
        self._devices.pop(behind(layer).name, None)

    def _home(self) -> tuple[str, str]:
        return self._scene.surface.version, self._scene.gpu.facts.name
