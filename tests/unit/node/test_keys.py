"""Secrets of TLS connections are kept where that was asked for, and given out for the connections that are named."""

import ssl
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from lab.errors import ConfigError
from lab.node import keys
from lab.node.tls import client_context, server_context


def connected() -> str:
    """A connection in memory; its client's random in hex."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    near = client_context().wrap_bio(to_client, to_server, server_side=False)
    far = server_context("supernode-1", Ed25519PrivateKey.generate()).wrap_bio(to_server, to_client, server_side=True)
    hello = b""
    for _ in range(4):
        for end in (near, far):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                if not hello:
                    hello = to_server.read()
                    to_server.write(hello)
    return hello[11:43].hex()


@pytest.fixture
def file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setattr(keys, "FILE", tmp_path / "run" / "tls-keys")
    return tmp_path / "run" / "tls-keys"


def test_nothing_is_kept_unless_it_was_asked_for(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for value in ("", "0", "yes"):
        monkeypatch.setenv(keys.VARIABLE, value)
        connected()
    monkeypatch.delenv(keys.VARIABLE)
    connected()
    assert not file.exists()
    with pytest.raises(ConfigError, match="LAB_KEYLOG=1"):
        keys.of([])


def test_the_lines_of_the_connections_that_are_named(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(keys.VARIABLE, "1")
    assert keys.of(["ab"]) == ""
    one, two = connected(), connected()
    assert one != two and one in file.read_text() and two in file.read_text()
    said = keys.of([one])
    assert "CLIENT_TRAFFIC_SECRET_0 " + one in said and "SERVER_TRAFFIC_SECRET_0 " + one in said and two not in said
    assert keys.of([]) == ""


@pytest.mark.parametrize("asked", [None, "ab", 7, ["a"] * (keys.MOST_ASKED + 1)])
def test_an_order_that_makes_no_sense_is_refused(file: Path, monkeypatch: pytest.MonkeyPatch, asked: object) -> None:
    monkeypatch.setenv(keys.VARIABLE, "1")
    with pytest.raises(ConfigError, match="at most 500 randoms"):
        keys.of(asked)
