"""A delivered network goes back into whatever its user trains and exports with."""

from __future__ import annotations

import copy
import io
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

import hwprune
from hwprune.channels.base import make_base
from hwprune.network.package import save_package
from hwprune.network.trace import trace
from hwprune_device.cut import Cutter
from tests.traced import randomise_norms

# Both exporters and the EMA warn of what they do themselves.
pytestmark = pytest.mark.filterwarnings("ignore")


class UsersNetwork(nn.Module):
    """What a user brings: BatchNorm, a residual block, dropout, containers, nested outputs."""

    def __init__(self, stem: int = 16, inner: int = 24) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, stem, 3, padding=1, bias=False), nn.BatchNorm2d(stem), nn.ReLU()
        )
        self.block = nn.ModuleDict(
            {
                "wide": nn.Conv2d(stem, inner, 3, padding=1),
                "wide_norm": nn.BatchNorm2d(inner),
                "narrow": nn.Conv2d(inner, stem, 3, padding=1),
                "narrow_norm": nn.BatchNorm2d(stem),
            }
        )
        self.dropout = nn.Dropout(0.1)
        self.classify, self.map = nn.Linear(stem, 5), nn.Conv2d(stem, 2, 1)

    def forward(self, image: torch.Tensor) -> dict[str, Any]:
        """N 3 H W -> scores N 5, map N 2 H W."""
        x = self.stem(image)
        y = F.relu(self.block["wide_norm"](self.block["wide"](x)))
        x = F.relu(x + self.block["narrow_norm"](self.block["narrow"](y)))
        scores = self.classify(self.dropout(x.mean((2, 3))))
        return {"scores": scores, "maps": {"map": self.map(x)}}


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """A package on disk, and the network of the user's that it was cut from."""

    folder: Path
    users: UsersNetwork


@pytest.fixture(scope="module")
def delivery(tmp_path_factory: pytest.TempPathFactory) -> Delivery:
    """Every second channel of each group is kept."""
    torch.manual_seed(0)
    users = UsersNetwork().eval()
    randomise_norms(users)
    base = make_base(trace(users, torch.zeros(1, 3, 12, 12)))
    keep = [np.arange(0, group.width, 2) for group in base.plan.groups]
    folder = tmp_path_factory.mktemp("delivered")
    model = Cutter(base.onnx, base.plan).cut(keep)
    save_package(folder, model=model, widths=[len(k) for k in keep], keep=keep, base=base)
    return Delivery(folder=folder, users=users)


@pytest.fixture
def network(delivery: Delivery) -> nn.Module:
    """The delivered network, as users load it."""
    return hwprune.load(delivery.folder)


IMAGES = torch.randn(3, 3, 12, 12, generator=torch.Generator().manual_seed(0))


def flat(outputs: dict[str, Any]) -> tuple[torch.Tensor, torch.Tensor]:
    """Scores and map; fails where outputs are not the user's nested dict."""
    assert list(outputs) == ["scores", "maps"] and list(outputs["maps"]) == ["map"]
    return outputs["scores"], outputs["maps"]["map"]


def close(given: Any, expected: Any, tolerance: float = 1e-5) -> bool:
    """Whether scores and maps agree, whatever their number types."""
    pairs = zip(given, expected, strict=True)
    return all(torch.allclose(a.double(), b.double(), tolerance, tolerance) for a, b in pairs)


@torch.no_grad()
def answers(network: nn.Module, images: torch.Tensor = IMAGES) -> tuple[torch.Tensor, ...]:
    """Outputs in eval mode."""
    return flat(network.eval()(images))


def loss(network: nn.Module) -> torch.Tensor:
    """Of some task over both outputs."""
    scores, maps = flat(network(IMAGES))
    return F.cross_entropy(scores, torch.tensor([0, 3, 1])) + maps.square().mean()


