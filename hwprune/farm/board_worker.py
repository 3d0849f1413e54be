"""The worker of one board: hands it batches, judges what comes back, and waits when it is lost."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from statistics import median

from hwprune.board import Board
from hwprune.errors import BoardError
from hwprune.farm.answers import Outcome
from hwprune.farm.batch import Batch, Loss
from hwprune.farm.board_pool import BoardPool
from hwprune.farm.board_record import BoardRecord
from hwprune.farm.calibration import BATCHES, calm_ms, calm_readings, one_reading
from hwprune.farm.canaries import Canary
from hwprune.farm.measure_queue import TRIES, Request
from hwprune.farm.reading_key import ReadingKey
from hwprune.farm.recovery import PATIENCE_S, Recovery, Suspects
from hwprune.farm.session import BoardSession
from hwprune.farm.status import RETIRED
from hwprune_device.estimate import OFF_CALM
from hwprune_device.reading import Failure, Reading

_LOSSES = 4
"""A candidate with which boards went away this often, for reasons unknown, is given up as lost."""
_CLOSE_S = 15.0
"""What a batch that is on the board is waited for when the farm closes."""


class BoardWorker:
    """Serves one board from the kind's queue, in a thread of its own, until the farm closes."""

    def __init__(self, board: Board, pool: BoardPool, *, patience_s: float = PATIENCE_S) -> None:
        self.session = BoardSession(board)
        self.name = board.name
        self._pool = pool
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None
        self.record = BoardRecord(self.name, pool.name)
        self.recovery = Recovery(
            self.session, pool, self.record, self._closed, patience_s=patience_s
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
            # A batch that is still there is lost by that, so the thread comes back.
            self.session.close()
            self._thread.join()
        # Once more: the thread may just have reached its board again.
        self.session.close()
        self.record.to("closed")

    def calibrate(self) -> Outcome:
        """The unpruned network's reading; its time is this board's calm time from now on."""
        pool = self._pool
        known = pool.store.get(pool.key(pool.base.architecture))
        # It was done before, by this run or another under the same conditions.
        if pool.nominal_ms is not None and known is not None and pool.calm_ms(self.name):
            return known.at_nominal(pool.nominal_ms)
        readings = calm_readings(self._take_base, BATCHES)
        if isinstance(readings, Failure):
            return readings
        nominal = pool.calibrated(self.name, calm_ms(readings))
        reading = one_reading(readings, nominal)
        pool.store.calibrate(pool.key(pool.base.architecture), reading)
        return reading.at_nominal(pool.agree_on_nominal(nominal))

    def _run(self, reached: bool) -> None:
        if not reached and not self.recovery.wait():
            return
        self._pool.answers(self.name, True)
        while requests := self._pool.queue.take(self._pool.batch_limit(), self._pool.answering):
            try:
                self._work(requests)
            except Exception as error:
                # Whoever waits must hear of it, whatever it is: a silent future stops a search.
                self._pool.fail(requests, f"{type(error).__name__}: {error}")
            if self.record.state in RETIRED:
                return

    def _work(self, requests: Sequence[Request]) -> None:
        """One batch, whatever comes of it."""
        pool, clean = self._pool, []
        # Strikes may have come since it was asked for, also from other runs.
        for request in requests:
            failure = pool.poison(request)
            clean.append(request) if failure is None else pool.queue.answer(request, failure)
        if not clean or not self._calibrated(clean):
            return
        # A job holds a network once: what is asked for here is no canary beside it.
        names = {request.key.architecture for request in clean}
        canaries = pool.canaries.pick(len(clean), last_at=self.record.watch.read_at, without=names)
        batch = self._measure(
            [(w.key.architecture, w.candidate.widths) for w in clean]
            + [(c.key.architecture, c.candidate.widths) for c in canaries],
            wanted=len(clean),
        )
        if batch.loss is not None:
            self._lost(clean, batch)
            return
        read = batch.outcomes[len(clean) :]
        alarm = self._read_canaries(canaries, read)
        # A canary that failed guards nothing.
        guarded = any(isinstance(outcome, Reading) for outcome in read)
        self._sort(clean, batch.outcomes, alarm, guarded=guarded)
        if self.record.watch.drifts:
            self._quarantine()

    def _calibrated(self, requests: Sequence[Request]) -> bool:
        """Whether this board's calm time is known; requests are settled where it cannot be had."""
        pool = self._pool
        if pool.calm_ms(self.name) is not None and pool.nominal_ms is not None:
            return True
        outcome = self.calibrate()
        if isinstance(outcome, Reading):
            return True
        # A lost board says nothing of the network; a base that fails here fails on its like.
        if outcome.stage == "lost":
            pool.queue.put_back(requests)
            self.record.message = outcome.message
            self.recovery.wait()
        else:
            message = f"the unpruned network could not be measured: {outcome.message}"
            pool.fail(requests, message)
        return False

    def _take_base(self) -> Outcome:
        return self._measure([]).outcomes[0]

    def _measure(self, work: Sequence[tuple[str, Sequence[int]]], wanted: int = 0) -> Batch:
        """A batch on the board, written down; `wanted` of it was asked for."""
        with self.record.job(len(work)), self._pool.times.job(wanted) as entry:
            batch = self._batch(work)
            entry.take(batch.timings)
        self.recovery.nonsense += batch.loss is not None and batch.loss.nonsense
        self.record.note(batch.outcomes, batch.timings.get("wall_s", 0.0))
        # One is enough: the base's time is the whole batch's.
        for outcome in batch.outcomes[-1:]:
            if isinstance(outcome, Reading):
                off = outcome.conditions.get("base_off", 0.0)
                if self._pool.seen_base(self.name, off):
                    self.record.watch.alarms = 0
        return batch

    def _batch(self, work: Sequence[tuple[str, Sequence[int]]]) -> Batch:
        """A batch on the board; where that cannot even be started, all of it is lost."""
        base = self._pool.base
        job = self._pool.job(base, work, self.name)
        try:
            return self.session.measure(job, base)
        except BoardError as error:
            return Batch.lost(job, Loss(message=str(error)), {})

    def _read_canaries(self, canaries: Sequence[Canary], outcomes: Sequence[Outcome]) -> str:
        """What the canaries of a batch say against it, in words; empty where they read right."""
        message, known = "", self._pool.canaries.all
        for canary, outcome in zip(canaries, outcomes, strict=True):
            # Forgotten where this very batch showed that the board is of another speed.
            if isinstance(outcome, Reading) and canary in known:
                read = self._pool.canaries.compare(canary, outcome)
                self.record.watch.note(read)
                message = message or read.message
                if not read.alarm:
                    self._pool.store.add(canary.key, outcome, self._pool.cut_of(canary.candidate))
        return message

    def _sort(
        self,
        requests: Sequence[Request],
        outcomes: Sequence[Outcome],
        alarm: str,
        *,
        guarded: bool,
    ) -> None:
        """Keep and answer what can be trusted; take again, once, what cannot."""
        again, told = [], []
        for outcome in outcomes[: len(requests)]:
            if isinstance(outcome, Reading) and alarm:
                outcome = replace(outcome, doubts=(*outcome.doubts, alarm))
            told.append(outcome)
        self._keep(requests, told)
        for request, outcome in zip(requests, told, strict=False):
            doubted = isinstance(outcome, Reading) and bool(outcome.doubts)
            if doubted and request.tries + 1 < TRIES:
                request.tries += 1
                again.append(request)
                continue
            if isinstance(outcome, Reading) and not doubted:
                earlier = self._at_this_speed(request.key)
                self._pool.canaries.learn(request.key, request.candidate, earlier or [outcome])
                if not guarded:
                    self.record.watch.unguarded.append(
                        (outcome.reading_id, request.key, request.candidate)
                    )
            self._pool.queue.answer(request, outcome)
        self._pool.queue.put_back(again)

    def _at_this_speed(self, key: ReadingKey) -> list[Reading]:
        """Readings of a network whose base ran as it does while this board is calm now."""
        calm_ms = self._pool.calm_ms(self.name) or 0.0
        readings = self._pool.store.readings(key)
        return [r for r in readings if abs(median(r.base_ms) - calm_ms) <= OFF_CALM * calm_ms]

    def _lost(self, requests: Sequence[Request], batch: Batch) -> None:
        """The board went away: keep what it had said, free the innocent, hold the suspects."""
        assert batch.loss is not None
        held, free = [], []
        self._keep(requests, batch.outcomes)
        for request, outcome in zip(requests, batch.outcomes, strict=False):
            if not isinstance(outcome, Failure) or outcome.stage != "lost":
                self._pool.queue.answer(request, outcome)
            elif request.key.architecture in batch.loss.at_work:
                held.append(request)
            else:
                free.append(request)
        self._pool.queue.put_back(self._patient(free, batch))
        self.record.message = batch.loss.message
        self.recovery.wait(Suspects(pool=self._pool, board=self.name, held=held))

    def _keep(self, requests: Sequence[Request], outcomes: Sequence[Outcome]) -> None:
        """Write down what came of requests."""
        cut_of = self._pool.cut_of
        pairs = zip(requests, outcomes, strict=False)
        self._pool.store.add_all([(w.key, o, cut_of(w.candidate)) for w, o in pairs])

    def _patient(self, requests: Sequence[Request], batch: Batch) -> list[Request]:
        """Those that may wait for another board; nothing is sent round for ever."""
        assert batch.loss is not None
        # Then it is the suspects' loss; these were only in the same batch.
        if batch.loss.at_work:
            return list(requests)
        for request in requests:
            request.losses += 1
        self._pool.fail([w for w in requests if w.losses >= _LOSSES], batch.loss.message)
        return [request for request in requests if request.losses < _LOSSES]

    def _quarantine(self) -> None:
        """Nothing is measured until the canaries read what is known of them again."""
        pool, watch = self._pool, self.record.watch
        self.record.to("quarantined", f"its canary reads {watch.off_pct:+.1f} % off")
        pool.answers(self.name, False)
        for reading_id, key, candidate in watch.unguarded:
            pool.store.doubt(reading_id, "taken shortly before the canary was off")
            # Its future is nobody's: it is read anew for the store.
            pool.queue.join(key, candidate)
        watch.unguarded.clear()
        for _ in self.recovery.attempts():
            canaries = pool.canaries.all
            batch = self._measure([(c.key.architecture, c.candidate.widths) for c in canaries])
            # A batch leaves the record idle.
            self.record.to("quarantined", f"its canary reads {watch.off_pct:+.1f} % off")
            if batch.loss is not None:
                self.record.message = batch.loss.message
                if not self.recovery.wait():
                    return
                # It answers again, and is not to be counted on yet.
                pool.answers(self.name, False)
            elif not pool.canaries.all or (
                not self._read_canaries(canaries, batch.outcomes) and not watch.drifts
            ):
                # Of another speed than its canaries, or as before again.
                self.record.to("idle")
                pool.answers(self.name, True)
                return
            self.recovery.give_up_waiting()
