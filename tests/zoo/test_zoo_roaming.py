"""A laptop that is carried from an open network into one whose only way out is a proxy, and back."""

import pytest

from lab.harness import Lab

pytestmark = pytest.mark.timeout(120)


def test_a_client_that_comes_to_a_site_with_a_proxy_gets_out_by_it_and_leaves_it_behind(lab: Lab) -> None:
    lab.move("open-1-pc", "proxy-only-1")
    try:
        lab.settle()
        assert lab.call("open-1-pc", "linux-2-pc", seconds=1).holds("relayed/mixed")
        lab.restart("open-1-pc")
        assert lab.call("open-1-pc", "linux-2-pc", seconds=1).holds("relayed/mixed"), "it knows the proxy still"
    finally:
        lab.move("open-1-pc", "open-1")
    lab.settle()
    assert lab.call("open-1-pc", "linux-2-pc", seconds=1).holds("direct/udp")