def test_the_state_dict_goes_through_a_file_into_another_process(
    network: nn.Module, tmp_path: Path, delivery: Delivery
) -> None:
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.01)
    torch.save(network.state_dict(), tmp_path / "trained.pt")
    torch.save(IMAGES, tmp_path / "images.pt")
    code = (
        "import sys, torch, hwprune; folder, work = sys.argv[1:]\n"
        "network = hwprune.load(__import__('pathlib').Path(folder))\n"
        "state = torch.load(f'{work}/trained.pt', weights_only=True)\n"
        "network.load_state_dict(state, strict=True)\n"
        "outputs = network(torch.load(f'{work}/images.pt', weights_only=True))\n"
        "torch.save([outputs['scores'], outputs['maps']['map']], f'{work}/outputs.pt')\n"
    )
    subprocess.run([sys.executable, "-c", code, delivery.folder, tmp_path], check=True)
    given = torch.load(tmp_path / "outputs.pt", weights_only=True)
    assert close(given, answers(network))


def test_the_whole_module_goes_through_a_file(network: nn.Module, tmp_path: Path) -> None:
    """Some frameworks keep their checkpoints that way."""
    network.names = ["cat", "dog"]
    torch.save(network, tmp_path / "whole.pt")
    again = torch.load(tmp_path / "whole.pt", weights_only=False)
    assert again.names == network.names
    assert close(answers(again), answers(network), 0)


def test_names_are_the_users(network: nn.Module, delivery: Delivery) -> None:
    """Activations and dropout have no module of their own any more."""
    mine, users = dict(network.named_modules()), dict(delivery.users.named_modules())
    assert {type(users[name]) for name in users.keys() - mine.keys()} == {nn.ReLU, nn.Dropout}
    assert mine.keys() <= users.keys()
    assert network.state_dict().keys() == delivery.users.state_dict().keys()
    parameters = [name for name, _ in delivery.users.named_parameters()]
    assert [name for name, _ in network.named_parameters()] == parameters


def test_weights_fit_the_users_class_at_the_new_widths(network: nn.Module) -> None:
    users = UsersNetwork(stem=8, inner=12)
    users.load_state_dict(network.state_dict(), strict=True)
    assert close(answers(users), answers(network))


def test_a_deep_copy_is_independent(network: nn.Module) -> None:
    before = answers(network)
    copied = copy.deepcopy(copy.deepcopy(network))
    assert close(answers(copied), before, 0)
    with torch.no_grad():
        for parameter in copied.parameters():
            parameter.zero_()
    assert close(answers(network), before, 0)


def test_it_is_cast_and_laid_out_like_any_module(network: nn.Module) -> None:
    expected = answers(network)
    double = copy.deepcopy(network).to(torch.float64)
    assert close(answers(double, IMAGES.double()), expected)
    assert answers(double, IMAGES.double())[0].dtype == torch.float64
    lasting = copy.deepcopy(network).to(memory_format=torch.channels_last)
    assert close(answers(lasting, IMAGES.to(memory_format=torch.channels_last)), expected)
    assert close(answers(copy.deepcopy(network).half(), IMAGES.half()), expected, 0.01)
    assert close(answers(copy.deepcopy(network).bfloat16(), IMAGES.bfloat16()), expected, 0.05)
    with torch.autocast("cpu", torch.bfloat16):
        assert close(answers(network), expected, 0.05)


def test_a_step_of_training_moves_weights_and_batch_statistics(network: nn.Module) -> None:
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3)
    loss(network.train()).backward()
    optimizer.step()
    assert not any(torch.equal(before[name], t) for name, t in network.state_dict().items())
    network.eval()
    settled = {name: tensor.clone() for name, tensor in network.named_buffers()}
    network(IMAGES)
    assert all(torch.equal(settled[name], t) for name, t in network.named_buffers())


def test_layers_are_frozen_by_their_names(network: nn.Module) -> None:
    before = {name: tensor.clone() for name, tensor in network.named_parameters()}
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(not name.startswith(("stem.", "block.wide")))
    network.train().get_submodule("stem").eval()
    optimizer = torch.optim.SGD((p for p in network.parameters() if p.requires_grad), lr=0.1)
    loss(network).backward()
    optimizer.step()
    moved = {n for n, t in network.named_parameters() if not torch.equal(before[n], t)}
    assert moved == {n for n in before if not n.startswith(("stem.", "block.wide"))}
    assert int(network.state_dict()["stem.1.num_batches_tracked"]) == 0
    assert int(network.state_dict()["block.wide_norm.num_batches_tracked"]) == 1


