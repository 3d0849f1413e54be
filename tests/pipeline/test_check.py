"""A wish that cannot be carried out is refused before a run folder is made."""

from __future__ import annotations

import pytest

from hwprune.errors import InputError
from hwprune.pipeline import run_deployment
from hwprune.progress import Silent
from tests.pipeline.deployments import QUICKSTART


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("search.methods=['policy', 'magic']", "magic"),
        ("search.methods=['sensitive+ddpg']", "search.sensitive"),
        ("search.saliency=vibes", "vibes"),
        ("search.evaluations=-1", "[search]: evaluations: must be"),
        ("search.minutes=-1", "[search]: minutes: must be"),
        ("search.algorithm='magic'", "magic"),
        ("search.min_keep=1.5", "min_keep"),
        ("finetune.lr=-1", "[finetune]: lr: must be"),
        ("finetune.distillation=2", "distillation"),
        ("network.weights=absent.pth", "absent.pth"),
        ("network.source=torchvision:resnet19", "resnet19"),
        ("network.source=no.such:thing", "no.such"),
        ("data.source=sklearn:faces", "faces"),
        ("network.input=[1, 3, 32, 32]", "does not fit the task"),
        ("network.source=hwprune.network.zoo:cifar_resnet20", "does not run on the task"),
        ("board.profile=absent.toml", "absent.toml"),
    ],
)
def test_a_wish_that_cannot_be_is_refused_and_leaves_nothing(tmp_path, override, said):
    out = tmp_path / "run"
    with pytest.raises(InputError) as raised:
        run_deployment(QUICKSTART, out=out, overrides=[override], progress=Silent())
    assert said in str(raised.value)
    assert not out.exists()
