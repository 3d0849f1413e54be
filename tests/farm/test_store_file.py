"""The file of a store: what a full disk keeps waiting."""

from __future__ import annotations

import pytest

from hwprune.errors import RunFolderError
from hwprune.farm.store_file import StoreFile
from hwprune.farm.store_rows import upgrade


def test_what_waited_and_cannot_be_written_is_an_error_of_ours_when_the_store_closes(tmp_path):
    file = StoreFile(tmp_path / "s.sqlite", upgrade)
    file.execute("CREATE TABLE good (text)")
    (pages,) = file.rows("PRAGMA page_count")[0]
    file.rows(f"PRAGMA max_page_count = {pages}")
    large, nowhere = "INSERT INTO good VALUES (zeroblob(9999))", "INSERT INTO nowhere VALUES (1)"
    file.write(*(lambda database, q=query: database.execute(q) for query in (large, nowhere)))
    file.rows("PRAGMA max_page_count = 100000")
    with pytest.raises(RunFolderError, match="no such table: nowhere"):
        file.close()
    again = StoreFile(tmp_path / "s.sqlite", upgrade)
    assert again.rows("SELECT count(*) FROM good") == [(1,)]
    again.close()
