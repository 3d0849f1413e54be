"""The report: whole, self-contained, and right with much or little in it."""

from __future__ import annotations

import re
from dataclasses import replace
from xml.etree import ElementTree

import pytest

from hwprune.report.agreement import Agreement
from hwprune.report.html import headline, render, write_report
from hwprune.report.rows import FinetuneEpoch
from hwprune.stored import as_noun
from tests.report.sample import make_failed, make_result, make_small_result
from tests.report.sample_certificate import make_certificate

OLD_AGREEMENT = {"onnx_error": 2.1e-6, "board_error": 2.4e-6, "tolerance": 1e-3}
XHTML = "{http://www.w3.org/1999/xhtml}"
SVG = "{http://www.w3.org/2000/svg}"


def bare():
    """A result with nothing but a certificate."""
    return replace(make_small_result(), rows=(), methods=(), groups=(), evaluations=())


def only_failures():
    """A run in which no candidate could be measured."""
    return replace(
        make_small_result(), evaluations=tuple(make_failed("random", n) for n in (1, 2))
    )


@pytest.mark.parametrize("make", [make_result, make_small_result, bare, only_failures])
def test_it_is_well_formed_whatever_it_holds(make):
    page = ElementTree.fromstring(render(make()))
    assert page.tag == f"{XHTML}html"
    for number in re.findall(r'(?:x|y|width|height|d)="([^"]*)"', render(make())):
        assert "nan" not in number.lower() and "inf" not in number.lower()


def test_nothing_is_loaded_from_elsewhere():
    html = render(make_result())
    assert not re.search(r"<(script|link|img|iframe|object|embed)\b", html)
    assert not re.search(r"(?:src|href|url)\s*[=(]", html)
    # What is left of addresses are the names of two XML vocabularies, which nobody loads.
    assert set(re.findall(r"https?://[^\"' ]+", html)) == {
        "http://www.w3.org/1999/xhtml",
        "http://www.w3.org/2000/svg",
    }
    assert "default-src 'none'" in html


def test_it_says_the_verdict_the_limits_and_the_winner():
    html = render(make_result())
    page = ElementTree.fromstring(html)
    title = page.find(f".//{XHTML}h1").text
    assert title == "2.08× faster on quiet-board, accuracy −0.75 pp"
    assert "budget 2.35 ms" in html and "0.900 MB" in html
    assert "91.88 %" in html and ">delivered<" in html
    assert "b" * 64 in html
    assert "hwprune prune profiles/deployments/resnet20-half.toml" in html


@pytest.mark.parametrize(
    ("latency_ms", "status"), [(2.26, "PASS"), (2.34, "NOT SHOWN"), (2.6, "FAIL")]
)
def test_the_stamp_is_the_certificates(latency_ms, status):
    page = ElementTree.fromstring(render(make_result(make_certificate(latency_ms))))
    stamp = page.find(f".//{XHTML}header//{XHTML}span[@class='stamp']")
    assert stamp.text.split(maxsplit=1)[1] == status


def test_every_measured_candidate_is_in_the_scatter_with_its_widths():
    result = make_result()
    page = ElementTree.fromstring(render(result))
    scatter = next(s for s in page.iter(f"{SVG}svg") if "candidates" in s.get("aria-label", ""))
    titles = [title.text for title in scatter.iter(f"{SVG}title")]
    measured = [e for e in result.evaluations if e.failure is None]
    assert sum("#" in title for title in titles) == len(measured)
    for e in measured[:20]:
        widths = " ".join(map(str, e.candidate.widths))
        assert any(title.startswith(f"{e.method} #{e.number}:") and widths in title
                   for title in titles)  # fmt: skip


def test_feasible_and_infeasible_candidates_look_different():
    result = make_result()
    html = render(result)
    broke = sum(not e.feasible and e.failure is None for e in result.evaluations)
    assert len(re.findall(r'class="dot m\d hollow"', html)) == broke > 0


def test_empty_charts_and_their_headings_are_left_out():
    html = render(make_small_result())
    for heading in ("How the policy learned", "Fine-tuning", "Where the time went"):
        assert heading in render(make_result())
        assert f"<h2>{heading}" not in html


def test_a_curve_of_one_epoch_still_draws():
    one = (FinetuneEpoch(epoch=1, loss=0.5, score_heldout=None),)
    html = render(replace(make_small_result(), finetune=one))
    assert "training loss" in html


def test_names_from_outside_cannot_inject_markup():
    result = make_small_result()
    evil = '<script>alert("x")</script>'
    group = replace(result.groups[0], name=evil)
    summary = replace(result.deployment, name=evil, board=evil)
    method = replace(result.evaluations[0], method=evil)
    html = render(replace(
        result, groups=(group,), deployment=summary, doubts=(evil,), evaluations=(method,),
    ))  # fmt: skip
    assert "<script" not in html
    ElementTree.fromstring(html)


def test_doubts_of_run_and_certificate_are_listed_once():
    certificate = replace(make_certificate(), doubts=("the base drifted", "same"))
    html = render(replace(make_result(certificate), doubts=("same",)))
    assert html.count("<li>same</li>") == 1 and "<li>the base drifted</li>" in html


def test_the_headline_without_a_score_still_says_how_fast():
    result = make_result()
    rows = tuple(replace(row, score_test=None) for row in result.rows)
    assert headline(replace(result, rows=rows)) == "2.08× faster on quiet-board"


def test_writing_leaves_one_file(tmp_path):
    write_report(make_small_result(), tmp_path / "report.html")
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


def test_what_the_board_could_not_tell_is_named_and_not_shown_as_a_value():
    conditions = {
        "board": {"cpu": {"model name": "A76"}, "governor": ["unavailable"], "hypervisor": True},
        "before": {"temperature_c": "unavailable", "load_1min": 0.1},
    }
    html = render(replace(make_result(), conditions=conditions))
    assert "<dt>cpu.model name</dt><dd>A76</dd>" in html
    assert "<dt>not told by the board</dt><dd>governor, before.temperature_c</dd>" in html
    assert "<dt>board</dt><dd>quiet-board</dd>" in html


def test_memory_that_was_not_told_is_said_in_the_table_and_its_tile():
    result = make_result()
    rows = tuple(replace(row, memory_mb=None) for row in result.rows)
    html = render(replace(result, rows=rows))
    assert html.count("not told") == len(rows) + 1
    ElementTree.fromstring(html)


def test_engines_and_what_the_precision_costs_are_told():
    html = render(make_result())
    assert "model.engine" in html and "Orin &lt;8GB&gt; and TensorRT 10.3.0 alone" in html
    assert "on the GPU instead of the DLA: resize" in html
    assert "accuracy 91.00 % on the first 10 % of the test part" in html
    assert "quiet-board in fp16" in html
    old = replace(make_result(), engines=(), agreement=as_noun(Agreement, OLD_AGREEMENT))
    assert "board <code>2.4e-06</code>" in render(old)
