"""One ssh server for all tests that only speak to it."""

from __future__ import annotations

import pytest

from tests.farm.connections.ssh_rig import SshRig, why_no_rig


def start_rig(folder, *server_lines: str) -> SshRig:
    """A rig, or a skip with the reason."""
    reason = why_no_rig()
    if reason:
        pytest.skip(f"no ssh server can be started here: {reason}")
    return SshRig(folder, *server_lines)


@pytest.fixture(scope="session")
def rig(tmp_path_factory):
    rig = start_rig(tmp_path_factory.mktemp("rig"))
    yield rig
    rig.close()


@pytest.fixture
def spoilt_rig(tmp_path):
    """A rig whose link may be cut and slowed without an effect on other tests."""
    rig = start_rig(tmp_path)
    if not rig.has_link:
        rig.close()
        pytest.skip("a link of its own needs root, iproute2 and /dev/net/tun")
    yield rig
    rig.close()
