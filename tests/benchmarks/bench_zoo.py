"""What can be cut of networks that nobody here wrote, and what Torch-Pruning makes of the same.

    pip install -r tests/benchmarks/strangers-requirements.txt
    python -m tests.benchmarks.bench_zoo --out FILE.jsonl [--only 'timm:*' …] [--limit-s 300]
    python -m tests.benchmarks.bench_zoo --read FILE.jsonl [--table]

Every network of strangers.txt is taken in a process of its own: read or traced, tried by the gate,
cut so that half of each group stays, and the cut file run by ONNX Runtime on its own weights and a
new input against the silenced network in torch. A row of the file is a network, so a killed run
goes on. Outcomes: "exact"; "wrong", off by more than 1e-3 of the largest output; "refused", with
an error of hwprune's own; "not exported", where torch cannot export it; "crashed"; "too slow".

Torch-Pruning's magnitude pruner halves the same module as its README starts: no settings but the
last classifier, which is left whole. It "ran" where the pruned module runs with unchanged shapes
of its outputs, and is "exact" where they equal those of the module with the same channels zeroed.
"""

from __future__ import annotations

import argparse
import fnmatch
import json
import multiprocessing
import resource
import tempfile
import time
import traceback
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

LIST = Path(__file__).parent / "strangers.txt"
WRONG = 1e-3
KEEP = 0.5
SEED = 5
"""Of the input: none of the gate's."""


