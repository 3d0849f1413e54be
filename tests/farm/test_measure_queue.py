"""The waiting queue: fair shares, nobody twice, suspects alone."""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future

from hwprune.candidate import Candidate
from hwprune.farm.measure_queue import TRIES, MeasureQueue
from hwprune.farm.reading_key import ReadingKey
from hwprune_device.reading import Failure

DONE = Failure(stage="run", message="done")


def join(queue: MeasureQueue, *numbers: int, fresh: bool = False) -> list[Future]:
    keys = [ReadingKey(architecture=str(n), target_key="t", conditions_key="c") for n in numbers]
    return [
        queue.join(key, Candidate(widths=(n,)), fresh=fresh)
        for key, n in zip(keys, numbers, strict=True)
    ]


def widths(batch) -> list[int]:
    return [request.candidate.widths[0] for request in batch]


def test_the_first_come_first_and_a_batch_has_its_limit():
    queue = MeasureQueue()
    join(queue, *range(20))
    assert widths(queue.take(16)) == list(range(16))
    assert widths(queue.take(16)) == [16, 17, 18, 19]
    assert (queue.waiting, queue.on_boards) == (0, 20)


def test_who_asks_for_the_same_waits_with_the_first():
    queue = MeasureQueue()
    first, second = join(queue, 1, 1)
    (request,) = queue.take(16)
    queue.answer(request, DONE)
    assert first.result() == second.result() == DONE
    queue.answer(request, Failure(stage="lost", message="a second answer is ignored"))
    assert first.result() == DONE


def test_boards_that_are_free_at_once_share_a_burst():
    queue = MeasureQueue()
    batches: list[list[int]] = []
    boards = [
        threading.Thread(target=lambda: batches.append(widths(queue.take(16)))) for _ in range(4)
    ]
    for board in boards:
        board.start()
    time.sleep(0.1)
    join(queue, *range(24))
    for board in boards:
        board.join(10)
    assert sorted(n for batch in batches for n in batch) == list(range(24))
    assert max(map(len, batches)) <= 12


def test_a_board_leaves_their_share_to_those_that_are_about_to_be_free():
    queue = MeasureQueue()
    join(queue, *range(64))
    assert [len(queue.take(16, boards=8)) for _ in range(8)] == [8] * 8


def test_few_are_not_divided_among_many_boards():
    queue = MeasureQueue()
    join(queue, *range(6))
    assert [len(queue.take(16, boards=8)) for _ in range(2)] == [4, 2]


def test_what_is_put_back_goes_first_and_a_suspect_goes_alone():
    queue = MeasureQueue()
    join(queue, 1, 2, 3)
    batch = queue.take(16)
    batch[1].alone = True
    join(queue, 4)
    queue.put_back(batch)
    assert [widths(queue.take(16)) for _ in range(3)] == [[1], [2], [3, 4]]


def test_fresh_readings_are_shared_with_nobody_and_not_tried_again():
    queue = MeasureQueue()
    join(queue, 1, 1, fresh=True)
    join(queue, 1)
    batches = [queue.take(16) for _ in range(3)]
    assert [widths(batch) for batch in batches] == [[1], [1], [1]]
    assert [batch[0].tries for batch in batches] == [TRIES - 1, TRIES - 1, 0]


def test_a_closed_room_hands_out_nothing_and_names_who_waits():
    queue = MeasureQueue()
    join(queue, 1, 2)
    (first, *_) = queue.take(1)
    assert {request.candidate.widths for request in queue.close("over")} == {(1,), (2,)}
    assert first.candidate.widths == (1,)
    assert queue.take(16) == []
    (late,) = join(queue, 3)
    assert late.result(timeout=1).stage == "lost"
