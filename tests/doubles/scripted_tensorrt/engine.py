"""Runtime and engines of a scripted TensorRT."""

from __future__ import annotations

import json
from typing import Any

from tests.doubles.scripted_tensorrt import words
from tests.doubles.scripted_tensorrt.config import HostMemory
from tests.doubles.scripted_tensorrt.context import Context
from tests.doubles.scripted_tensorrt.loaded_plan import LoadedPlan
from tests.doubles.scripted_tensorrt.network import data_type, shape_face
from tests.doubles.scripted_tensorrt.plan import NoPlanError, Plan
from tests.doubles.scripted_tensorrt.scene import Scene, kept


class Runtime:
    """Reads plans of this very device and release."""

    def __init__(self, scene: Scene, logger: Any) -> None:
        self._scene, self.logger = scene, logger
        self.DLA_core = -1
        self.num_DLA_cores = scene.script.dla_cores
        self.max_threads = 1

    def deserialize_cuda_engine(self, serialized_engine: Any) -> Any:
        """An engine; None, with the reason said, where the plan or the memory does not fit."""
        scene = self._scene
        try:
            plan = Plan.from_bytes(bytes(serialized_engine))
        except NoPlanError:
            scene.say(self.logger, "ERROR", words.NO_PLAN)
            return None
        here = "{}.{}".format(*scene.gpu.facts.capability)
        if plan.version != scene.surface.version:
            said = words.WRONG_VERSION.format(here=scene.surface.version, there=plan.version)
            scene.say(self.logger, "ERROR", said)
            return None
        if (plan.device, plan.capability) != (scene.gpu.facts.name, here):
            said = words.WRONG_DEVICE.format(here=here, there=plan.capability)
            scene.say(self.logger, "ERROR", said)
            return None
        engine = Engine(LoadedPlan(scene, plan, self.logger), kept(self))
        return engine.face() if engine.load() else None


class Engine:
    """An engine on the device."""

    def __init__(self, loaded: LoadedPlan, keeps: Any) -> None:
        """`keeps`: what must not be freed before the engine."""
        scene, plan = loaded.scene, loaded.plan
        self._loaded, self._scene, self._keeps = loaded, scene, keeps
        self.name = "Unnamed Network 0"
        self.device_memory_size_v2 = self.device_memory_size = plan.activation_bytes
        self.num_optimization_profiles = max(1, len(plan.profiles))
        self.num_aux_streams = 0
        self.refittable = False
        self._address: int | None = None
        if "HardwareCompatibilityLevel" in scene.classes:
            level = scene.member("HardwareCompatibilityLevel", "NONE")
            self.hardware_compatibility_level = level

    def load(self) -> bool:
        """Take the memory of the weights."""
        said = self._scene.script.engine_bytes
        size = self._loaded.weights_bytes if said is None else said
        where = "IRuntime::deserializeCudaEngine"
        self._address = self._scene.allocate(size, "engine weights", self._loaded.logger, where)
        return self._address is not None

    def face(self) -> Any:
        """The engine as it is seen."""
        made = self._scene.plain("ICudaEngine", self)
        self._scene.watch(made, "ICudaEngine", self, self._scene.gpu.runtime_context())
        return made

    def release(self) -> None:
        """Give the memory of the weights back, if its context still has it."""
        self._scene.give_back(self._address)

    @property
    def num_io_tensors(self) -> int:
        """Inputs and outputs."""
        return len(self._loaded.ports)

    @property
    def num_layers(self) -> int:
        """Layers after fusion; the script fuses nothing."""
        return len(self._loaded.plan.layers)

    def get_tensor_name(self, index: int) -> Any:
        """Inputs first."""
        names = list(self._loaded.ports)
        return names[index] if 0 <= index < len(names) else None

    def get_tensor_mode(self, name: str) -> Any:
        """Input, output, or no tensor of this engine."""
        port = self._loaded.port("ICudaEngine::getTensorIOMode", name)
        mode = "NONE" if port is None else "INPUT" if port.is_input else "OUTPUT"
        return self._scene.member("TensorIOMode", mode)

    def get_tensor_shape(self, name: str) -> Any:
        """Sizes, -1 where they are not fixed."""
        port = self._loaded.port("ICudaEngine::getTensorShape", name)
        return shape_face(self._scene, port.shape if port else ())

    def get_tensor_dtype(self, name: str) -> Any:
        """The element type."""
        port = self._loaded.port("ICudaEngine::getTensorDataType", name)
        return data_type(self._scene, port) if port else self._scene.member("DataType", "FLOAT")

    def get_tensor_location(self, name: str) -> Any:
        """On the device, all of them."""
        return self._scene.member("TensorLocation", "DEVICE")

    def get_tensor_profile_shape(self, name: str, profile_index: int) -> list[Any]:
        """Least, best and largest shape."""
        shapes = self._loaded.plan.profiles[profile_index][name]
        return [shape_face(self._scene, tuple(shape)) for shape in shapes]

    def get_engine_stat(self, stat: Any = None) -> int:
        """Bytes of the weights; nothing is stripped here."""
        stripped = stat is not None and stat.name == "STRIPPED_WEIGHTS_SIZE"
        return 0 if stripped else self._loaded.weights_bytes

    def serialize(self) -> Any:
        """The plan it came from."""
        return self._scene.face(
            "IHostMemory", HostMemory(self._scene, self._loaded.plan.to_bytes())
        )

    def create_engine_inspector(self) -> Any:
        """What tells of its layers."""
        return self._scene.face("EngineInspector", Inspector(self._loaded, kept(self)))

    def create_execution_context(self, strategy: Any = None) -> Any:
        """What runs it; None, with the reason said, where the memory does not fit."""
        context = Context(self._loaded, kept(self))
        return context.face() if context.load() else None


class Inspector:
    """Tells what the builder made of a network."""

    def __init__(self, loaded: LoadedPlan, keeps: Any) -> None:
        """`keeps`: what must not be freed before it."""
        self._loaded, self._keeps = loaded, keeps
        self.execution_context: Any = None

    def get_engine_information(self, format: Any) -> str:
        """All layers; by name alone where the build was not told to keep more."""
        plan = self._loaded.plan
        layers = [layer if plan.detailed else layer["Name"] for layer in plan.layers]
        if format.name == "JSON":
            said = {"Layers": layers, "Bindings": list(self._loaded.ports)}
            return json.dumps(said)
        return "\n".join(map(str, layers))

    def get_layer_information(self, layer_index: int, format: Any) -> str:
        """One layer."""
        return json.dumps(self._loaded.plan.layers[layer_index])
