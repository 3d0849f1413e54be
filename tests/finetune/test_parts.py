from __future__ import annotations

import json
from contextlib import suppress

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import nn

from hwprune.errors import RunFolderError
from hwprune.finetune.average import WeightAverage
from hwprune.finetune.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from hwprune.finetune.optimizer import learning_rate, make_optimizer
from hwprune.recipe import Recipe
from tests.damaged import EXAMPLES, check_on, damaged_bytes, damaged_data
from tests.digits import digits_module


@settings(deadline=None)
@given(st.integers(1, 40), st.integers(1, 30), st.floats(0, 5))
def test_learning_rate_rises_to_its_peak_and_falls_to_nearly_nothing(steps, epochs, warmup):
    recipe = Recipe(epochs=epochs, lr=0.1, warmup_epochs=warmup)
    rates = [learning_rate(s, steps, epochs, recipe) for s in range(steps * epochs)]
    peak = rates.index(max(rates))
    assert max(rates) == pytest.approx(0.1) and min(rates) > 0
    assert rates[: peak + 1] == sorted(rates[: peak + 1])
    assert rates[peak:] == sorted(rates[peak:], reverse=True)


def test_biases_and_batchnorm_do_not_decay():
    module = digits_module()
    decaying, steady = make_optimizer(module, Recipe(weight_decay=0.01)).param_groups
    names = {id(p): name for name, p in module.named_parameters()}
    assert decaying["weight_decay"] == 0.01 and steady["weight_decay"] == 0
    assert all(
        "conv" in names[id(p)] or "linear.weight" in names[id(p)] for p in decaying["params"]
    )
    assert {"bn1.weight", "bn1.bias", "linear.bias"} <= {names[id(p)] for p in steady["params"]}


def test_weight_average_follows_slowly_and_can_go_on():
    module = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.zeros_(module.weight)
    average = WeightAverage(module, 0.9)
    torch.nn.init.ones_(module.weight)
    values = []
    for _ in range(60):
        average.update(module)
        values.append(average.state["weight"].item())
    assert values == sorted(values) and 0.5 < values[0] < 1 and values[-1] > 0.98
    other = WeightAverage(module, 0.9)
    other.restore({"weight": average.state["weight"].clone()}, 60)
    torch.nn.init.zeros_(module.weight)
    other.update(module)
    average.update(module)
    assert torch.equal(other.state["weight"], average.state["weight"])


def test_a_checkpoint_holds_weights_that_layers_share(tmp_path):
    module = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    module[1].weight = module[0].weight
    weights = module.state_dict()
    save_checkpoint(
        tmp_path,
        Checkpoint(identity="one", epochs=(), weights=weights, momentum={}, average={}),
    )
    known = load_checkpoint(tmp_path, "one")
    assert known.weights.keys() == weights.keys()
    assert all(torch.equal(known.weights[name], weights[name]) for name in weights)


@EXAMPLES
def test_a_damaged_checkpoint_is_refused_in_words(examples, tmp_path):
    weights = {"a.weight": torch.ones(3)}
    epoch = {"epoch": 1, "loss": 0.5, "score": 0.25, "lr": 0.1, "seconds": 1.0}
    facts = {"identity": "one", "epochs": json.dumps([epoch])}
    save_checkpoint(
        tmp_path,
        Checkpoint(identity="one", epochs=(), weights=weights, momentum={}, average={}),
    )
    file = tmp_path / "checkpoint.safetensors"
    told = damaged_data(facts).filter(lambda d: isinstance(d, dict))
    epochs = damaged_data([epoch]).map(lambda e: facts | {"epochs": json.dumps(e)})

    def check(found):
        if isinstance(found, bytes):
            file.write_bytes(found)
        else:
            words = {str(key): str(value) for key, value in found.items()}
            save_file({"weights/a": torch.ones(3)}, file, metadata=words)
        with suppress(RunFolderError):
            assert load_checkpoint(tmp_path, "one").identity == "one"

    check_on(damaged_bytes(file.read_bytes()) | told | epochs, check, examples=examples)
