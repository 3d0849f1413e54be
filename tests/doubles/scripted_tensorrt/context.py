"""Execution contexts of a scripted TensorRT."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from tests.doubles.scripted_cuda import fault
from tests.doubles.scripted_cuda.fault import CudaFault
from tests.doubles.scripted_cuda.queue import Queue
from tests.doubles.scripted_tensorrt import words
from tests.doubles.scripted_tensorrt.loaded_plan import LoadedPlan
from tests.doubles.scripted_tensorrt.network import shape_face
from tests.doubles.scripted_tensorrt.plan import Port

_ENQUEUE = "IExecutionContext::enqueueV3"


class Context:
    """Runs an engine with buffers that are given to it."""

    def __init__(self, loaded: LoadedPlan, engine: Any) -> None:
        """`engine`: as it is seen, and kept alive by this."""
        self._loaded, self._scene = loaded, loaded.scene
        self.engine = engine
        self.name = ""
        self.profiler: Any = None
        """Of a user's own; hears what each layer takes when an inference is enqueued."""
        self._addresses: dict[str, int] = {}
        inputs = [port for port in loaded.ports.values() if port.is_input]
        self._shapes = {port.name: port.shape for port in inputs}
        self._ready_for: dict[str, tuple[int, ...]] | None = None
        """The shapes of the last run; a run after others prepares what no capture allows."""
        self._address: int | None = None

    def load(self) -> bool:
        """Take the memory of the activations."""
        where = "ICudaEngine::createExecutionContext"
        size = self._loaded.plan.activation_bytes
        logger = self._loaded.logger
        self._address = self._scene.allocate(size, "activations", logger, where)
        return self._address is not None

    def face(self) -> Any:
        """The context as it is seen."""
        made = self._scene.plain("IExecutionContext", self)
        self._scene.watch(made, "IExecutionContext", self, self._scene.gpu.runtime_context())
        return made

    def release(self) -> None:
        """Give the memory of the activations back, if its context still has it."""
        self._scene.give_back(self._address)

    def set_input_shape(self, name: str, shape: Any) -> bool:
        """Fix the sizes that the engine left open."""
        port = self._loaded.port("IExecutionContext::setInputShape", name)
        sizes = tuple(int(size) for size in shape)
        if port is None or not self._fits(port, sizes):
            return False
        self._shapes[name] = sizes
        return True

    def get_tensor_shape(self, name: str) -> Any:
        """Sizes as far as they are known."""
        port = self._loaded.port("IExecutionContext::getTensorShape", name)
        return shape_face(self._scene, self._shape(port) if port else ())

    def infer_shapes(self) -> list[str]:
        """Inputs whose shapes are missing."""
        return [name for name, shape in self._shapes.items() if min(shape, default=1) < 0]

    @property
    def all_binding_shapes_specified(self) -> bool:
        """Whether nothing is left open."""
        return not self.infer_shapes()

    def set_tensor_address(self, name: str, memory: int) -> bool:
        """Where a tensor's values lie."""
        if self._loaded.port("IExecutionContext::setTensorAddress", name) is None:
            return False
        self._addresses[name] = int(memory)
        return True

    def get_tensor_address(self, name: str) -> int:
        """0 where none was set."""
        return self._addresses.get(name, 0)

    def execute_async_v3(self, stream_handle: int) -> bool:
        """Enqueue an inference; False, with the reason said, where that cannot be."""
        scene, number = self._scene, self._scene.runs
        scene.runs += 1
        if reason := self._refusal(number):
            scene.say(self._loaded.logger, "ERROR", reason)
            return False
        if int(stream_handle) == 0:
            scene.say(self._loaded.logger, "WARNING", words.DEFAULT_STREAM)
        try:
            scene.gpu.check(_ENQUEUE)
            queue = scene.gpu.queue(int(stream_handle), _ENQUEUE)
            self._prepare(queue)
        except CudaFault as error:
            text = fault.NAMES[error.code][1]
            said = words.CUDA.format(where=_ENQUEUE, text=text)
            scene.say(self._loaded.logger, "ERROR", said)
            return False
        scene.gpu.launch(queue, self._inference(number), lambda: self._lasts_ms(number))
        if self.profiler is not None:
            for name, share in self._loaded.layers:
                ms = share * self._loaded.nominal_ms
                scene.call_back(self.profiler, "report_layer_time", name, ms)
        return True

    def _refusal(self, number: int) -> str:
        if self._scene.script.refuses_run == number:
            return words.CUDA.format(where=_ENQUEUE, text="invalid argument")
        if self.infer_shapes():
            return words.NO_SHAPE
        for port in self._loaded.ports.values():
            if not self._addresses.get(port.name):
                said = words.NO_INPUT_ADDRESS if port.is_input else words.NO_OUTPUT_ADDRESS
                return said.format(tensor=port.name)
        return ""

    def _prepare(self, queue: Queue) -> None:
        """What the first run with new shapes does, and no capture allows."""
        if self._ready_for != self._shapes and queue.captured is not None:
            queue.capture_broken = True
            raise CudaFault(_ENQUEUE, fault.CAPTURE_UNSUPPORTED)
        self._ready_for = dict(self._shapes)

    def _inference(self, number: int) -> Any:
        """What one inference does to memory, with the addresses it has now."""
        places = dict(self._addresses)
        ports = [(port, self._shape(port)) for port in self._loaded.ports.values()]
        gpu, script = self._scene.gpu, self._scene.script

        def act() -> None:
            if number == script.breaks_at_run:
                raise CudaFault("kernel", script.break_code)
            inputs = {
                port.name: np.frombuffer(
                    bytes(gpu.memory.view(places[port.name], _size(port, shape))), port.dtype
                ).reshape(shape)
                for port, shape in ports
                if port.is_input
            }
            outputs = self._loaded.evaluation.run(inputs)
            for port, _ in ports:
                if not port.is_input:
                    data = np.ascontiguousarray(outputs[port.name], port.dtype).tobytes()
                    gpu.memory.view(places[port.name], len(data))[:] = data

        return act

    def _lasts_ms(self, number: int) -> float:
        script = self._scene.script
        if number == script.hangs_at_run:
            return float("inf")
        noise = 1.0 + script.run_noise * self._scene.random.gauss(0.0, 1.0)
        return self._loaded.nominal_ms * self._loaded.plan.factor * max(0.0, noise)

    def _shape(self, port: Port) -> tuple[int, ...]:
        """Of an output: what is open follows the inputs' first axis."""
        if port.is_input:
            return self._shapes[port.name]
        first = next(iter(self._shapes.values()), ())
        return tuple(first[0] if size < 0 and first else size for size in port.shape)

    def _fits(self, port: Port, sizes: tuple[int, ...]) -> bool:
        fixed = len(sizes) == len(port.shape) and all(
            want in (-1, size) for want, size in zip(port.shape, sizes, strict=True)
        )
        inside = all(map(_between, *self._limits(port), sizes)) if fixed else False
        if not inside:
            said = words.OUT_OF_PROFILE.format(given=list(sizes), tensor=port.name)
            self._scene.say(self._loaded.logger, "ERROR", said)
        return inside

    def _limits(self, port: Port) -> Iterator[Sequence[int]]:
        shapes = (self._loaded.plan.profiles or [{}])[0].get(port.name)
        yield shapes[0] if shapes else [1] * len(port.shape)
        yield shapes[2] if shapes else [1 << 30] * len(port.shape)


def _size(port: Port, shape: tuple[int, ...]) -> int:
    return int(np.prod(shape, dtype=np.int64)) * port.dtype.itemsize


def _between(low: int, high: int, size: int) -> bool:
    return low <= size <= high
