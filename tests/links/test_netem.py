"""Links are held by the kernel's netem where it has that. Where this one has not, a machine with Debian's kernel runs
tests/links/test_links.py on the files of lab/router: the same figures, of core's own process, with its own tools.

That machine's clock counts instructions, so the figures are netem's and no busy processor's."""

import io
import re
import sys
import tarfile
from pathlib import Path

import docker
import pytest
import virtual_machine

from lab.runtime.features import ROUTER_IMAGE
from tests.links.sending import Network

ROOT = Path(__file__).parents[2]


@pytest.mark.timeout(600)
def test_netem_meets_the_same_figures(network: Network, tmp_path: Path) -> None:
    if network.order("status")["shaping"]["by"] == "netem":
        pytest.skip("this kernel has netem; the other tests of links have run with it")
    if why := virtual_machine.refusal():
        pytest.skip(why)
    machine = virtual_machine.kernel()
    if machine is None:
        pytest.skip(
            "no kernel to run: `.venv/bin/python tests/links/virtual_machine.py` fetches it, before a lab is up"
        )
    image = tmp_path / "image"
    unpack(image)
    tests = [
        "-p",
        "no:cacheprovider",
        "-p",
        "no:xdist",
        "-v",
        "--color=no",
        "--tb=short",
        f"--image={image}",
        "--timeout=0",
    ]
    status, said = virtual_machine.run(
        machine, tmp_path, sys.executable, "-m", "pytest", *tests, "tests/links/test_links.py", cwd=ROOT
    )
    assert status == 0, said
    assert int(re.findall(r"(\d+) passed", said)[-1]) > 10, said


def unpack(image: Path) -> None:
    """The files of lab/router, as a container would have them."""
    client = docker.from_env()
    container = client.containers.create(ROUTER_IMAGE, network_mode="none")
    try:
        with tarfile.open(fileobj=io.BytesIO(b"".join(container.export()))) as files:
            files.extractall(image, filter="tar")
    finally:
        container.remove()
