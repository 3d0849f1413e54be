"""The builder of a scripted TensorRT."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.doubles.scripted_cuda.fault import CudaFault
from tests.doubles.scripted_tensorrt import words
from tests.doubles.scripted_tensorrt.config import BuilderConfig, HostMemory, Profile
from tests.doubles.scripted_tensorrt.faces import behind
from tests.doubles.scripted_tensorrt.network import Layer, Network
from tests.doubles.scripted_tensorrt.plan import Plan, guessed_activations
from tests.doubles.scripted_tensorrt.scene import Scene, kept

_NAP_S = 0.01


class _Refused(Exception):
    """The build fails; what there was to say has been said."""


class Builder:
    """Makes serialised engines, unless the script says otherwise."""

    def __init__(self, scene: Scene, logger: Any) -> None:
        self._scene, self.logger = scene, logger
        self.num_DLA_cores = scene.script.dla_cores
        self.max_DLA_batch_size = 4096 if scene.script.dla_cores else 1
        self.platform_has_tf32 = scene.gpu.facts.capability >= (8, 0)
        self.platform_has_fast_fp16 = self.platform_has_fast_int8 = True
        self.max_threads = 1

    def create_network(self, flags: int = 0) -> Any:
        """An empty network; `flags` has a bit for each of `NetworkDefinitionCreationFlag`."""
        return self._scene.face("INetworkDefinition", Network(self._scene, kept(self), int(flags)))

    def create_builder_config(self) -> Any:
        """A config with its defaults."""
        return self._scene.face("IBuilderConfig", BuilderConfig(self._scene, kept(self)))

    def create_optimization_profile(self) -> Any:
        """A profile without shapes."""
        return self._scene.plain("IOptimizationProfile", Profile())

    def is_network_supported(self, network: Any, config: Any) -> bool:
        """Whether it could be built."""
        return bool(behind(network).ports)

    def build_serialized_network(self, network: Any, config: Any) -> Any:
        """A serialised engine; None where it could not be built or was cancelled."""
        build = _Build(self._scene, self.logger, behind(network), behind(config))
        try:
            data = build.run()
        except _Refused:
            return None
        return self._scene.face("IHostMemory", HostMemory(self._scene, data))


class _Build:
    def __init__(self, scene: Scene, logger: Any, network: Network, config: BuilderConfig) -> None:
        self._scene, self._logger = scene, logger
        self._network, self._config = network, config
        self._script = scene.script

    def run(self) -> bytes:
        number = self._scene.builds
        self._scene.builds += 1
        self._check()
        self._place()
        with self._held():
            self._time_layers()
            self._calibrate()
        factors = self._script.build_factors
        return self._plan(factors[number % len(factors)]).to_bytes()

    def _check(self) -> None:
        if not self._network.ports:
            self._refuse(words.NO_OUTPUT)
        for text in self._script.build_errors:
            self._say("ERROR", text)
        if self._script.build_errors:
            raise _Refused
        dynamic = any(size < 0 for port in self._network.ports for size in port.shape)
        if dynamic and not self._config.profiles:
            self._refuse(words.NO_PROFILE)
        if self._config.cache is None:
            self._say("INFO", words.LOCAL_CACHE)

    def _place(self) -> None:
        """Layers that a DLA cannot run go to the GPU, if they may."""
        for layer in self._network.layers:
            if self._config.device_of(layer).name != "DLA" or self._config.fits_dla(layer):
                continue
            if not self._config.has("GPU_FALLBACK"):
                self._refuse(words.NO_FALLBACK.format(layer=layer.name))
            self._say("WARNING", words.FELL_BACK.format(layer=layer.name, kind=layer.kind))

    @contextmanager
    def _held(self) -> Iterator[None]:
        """The memory that a build takes while it works."""
        self._try_scratch_memory()
        size, address = self._script.build_bytes, None
        if size:
            address = self._scene.allocate(size, "build memory", self._logger, "IBuilder")
            if address is None:
                self._no_implementation()
        try:
            yield
        finally:
            if address is not None:
                self._scene.gpu.memory.free(address)

    def _try_scratch_memory(self) -> None:
        most = self._script.most_workspace_bytes
        pool = self._scene.member("MemoryPoolType", "WORKSPACE")
        limit = self._config.get_memory_pool_limit(pool)
        if most is None or limit <= most:
            return
        self._say("ERROR", words.ALLOCATION)
        self._say("WARNING", words.REQUESTED.format(size=limit))
        self._say("ERROR", words.SKIPPED.format(size=limit))
        self._no_implementation()

    def _no_implementation(self) -> None:
        first, last = self._network.layers[0].name, self._network.layers[-1].name
        self._refuse(words.NO_IMPLEMENTATION.format(node=f"{{ForeignNode[{first}...{last}]}}"))

    def _time_layers(self) -> None:
        """Time kernels step by step, as a monitor sees it."""
        names = self._signatures()
        known = behind(self._config.cache).timings.layers if self._config.cache else ()
        fresh = tuple(name for name in names if name not in known)
        steps = self._script.build_steps * len(fresh) + 1
        outer, inner = "Building Engine", "Timing kernels"
        self._start(outer, None, 1)
        self._start(inner, outer, steps)
        try:
            self._work(inner, steps)
        except _Refused:
            self._finish(inner)
            self._finish(outer)
            raise
        self._finish(inner)
        self._step(outer, 0)
        self._finish(outer)
        if self._config.cache:
            behind(self._config.cache).learn(fresh)

    def _work(self, phase: str, steps: int) -> None:
        if self._script.hangs == "silent":
            while True:
                time.sleep(_NAP_S)
        endless = self._script.hangs == "reporting"
        for step in itertools.count() if endless else range(steps):
            time.sleep(max(self._script.step_s, _NAP_S if endless else 0.0))
            self._step(phase, min(step, steps - 1))

    def _calibrate(self) -> None:
        """Have the calibrator fill batch after batch, where ranges are not in the graph."""
        quantised = any(layer.node.op_type == "QuantizeLinear" for layer in self._network.layers)
        if not self._config.has("INT8") or quantised:
            return
        inputs = [port for port in self._network.ports if port.is_input]
        calibrator = self._config.int8_calibrator
        if calibrator is None:
            for port in self._network.ports:
                self._say("WARNING", words.NO_CALIBRATION.format(tensor=port.name))
            return
        call = self._scene.call_back
        if call(calibrator, "read_calibration_cache"):
            return
        call(calibrator, "get_batch_size")
        names = [port.name for port in inputs]
        while addresses := call(calibrator, "get_batch", names):
            for address, port in zip(addresses, inputs, strict=True):
                size = port.dtype.itemsize
                for length in port.shape:
                    size *= max(1, length)
                self._read(int(address), size)
        call(calibrator, "write_calibration_cache", b"scripted calibration")

    def _read(self, address: int, size: int) -> None:
        try:
            self._scene.gpu.memory.view(address, size)
        except CudaFault as error:
            self._scene.gpu.break_down(error.code)
            where = "IBuilder::buildSerializedNetwork"
            text = "an illegal memory access was encountered"
            self._refuse(words.CUDA.format(where=where, text=text))

    def _plan(self, factor: float) -> Plan:
        facts, model = self._scene.gpu.facts, self._network.model
        activations = self._script.activation_bytes
        return Plan(
            version=self._scene.surface.version,
            device=facts.name,
            capability="{}.{}".format(*facts.capability),
            factor=factor,
            activation_bytes=guessed_activations(model) if activations is None else activations,
            detailed=self._config.profiling_verbosity.name == "DETAILED",
            flags=sorted(flag.name for flag in self._config.set_flags),
            layers=[{"Name": layer.name, "LayerType": layer.kind} for layer in self._layers()],
            profiles=[profile.shapes for profile in self._config.profiles],
            model=model.SerializeToString(),
        )

    def _layers(self) -> list[Layer]:
        return self._network.layers

    def _signatures(self) -> list[str]:
        """What a timing cache knows a layer by."""
        flags = ",".join(sorted(flag.name for flag in self._config.set_flags))
        return [f"{layer.kind} {layer.name} {flags}" for layer in self._layers()]

    def _start(self, phase: str, parent: str | None, steps: int) -> None:
        if self._config.progress_monitor is not None:
            monitor = self._config.progress_monitor
            self._scene.call_back(monitor, "phase_start", phase, parent, steps)

    def _step(self, phase: str, step: int) -> None:
        monitor = self._config.progress_monitor
        # A monitor that raises ends the build, as one that says no.
        if monitor is not None and not self._scene.call_back(
            monitor, "step_complete", phase, step
        ):
            raise _Refused

    def _finish(self, phase: str) -> None:
        if self._config.progress_monitor is not None:
            self._scene.call_back(self._config.progress_monitor, "phase_finish", phase)

    def _say(self, severity: str, text: str) -> None:
        self._scene.say(self._logger, severity, text)

    def _refuse(self, text: str) -> None:
        self._say("ERROR", text)
        raise _Refused
