from __future__ import annotations

import torch

from hwprune.network import replay
from hwprune.network.replay import Replay


def test_large_outputs_count_for_what_is_kept(monkeypatch):
    monkeypatch.setattr(replay, "KEPT_BYTES", 4 * (1 + 100) * 2)
    seen = []

    def network(x: torch.Tensor) -> dict[str, torch.Tensor]:
        seen.append(float(x))
        return {"map": x.expand(100).clone()}

    run = Replay(network)
    for _ in range(2):
        run.rewind()
        for number in range(4):
            assert run(torch.tensor(float(number)))["map"][0] == number
    assert seen == [0, 1, 2, 3, 2, 3]


def test_other_inputs_in_the_same_place_are_computed():
    run = Replay(lambda x: x + 1)
    assert run(torch.tensor(1.0)) == 2
    run.rewind()
    assert run(torch.tensor(5.0)) == 6
