"""Opens the workbench: boards and scorers are started, and ended with it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from hwprune.cluster import in_cluster
from hwprune.farm.fleet import Fleet
from hwprune.farm.store import ReadingStore
from hwprune.pipeline.head import Head, scorer_pool
from hwprune.pipeline.prepare import Prepared
from hwprune.pipeline.pricing import Pricing
from hwprune.pipeline.scoring import Scoring
from hwprune.pipeline.workbench import Workbench
from hwprune.run_folder import RunFolder
from hwprune.tables.model import TableModel
from hwprune.tables.table_file import read_table
from hwprune.task.scoring import takes_share
from hwprune.user_cache import store_path


@contextmanager
def open_bench(prepared: Prepared, folder: RunFolder) -> Iterator[Workbench]:
    """A workbench with the deployment's boards; all that was started is ended with it."""
    with ExitStack() as stack:
        head = stack.enter_context(Head(prepared.boards))
        # Before the boards, some of which are reached through its nodes.
        stack.enter_context(in_cluster(prepared.deployment.cluster))
        store = ReadingStore(store_path())
        stack.callback(store.close)
        fleet = Fleet.of_boards(
            prepared.boards,
            store,
            nominal=prepared.deployment.nominal,
            what=str(folder.path),
        )
        stack.callback(fleet.close)
        fleet.start()
        fleet.place(prepared.base)
        pool = scorer_pool(prepared, head)
        stack.callback(pool.stop)
        yield Workbench(
            prepared,
            folder,
            fleet=fleet,
            scoring=scoring_of(prepared, folder, pool),
            head=head,
            pricing=pricing_of(prepared),
        )


def pricing_of(prepared: Prepared) -> Pricing | None:
    """What latency tables say of the prepared network; None without any."""
    if not prepared.tables:
        return None
    tables = {kind: TableModel(read_table(path)) for kind, path in prepared.tables.items()}
    return Pricing(prepared.base.cost_model, tables, prepared.kinds)


def scoring_of(prepared: Prepared, folder: RunFolder, pool: Any) -> Scoring:
    """Scoring of a prepared network's task, on workers that hold scorers."""
    task, left = prepared.task, prepared.macs_left
    tunes = prepared.deployment.finetune.epochs > 0
    return Scoring(
        pool,
        folder.book,
        task.metric,
        shares=takes_share(task.score),
        macs_left=(lambda candidate: left(candidate.widths)) if tunes else None,
    )
