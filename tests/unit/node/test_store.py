"""A node's key and credential survive its restart, and a damaged file is told, not overwritten."""

from pathlib import Path

import pytest

from lab.errors import ConfigError
from lab.node import store
from lab.overlay.identity import Identity, issue_credential


def test_the_key_stays_the_same(tmp_path: Path) -> None:
    first = store.load_identity("bob", tmp_path)
    assert store.load_identity("bob", tmp_path).public == first.public
    assert (tmp_path / "key").stat().st_mode & 0o077 == 0


def test_the_credential_comes_back_for_the_same_name_and_key_alone(tmp_path: Path) -> None:
    identity = store.load_identity("bob", tmp_path)
    assert identity.credential is None
    credential = issue_credential(Identity("authority").private, "bob", identity.public, 1_800_000_000.0)
    store.save_credential(credential, tmp_path)
    assert store.load_identity("bob", tmp_path).credential == credential
    assert store.load_identity("carol", tmp_path).credential is None


def test_a_damaged_key_is_refused(tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(b"short")
    with pytest.raises(ConfigError, match="cannot be used"):
        store.load_identity("bob", tmp_path)
    assert (tmp_path / "key").read_bytes() == b"short"


def test_the_authoritys_book_comes_back(tmp_path: Path) -> None:
    assert store.load_names(tmp_path) == {}
    store.save_names({"bob": bytes(32)}, tmp_path)
    assert store.load_names(tmp_path) == {"bob": bytes(32)}


def test_supernodes_and_contacts_come_back_and_a_spoilt_file_is_none(tmp_path: Path) -> None:
    assert (store.load_hosts(tmp_path), store.load_pins(tmp_path)) == ((), {})
    machines, pins = (("203.0.113.11", "2001:db8:0:1::11"), ("203.0.113.12",)), {"frank": bytes(range(32))}
    store.save_hosts(machines, tmp_path)
    store.save_pins(pins, tmp_path)
    assert (store.load_hosts(tmp_path), store.load_pins(tmp_path)) == (machines, pins)
    for name in ("hosts", "contacts"):
        (tmp_path / name).write_bytes(b"\xc1 no message")
    assert (store.load_hosts(tmp_path), store.load_pins(tmp_path)) == ((), {}), "it begins anew"
