"""What a node keeps on disk: its key, the authority's word for it; and where it finds the authority's public key.

Files alone; what they mean stands in overlay/identity.py.
"""

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from lab.errors import ConfigError
from lab.overlay.identity import Identity
from lab.wire.messages import Credential

STATE = Path("/var/lib/lab")
TRUST = Path("/trust")
ANCHOR = TRUST / "authority.pub"
"""The authority's public key, 32 bytes: what a client is shipped with."""


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


def load_identity(name: str, folder: Path = STATE) -> Identity:
    """The node's name, key and, where it has enrolled before, its credential."""
    identity = Identity(name, load_key(folder / "key"))
    saved = folder / "credential"
    if saved.exists():
        credential = msgspec.msgpack.decode(saved.read_bytes(), type=Credential)
        if (credential.name, credential.key) == (name, identity.public):
            identity.credential = credential
    return identity


def save_credential(credential: Credential, folder: Path = STATE) -> None:
    _write(folder / "credential", msgspec.msgpack.encode(credential))


def load_hosts(folder: Path = STATE) -> tuple[tuple[str, ...], ...]:
    """The supernodes that the node had learnt of when it last ran; none if it never did, or if the file is spoilt."""
    try:
        return msgspec.msgpack.decode((folder / "hosts").read_bytes(), type=tuple[tuple[str, ...], ...])
    except (OSError, msgspec.MsgspecError):
        return ()


def save_hosts(machines: tuple[tuple[str, ...], ...], folder: Path = STATE) -> None:
    _write(folder / "hosts", msgspec.msgpack.encode(machines))


def load_pins(folder: Path = STATE) -> dict[str, bytes]:
    """The keys of those whom the client has had to do with; none if there were none, or if the file is spoilt."""
    try:
        return msgspec.msgpack.decode((folder / "contacts").read_bytes(), type=dict[str, bytes])
    except (OSError, msgspec.MsgspecError):
        return {}


def save_pins(pins: Mapping[str, bytes], folder: Path = STATE) -> None:
    _write(folder / "contacts", msgspec.msgpack.encode(dict(pins)))


def load_names(folder: Path = STATE) -> dict[str, bytes]:
    """The authority's own book: which name belongs to which key."""
    book = folder / "names"
    return msgspec.msgpack.decode(book.read_bytes(), type=dict[str, bytes]) if book.exists() else {}


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
