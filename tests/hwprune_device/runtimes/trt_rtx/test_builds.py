"""Real engines of TensorRT for RTX, whose parser and builder need no GPU: families cut and built.

Loading an engine needs a driver, so nothing here is run.
"""

from __future__ import annotations

import random

import pytest
from onnx import TensorProto, helper

from hwprune.channels.base import BaseNetwork
from hwprune_device.cut import Cutter
from hwprune_device.runtimes.interface import batch_symbols
from hwprune_device.runtimes.trt.callbacks import CancelledError, TrtError
from hwprune_device.runtimes.trt.graph import graph_for
from hwprune_device.runtimes.trt.surface import SURFACE, SURFACE_11
from hwprune_device.runtimes.trt.tensorrt import BuildOptions, Plan, TensorRT
from hwprune_device.runtimes.trt_rtx.options import TRT_RTX
from tests.hwprune_device.chain import chain
from tests.network.test_coverage import case
from tests.unusual import UNUSUAL

bindings = pytest.importorskip(
    "tensorrt_rtx_bindings", reason="needs tensorrt-rtx-cu13-bindings and -libs"
)
PRECISIONS = TRT_RTX.precisions
USUAL = ("unet", "encoder", pytest.param("spoken", marks=pytest.mark.heavy))
BATCH = 2


def built(model: bytes, precision: str, **wanted: object) -> Plan:
    """A real engine of a network for a batch, as the board's runtime has it built."""
    free = dict.fromkeys(batch_symbols(model), BATCH)
    graph = graph_for(model, free, precision=precision, calibration="qdq", strongly_typed=True)
    library = TensorRT(rtx=True)
    return library.build(graph, BuildOptions(precision=precision, **wanted), lambda phase: True)  # type: ignore[arg-type]


def cut(base: BaseNetwork, seed: int) -> bytes:
    """A candidate of random widths."""
    chance = random.Random(seed)
    widths = [chance.randint(1, group.width) for group in base.plan.groups]
    return Cutter(base.onnx, base.plan).cut_to(widths)


def check(name: str, precision: str, seeds: range) -> None:
    base = case(name).base
    for seed in seeds:
        plan = built(cut(base, seed), precision)
        assert len(plan.engine) > 10_000 and plan.fell_back == ()


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
@pytest.mark.parametrize("name", USUAL)
def test_a_cut_network_is_parsed_and_built(name: str, precision: str):
    check(name, precision, range(1))


@pytest.mark.heavy
@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("name", UNUSUAL)
def test_every_family_is_parsed_and_built_at_random_widths(name: str, precision: str):
    check(name, precision, range(3))


def test_a_smaller_network_has_a_smaller_engine():
    sizes = [len(built(chain(w), "fp32").engine) for w in ((16, 32, 32), (64, 256, 256))]
    assert sizes[1] - sizes[0] > 0.5 * 4 * (64 * 256 * 9 + 256 * 256 * 9)


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_two_builds_are_the_same(precision: str):
    one, other = (built(chain(), precision).engine for _ in range(2))
    assert len(one) == len(other)


def test_what_the_parser_lacks_is_named_with_its_node():
    model = network_with("NonExistent")
    with pytest.raises(TrtError, match=r"cannot read the network: .*NonExistent.*'odd'"):
        built(model, "fp32")


def network_with(op: str) -> bytes:
    """A network with an operator of a domain of its own."""
    value = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [BATCH, 4]) for n in ("x", "y")]
    node = helper.make_node(op, ["x"], ["y"], name="odd", domain="some.where")
    graph = helper.make_graph([node], "g", value[:1], value[1:])
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("some.where", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString()


def test_sizes_that_are_not_fixed_are_refused_by_the_input_that_has_them():
    with pytest.raises(TrtError, match=r"'x' has no fixed shape: \(-1, 3, 16, 16\)"):
        TensorRT(rtx=True).build(chain(), BuildOptions(), lambda phase: True)


def test_a_build_ends_when_it_is_told_to():
    phases: list[str] = []

    def proceed(phase: str) -> bool:
        phases.append(phase)
        return len(phases) < 5

    with pytest.raises(CancelledError, match="the build was ended during"):
        TensorRT(rtx=True).build(fixed(chain()), BuildOptions(), proceed)
    assert len(phases) == 5


def fixed(model: bytes) -> bytes:
    return graph_for(model, {"N": BATCH}, precision="fp32", calibration="qdq", strongly_typed=True)


def test_no_dla_is_said_with_the_last_release_that_had_one():
    with pytest.raises(
        TrtError, match=r"TensorRT for RTX 1\.\d+.* has no DLA; 10\.7 was the last"
    ):
        built(chain(), "fp16", dla=0)


def test_everything_that_is_used_of_the_api_is_there():
    missing = []
    for declared in (SURFACE, SURFACE_11):
        for owner, names in declared.items():
            holder = bindings if not owner else getattr(bindings, owner)
            missing += [n for n in names if not hasattr(holder, n.partition("(")[0])]
    assert missing == []


def test_an_engine_is_not_loaded_without_a_driver():
    """What a board without its driver would say; with one this is what runs."""
    from hwprune_device.conditions.gpu_presence import has_gpu

    if has_gpu():
        pytest.skip("this machine has a GPU")
    with pytest.raises(TrtError, match="CUDA"):
        TensorRT(rtx=True).load(built(chain(), "fp32").engine)
