"""A realistic result for the tests: ResNet-20 at half its latency on a small CPU board."""

from __future__ import annotations

import math
import random

from hwprune.candidate import Candidate
from hwprune.evaluation import Evaluation, best_of
from hwprune.metric import Metric
from hwprune.report.agreement import Agreement, BoardAgreement
from hwprune.report.certificate import Certificate
from hwprune.report.result import (
    DeploymentSummary,
    FinalReading,
    Result,
    Timings,
)
from hwprune.report.rows import (
    EngineRow,
    FinetuneEpoch,
    GroupRow,
    MethodRow,
    NetworkRow,
    PolicyStep,
)
from hwprune_device.reading import Failure
from tests.report.sample_certificate import CONDITIONS, LIMIT_MS, make_certificate, make_reading

WIDTHS = (16, 16, 16, 16, 32, 32, 32, 64, 64, 64)
KEPT = (9, 6, 4, 12, 20, 14, 25, 41, 33, 60)


def make_evaluations(method: str, *, count: int, seed: int) -> list[Evaluation]:
    """Candidates of one method along a plausible front; the policy drifts to the budget."""
    rng = random.Random(seed)
    evaluations = []
    for number in range(1, count + 1):
        drift = number / count if method == "policy" else 0.4
        latency = max(0.9, rng.gauss(3.2 - 1.0 * drift, 0.75 * (1.1 - 0.7 * drift)))
        score = 0.915 - 0.55 * math.exp(-1.1 * latency) + rng.gauss(0, 0.012) + 0.02 * drift
        if number % 17 == 0:
            evaluations.append(make_failed(method, number))
            continue
        evaluations.append(
            Evaluation(
                method=method,
                number=number,
                candidate=Candidate(widths=tuple(rng.randint(4, w) for w in WIDTHS)),
                score=min(0.93, score),
                quality=min(0.93, score),
                excess={"latency_ms": latency * 1.02 / LIMIT_MS - 1, "memory_mb": -0.3},
                costs={"latency_ms": latency, "memory_mb": 0.6},
            )
        )
    return evaluations


def make_failed(method: str, number: int) -> Evaluation:
    """A candidate whose child was killed on the board."""
    return Evaluation(
        method=method,
        number=number,
        candidate=Candidate(widths=KEPT),
        score=None,
        quality=None,
        excess={},
        costs={},
        failure=Failure(stage="crash", message="the child was killed by signal 9"),
    )


def make_rows(certificate: Certificate) -> tuple[NetworkRow, ...]:
    """The closing table."""
    latency = certificate.findings[0]
    return (
        NetworkRow(
            name="unpruned",
            score_test=0.9263,
            score_heldout_before_finetune=0.929,
            latency_ms=4.70,
            low_ms=4.64,
            high_ms=4.76,
            memory_mb=1.34,
            params=272_474,
            macs=40_813_184,
            widths=WIDTHS,
        ),
        NetworkRow(
            name="uniform",
            score_test=0.9012,
            score_heldout_before_finetune=0.868,
            latency_ms=2.31,
            low_ms=2.28,
            high_ms=2.34,
            memory_mb=0.71,
            params=118_300,
            macs=17_900_000,
            passed=True,
            widths=tuple(round(0.66 * w) for w in WIDTHS),
        ),
        NetworkRow(
            name="hwprune",
            score_test=0.9188,
            score_heldout_before_finetune=0.895,
            latency_ms=latency.value,
            low_ms=latency.low,
            high_ms=latency.high,
            memory_mb=0.68,
            params=142_000,
            macs=19_400_000,
            passed=certificate.passed,
            widths=KEPT,
        ),
    )


def make_policy(iterations: int = 24) -> tuple[PolicyStep, ...]:
    """A policy that first breaks the budget, then learns to keep it."""
    return tuple(
        PolicyStep(
            iteration=n,
            evaluations=8 * n,
            reward=0.55 + 0.3 * (1 - math.exp(-n / 7)) + 0.02 * math.sin(n),
            cost={
                "latency_ms": 0.45 * math.exp(-n / 6) - 0.02 + 0.02 * math.cos(n),
                "memory_mb": -0.2 - 0.1 * (1 - math.exp(-n / 5)),
            },
            multiplier={
                "latency_ms": 1.8 * (1 - math.exp(-n / 4)) * math.exp(-n / 30),
                "memory_mb": 0.0,
            },
            best=0.70 + 0.16 * (1 - math.exp(-n / 9)) if n > 2 else None,
        )
        for n in range(1, iterations + 1)
    )


TIMINGS = Timings(
    step_s={
        "trace": 3.1,
        "place": 0.4,
        "bound": 2.2,
        "probe": 21.0,
        "search": 611.0,
        "choose": 18.5,
        "finetune": 840.0,
        "deliver": 9.4,
    },
    candidate_s={
        "propose": 0.02,
        "cut": 0.001,
        "send": 0.0004,
        "build": 0.02,
        "time": 0.11,
        "score": 0.61,
    },
    board_busy_share=0.71,
)