def test_an_exponential_average_follows_weights_and_buffers(network: nn.Module) -> None:
    average = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(0.5), use_buffers=True)
    average.update_parameters(network)
    first = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    loss(network.train()).backward()
    optimizer.step()
    average.update_parameters(network)
    for name, tensor in average.module.state_dict().items():
        if tensor.is_floating_point():
            middle = (first[name] + network.state_dict()[name]) / 2
            assert torch.allclose(tensor, middle, atol=1e-6), name
    network.load_state_dict(average.module.state_dict())
    assert close(answers(network), answers(average))


@pytest.fixture
def one_process(tmp_path: Path) -> Iterator[None]:
    """A process group of this process alone."""
    dist.init_process_group("gloo", f"file://{tmp_path}/store", rank=0, world_size=1)
    yield
    dist.destroy_process_group()


def test_it_trains_in_distributed_data_parallel(network: nn.Module, one_process: None) -> None:
    alone = copy.deepcopy(network).train()
    loss(alone).backward()
    parallel = nn.parallel.DistributedDataParallel(network.train())
    loss(parallel).backward()
    gradients = zip(network.parameters(), alone.parameters(), strict=True)
    assert all(torch.allclose(a.grad, b.grad, atol=1e-6) for a, b in gradients)
    synced = nn.SyncBatchNorm.convert_sync_batchnorm(network)
    assert sum(isinstance(layer, nn.SyncBatchNorm) for layer in synced.modules()) == 3


def run(model: bytes) -> list[torch.Tensor]:
    """Outputs in ONNX Runtime."""
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    outputs = session.run(None, {session.get_inputs()[0].name: IMAGES.numpy()})
    return [torch.from_numpy(output) for output in outputs]


@pytest.mark.skipif(
    torch.__version__ < "2.7", reason="torch 2.6 exports no BatchNorm with this onnxscript"
)
def test_torchs_exporter_takes_it(network: nn.Module) -> None:
    batch = ({0: torch.export.Dim("N")},)
    program = torch.onnx.export(
        network, (IMAGES[:2],), dynamo=True, dynamic_shapes=batch, verbose=False
    )
    assert close(run(program.model_proto.SerializeToString()), answers(network))


def test_torchs_older_exporter_takes_it(network: nn.Module) -> None:
    file = io.BytesIO()
    names = ["scores", "map"]
    torch.onnx.export(
        *(network, (IMAGES[:2],), file),
        dynamo=False,
        input_names=["image"],
        output_names=names,
        dynamic_axes={name: {0: "N"} for name in ("image", *names)},
    )
    assert close(run(file.getvalue()), answers(network))


def test_torchs_export_and_fx_take_it_and_keep_the_outputs_in_their_dict(
    network: nn.Module,
) -> None:
    exported = torch.export.export(
        network, (IMAGES[:2],), dynamic_shapes=({0: torch.export.Dim("N")},)
    )
    for again in (exported.module(), torch.fx.symbolic_trace(network)):
        assert close(flat(again(IMAGES)), answers(network))


def test_it_can_be_traced_and_cut_once_more(network: nn.Module) -> None:
    base = make_base(trace(network, IMAGES))
    assert base.widths == (8, 12)
    twin = hwprune.network.graph_module.to_module(Cutter(base.onnx, base.plan).cut_to((8, 12)))
    assert close(answers(twin), answers(network))


@pytest.mark.heavy
@pytest.mark.skipif(shutil.which("g++") is None, reason="inductor needs a C++ compiler: g++")
def test_it_can_be_compiled(network: nn.Module) -> None:
    compiled = torch.compile(network, fullgraph=True)
    assert close(answers(compiled), answers(network))
    loss(compiled.train()).backward()
    assert all(parameter.grad is not None for parameter in network.parameters())
