"""Runtime, engines and execution contexts of a scripted TensorRT."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from tests.doubles.scripted_cuda import fault
from tests.doubles.scripted_cuda.fault import CudaFault
from tests.doubles.scripted_cuda.queue import Queue
from tests.doubles.scripted_tensorrt.names import TensorIOMode
from tests.doubles.scripted_tensorrt.plan import Plan
from tests.doubles.scripted_tensorrt.scene import Scene
from tests.doubles.scripted_tensorrt.work import Work

_ENQUEUE = "IExecutionContext::enqueueV3"


class Runtime:
    """Reads plans of this very device and release."""

    def __init__(self, scene: Scene, logger: Any) -> None:
        self._scene, self.logger = scene, logger
        self.DLA_core = -1
        scene.watch(self, context=scene.gpu.runtime_context())

    def deserialize_cuda_engine(self, serialized_engine: bytes) -> ICudaEngine | None:
        """An engine; None, with the reason said, where the plan or the memory does not fit."""
        scene, plan = self._scene, None
        with suppress(ValueError):
            plan = Plan.from_bytes(serialized_engine)
        if plan is None or plan.home != scene.home:
            scene.error(self.logger, f"The engine plan is not one of {scene.home}")
            return None
        work = Work(scene, plan)
        address = scene.allocate(work.weights_bytes, "engine weights", self.logger)
        return None if address is None else ICudaEngine(self, work, address)


class ICudaEngine:
    """An engine on the device."""

    def __init__(self, runtime: Runtime, work: Work, address: int) -> None:
        """`runtime` is kept alive, as the bindings keep it; `address` is that of the weights."""
        self.runtime, self.work = runtime, work
        self.device_memory_size_v2 = work.plan.activation_bytes
        self.num_io_tensors = len(work.ports)
        work.scene.watch(self, context=work.scene.gpu.runtime_context(), address=address)

    def get_tensor_name(self, index: int) -> str:
        """Inputs first."""
        return list(self.work.ports)[index]

    def get_tensor_mode(self, name: str) -> TensorIOMode:
        """Input or output."""
        return TensorIOMode.INPUT if self.work.ports[name].is_input else TensorIOMode.OUTPUT

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        """Sizes."""
        return self.work.ports[name].shape

    def get_tensor_dtype(self, name: str) -> int:
        """The element type, for `nptype`."""
        return self.work.ports[name].kind

    def create_execution_context(self) -> IExecutionContext | None:
        """What runs it; None, with the reason said, where the memory does not fit."""
        scene, size = self.work.scene, self.device_memory_size_v2
        address = scene.allocate(size, "activations", self.runtime.logger)
        return None if address is None else IExecutionContext(self, address)


class IExecutionContext:
    """Runs an engine with buffers that are given to it."""

    def __init__(self, engine: ICudaEngine, address: int) -> None:
        """`engine` is kept alive, as the bindings keep it; `address` is of the activations."""
        self._engine, self._work, self._scene = engine, engine.work, engine.work.scene
        self.profiler: Any = None
        """Of a user's own; hears what each layer takes when an inference is enqueued."""
        self._places: dict[str, int] = {}
        self._ready = False
        self._scene.watch(self, context=self._scene.gpu.runtime_context(), address=address)

    def set_tensor_address(self, name: str, memory: int) -> bool:
        """Where a tensor's values lie."""
        if name not in self._work.ports:
            return self._refuse(f"Given invalid tensor name: {name}.")
        self._places[name] = memory
        return True

    def execute_async_v3(self, stream_handle: int) -> bool:
        """Enqueue an inference; False, with the reason said, where that cannot be."""
        scene, work, number = self._scene, self._work, self._scene.runs
        scene.runs += 1
        if number == scene.script.refuses_run:
            return self._refuse("invalid argument")
        if missing := work.ports.keys() - self._places.keys():
            return self._refuse(f"Address is not set for tensors {sorted(missing)}.")
        try:
            scene.gpu.check(_ENQUEUE)
            queue = scene.gpu.queue(stream_handle, _ENQUEUE)
            self._prepare(queue)
        except CudaFault as error:
            return self._refuse(str(error))
        places = dict(self._places)
        # It must not refer to this context, which may be freed before the run is done.
        scene.gpu.launch(queue, lambda: work.run(number, places), lambda: work.lasts_ms(number))
        if self.profiler is not None:
            for name, ms in work.layers_ms.items():
                scene.call_back(self.profiler, "report_layer_time", name, ms)
        return True

    def _prepare(self, queue: Queue) -> None:
        """What the first run does, and no capture allows."""
        if not self._ready and queue.captured is not None:
            queue.capture_broken = True
            raise CudaFault(_ENQUEUE, fault.CAPTURE_UNSUPPORTED)
        self._ready = True

    def _refuse(self, text: str) -> bool:
        self._scene.error(self._engine.runtime.logger, f"{_ENQUEUE}: {text}")
        return False
