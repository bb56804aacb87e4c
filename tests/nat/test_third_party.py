"""A client that others wrote finds what the lab claims: coturn's turnutils_natdiscovery, RFC 5780, on every preset.

It asks a server that names the same other endpoint wherever it is asked (lab/probe/stun.py says why).
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
from reach import Node, Nodes

from lab.harness import Lab
from lab.harness.changing import SiteChange
from lab.harness.probing import OpenSide
from lab.runtime import images

EI, AD, APD = "Endpoint Independent", "Address Dependent", "Address and Port Dependent"
PRESETS = {  # mapping, filtering: as design and RFC 4787 word them, and as coturn does
    "full-cone": (EI, EI),
    "restricted-cone": (EI, AD),
    "port-restricted-cone": (EI, APD),
    "address-dependent": (AD, AD),
    "symmetric": (APD, APD),
    "symmetric-sequential": (APD, APD),
    "rfc4787": (EI, AD),
    "carrier-grade": (EI, AD),
    "linux": (EI, APD),
}


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    lab = Lab(Path(__file__).parents[2])
    images.ensure_images(lab.engine, print, only=images.PROBE)
    yield lab
    lab.set("home", SiteChange(profile="linux"))


@pytest.fixture(scope="module")
def server(lab: Lab) -> Iterator[str]:
    """The address of the RFC 5780 server."""
    with OpenSide(lab.engine, lab.running_world(), fixed=True) as side:
        yield side.addresses[0]


def discovered(node: Node, option: str, server: str) -> list[str]:
    """The conclusions that it prints between its rules."""
    said = node.run("turnutils_natdiscovery", option, "-L", node.address, server).splitlines()
    return [line.strip() for line in said if line.startswith(("NAT with", "No NAT"))]


@pytest.mark.parametrize("preset", PRESETS)
def test_coturn_agrees_on(lab: Lab, nodes: Nodes, server: str, preset: str) -> None:
    lab.set("home", SiteChange(profile=preset))
    mapping, filtering = PRESETS[preset]
    assert discovered(nodes["bob"], "-m", server) == [f"NAT with {mapping} Mapping!"]
    assert discovered(nodes["bob"], "-f", server) == [f"NAT with {filtering} Filtering!"]


def test_coturn_agrees_that_an_open_site_translates_and_filters_nothing(nodes: Nodes, server: str) -> None:
    no_nat = "No NAT! (Endpoint Independent Mapping)"
    assert discovered(nodes["alice"], "-m", server)[0] == no_nat
    assert discovered(nodes["alice"], "-f", server) == [no_nat, f"NAT with {EI} Filtering!"]
