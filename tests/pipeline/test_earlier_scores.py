"""A search that begins from another run: its scores are learned from and not taken again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hwprune.errors import DeploymentError, RunFolderError
from hwprune.pipeline.searched import problem_of, search
from hwprune.pipeline.workbench import Workbench
from hwprune.progress import Silent
from hwprune.run_book import RunBook
from tests.pipeline.benches import Scores, base, make_bench, wider_is_better


def bench_in(folder: Path, **changes) -> tuple[Workbench, Scores]:
    """A bench in a run folder as `prepare` leaves it, and what it asks to be scored."""
    scores = Scores(changes.pop("score", wider_is_better))
    bench = make_bench(folder, scores=scores, **changes)
    model = bench.folder.folder("base") / "model.onnx"
    model.write_bytes(base().onnx)
    bench.bound(Silent())
    return bench, scores


@pytest.fixture
def earlier(tmp_path) -> Path:
    """A finished search for half of the latency."""
    bench, _ = bench_in(tmp_path / "earlier", methods=("model",), evaluations=20)
    search(bench, Silent())
    bench.folder.close()
    return tmp_path / "earlier" / "run"


def begun(tmp_path: Path, earlier: Path, **changes) -> tuple[Workbench, Scores]:
    wanted = {"budget": {"latency_ms": "70 %"}, "methods": ("model",), "evaluations": 20}
    return bench_in(tmp_path / "own", begin_from=(str(earlier),), **{**wanted, **changes})


def test_what_it_scored_is_known_to_the_search_and_not_scored_again(tmp_path, earlier):
    bench, scores = begun(tmp_path, earlier)
    problem = problem_of(bench, Silent())
    known = {one.widths for one in problem.scored}
    assert len(known) >= 20
    assert all(0 <= one.quality <= 1 for one in problem.scored)
    search(bench, Silent())
    # The unpruned network is: it shows that the data are the same.
    asked = {widths for widths, _ in scores.asked} - {base().widths}
    assert asked and not [w for w in asked & known if _whole_in(earlier, w)]


def _whole_in(folder: Path, widths: tuple[int, ...]) -> bool:
    book = RunBook(folder, read_only=True)
    score = book.score("heldout", widths)
    book.close()
    return score is not None and score.share == 1.0


def test_the_run_keeps_them_and_is_resumed_without_the_other_folder(tmp_path, earlier):
    bench, _ = begun(tmp_path, earlier)
    first = problem_of(bench, Silent()).scored
    bench.folder.close()
    (earlier / "run.sqlite").unlink()
    again, _ = begun(tmp_path, earlier)
    assert problem_of(again, Silent()).scored == first


def test_widths_that_are_not_offered_here_are_left_out(tmp_path, earlier):
    bench, _ = begun(tmp_path, earlier, multiple_of=16)
    scored = problem_of(bench, Silent()).scored
    assert scored and all(w % 16 == 0 for one in scored for w in one.widths)


def change(earlier: Path, name: str) -> None:
    if name == "network":
        (earlier / "base" / "model.onnx").write_bytes(b"another one")
    else:
        file = earlier / "deployment.json"
        kept = json.loads(file.read_text())
        section, key, value = {
            "saliency": ("search", "saliency", "taylor"),
            "data": ("data", "heldout", 17),
            "workers": ("data", "workers", 17),
        }[name]
        kept["settings"] = {section: {key: value}}
        file.write_text(json.dumps(kept))


@pytest.mark.parametrize(
    ("name", "said"), [("network", "other weights"), ("saliency", "search.saliency: taylor there")]
)
def test_a_run_of_something_else_is_refused_and_what_differs_is_said(
    tmp_path, earlier, name, said
):
    change(earlier, name)
    bench, _ = begun(tmp_path, earlier)
    with pytest.raises(DeploymentError, match=said):
        problem_of(bench, Silent())


def test_readers_of_the_data_may_be_as_many_as_one_likes(tmp_path, earlier):
    change(earlier, "workers")
    bench, _ = begun(tmp_path, earlier)
    assert problem_of(bench, Silent()).scored


def test_data_that_changed_meanwhile_are_seen_by_the_unpruned_score(tmp_path, earlier):
    bench, _ = begun(tmp_path, earlier, score=lambda widths: 0.7 * wider_is_better(widths))
    with pytest.raises(DeploymentError, match=r"the unpruned network scored 0\.89375"):
        problem_of(bench, Silent())


def test_a_folder_of_an_older_version_is_said(tmp_path, earlier):
    (earlier / "deployment.json").write_text('{"format": 1}')
    bench, _ = begun(tmp_path, earlier)
    with pytest.raises(RunFolderError, match="older hwprune"):
        problem_of(bench, Silent())