def rows_of(name: str, folder: Path) -> Iterator[dict[str, Any]]:
    """What we make of one network, then what Torch-Pruning makes of it."""
    from tests.benchmarks.strangers import stranger

    torch.manual_seed(0)
    try:
        network = stranger(name, folder)
    except Exception as error:
        yield {"outcome": "not made", "why": f"{type(error).__name__}: {error}"[:300]}
        return
    found = _ours(network, folder)
    yield found | {"memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024}
    yield {} if network.module is None else {"torch_pruning": _torch_pruning(network)}


def _ours(network: Any, folder: Path) -> dict[str, Any]:
    from hwprune.errors import HwpruneError

    began = time.process_time()
    try:
        model = _graph(network)
    except HwpruneError as error:
        told = {"outcome": "refused" if network.file else "not exported", "why": str(error)[:300]}
        return told | {"seconds": time.process_time() - began}
    except Exception:
        return {"outcome": "crashed", "why": traceback.format_exc(limit=-2)[-400:]}
    traced = time.process_time()
    try:
        return _cut(model) | {"trace_s": traced - began}
    except HwpruneError as error:
        return {"outcome": "refused", "why": str(error)[:300]}
    except Exception:
        return {"outcome": "crashed", "why": traceback.format_exc(limit=-2)[-400:]}


def _graph(network: Any) -> bytes:
    from hwprune.network.onnx_file import read_network
    from hwprune.network.trace import trace

    if network.file is None:
        return trace(network.module, network.example)
    pairs = (text.split("=") for text in network.shapes)
    sizes = {name: tuple(map(int, size.split("x"))) for name, size in pairs}
    return read_network(network.file, sizes)


def _cut(model: bytes) -> dict[str, Any]:
    from hwprune.network.calls import random_inputs
    from hwprune.network.gate import trusted_base
    from hwprune_device.cut import Cutter

    began = time.process_time()
    base, left, record = trusted_base(model)
    took = time.process_time() - began
    try:
        _run_onnx(base.onnx, random_inputs(base, seed=SEED))
    except Exception as error:  # uncut: whatever is wrong with it, no cut has done it
        said = str(error).strip().splitlines()[0][:200]
        return {"outcome": "refused", "why": f"uncut, ONNX Runtime does not run it: {said}"}
    plan, costs = base.plan, base.cost_model
    chance = np.random.default_rng(SEED)
    widths = [max(1, round(KEEP * group.width)) for group in plan.groups]
    keep = [
        np.sort(chance.choice(group.width, width, replace=False))
        for group, width in zip(plan.groups, widths, strict=True)
    ]
    began = time.process_time()
    cut = Cutter(base.onnx, plan).cut(keep)
    took += time.process_time() - began
    error = _error(base, cut, keep)
    least = tuple(1 for _ in plan.groups)
    whole = max(1, costs.macs(plan.widths))
    return {
        "outcome": "wrong" if not error <= WRONG else "exact" if plan.groups else "nothing to cut",
        "error": error,
        "seconds": took,
        "groups": len(plan.groups),
        "left_by_gate": len(left),
        "gate": record.untried,
        "macs_cuttable": 1 - costs.macs(least) / whole,
        "params_kept": costs.params(widths) / max(1, costs.params(plan.widths)),
        "frozen": dict(Counter(reason for _, reason in plan.frozen)),
    }


def _error(base: Any, cut: bytes, keep: list[np.ndarray]) -> float:
    """Of the cut file in ONNX Runtime, against the silenced network in torch.

    What torch cannot stand for is run by ONNX Runtime on both sides. Where rounding decides which
    places are chosen, the two differ on the silenced network itself; then both networks run in
    torch, in float64.
    """
    from hwprune.errors import NetworkError
    from hwprune.network.calls import random_inputs
    from hwprune.network.silencing import silenced

    inputs = random_inputs(base, seed=SEED)
    silent = silenced(base.onnx, base.plan, keep)
    theirs = _run_onnx(silent, inputs)
    try:
        found = _run_torch(silent, inputs)
    except NetworkError:
        found = theirs
    error = _apart(_run_onnx(cut, inputs), found)
    if error > WRONG and _apart(theirs, found) > WRONG:
        return _apart(*(_run_torch(model, inputs, exact=True) for model in (cut, silent)))
    return error


def _apart(some: list[np.ndarray], others: list[np.ndarray]) -> float:
    """The largest difference of any output, relative to that output's largest value."""
    errors = [0.0]
    for one, other in zip(some, others, strict=True):
        if one.shape != other.shape:
            return float("inf")
        if other.size:
            most = max(np.abs(other.astype(float)).max(), 1e-30)
            errors.append(float(np.abs(one.astype(float) - other).max() / most))
    return max(errors)


def _run_torch(
    model: bytes, inputs: tuple[torch.Tensor, ...], *, exact: bool = False
) -> list[np.ndarray]:
    from hwprune.network.double import in_double
    from hwprune.network.graph_module import to_module
    from hwprune_device.output_structure import leaves_of

    module = in_double(to_module(model)) if exact else to_module(model)
    if exact:
        inputs = tuple(v.double() if v.is_floating_point() else v for v in inputs)
    with torch.no_grad():
        return [leaf.numpy() for leaf in leaves_of(module(*inputs))]


def _run_onnx(model: bytes, inputs: tuple[torch.Tensor, ...]) -> list[np.ndarray]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    names = [entry.name for entry in session.get_inputs()]
    return list(session.run(None, dict(zip(names, (t.numpy() for t in inputs), strict=True))))


def _torch_pruning(network: Any) -> str:
    """What Torch-Pruning's pruner makes of it: exact, runs, or why not."""
    import copy

    import torch_pruning as tp

    from hwprune_device.output_structure import leaves_of

    module, example = copy.deepcopy(network.module), network.example
    silent = copy.deepcopy(module)
    parts = dict(module.named_modules())
    names = {part: name for name, part in parts.items()}
    last = [m for m in parts.values() if isinstance(m, torch.nn.Linear) and m.out_features == 1000]
    try:
        with torch.no_grad():
            before = leaves_of(module(*example))
        pruner = tp.pruner.MagnitudePruner(
            module,
            example if len(example) > 1 else example[0],
            importance=tp.importance.MagnitudeImportance(p=1),
            pruning_ratio=1 - KEEP,
            ignored_layers=last,
        )
        for group in pruner.step(interactive=True):
            _silence(group, names, silent)
            group.prune()
        with torch.no_grad():
            after, expected = leaves_of(module(*example)), leaves_of(silent(*example))
    except Exception as error:
        return f"failed: {type(error).__name__}: {error}"[:200]
    if [t.shape for t in before] != [t.shape for t in after]:
        return "shapes of outputs changed"
    if all(parts[n].weight.shape == p.weight.shape for p, n in names.items() if _weighted(p)) and (
        sum(p.numel() for p in module.parameters()) == sum(p.numel() for p in silent.parameters())
    ):
        return "nothing was cut"
    worst = max(
        float((a - b).abs().max() / b.abs().max().clamp_min(1e-30))
        for a, b in zip(after, expected, strict=True)
    )
    return "exact" if worst <= WRONG else f"runs, off by {worst:.2g}"


def _weighted(part: torch.nn.Module) -> bool:
    return isinstance(getattr(part, "weight", None), torch.Tensor)


def _silence(group: Any, names: dict[Any, str], silent: torch.nn.Module) -> None:
    """Zero what a layer of the copy puts out in the channels that go."""
    for dependency, indices in group:
        layer = dependency.target.module
        if layer not in names or "out" not in dependency.handler.__name__:
            continue
        twin = silent.get_submodule(names[layer])
        axis = 1 if getattr(layer, "transposed", False) else 0
        with torch.no_grad():
            for tensor in (getattr(twin, "weight", None), getattr(twin, "bias", None)):
                if isinstance(tensor, torch.Tensor):
                    across = axis if tensor.dim() > 1 else 0
                    tensor.index_fill_(across, torch.as_tensor(list(indices)), 0.0)


def run(names: list[str], out: Path, limit_s: float) -> None:
    """A process a network; what is in the file already is left out."""
    done = {json.loads(line)["name"] for line in out.open()} if out.exists() else set()
    _prepare()
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            if name in done:
                continue
            row = _in_a_process(name, Path(folder), limit_s)
            with out.open("a") as file:
                file.write(json.dumps(row) + "\n")
            print(f"{name:40s} {row['outcome']:14s} {row.get('why', '')[:100]!r}", flush=True)


def _prepare() -> None:
    """Import and set up once what every process would take ten seconds for."""
    import timm  # noqa: F401
    import torch_pruning  # noqa: F401

    from hwprune.network.trace import trace

    torch.set_num_threads(1)
    trace(torch.nn.Conv2d(3, 4, 3), (torch.randn(1, 3, 8, 8),))


def _in_a_process(name: str, folder: Path, limit_s: float) -> dict[str, Any]:
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)

    def send() -> None:
        for found in rows_of(name, folder):
            sender.send(found)

    child = context.Process(target=send)
    child.start()
    sender.close()
    row: dict[str, Any] = {"name": name}
    slow = f"more than {limit_s:g} s"
    try:
        row |= receiver.recv() if receiver.poll(limit_s) else {"outcome": "too slow", "why": slow}
        if row["outcome"] not in ("too slow", "not made"):
            row |= receiver.recv() if receiver.poll(limit_s / 2) else {"torch_pruning": slow}
    except EOFError:
        child.join()
        ended = f"exit code {child.exitcode}"
        row |= (
            {"torch_pruning": ended} if "outcome" in row else {"outcome": "crashed", "why": ended}
        )
    finally:
        child.kill()
        child.join()
    return row


