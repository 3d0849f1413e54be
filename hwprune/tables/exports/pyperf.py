"""pyperf's JSON: whole networks as they were measured, in seconds.

`python -m pyperf stats FILE` and `pyperf compare_to` read it. A value is the median of one
reading; single runs are in the store: `hwprune readings export --format pyperf`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hwprune.tables.exports.grid import WIDTHS
from hwprune.tables.exports.written import Written, nothing_to_write, write_text
from hwprune.tables.table import Table


def to_pyperf(table: Table, out: Path, each: int = WIDTHS) -> Written:
    """Write a benchmark for each of the network's widths.

    Args:
        each: without a meaning here, as nothing is predicted.

    Raises:
        InputError: no whole network was measured.
    """
    rows = table.whole("network", "held out")
    if not rows:
        raise nothing_to_write(table, "pyperf's suite", "no whole network was measured")
    target = table.target
    benchmarks: dict[str, dict[str, Any]] = {}
    for row in rows:
        # Of what all networks have in common pyperf makes one text, so widths are the name.
        name = f"{table.own.name} {'-'.join(map(str, row.widths))}"
        metadata = {
            "name": name,
            "unit": "second",
            "hwprune_board": table.board,
            "hwprune_runtime": f"{target.get('runtime', '')} {table.runtime_version}".strip(),
            "hwprune_precision": str(target.get("precision", "")),
            "hwprune_batch": int(target.get("batch", 1)),
        }
        benchmark = benchmarks.setdefault(name, {"metadata": metadata, "runs": []})
        benchmark["runs"].append({"values": [table.scale * row.latency_ms / 1e3]})
    suite = {"version": "1.0", "benchmarks": list(benchmarks.values())}
    write_text(out, json.dumps(suite, ensure_ascii=False) + "\n")
    doubted = sum(row.network == 0 and bool(row.doubts) for row in table.rows)
    left_out = (f"{doubted} doubted readings",) if doubted else ()
    return Written(files=(out,), entries=len(rows), left_out=left_out)
