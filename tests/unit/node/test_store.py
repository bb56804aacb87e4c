"""A node's key and credential survive its restart, and a damaged file is told, not overwritten."""

from pathlib import Path

import msgspec
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


def test_invites_come_back_with_whose_they_were_and_how_long_each_is_fresh(tmp_path: Path) -> None:
    assert store.load_invites(tmp_path) == {}
    taken = {("frank", "c1.x"): 1_800_000_030.5, ("frank", "c2.x"): 1_800_000_031.0, ("carol", "c1.x"): 1_800_000_032.0}
    store.save_invites(taken, tmp_path)
    assert store.load_invites(tmp_path) == taken


SPOILT = {
    "nothing": b"",
    "no message": b"\xc1 no message",
    "half": b"\x92\xa3bob",
    "another thing": b"\x93\x01\x02\x03",
}


@pytest.mark.parametrize("found", SPOILT.values(), ids=SPOILT.keys())
def test_what_is_spoilt_is_set_aside_with_one_sentence_each_and_the_node_goes_on(tmp_path: Path, found: bytes) -> None:
    public, told = store.load_identity("bob", tmp_path).public, list[str]()
    for name in ("credential", "hosts", "contacts", "invites"):
        (tmp_path / name).write_bytes(found)
    for _ in range(2):
        identity = store.load_identity("bob", tmp_path, tell=told.append)
        assert (identity.public, identity.credential) == (public, None)
        assert (store.load_hosts(tmp_path, told.append), store.load_pins(tmp_path, told.append)) == ((), {})
        assert store.load_invites(tmp_path, told.append) == {}
    assert len(told) == 4, "once each"
    for name, sentence, again in zip(
        ("credential", "hosts", "contacts", "invites"), told, ("enrols", "learnt", "learnt", "once more"), strict=True
    ):
        assert f"{tmp_path / name} cannot be used" in sentence and f"{name}.spoilt" in sentence and again in sentence
        assert (tmp_path / f"{name}.spoilt").read_bytes() == found


def test_supernodes_at_no_addresses_are_spoilt_as_well(tmp_path: Path) -> None:
    store.save_hosts((("not an address",),), tmp_path)
    assert store.load_hosts(tmp_path) == ()


def test_a_credential_that_the_authority_has_not_signed_is_set_aside_and_an_expired_one_is_not(tmp_path: Path) -> None:
    authority, told = Identity("authority"), list[str]()
    public = store.load_identity("bob", tmp_path).public
    store.save_credential(issue_credential(authority.private, "bob", public, 1_000.0), tmp_path)
    assert store.load_identity("bob", tmp_path, authority.public, told.append).credential is not None and not told
    other = Identity("another").public
    assert store.load_identity("bob", tmp_path, other, told.append).credential is None
    assert len(told) == 1 and "signature" in told[0]


def test_a_file_that_cannot_even_be_set_aside_stops_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(self: Path, target: Path) -> Path:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "replace", refused)
    (tmp_path / "contacts").write_bytes(b"\xc1")
    told: list[str] = []
    assert store.load_pins(tmp_path, told.append) == {}
    assert "cannot be set aside either (Permission denied)" in told[0]


def test_a_spoilt_book_of_names_stops_the_authority_for_it_would_give_them_to_others(tmp_path: Path) -> None:
    (tmp_path / "names").write_bytes(b"\xc1")
    with pytest.raises(ConfigError, match="put back a copy, or remove it") as told:
        store.load_names(tmp_path)
    assert told.value.exit_code == 2 and (tmp_path / "names").exists()


def test_what_was_told_of_a_network_holds_there_alone(tmp_path: Path) -> None:
    told: list[str] = []
    assert store.load_visited(["192.168.59.20"], tmp_path, told.append) is None
    away = store.Visited(("192.168.59.0/24", "2001:db8:59::/64"), "http://192.168.59.5:3128")
    store.save_visited(away, tmp_path)
    assert store.load_visited(["192.168.59.20"], tmp_path) == away
    assert store.load_visited(["10.0.0.1", "2001:db8:59::20"], tmp_path) == away
    assert store.load_visited(["192.168.32.10", "2001:db8:32::20"], tmp_path, told.append) is None
    assert not told


@pytest.mark.parametrize("spoilt", [b"", b"\xc1", msgspec.msgpack.encode(store.Visited(("home",), None))])
def test_a_spoilt_word_of_a_network_is_told_and_set_aside(tmp_path: Path, spoilt: bytes) -> None:
    told: list[str] = []
    (tmp_path / "visited").write_bytes(spoilt)
    assert store.load_visited(["192.168.59.20"], tmp_path, told.append) is None
    assert "the environment says which proxy there is" in told[0] and (tmp_path / "visited.spoilt").exists()
