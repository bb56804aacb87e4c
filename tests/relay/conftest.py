"""A relay's kernel between two networks, and the reason why it cannot be had.

Belongs here: fixtures. Never: expectations.
"""

import ctypes.util
import os
import shutil
import subprocess
from collections.abc import Iterator

import pytest
from two_networks import PORT, World

from lab.errors import RuntimeUnavailable
from lab.node.kernel import Kernel


@pytest.fixture(scope="session")
def world() -> Iterator[World]:
    if os.geteuid():
        pytest.skip("network namespaces take root; run the tests of the relay's kernel as root")
    if shutil.which("ip") is None or ctypes.util.find_library("nftables") is None:
        pytest.skip("not on this machine: ip or libnftables; install iproute2 and nftables")
    refusal = subprocess.run(["unshare", "--net", "true"], check=False, capture_output=True, text=True).stderr
    if refusal:
        pytest.skip(f"this machine makes no network namespaces: {refusal.strip()}")
    made = World()
    try:
        made.start()
        yield made
    finally:
        made.stop()


@pytest.fixture
def kernel(world: World) -> Iterator[Kernel]:
    with world.inside("relay"):
        try:
            made = Kernel(PORT)
        except RuntimeUnavailable as error:
            pytest.skip(str(error))
        yield made
        made.close()
