"""The keeper of one board: hands it batches, judges what comes back, and waits when it is lost."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import replace

from hwprune.errors import BoardError
from hwprune.farm.calibration import BATCHES, calm_ms, calm_readings, one_reading
from hwprune.farm.canaries import Canary
from hwprune.farm.canary_watch import CanaryWatch
from hwprune.farm.kind import Kind
from hwprune.farm.link import BoardLink
from hwprune.farm.session import Batch, Outcome
from hwprune.farm.status import BoardState, BoardStatus
from hwprune.farm.waiting import TRIES, Wish
from hwprune_device.owner import Previous
from hwprune_device.reading import Failure, Reading

PATIENCE_S = 1800.0
"""When no board of a kind answers for this long, whoever waits is told."""
_HOLD_S = 60.0
"""A network that may have taken a board down waits this long for the verdict."""
_PAUSES_S = (1.0, 2.0, 5.0, 10.0, 30.0)
"""Between attempts to reach a board; the last one again and again."""


class Keeper:
    """Serves one board from the kind's queue, in a thread of its own, until the farm closes."""

    def __init__(self, link: BoardLink, kind: Kind, *, patience_s: float = PATIENCE_S) -> None:
        self.link = link
        self.name = link.board.name
        self._kind = kind
        self._patience_s = patience_s
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None
        self._state: BoardState = "starting"
        self._words = ""
        self._job_at: tuple[int, float] | None = None
        self._watch = CanaryWatch()
        self._temperature_c: float | None = None
        self._done: deque[tuple[float, int]] = deque()
        self._counts = {"readings": 0, "failures": 0}
        self._previous: Previous = "none"
        self._born = time.monotonic()
        self._busy_s = 0.0

    def reach(self) -> str:
        """Try once to start the board; its conditions key.

        Raises:
            BoardError: it does not answer, or must not be timed.
        """
        try:
            hello, key = self.link.start()
        except BoardError as error:
            self._to("lost", " ".join(str(error).split()))
            raise
        if hello.fingerprint.get("emulated") is True:
            raise BoardError(
                f"board '{self.name}' is emulated: its times say nothing about hardware",
                given=f"{hello.fingerprint.get('machine')} on another processor",
                next_step="use the real board; `hwprune boards check` says what works here",
            )
        self._previous = hello.previous
        self._to("idle")
        return key

    def serve(self, *, reached: bool) -> None:
        """Begin to work; a board that was not reached yet is waited for."""
        self._thread = threading.Thread(target=self._run, args=(reached,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop; a batch that is on the board is waited for."""
        self._closed.set()
        self.link.close()
        if self._thread is not None:
            self._thread.join()
        self._to("closed")

    def calibrate(self) -> Outcome:
        """The unpruned network's reading; its time is this board's calm time from now on."""
        kind = self._kind
        known = kind.store.get(kind.key(kind.base.architecture))
        if kind.nominal_ms is not None and known is not None and kind.calm_ms(self.name):
            return known.at_nominal(kind.nominal_ms)
        readings = calm_readings(self._take_base, BATCHES)
        if isinstance(readings, Failure):
            return readings
        nominal = kind.calibrated(self.name, calm_ms(readings))
        reading = one_reading(readings, nominal)
        kind.store.calibrate(kind.key(kind.base.architecture), reading)
        return reading

    def status(self) -> BoardStatus:
        """What the board does at this moment."""
        now = time.monotonic()
        while self._done and now - self._done[0][0] > 3600:
            self._done.popleft()
        span_h = min(1.0, (now - self._born) / 3600)
        readings = sum(count for _, count in self._done)
        job = self._job_at
        return BoardStatus(
            name=self.name,
            kind=self._kind.name,
            state=self._state,
            words=self._words,
            job=f"{job[0]} candidates, {now - job[1]:.0f} s" if job else "",
            temperature_c=self._temperature_c,
            canary_off_pct=self._watch.off_pct,
            canary_at=self._watch.heard_at,
            readings=self._counts["readings"],
            failures=self._counts["failures"],
            readings_per_hour=readings / span_h if self._done else None,
            busy_share=self._busy_s / (now - self._born) if self._done else None,
        )

    def _run(self, reached: bool) -> None:
        if not reached and not self._wait_for_board([]):
            return
        self._kind.answers(self.name, True)
        while wishes := self._kind.room.take(self._kind.batch_limit()):
            try:
                self._work(wishes)
            except Exception as error:
                # Whoever waits must hear of it, whatever it is: a silent future stops a search.
                self._fail(wishes, f"{type(error).__name__}: {error}")
            if self._state == "unlike its kind":
                return

    def _work(self, wishes: Sequence[Wish]) -> None:
        """One batch, whatever comes of it."""
        kind, clean = self._kind, []
        for wish in wishes:
            failure = kind.poison(wish)
            clean.append(wish) if failure is None else kind.room.answer(wish, failure)
        if not clean or not self._calibrated(clean):
            return
        names = {wish.key.architecture for wish in clean}
        canaries = kind.canaries.pick(len(clean), last_at=self._watch.heard_at, without=names)
        batch = self._measure(
            [(w.key.architecture, w.candidate.widths) for w in clean]
            + [(c.key.architecture, c.candidate.widths) for c in canaries],
            wanted=len(clean),
        )
        if batch.loss is not None:
            self._lost(clean, batch)
            return
        alarm = self._hear(canaries, batch.outcomes[len(clean) :])
        self._sort(clean, batch.outcomes, alarm, heard=bool(canaries))
        if self._watch.drifts:
            self._quarantine()

    def _calibrated(self, wishes: Sequence[Wish]) -> bool:
        """Whether this board's calm time is known; wishes are settled where it cannot be had."""
        kind = self._kind
        if kind.calm_ms(self.name) is not None and kind.nominal_ms is not None:
            return True
        outcome = self.calibrate()
        if isinstance(outcome, Reading):
            return True
        if outcome.stage == "lost":
            kind.room.put_back(wishes)
            self._wait_for_board([])
        else:
            words = f"the unpruned network could not be measured: {outcome.message}"
            self._fail(wishes, words)
        return False

    def _take_base(self) -> Outcome:
        return self._measure([]).outcomes[0]

    def _measure(self, work: Sequence[tuple[str, Sequence[int]]], wanted: int = 0) -> Batch:
        """A batch on the board, its time and temperature noted; `wanted` of it was asked for."""
        self._job_at = (max(1, len(work)), time.monotonic())
        self._to("busy")
        try:
            with self._kind.times.job(wanted) as entry:
                batch = self.link.measure(self._kind.job(work, self.name))
                entry.take(batch.timings)
        finally:
            self._job_at = None
        self._busy_s += batch.timings.get("wall_s", 0.0)
        self._note(batch.outcomes)
        self._to("idle")
        return batch

    def _note(self, outcomes: Sequence[Outcome]) -> None:
        readings = [o for o in outcomes if isinstance(o, Reading)]
        self._counts["readings"] += len(readings)
        self._counts["failures"] += sum(
            isinstance(o, Failure) and o.stage != "lost" for o in outcomes
        )
        self._done.append((time.monotonic(), len(readings)))
        for reading in readings[-1:]:
            self._kind.seen_calm(self.name, reading.conditions.get("base_off", 0.0))
            degrees = reading.conditions.get("after", {}).get("temperature_c")
            self._temperature_c = degrees if isinstance(degrees, int | float) else None

    def _hear(self, canaries: Sequence[Canary], outcomes: Sequence[Outcome]) -> str:
        """What the canaries of a batch say against it, in words."""
        words = ""
        for canary, outcome in zip(canaries, outcomes, strict=True):
            if isinstance(outcome, Reading):
                song = self._kind.canaries.hear(canary, outcome)
                self._watch.heard(song)
                words = words or song.words
                if not song.alarm:
                    self._kind.store.add(canary.key, outcome)
        return words

    def _sort(
        self, wishes: Sequence[Wish], outcomes: Sequence[Outcome], alarm: str, *, heard: bool
    ) -> None:
        """Keep and answer what can be trusted; take again, once, what cannot."""
        again = []
        for wish, outcome in zip(wishes, outcomes, strict=False):
            if isinstance(outcome, Reading) and alarm:
                outcome = replace(outcome, doubts=(*outcome.doubts, alarm))
            self._kind.store.add(wish.key, outcome)
            doubted = isinstance(outcome, Reading) and bool(outcome.doubts)
            if doubted and wish.tries + 1 < TRIES:
                wish.tries += 1
                again.append(wish)
                continue
            if isinstance(outcome, Reading) and not doubted:
                earlier = self._kind.store.readings(wish.key)
                self._kind.canaries.learn(wish.key, wish.candidate, earlier)
                if not heard:
                    self._watch.unguarded.append((outcome.reading_id, wish.key, wish.candidate))
            self._kind.room.answer(wish, outcome)
        self._kind.room.put_back(again)

    def _lost(self, wishes: Sequence[Wish], batch: Batch) -> None:
        """The board went away: keep what it had said, free the innocent, hold the suspects."""
        assert batch.loss is not None
        held, free = [], []
        for wish, outcome in zip(wishes, batch.outcomes, strict=False):
            if not isinstance(outcome, Failure) or outcome.stage != "lost":
                self._kind.store.add(wish.key, outcome)
                self._kind.room.answer(wish, outcome)
            elif wish.key.architecture in batch.loss.at_work:
                held.append(wish)
            else:
                free.append(wish)
        self._kind.room.put_back(free)
        self._words = batch.loss.message
        self._wait_for_board(held)

    def _wait_for_board(self, held: list[Wish]) -> bool:
        """Try to reach the board until it answers; False when the farm closed first.

        Whether a held network is to blame shows when the board is back: a supervisor that died, or
        a machine that started anew, speaks against it; a link that was cut does not.
        """
        self._to("lost", self._words)
        self._kind.answers(self.name, False)
        began, attempt = time.monotonic(), 0
        strikes: list[str] = []
        while not self._closed.wait(_PAUSES_S[min(attempt, len(_PAUSES_S) - 1)]):
            attempt += 1
            try:
                key = self.reach()
            except BoardError:
                if held and time.monotonic() - began > _HOLD_S:
                    strikes = self._strike(held, "silent since")
                    held = []
                self._give_up_waiting()
                continue
            if key != self._kind.conditions_key:
                self._kind.room.put_back(held)
                self._to("unlike its kind", "it came back with other hardware, clocks or runtime")
                return False
            if self._previous in ("died", "rebooted"):
                self._strike(held, self._previous)
            else:
                for strike in strikes:
                    self._kind.store.acquit(strike)
                self._kind.room.put_back(held)
            self._to("idle")
            self._kind.answers(self.name, True)
            return True
        self._kind.room.put_back(held)
        return False

    def _strike(self, held: Sequence[Wish], verdict: str) -> list[str]:
        """Note who took the board down, if that is certain; all suspects go alone from now on."""
        strikes = []
        for wish in held:
            if len(held) == 1:
                strikes.append(self._kind.store.strike(wish.key, self.name, verdict))
            wish.alone = True
        self._kind.room.put_back(held)
        return strikes

    def _give_up_waiting(self) -> None:
        """Tell those who wait when no board of this kind has answered for too long."""
        if self._kind.deserted_s() > self._patience_s:
            words = f"no board of kind '{self._kind.name}' answers: {self._words}"
            self._fail(self._kind.room.empty(), words)

    def _quarantine(self) -> None:
        """Nothing is measured until the canaries read what is known of them again."""
        kind = self._kind
        self._to("quarantined", f"its canary reads {self._watch.off_pct:+.1f} % off")
        kind.answers(self.name, False)
        for reading_id, key, candidate in self._watch.unguarded:
            kind.store.doubt(reading_id, "taken shortly before the canary was off")
            kind.room.join(key, candidate)
        self._watch.unguarded.clear()
        attempt = 0
        while not self._closed.wait(_PAUSES_S[min(attempt, len(_PAUSES_S) - 1)]):
            attempt += 1
            canaries = kind.canaries.all
            batch = self._measure([(c.key.architecture, c.candidate.widths) for c in canaries])
            self._to("quarantined", f"its canary reads {self._watch.off_pct:+.1f} % off")
            if batch.loss is not None:
                self._words = batch.loss.message
                self._wait_for_board([])
            elif not self._hear(canaries, batch.outcomes):
                self._to("idle")
                kind.answers(self.name, True)
                return
            self._give_up_waiting()

    def _fail(self, wishes: Sequence[Wish], message: str) -> None:
        """Tell who waits that no reading will come; that says nothing about the networks."""
        for wish in wishes:
            failure = Failure(stage="lost", message=message, architecture=wish.key.architecture)
            self._kind.room.answer(wish, failure)

    def _to(self, state: BoardState, words: str = "") -> None:
        self._state, self._words = state, words
