"""A network that exists only as an ONNX file is cut and trained like one that was traced here."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from hwprune.channels.base import make_base
from hwprune.errors import NetworkError
from hwprune.network import zoo
from hwprune.network.gate import trusted_base
from hwprune.network.graph_module import to_module, to_onnx
from hwprune.network.onnx_file import read_network
from hwprune_device.cut import Cutter
from tests.channels.small_graphs import conv_net, parsed
from tests.traced import random_keep, randomise_norms, relative, run_onnx, traced
from tests.unusual import Encoder, Shuffled


class _Shuffle(nn.Module):
    """Shuffle by views: the older exporter does not know torch's own."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, channels, height, width = x.shape
        apart = x.view(batch, 3, channels // 3, height, width)
        return apart.transpose(1, 2).reshape(batch, channels, height, width)


def shuffled() -> nn.Module:
    module = Shuffled()
    module.shuffle = _Shuffle()
    return module


IMAGES = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def exported(module: nn.Module, path, opset: int, **more):  # type: ignore[no-untyped-def]
    data = more.pop("data", IMAGES)
    batch = more.pop("dynamic_axes", {"input": {0: "N"}, "output": {0: "N"}})
    torch.onnx.export(
        *(module.eval(), (data,), path),
        dynamo=False,
        opset_version=opset,
        input_names=["input"],
        output_names=["output"],
        dynamic_axes=batch,
        **more,
    )
    return path


@pytest.fixture(scope="module")
def resnet(tmp_path_factory):
    torch.manual_seed(0)
    module = zoo.cifar_resnet20()
    randomise_norms(module)
    return module, tmp_path_factory.mktemp("onnx")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("opset", [11, 13, 17])
def test_an_older_exporters_file_has_the_same_groups_and_outputs(resnet, opset):
    module, folder = resnet
    path = exported(module, folder / f"{opset}.onnx", opset)
    base, left, record = trusted_base(read_network(path))
    assert left == () and record.worst_error < 1e-8
    assert sorted(base.plan.widths) == sorted(traced("cifar_resnet20").base.plan.widths)
    assert relative(run_onnx(base.onnx, IMAGES), run_onnx(path.read_bytes(), IMAGES)) < 1e-5


@pytest.mark.filterwarnings("ignore")
def test_weights_have_names_and_the_cut_network_learns(resnet):
    module, folder = resnet
    path = exported(module, folder / "learn.onnx", 17)
    base = make_base(read_network(path))
    cut = Cutter(base.onnx, base.plan).cut(random_keep(base, 1, least=0.5))
    twin = to_module(cut).train()
    assert sum(p.numel() for p in twin.parameters()) > 20_000
    labels = torch.tensor([3, 7])
    optimizer = torch.optim.SGD(twin.parameters(), 1e-3)
    losses = []
    for _ in range(8):
        loss = nn.functional.cross_entropy(twin(IMAGES), labels)
        losses.append(float(loss))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert losses[-1] < losses[0]
    twin.eval()
    with torch.inference_mode():
        assert relative(run_onnx(to_onnx(twin, cut), IMAGES), twin(IMAGES).numpy()) < 1e-4


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("make", "data", "widths"),
    [
        (shuffled, IMAGES[:, :, :16, :16], {4, 8}),
        (Encoder, torch.arange(20).reshape(2, 10), {4, 32, 64}),
    ],
    ids=["shuffle", "attention"],
)
def test_shapes_that_a_file_computes_are_worked_out(make, data, widths, tmp_path):
    torch.manual_seed(0)
    path = exported(make(), tmp_path / "net.onnx", 17, data=data)
    base, left, record = trusted_base(read_network(path))
    assert left == () and record.candidates > 1
    assert widths <= set(base.plan.widths)


def test_open_sizes_are_filled_by_the_given_shape(tmp_path):
    text = "g (float[N,3,H,W] x) => (float[N,3,H,W] y) { y = Relu(x) }"
    model = onnx.parser.parse_model(f'<ir_version: 10, opset_import: ["" : 20]> {text}')
    onnx.save(model, tmp_path / "open.onnx")
    with pytest.raises(NetworkError, match="unknown size"):
        make_base(read_network(tmp_path / "open.onnx"))
    base = make_base(read_network(tmp_path / "open.onnx", [(1, 3, 8, 6)]))
    assert base.input_shape == (1, 3, 8, 6)
    with pytest.raises(NetworkError, match="does not fit the input 'x'"):
        read_network(tmp_path / "open.onnx", [(1, 4, 8, 6)])


