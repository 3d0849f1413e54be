"""Tables as other tools read them; README.md of `tables` says which tool reads which form."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from hwprune.tables.exports.block_texts import to_fbnet, to_nni
from hwprune.tables.exports.csv_rows import to_csv
from hwprune.tables.exports.layer_texts import to_halp, to_paddleslim
from hwprune.tables.exports.nn_meter import to_nn_meter
from hwprune.tables.exports.ofa import to_ofa
from hwprune.tables.exports.pyperf import to_pyperf
from hwprune.tables.exports.written import Written
from hwprune.tables.table import Table

FORMS: dict[str, Callable[[Table, Path, int], Written]] = {
    "ofa": to_ofa,
    "nn-meter": to_nn_meter,
    "pyperf": to_pyperf,
    "csv": to_csv,
    "nni": to_nni,
    "paddleslim": to_paddleslim,
    "fbnet": to_fbnet,
    "halp": to_halp,
}
