"""What a node keeps on disk: its key, the authority's word for it, whom it knows, whose invites it has taken, and where
it was taken to; and where it finds the authority's public key.

Files alone; what they mean stands in overlay/identity.py.
"""

import asyncio
import itertools
import os
from collections.abc import Callable, Iterable, Mapping
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import TypeVar

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from lab.errors import ConfigError, ProtocolError
from lab.overlay.identity import Identity, check_credential
from lab.wire.messages import CallId, Credential, Hosts, Key, Name

STATE = Path("/var/lib/lab")
TRUST = Path("/trust")
ANCHOR = TRUST / "authority.pub"
"""The authority's public key, 32 bytes: what a client is shipped with."""

Tell = Callable[[str], object]
"""What is told when a file is spoilt: one sentence."""
Kept = TypeVar("Kept")


def _unheard(sentence: str) -> None:
    """Nobody asks."""


def _write(path: Path, data: bytes) -> None:
    """Whole or not at all."""
    temporary = path.with_suffix(".new")
    temporary.touch(mode=0o600)
    temporary.write_bytes(data)
    temporary.rename(path)


def load_key(path: Path) -> Ed25519PrivateKey:
    """The key in a file, made now if there is none. Raises ConfigError if it cannot be read or written."""
    try:
        if path.exists():
            return Ed25519PrivateKey.from_private_bytes(path.read_bytes())
        key = Ed25519PrivateKey.generate()
        _write(path, key.private_bytes_raw())
        return key
    except (OSError, ValueError) as error:
        raise ConfigError(f"the key in {path} cannot be used: {error}; remove it to begin with a new one") from None


def _load(path: Path, kind: type[Kept], again: str, tell: Tell) -> Kept | None:
    """What a file holds; None where there is none, or where it is spoilt: then it is set aside, and that is told."""
    try:
        return msgspec.msgpack.decode(path.read_bytes(), type=kind)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
        _set_aside(path, str(error), again, tell)
        return None


def _set_aside(path: Path, why: str, again: str, tell: Tell) -> None:
    aside = path.with_suffix(".spoilt")
    try:
        path.replace(aside)
        where = f"it is set aside as {aside}"
    except OSError as error:
        where = f"it cannot be set aside either ({error.strerror}) and stays"
    tell(f"{path} cannot be used: {why}; {where}, and {again}")


def load_identity(name: str, folder: Path = STATE, authority: bytes | None = None, tell: Tell = _unheard) -> Identity:
    """The node's name, key and, where it has enrolled before, its credential; one that `authority`, its public key, has
    not signed is worth nothing. Raises ConfigError for the key alone: it is what the name belongs to."""
    identity = Identity(name, load_key(folder / "key"))
    path, again = folder / "credential", f"{name} enrols anew"
    credential = _load(path, Credential, again, tell)
    if credential is None or (credential.name, credential.key) != (name, identity.public):
        return identity
    try:
        if authority is not None:
            check_credential(credential, authority, wall=0.0)  # whether it has expired is looked at later
        identity.credential = credential
    except ProtocolError as error:
        _set_aside(path, str(error), again, tell)
    return identity


def save_credential(credential: Credential, folder: Path = STATE) -> None:
    _write(folder / "credential", msgspec.msgpack.encode(credential))


def load_hosts(folder: Path = STATE, tell: Tell = _unheard) -> tuple[tuple[str, ...], ...]:
    """The supernodes that the node had learnt of when it last ran; none if it never did, or if the file is spoilt."""
    path, again = folder / "hosts", "supernodes are learnt anew"
    machines = _load(path, tuple[Hosts, ...], again, tell) or ()
    try:
        for host in itertools.chain(*machines):
            ip_address(host)
    except ValueError as error:
        _set_aside(path, str(error), again, tell)
        return ()
    return machines


def save_hosts(machines: tuple[tuple[str, ...], ...], folder: Path = STATE) -> None:
    _write(folder / "hosts", msgspec.msgpack.encode(machines))


class Visited(msgspec.Struct, frozen=True):
    """A network that the node was taken to, as prefixes, and the URL of the proxy there; None: it has none."""

    networks: tuple[str, ...]
    proxy: str | None

    def has(self, addresses: Iterable[str]) -> bool:
        """Whether one of these is an address there."""
        return any(ip_address(each) in ip_network(network) for each in addresses for network in self.networks)


def load_visited(addresses: Iterable[str], folder: Path = STATE, tell: Tell = _unheard) -> Visited | None:
    """What was told of the network that a node with these addresses is on; None where that was of another, and where
    it has never been taken anywhere: then its environment says."""
    path, again = folder / "visited", "the environment says which proxy there is"
    visited = _load(path, Visited, again, tell)
    try:
        return visited if visited is not None and visited.has(addresses) else None
    except ValueError as error:
        _set_aside(path, str(error), again, tell)
        return None


def save_visited(visited: Visited, folder: Path = STATE) -> None:
    _write(folder / "visited", msgspec.msgpack.encode(visited))


def load_pins(folder: Path = STATE, tell: Tell = _unheard) -> dict[str, bytes]:
    """The keys of those whom the client has had to do with; none if there were none, or if the file is spoilt."""
    return _load(folder / "contacts", dict[str, Key], "the keys of contacts are learnt anew", tell) or {}


def save_pins(pins: Mapping[str, bytes], folder: Path = STATE) -> None:
    _write(folder / "contacts", msgspec.msgpack.encode(dict(pins)))


def load_invites(folder: Path = STATE, tell: Tell = _unheard) -> dict[tuple[str, str], float]:
    """The invites that the client had taken when it last ran, by sender and call, and until when each could be shown
    again, epoch seconds; none if there were none, or if the file is spoilt."""
    path, again = folder / "invites", "one that was taken within the last minute could ring once more"
    taken = _load(path, tuple[tuple[Name, CallId, float], ...], again, tell) or ()
    return {(sender, call): until for sender, call, until in taken}


def save_invites(invites: Mapping[tuple[str, str], float], folder: Path = STATE) -> None:
    _write(folder / "invites", msgspec.msgpack.encode([(*invite, until) for invite, until in invites.items()]))


def load_names(folder: Path = STATE) -> dict[str, bytes]:
    """The authority's own book: which name belongs to which key. Raises ConfigError if it cannot be read: without it,
    each name would be whoever's that asks first."""
    book = folder / "names"
    try:
        return msgspec.msgpack.decode(book.read_bytes(), type=dict[str, bytes])
    except FileNotFoundError:
        return {}
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
        said = f"the authority's book of names in {book} cannot be used: {error}"
        raise ConfigError(f"{said}; put back a copy, or remove it to give every name anew") from None


def save_names(names: dict[str, bytes], folder: Path = STATE) -> None:
    _write(folder / "names", msgspec.msgpack.encode(names))


def publish_anchor(key: bytes) -> None:
    """The authority lays out its public key. Raises ConfigError."""
    try:
        temporary = ANCHOR.with_suffix(f".{os.getpid()}")
        temporary.write_bytes(key)
        temporary.rename(ANCHOR)
    except OSError as error:
        raise ConfigError(f"the authority cannot lay out its public key in {ANCHOR}: {error}") from None


async def await_anchor() -> bytes:
    """The authority's public key, as soon as the authority has laid it out for the first time."""
    while not ANCHOR.exists():  # noqa: ASYNC110 - another container's file: there is nothing to subscribe to
        await asyncio.sleep(0.02)
    return ANCHOR.read_bytes()
