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


class _WithClassToken(nn.Module):
    """A transformer of patches as most are written: its class token grows to the batch."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 32, 8, 8)
        self.token = nn.Parameter(torch.randn(1, 1, 32))
        self.encoder = Encoder()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], dim=1)
        for block in self.encoder.blocks:
            x = block(x)
        return self.encoder.classifier(x[:, 0])


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
        (_WithClassToken, IMAGES, {4, 32, 64}),
    ],
    ids=["shuffle", "attention", "class token"],
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


def test_inputs_get_shapes_by_name_and_a_scalar_none(tmp_path):
    text = """g (float[A,B] sound, int64 rate, float[2,C,4] state) => (float[A,B] y, float z) {
        r = Cast<to=1>(rate) y = Mul(sound, r) z = ReduceSum<keepdims=0>(state) }"""
    (tmp_path / "net.onnx").write_bytes(parsed(text))
    with pytest.raises(NetworkError, match="--input 'sound=SIZES'"):
        make_base(read_network(tmp_path / "net.onnx"))
    shapes = {"state": (2, 1, 4), "sound": (1, 576)}
    base = make_base(read_network(tmp_path / "net.onnx", shapes))
    assert [entry.shape for entry in base.inputs] == [(1, 576), (), (2, 1, 4)]
    with pytest.raises(NetworkError, match="no such input") as raised:
        read_network(tmp_path / "net.onnx", {"image": (1, 576)})
    assert raised.value.possible == "sound, rate, state"


def test_weights_may_be_listed_as_inputs(tmp_path):
    model = onnx.load_model_from_string(traced("digits_cnn").base.onnx)
    for tensor in model.graph.initializer:
        model.graph.input.append(
            onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims)
        )
    model.ir_version = 3
    onnx.save(model, tmp_path / "old.onnx")
    base = make_base(read_network(tmp_path / "old.onnx"))
    assert [entry.name for entry in base.inputs] == ["x"]
    assert base.plan.widths == traced("digits_cnn").base.plan.widths


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("opset", [8, 9, 11, 12])
def test_shapes_that_old_opsets_compute_are_worked_out(opset, tmp_path):
    torch.manual_seed(0)
    path = exported(shuffled(), tmp_path / "net.onnx", opset, data=IMAGES[:, :, :16, :16])
    model = onnx.load(path)
    for tensor in model.graph.initializer:
        model.graph.input.append(
            onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims)
        )
    onnx.save(model, path)
    base, left, record = trusted_base(read_network(path))
    assert left == () and record.candidates > 1
    data = IMAGES[:, :, :16, :16]
    assert relative(run_onnx(base.onnx, data), run_onnx(path.read_bytes(), data)) < 1e-5
    onnx.checker.check_model(onnx.load_model_from_string(base.onnx))


def test_height_and_width_that_outputs_follow_are_filled_in(tmp_path):
    text = """g (float[N,3,H,W] x) => (float[N,4,P,Q] y) {
        a = Conv<strides=[2,2], pads=[1,1,1,1]>(x, first) s = Shape(x)
        i = Constant<value_ints=[2]>() j = Constant<value_ints=[4]>()
        o = Constant<value_ints=[0]>()
        t = Slice(s, i, j, o) r = Shape<end=2>(a) k = Concat<axis=0>(r, t)
        b = Resize<mode="linear">(a, , , k) y = Conv(b, last) }"""
    shapes = {"first": (8, 3, 3, 3), "last": (4, 8, 1, 1)}
    (tmp_path / "net.onnx").write_bytes(parsed(text, shapes))
    base, left, record = trusted_base(read_network(tmp_path / "net.onnx", [(1, 3, 32, 48)]))
    assert base.plan.widths == (8,) and left == () and record.candidates > 1
    assert base.cost_model.macs((8,)) == 16 * 24 * 8 * 27 + 32 * 48 * 4 * 8


def test_a_bias_of_two_layers_is_named_once(tmp_path):
    text = """g (float[N,3,8,8] x) => (float[N,4,8,8] y) {
        a = Conv(x, one, both) b = Conv(a, two, both)
        c = Conv(b, both2, both) y = Conv(c, last) }"""
    shapes = {"one": (8, 3, 1, 1), "two": (8, 8, 1, 1), "both2": (8, 8, 1, 1), "both": (8,)}
    (tmp_path / "net.onnx").write_bytes(parsed(text, {**shapes, "last": (4, 8, 1, 1)}))
    base, left, record = trusted_base(read_network(tmp_path / "net.onnx"))
    assert base.plan.widths == (8,) and left == () and record.candidates > 1
    data = torch.randn(2, 3, 8, 8)
    with torch.inference_mode():
        assert relative(to_module(base.onnx)(data).numpy(), run_onnx(base.onnx, data)) < 1e-5