def read(out: Path, *, table: bool) -> None:
    """Print outcomes by kind of network, and what was not exact."""
    rows = [json.loads(line) for line in out.open()]
    kinds: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        kinds[row["name"].partition(":")[0]].append(row)
    print("| kind | networks | exported | exact | wrong | Torch-Pruning runs | exact |")
    print("|---|---|---|---|---|---|---|")
    for kind, some in [*kinds.items(), ("all", rows)]:
        outcomes = Counter(row["outcome"] for row in some)
        able = len(some) - outcomes["not exported"] - outcomes["not made"]
        theirs = [row.get("torch_pruning", "") for row in some]
        ran = sum(t == "exact" or t.startswith("runs") for t in theirs)
        print(
            f"| {kind} | {len(some)} | {able} | {outcomes['exact']} | {outcomes['wrong']} "
            f"| {ran} | {theirs.count('exact')} |"
        )
    times = sorted(row["seconds"] for row in rows if "seconds" in row)
    if times:
        print(f"analysis, gate and cut: 90 % in {times[int(0.9 * len(times))]:.1f} s of CPU")
    for row in rows:
        if table or row["outcome"] != "exact":
            cuttable = f"{row['macs_cuttable']:.0%}" if "macs_cuttable" in row else ""
            why = row.get("why") or "; ".join(row.get("frozen", ()))
            print(f"| {row['name']} | {row['outcome']} | {cuttable} | {why[:200]!r} |")


def main() -> None:
    """Take every network that is not in the file yet."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=Path)
    parser.add_argument("--read", type=Path)
    parser.add_argument("--table", action="store_true", help="with --read: every network")
    parser.add_argument("--only", nargs="+", default=["*"], help="names, or patterns of names")
    parser.add_argument("--limit-s", type=float, default=300.0)
    asked = parser.parse_args()
    if asked.read:
        read(asked.read, table=asked.table)
    else:
        names = [n for n in LIST.read_text().splitlines() if n and not n.startswith("#")]
        chosen = [n for n in names if any(fnmatch.fnmatch(n, some) for some in asked.only)]
        run(chosen, asked.out, asked.limit_s)


if __name__ == "__main__":
    main()