def test_half_precision_weights_are_cut_too(tmp_path):
    traced_model = onnx.load_model_from_string(traced("digits_cnn").base.onnx)
    for tensor in traced_model.graph.initializer:
        if tensor.data_type == onnx.TensorProto.FLOAT:
            array = onnx.numpy_helper.to_array(tensor).astype(np.float16)
            tensor.CopyFrom(onnx.numpy_helper.from_array(array, tensor.name))
    for value in (*traced_model.graph.input, *traced_model.graph.output):
        value.type.tensor_type.elem_type = onnx.TensorProto.FLOAT16
    onnx.save(traced_model, tmp_path / "half.onnx")
    base = make_base(read_network(tmp_path / "half.onnx"))
    assert base.widths == traced("digits_cnn").base.widths


def test_sizes_below_zero_are_open(tmp_path):
    model = onnx.load_model_from_string(
        parsed("g (float[N,3,H,W] x) => (float[N,3,H,W] y) { y = Relu(x) }")
    )
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = -1
        for dim in value.type.tensor_type.shape.dim[2:]:
            dim.dim_param = "?"
    onnx.save(model, tmp_path / "open.onnx")
    base = make_base(read_network(tmp_path / "open.onnx", [(1, 3, 8, 6)]))
    assert (base.input_shape, base.inputs[0].any_batch) == ((1, 3, 8, 6), True)
    data = torch.randn(2, 3, 8, 6)
    with torch.inference_mode():
        assert relative(run_onnx(base.onnx, data), to_module(base.onnx)(data).numpy()) == 0


class _Grid(nn.Module):
    """YOLO's heads make the places of their boxes from the sizes of their maps."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.head = nn.Conv2d(3, 8, 3, stride=2), nn.Conv2d(8, 2, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.head(torch.relu(self.body(x)))
        across = torch.arange(x.shape[3], dtype=x.dtype) + 0.5
        down = torch.arange(x.shape[2], dtype=x.dtype) + 0.5
        places = torch.stack(torch.meshgrid(down, across, indexing="ij"))
        return (x + places[None]).flatten(2)


@pytest.mark.filterwarnings("ignore")
def test_a_grid_that_the_file_computes_is_a_constant(tmp_path):
    sizes = {"input": {0: "N", 2: "H", 3: "W"}, "output": {0: "N"}}
    path = exported(_Grid(), tmp_path / "grid.onnx", 17, dynamic_axes=sizes)
    base, left, record = trusted_base(read_network(path, [(1, 3, 32, 32)]))
    kinds = {node.op_type for node in onnx.load_model_from_string(base.onnx).graph.node}
    assert kinds == {"Conv", "Relu", "Add", "Reshape"}
    assert (left, record.candidates > 1) == ((), True) and base.plan.widths == (8,)
    assert relative(run_onnx(base.onnx, IMAGES), run_onnx(path.read_bytes(), IMAGES)) < 1e-6


def test_a_layer_is_named_after_itself_alone(tmp_path):
    model = onnx.load_model_from_string(
        conv_net("z = Relu(a)", {"first.weight": (8, 3, 3, 3), "last.weight": (4, 8, 1, 1)})
    )
    names = {"first.weight": "net/w1", "last.weight": "net/w2"}
    for tensor in model.graph.initializer:
        tensor.name = names[tensor.name]
    for node in model.graph.node:
        for position, name in enumerate(node.input):
            node.input[position] = names.get(name, name)
    model.graph.node[0].name = "net/relu/Relu;net/norm/Norm;net/conv_1/Conv2D;net/conv_1/Conv"
    onnx.save(model, tmp_path / "fused.onnx")
    plan = make_base(read_network(tmp_path / "fused.onnx")).plan
    assert [group.name for group in plan.groups] == ["net.conv_1"]
    assert plan.axes[0].initializer == "net.conv_1.weight"
