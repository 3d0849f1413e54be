"""Short fine-tuning: what a few steps make of finalists, beside what they score before it."""

from __future__ import annotations

from collections.abc import Sequence

from hwprune.candidate import Candidate
from hwprune.pipeline.cut_network import cut_network
from hwprune.pipeline.head import finetuner_pool
from hwprune.pipeline.workbench import Workbench
from hwprune.progress import Progress
from hwprune_device.reading import Failure

STEPS = 16
"""Of the deployment's recipe, on a schedule of their own. Together with the score after the cut
48 told no more of ResNet-20 than 16 do (bench_reward, n = 23)."""


def tuned_scores(
    bench: Workbench, candidates: Sequence[Candidate], progress: Progress
) -> dict[Candidate, float]:
    """Scores on the finalists' items after a short fine-tuning; of those that can be had.

    A task that trains by itself has none: what a few steps of it are is not known.
    """
    prepared = bench.prepared
    # One alone wins, whatever it would be tuned to.
    if prepared.task.train is not None or len(candidates) < 2:
        return {}
    steps = {c: f"tuned {prepared.base.architecture_of(c.widths)[:16]}" for c in candidates}
    known = {c: bench.folder.step(step, float | None) for c, step in steps.items()}
    missing = [c for c, score in known.items() if score is None]
    if missing:
        progress.begin("tune the finalists shortly", len(missing))
        pool = finetuner_pool(prepared, len(missing), bench.head)
        try:
            futures = {
                c: pool.submit(
                    lambda worker, c=c: worker.call(  # type: ignore[misc]
                        {"onnx": cut_network(prepared, c), "steps": STEPS}, progress
                    )
                )
                for c in missing
            }
            for candidate, future in futures.items():
                found = future.result()
                score = None if isinstance(found, Failure) else float(found)
                known[candidate] = bench.folder.finish(steps[candidate], score)
                progress.advance(note=prepared.task.metric.text(score))
        finally:
            pool.stop()
        progress.end()
    return {c: score for c, score in known.items() if score is not None}
