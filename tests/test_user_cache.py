"""The user's cache folder, also of an account that has no home."""

from __future__ import annotations

from pathlib import Path

from hwprune.user_cache import store_path, user_cache
from tests.hwprune_device.board import ROOT
from tests.hwprune_device.strangers import NOBODY, UNKNOWN, needs_root, open_to_all, said_as

IMPORTS = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from hwprune import user_cache"
CODE = """
place = user_cache.user_cache()
place.mkdir(parents=True, exist_ok=True)
print(place)
"""


def test_it_lies_where_the_environment_says(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("HWPRUNE_STORE", raising=False)
    assert user_cache() == tmp_path / "hwprune"
    assert store_path() == tmp_path / "hwprune/readings.sqlite"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert user_cache() == tmp_path / ".cache/hwprune"


@needs_root
def test_an_account_without_a_home_has_it_in_a_folder_of_its_own():
    with open_to_all() as place:
        said = said_as(UNKNOWN, CODE, IMPORTS, TMPDIR=str(place))
        assert said == str(place / f"hwprune-cache-{UNKNOWN}" / "hwprune")


@needs_root
def test_where_a_stranger_made_that_folder_it_is_kept_for_the_process_alone():
    with open_to_all() as place:
        said_as(NOBODY, f"os.mkdir({str(place / f'hwprune-cache-{UNKNOWN}')!r})")
        said = said_as(UNKNOWN, CODE + "assert place.is_dir()", IMPORTS, TMPDIR=str(place))
        assert Path(said).parent.parent == place and not Path(said).exists()


@needs_root
def test_without_any_folder_the_error_says_what_to_set():
    code = (
        "import tempfile\ntempfile._candidate_tempdir_list = lambda: ['/nowhere']\n"
        "try: user_cache.user_cache()\nexcept Exception as error: print(error)"
    )
    said = said_as(UNKNOWN, code, IMPORTS)
    assert "this account has no home" in said and "export HOME=FOLDER" in said