AGREEMENT = Agreement(
    onnx_error=2.1e-6,
    board_error=2.4e-3,
    tolerance=1e-3,
    boards=(
        BoardAgreement(
            kind="quiet-board",
            precision="fp16",
            error=2.4e-3,
            tolerance=1e-2,
            score=0.91,
            score_fp32=0.915,
            share=0.1,
        ),
    ),
)
ENGINE = EngineRow(
    kind="quiet-board",
    files=("model.engine",),
    made_for="Orin <8GB> and TensorRT 10.3.0 alone",
    precision="fp16",
    batch=1,
    size_mb=4.2,
    sha256="c" * 64,
    device_ms=2.21,
    build_s=61.0,
    fell_back=("resize",),
)


def make_deployment(methods: tuple[str, ...]) -> DeploymentSummary:
    """A deployment with two constraints."""
    return DeploymentSummary(
        name="resnet20-half",
        network="hwprune.network.zoo:cifar_resnet20",
        task="torchvision:CIFAR10",
        board="quiet-board",
        budget=("latency_ms ≤ 50 %", "memory_mb ≤ 0.9 MB"),
        methods=methods,
        evaluations=192,
        seed=0,
        file="profiles/deployments/resnet20-half.toml",
    )


def make_result(certificate: Certificate | None = None) -> Result:
    """A full result: four methods, a policy, fine-tuning, final readings."""
    certificate = certificate or make_certificate()
    names = ("policy", "sensitivity", "random", "uniform")
    evaluations = [
        e
        for seed, (method, count) in enumerate(zip(names, (192, 120, 192, 12), strict=True))
        for e in make_evaluations(method, count=count, seed=seed)
    ]
    return Result(
        deployment=make_deployment(names),
        metric=Metric(name="accuracy"),
        certificate=certificate,
        rows=make_rows(certificate),
        methods=tuple(make_method(name, evaluations) for name in names),
        delivered_method="policy",
        groups=make_groups(),
        evaluations=tuple(evaluations),
        policy=make_policy(),
        finetune=tuple(
            FinetuneEpoch(
                epoch=n,
                loss=0.62 * math.exp(-n / 9) + 0.21,
                score_heldout=0.925 - 0.03 * math.exp(-n / 5),
            )
            for n in range(1, 31)
        ),
        final_readings=tuple(
            FinalReading(
                network=name, reading=make_reading(letter * 64, ms * (1 + k / 400), seed=k)
            )
            for name, letter, ms in (("unpruned", "a", 4.70), ("hwprune", "b", 2.26))
            for k in range(5)
        ),
        timings=TIMINGS,
        agreement=AGREEMENT,
        engines=(ENGINE,),
        conditions=CONDITIONS,
        doubts=("the board's governor could not be read",),
        commands=("hwprune prune profiles/deployments/resnet20-half.toml",),
        started_at="2026-01-15T10:05:00Z",
        finished_at="2026-01-15T10:31:00Z",
    )


def make_groups() -> tuple[GroupRow, ...]:
    """Ten groups; two were never measured alone."""
    return tuple(
        GroupRow(
            name=f"layer{1 + n // 4}.{n % 4}.conv1",
            width_before=before,
            width_after=after,
            saved_ms=None if n > 7 else 0.42 * (before - after) / before,
        )
        for n, (before, after) in enumerate(zip(WIDTHS, KEPT, strict=True))
    )


def make_method(name: str, evaluations: list[Evaluation]) -> MethodRow:
    """The summary row of one method's evaluations."""

    mine = [e for e in evaluations if e.method == name]
    best = best_of(mine)
    return MethodRow(
        name=name,
        evaluations=len(mine),
        feasible=sum(e.feasible for e in mine),
        failed=sum(e.failure is not None for e in mine),
        best_score=best.score if best else None,
        best_at=best.number if best else None,
        seconds=60.0 + len(mine),
    )


def make_small_result() -> Result:
    """The least a run can hold: one method, few candidates, one of them failed, no curves."""
    certificate = make_certificate(2.34)
    evaluations = [*make_evaluations("random", count=5, seed=9), make_failed("random", 6)]
    return Result(
        deployment=DeploymentSummary(
            name="tiny",
            network="hwprune.network.zoo:digits_cnn",
            task="sklearn:digits",
            board="this-machine",
            budget=("latency_ms ≤ 50 %",),
            methods=("random",),
            evaluations=6,
            seed=1,
        ),
        metric=Metric(name="accuracy"),
        certificate=certificate,
        rows=make_rows(certificate)[::2],
        methods=(make_method("random", evaluations),),
        delivered_method="random",
        groups=make_groups()[:2],
        evaluations=tuple(evaluations),
    )
