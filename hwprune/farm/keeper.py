"""The keeper of one board: hands it batches, judges what comes back, and waits when it is lost."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace

from hwprune.board import Board
from hwprune.errors import BoardError
from hwprune.farm.answers import Outcome
from hwprune.farm.batch import Batch, Loss
from hwprune.farm.board_record import BoardRecord
from hwprune.farm.calibration import BATCHES, calm_ms, calm_readings, one_reading
from hwprune.farm.canaries import Canary
from hwprune.farm.kind import Kind
from hwprune.farm.recovery import PATIENCE_S, Recovery
from hwprune.farm.session import BoardSession
from hwprune.farm.status import RETIRED
from hwprune.farm.suspects import Suspects
from hwprune.farm.waiting import TRIES, Wish
from hwprune_device.reading import Failure, Reading

_LOSSES = 4
"""A candidate with which boards went away this often, for reasons unknown, is given up as lost."""
_CLOSE_S = 15.0
"""What a batch that is on the board is waited for when the farm closes."""


class Keeper:
    """Serves one board from the kind's queue, in a thread of its own, until the farm closes."""

    def __init__(self, board: Board, kind: Kind, *, patience_s: float = PATIENCE_S) -> None:
        self.session = BoardSession(board)
        self.name = board.name
        self._kind = kind
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None
        self.record = BoardRecord(self.name, kind.name)
        self.recovery = Recovery(
            self.session, kind, self.record, self._closed, patience_s=patience_s
        )

    def serve(self, *, reached: bool) -> None:
        """Begin to work; a board that was not reached yet is waited for."""
        self._thread = threading.Thread(target=self._run, args=(reached,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop; a batch that is on the board is waited for, though not for long."""
        self._closed.set()
        if self._thread is not None:
            self._thread.join(_CLOSE_S)
            self.session.close()
            self._thread.join()
        # Once more: the thread may just have reached its board again.
        self.session.close()
        self.record.to("closed")

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
        return reading.at_nominal(kind.agree_on_nominal(nominal))

    def _run(self, reached: bool) -> None:
        if not reached and not self.recovery.wait():
            return
        self._kind.answers(self.name, True)
        while wishes := self._kind.room.take(self._kind.batch_limit(), self._kind.answering):
            try:
                self._work(wishes)
            except Exception as error:
                # Whoever waits must hear of it, whatever it is: a silent future stops a search.
                self._kind.fail(wishes, f"{type(error).__name__}: {error}")
            if self.record.state in RETIRED:
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
        canaries = kind.canaries.pick(len(clean), last_at=self.record.watch.read_at, without=names)
        batch = self._measure(
            [(w.key.architecture, w.candidate.widths) for w in clean]
            + [(c.key.architecture, c.candidate.widths) for c in canaries],
            wanted=len(clean),
        )
        if batch.loss is not None:
            self._lost(clean, batch)
            return
        alarm = self._read_canaries(canaries, batch.outcomes[len(clean) :])
        self._sort(clean, batch.outcomes, alarm, guarded=bool(canaries))
        if self.record.watch.drifts:
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
            self.record.words = outcome.message
            self.recovery.wait()
        else:
            words = f"the unpruned network could not be measured: {outcome.message}"
            kind.fail(wishes, words)
        return False

    def _take_base(self) -> Outcome:
        return self._measure([]).outcomes[0]

    def _measure(self, work: Sequence[tuple[str, Sequence[int]]], wanted: int = 0) -> Batch:
        """A batch on the board, written down; `wanted` of it was asked for."""
        with self.record.job(len(work)), self._kind.times.job(wanted) as entry:
            batch = self._batch(work)
            entry.take(batch.timings)
        self.recovery.nonsense += batch.loss is not None and batch.loss.nonsense
        self.record.note(batch.outcomes, batch.timings.get("wall_s", 0.0))
        for outcome in batch.outcomes[-1:]:
            if isinstance(outcome, Reading):
                self._kind.seen_calm(self.name, outcome.conditions.get("base_off", 0.0))
        return batch

    def _batch(self, work: Sequence[tuple[str, Sequence[int]]]) -> Batch:
        """A batch on the board; where that cannot even be started, all of it is lost."""
        base = self._kind.base
        job = self._kind.job(base, work, self.name)
        try:
            return self.session.measure(job, base)
        except BoardError as error:
            return Batch.lost(job, Loss(message=str(error)), {})

    def _read_canaries(self, canaries: Sequence[Canary], outcomes: Sequence[Outcome]) -> str:
        """What the canaries of a batch say against it, in words; empty where they read right."""
        words = ""
        for canary, outcome in zip(canaries, outcomes, strict=True):
            if isinstance(outcome, Reading):
                read = self._kind.canaries.compare(canary, outcome)
                self.record.watch.note(read)
                words = words or read.words
                if not read.alarm:
                    self._kind.store.add(canary.key, outcome, self._kind.cut_of(canary.candidate))
        return words

    def _sort(
        self, wishes: Sequence[Wish], outcomes: Sequence[Outcome], alarm: str, *, guarded: bool
    ) -> None:
        """Keep and answer what can be trusted; take again, once, what cannot."""
        again, told = [], []
        for outcome in outcomes[: len(wishes)]:
            if isinstance(outcome, Reading) and alarm:
                outcome = replace(outcome, doubts=(*outcome.doubts, alarm))
            told.append(outcome)
        self._keep(wishes, told)
        for wish, outcome in zip(wishes, told, strict=False):
            doubted = isinstance(outcome, Reading) and bool(outcome.doubts)
            if doubted and wish.tries + 1 < TRIES:
                wish.tries += 1
                again.append(wish)
                continue
            if isinstance(outcome, Reading) and not doubted:
                earlier = self._kind.store.readings(wish.key)
                self._kind.canaries.learn(wish.key, wish.candidate, earlier)
                if not guarded:
                    self.record.watch.unguarded.append(
                        (outcome.reading_id, wish.key, wish.candidate)
                    )
            self._kind.room.answer(wish, outcome)
        self._kind.room.put_back(again)

    def _lost(self, wishes: Sequence[Wish], batch: Batch) -> None:
        """The board went away: keep what it had said, free the innocent, hold the suspects."""
        assert batch.loss is not None
        held, free = [], []
        self._keep(wishes, batch.outcomes)
        for wish, outcome in zip(wishes, batch.outcomes, strict=False):
            if not isinstance(outcome, Failure) or outcome.stage != "lost":
                self._kind.room.answer(wish, outcome)
            elif wish.key.architecture in batch.loss.at_work:
                held.append(wish)
            else:
                free.append(wish)
        self._kind.room.put_back(self._patient(free, batch))
        self.record.words = batch.loss.message
        self.recovery.wait(Suspects(kind=self._kind, board=self.name, held=held))

    def _keep(self, wishes: Sequence[Wish], outcomes: Sequence[Outcome]) -> None:
        """Write down what came of wishes."""
        cut_of = self._kind.cut_of
        pairs = zip(wishes, outcomes, strict=False)
        self._kind.store.add_all([(w.key, o, cut_of(w.candidate)) for w, o in pairs])

    def _patient(self, wishes: Sequence[Wish], batch: Batch) -> list[Wish]:
        """Those that may wait for another board; nothing is sent round for ever."""
        assert batch.loss is not None
        if batch.loss.at_work:
            return list(wishes)
        for wish in wishes:
            wish.losses += 1
        self._kind.fail([w for w in wishes if w.losses >= _LOSSES], batch.loss.message)
        return [wish for wish in wishes if wish.losses < _LOSSES]

    def _quarantine(self) -> None:
        """Nothing is measured until the canaries read what is known of them again."""
        kind = self._kind
        self.record.to("quarantined", f"its canary reads {self.record.watch.off_pct:+.1f} % off")
        kind.answers(self.name, False)
        for reading_id, key, candidate in self.record.watch.unguarded:
            kind.store.doubt(reading_id, "taken shortly before the canary was off")
            kind.room.join(key, candidate)
        self.record.watch.unguarded.clear()
        for _ in self.recovery.attempts():
            canaries = kind.canaries.all
            batch = self._measure([(c.key.architecture, c.candidate.widths) for c in canaries])
            self.record.to(
                "quarantined", f"its canary reads {self.record.watch.off_pct:+.1f} % off"
            )
            if batch.loss is not None:
                self.record.words = batch.loss.message
                if not self.recovery.wait():
                    return
            elif not self._read_canaries(canaries, batch.outcomes):
                self.record.to("idle")
                kind.answers(self.name, True)
                return
            self.recovery.give_up_waiting()
