"""The waiting room: fair shares, nobody twice, suspects alone."""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future

from hwprune.candidate import Candidate
from hwprune.farm.reading_key import ReadingKey
from hwprune.farm.waiting import TRIES, WaitingRoom
from hwprune_device.reading import Failure

DONE = Failure(stage="run", message="done")


def join(room: WaitingRoom, *numbers: int, fresh: bool = False) -> list[Future]:
    keys = [ReadingKey(architecture=str(n), target_key="t", conditions_key="c") for n in numbers]
    return [
        room.join(key, Candidate(widths=(n,)), fresh=fresh)
        for key, n in zip(keys, numbers, strict=True)
    ]


def widths(batch) -> list[int]:
    return [wish.candidate.widths[0] for wish in batch]


def test_the_first_come_first_and_a_batch_has_its_limit():
    room = WaitingRoom()
    join(room, *range(20))
    assert widths(room.take(16)) == list(range(16))
    assert widths(room.take(16)) == [16, 17, 18, 19]
    assert (room.queue, room.on_boards) == (0, 20)


def test_who_asks_for_the_same_waits_with_the_first():
    room = WaitingRoom()
    first, second = join(room, 1, 1)
    (wish,) = room.take(16)
    room.answer(wish, DONE)
    assert first.result() == second.result() == DONE
    room.answer(wish, Failure(stage="lost", message="a second answer is not heard"))
    assert first.result() == DONE


def test_boards_that_are_free_at_once_share_a_burst():
    room = WaitingRoom()
    batches: list[list[int]] = []
    boards = [
        threading.Thread(target=lambda: batches.append(widths(room.take(16)))) for _ in range(4)
    ]
    for board in boards:
        board.start()
    time.sleep(0.1)
    join(room, *range(24))
    for board in boards:
        board.join(10)
    assert sorted(n for batch in batches for n in batch) == list(range(24))
    assert max(map(len, batches)) <= 12


def test_a_board_leaves_their_share_to_those_that_are_about_to_be_free():
    room = WaitingRoom()
    join(room, *range(64))
    assert [len(room.take(16, boards=8)) for _ in range(8)] == [8] * 8


def test_few_are_not_divided_among_many_boards():
    room = WaitingRoom()
    join(room, *range(6))
    assert [len(room.take(16, boards=8)) for _ in range(2)] == [4, 2]


def test_what_is_put_back_goes_first_and_a_suspect_goes_alone():
    room = WaitingRoom()
    join(room, 1, 2, 3)
    batch = room.take(16)
    batch[1].alone = True
    join(room, 4)
    room.put_back(batch)
    assert [widths(room.take(16)) for _ in range(3)] == [[1], [2], [3, 4]]


def test_fresh_readings_are_shared_with_nobody_and_not_tried_again():
    room = WaitingRoom()
    join(room, 1, 1, fresh=True)
    join(room, 1)
    batches = [room.take(16) for _ in range(3)]
    assert [widths(batch) for batch in batches] == [[1], [1], [1]]
    assert [batch[0].tries for batch in batches] == [TRIES - 1, TRIES - 1, 0]


def test_a_closed_room_hands_out_nothing_and_names_who_waits():
    room = WaitingRoom()
    join(room, 1, 2)
    (first, *_) = room.take(1)
    assert {wish.candidate.widths for wish in room.close("over")} == {(1,), (2,)}
    assert first.candidate.widths == (1,)
    assert room.take(16) == [] and room.closed
    (late,) = join(room, 3)
    assert late.result(timeout=1).stage == "lost"
