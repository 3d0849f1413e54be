"""The builder of a scripted TensorRT."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

from tests.doubles.scripted_tensorrt.config import IBuilderConfig, IBuilderConfig10, IHostMemory
from tests.doubles.scripted_tensorrt.names import DeviceType, ILogger
from tests.doubles.scripted_tensorrt.network import INetworkDefinition
from tests.doubles.scripted_tensorrt.plan import Plan, guessed_activations, ports
from tests.doubles.scripted_tensorrt.scene import Scene

_STEPS = 4
"""Reported for each layer whose kernels were not timed yet."""
_NAP_S = 0.01
_PHASE = "Timing kernels"


class _RefusedError(Exception):
    """The build fails; what there was to say has been said."""


class Builder:
    """Makes serialised engines, unless the script says otherwise."""

    def __init__(self, scene: Scene, logger: Any) -> None:
        self._scene, self._logger = scene, logger
        self.num_DLA_cores = scene.script.dla_cores
        scene.watch(self, context=scene.gpu.runtime_context())

    def create_network(self) -> INetworkDefinition:
        """An empty network."""
        return INetworkDefinition(self._scene, self)

    def create_builder_config(self) -> IBuilderConfig:
        """A config with its defaults."""
        kind = IBuilderConfig10 if self._scene.generation == 10 else IBuilderConfig
        return kind(self._scene, self)

    def build_serialized_network(
        self, network: INetworkDefinition, config: IBuilderConfig
    ) -> IHostMemory | None:
        """A serialised engine; None where it could not be built or was cancelled."""
        try:
            plan = _Build(self._scene, self._logger, network, config).run()
        except _RefusedError:
            return None
        return IHostMemory(self._scene, plan.to_bytes())


class _Build:
    def __init__(
        self, scene: Scene, logger: Any, network: INetworkDefinition, config: IBuilderConfig
    ) -> None:
        self._scene, self._script, self._logger = scene, scene.script, logger
        self._network, self._config = network, config

    def run(self) -> Plan:
        script, number = self._script, self._scene.builds
        self._scene.builds += 1
        if script.build_errors:
            self._refuse(*script.build_errors)
        self._place()
        with self._memory():
            self._time_layers()
            self._calibrate()
        model, activations = self._network.model, script.activation_bytes
        return Plan(
            home=self._scene.home,
            factor=script.build_factors[number % len(script.build_factors)],
            activation_bytes=guessed_activations(model) if activations is None else activations,
            model=model.SerializeToString(),
        )

    def _place(self) -> None:
        """Layers that a DLA cannot run go to the GPU, if they may."""
        if self._config.default_device_type is not DeviceType.DLA:
            return
        fits = self._config.can_run_on_DLA
        unfit = [layer.name for layer in self._network.layers if not fits(layer)]
        if unfit and "GPU_FALLBACK" not in self._config.flags:
            self._refuse(f"Unsupported on DLA, and falling back to GPU is not enabled: {unfit}")
        for name in unfit:
            self._scene.say(self._logger, ILogger.WARNING, f"Unsupported on DLA: {name}")

    @contextmanager
    def _memory(self) -> Iterator[None]:
        """The memory that a build takes while it works."""
        scene, most = self._scene, self._script.most_workspace_bytes
        if most is not None and self._config.workspace_bytes > most:
            scene.say(self._logger, ILogger.WARNING, "Skipping tactic: out of memory")
            first = self._network.get_layer(0).name
            self._refuse(f"Could not find any implementation for node {first}.")
        address = scene.allocate(self._script.build_bytes, "build memory", self._logger)
        if address is None:
            raise _RefusedError
        try:
            yield
        finally:
            scene.give_back(address)

    def _time_layers(self) -> None:
        """Time kernels step by step, as a monitor sees it."""
        cache, flags = self._config.cache, ",".join(sorted(self._config.flags))
        found = {f"{layer.op} {layer.name} {flags}" for layer in self._network.layers}
        fresh = found - cache.layers if cache is not None else found
        steps = _STEPS * len(fresh) + 1
        self._tell("phase_start", _PHASE, None, steps)
        try:
            self._work(steps)
        finally:
            self._tell("phase_finish", _PHASE)
        if cache is not None:
            cache.layers |= fresh

    def _work(self, steps: int) -> None:
        while self._script.hangs == "silent":
            time.sleep(_NAP_S)
        endless = self._script.hangs == "reporting"
        for step in itertools.count() if endless else range(steps):
            time.sleep(max(self._script.step_s, _NAP_S if endless else 0.0))
            # A monitor that raises ends the build, as one that says no.
            if not self._tell("step_complete", _PHASE, min(step, steps - 1)):
                raise _RefusedError

    def _tell(self, name: str, *given: Any) -> Any:
        monitor = self._config.progress_monitor
        return self._scene.call_back(monitor, name, *given) if monitor is not None else True

    def _calibrate(self) -> None:
        """Have the calibrator fill batch after batch, where ranges are not in the graph."""
        quantised = any(layer.op == "QuantizeLinear" for layer in self._network.layers)
        if "INT8" not in self._config.flags or quantised:
            return
        calibrator, call = getattr(self._config, "int8_calibrator", None), self._scene.call_back
        if calibrator is None or call(calibrator, "read_calibration_cache"):
            return
        call(calibrator, "get_batch_size")
        inputs = [port for port in ports(self._network.model) if port.is_input]
        names = [port.name for port in inputs]
        while addresses := call(calibrator, "get_batch", names):
            for address, port in zip(addresses, inputs, strict=True):
                # Raises where that is not allocated.
                self._scene.gpu.memory.view(address, port.size)
        call(calibrator, "write_calibration_cache", b"scripted calibration")

    def _refuse(self, *words: str) -> NoReturn:
        for text in words:
            self._scene.error(self._logger, text)
        raise _RefusedError
