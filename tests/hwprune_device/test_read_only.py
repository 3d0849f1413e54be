"""A board whose temporary folders cannot be written: it measures, or says why it cannot."""

from __future__ import annotations

import numpy as np

from hwprune_device.job import Target
from hwprune_device.reading import Reading
from tests.hwprune_device.board import outputs, running
from tests.hwprune_device.chain import WIDTHS, chain, job, name, plan
from tests.hwprune_device.strangers import needs_mounts, python_with_read_only

pytestmark = needs_mounts


def test_a_board_measures_without_a_temporary_folder_where_it_has_shared_memory(tmp_path):
    with running(python=python_with_read_only(tmp_path, "/tmp", "/var/tmp")) as board:
        board.place(chain(), plan())
        assert isinstance(board.measure(job([WIDTHS]))[name(WIDTHS)], Reading)


def test_a_board_on_which_nothing_can_be_written_says_so_and_still_runs_networks(tmp_path):
    with running(python=python_with_read_only(tmp_path, "/tmp", "/var/tmp", "/dev/shm")) as board:
        board.place(chain(), plan())
        board.send({"kind": "measure", "job": job([WIDTHS]).to_json()})
        message = board.answer().header["message"]
        assert "no folder for lock files that is this account's alone: /dev/shm/" in message
        # It may be there already, from another process.
        assert "Read-only file system" in message or "cannot be written" in message
        inputs = np.zeros((1, 3, 16, 16), np.float32)
        assert len(outputs(board.run(chain(), [inputs], Target()))) == 1
