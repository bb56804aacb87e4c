"""What the library's C code prints while it asks does not come into a node's log; what is printed afterwards does."""

import os

import pytest

from lab.node import igd


class Chatty:
    """Prints as C does, past Python's own streams."""

    discoverdelay = 0

    def discover(self) -> None:
        os.write(2, b"sendto: Network is unreachable\n")
        raise OSError

    def selectigd(self) -> None: ...


def test_the_library_prints_nothing(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(igd.miniupnpc, "UPnP", Chatty)
    with pytest.raises(igd.NoGateway):
        igd.Igd().find()
    os.write(2, b"heard again\n")
    assert capfd.readouterr().err == "heard again\n"
