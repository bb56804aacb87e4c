"""Who somebody is: names bound to keys by the authority, signatures end to end, and the keys of one call.

Pure computation over bytes; keeping keys on disk is the node's business. Every signature covers a domain string, so
that one made for one purpose never serves another.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from lab.errors import CredentialExpired, ProtocolError
from lab.overlay import sealing
from lab.wire.messages import (
    CallMessage,
    Credential,
    Envelope,
    Invite,
    Location,
    RelayGrant,
    RelayToken,
    Sealed,
    Withdrawn,
    decode_call,
    decode_seen,
    encode,
)

CREDENTIAL_LIFETIME = 30 * 24 * 3600.0
"""Seconds for which a name stays bound without asking the authority again; about halfway a node asks (enrolment.py)."""

MOST_REMEMBERED = 4_096
"""Signatures that are remembered to be good, those asked for last: a supernode sees each client's credential twice when
it signs in, and again with each word of where it sits; a relay sees that of each supernode with each of its tokens."""

CLOCK_TOLERANCE = 30.0
"""Seconds by which the wall clocks of two honest machines may differ, and for which an invite stays fresh."""


def _covered(domain: str, *parts: bytes) -> bytes:
    """What a signature covers: the domain and each part behind its length, so that no two lists give the same bytes."""
    return b"".join(len(part).to_bytes(4, "big") + part for part in (domain.encode(), *parts))


@lru_cache(maxsize=MOST_REMEMBERED)
def _fits(key: bytes, signature: bytes, covered: bytes) -> None:
    Ed25519PublicKey.from_public_bytes(key).verify(signature, covered)


@contextmanager
def remembering(signatures: int) -> Iterator[None]:
    """So many are remembered meanwhile: by many nodes in one process, each of which has its own elsewhere."""
    global _fits
    before, _fits = _fits, lru_cache(maxsize=signatures)(_fits.__wrapped__)
    try:
        yield
    finally:
        _fits = before


def _verify(key: bytes, signature: bytes, covered: bytes, what: str) -> None:
    try:
        _fits(key, signature, covered)
    except (InvalidSignature, ValueError):
        raise ProtocolError(f"{what} has a signature that does not fit its key") from None


def _credential_bytes(name: str, key: bytes, expires: float) -> bytes:
    return _covered("lab credential", name.encode(), key, repr(expires).encode())


@dataclass
class Identity:
    """A node's own name and key, and the authority's word for them once it has enrolled."""

    name: str
    private: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)
    credential: Credential | None = None

    @property
    def public(self) -> bytes:
        """The 32 bytes of the public key."""
        return self.private.public_key().public_bytes_raw()

    def sign(self, domain: str, *parts: bytes) -> bytes:
        return self.private.sign(_covered(domain, *parts))

    def locate(self, hub: str, at: float, sealing: bytes) -> bytes:
        """The signature of this identity's own word that it sits at a supernode since `at`, epoch seconds, and reads
        what is sealed under this X25519 public key."""
        return self.sign("lab location", hub.encode(), repr(at).encode(), sealing)

    def seal(self, recipient: str, call: str, message: CallMessage, to: bytes) -> Envelope:
        """A message for another client, sealed under its X25519 public key `to` and signed; raises ProtocolError for a
        key that is none."""
        context = _context(self.name, recipient, call)
        return self._signed(recipient, call, Sealed(to, sealing.seal(encode(message), to, context)))

    def say(self, recipient: str, call: str, message: Invite | Withdrawn) -> Envelope:
        """A word for another client, signed, that all who carry it can read."""
        return self._signed(recipient, call, message)

    def _signed(self, recipient: str, call: str, content: Invite | Withdrawn | Sealed) -> Envelope:
        body = encode(content)
        signature = self.sign("lab envelope", self.name.encode(), recipient.encode(), call.encode(), body)
        return Envelope(self.name, recipient, call, body, signature)


def _context(sender: str, recipient: str, call: str) -> bytes:
    """What a sealed message is bound to: its way and its call."""
    return _covered("lab sealed", sender.encode(), recipient.encode(), call.encode())


def check_envelope(envelope: Envelope, key: bytes) -> None:
    """Raises ProtocolError unless `key` has signed the envelope."""
    parts = (envelope.sender.encode(), envelope.recipient.encode(), envelope.call.encode(), envelope.body)
    _verify(key, envelope.signature, _covered("lab envelope", *parts), f"the envelope of {envelope.sender}")


def open_envelope(envelope: Envelope, sealed: Sealed, private: X25519PrivateKey) -> CallMessage:
    """The message that is `sealed` in an envelope under the public half of `private`; raises ProtocolError.

    Whose it is, `check_envelope` tells.
    """
    context = _context(envelope.sender, envelope.recipient, envelope.call)
    return decode_call(sealing.unseal(sealed.text, private, context))


def seal_seen(envelope: Envelope, hosts: tuple[str, ...], to: bytes) -> Sealed:
    """The hosts that a supernode has seen an envelope's sender under, for the recipient, who reads under `to`; raises
    ProtocolError for a key that is none."""
    return Sealed(to, sealing.seal(encode(hosts), to, _seen_with(envelope)))


def open_seen(envelope: Envelope, seen: Sealed, private: X25519PrivateKey) -> tuple[str, ...]:
    """Those hosts; raises ProtocolError. Nobody has signed them: what carries the envelope may have put them there."""
    return decode_seen(sealing.unseal(seen.text, private, _seen_with(envelope)))


def _seen_with(envelope: Envelope) -> bytes:
    return _covered("lab seen", envelope.sender.encode(), envelope.recipient.encode(), envelope.call.encode())


def issue_credential(authority: Ed25519PrivateKey, name: str, key: bytes, wall: float) -> Credential:
    """What the authority says of a name and a key, valid from `wall` (epoch seconds) for CREDENTIAL_LIFETIME."""
    expires = wall + CREDENTIAL_LIFETIME
    return Credential(name, key, expires, authority.sign(_credential_bytes(name, key, expires)))


def check_credential(credential: Credential, authority: bytes, wall: float) -> None:
    """Raises ProtocolError unless the authority's key has signed the credential; CredentialExpired where it has, too
    long ago."""
    covered = _credential_bytes(credential.name, credential.key, credential.expires)
    _verify(authority, credential.signature, covered, f"the credential of {credential.name}")
    if credential.expires < wall:
        raise CredentialExpired(f"the credential of {credential.name} has expired")


def check_signature(key: bytes, signature: bytes, domain: str, *parts: bytes) -> None:
    """Raises ProtocolError unless `key` signed these parts for this purpose."""
    _verify(key, signature, _covered(domain, *parts), domain)


def check_location(location: Location, authority: bytes, wall: float) -> None:
    """Raises ProtocolError unless its client has signed a location, no later than now: by the clock of the supernode
    at which it sits, which may differ from this one as the client's from that."""
    check_credential(location.credential, authority, wall)
    parts = (location.hub.encode(), repr(location.at).encode(), location.sealing)
    check_signature(location.credential.key, location.signature, "lab location", *parts)
    if not location.at <= wall + 2 * CLOCK_TOLERANCE:
        raise ProtocolError(f"{location.credential.name} sits at {location.hub} from {location.at - wall:.0f} s on")


def issue_token(issuer: Identity, grant: RelayGrant) -> bytes:
    """A relay token: the grant, signed by the supernode that offers the relay, with the authority's word for that one,
    which it must have by then."""
    body, credential = encode(grant), issuer.credential
    assert credential is not None, "a node enrols before it offers anything"
    signature = issuer.sign("lab relay grant", body)
    return encode(RelayToken(body, issuer.name, credential.key, credential.expires, credential.signature, signature))


def check_token(token: RelayToken, authority: bytes, wall: float) -> None:
    """Raises ProtocolError unless the authority still vouches for the issuer and the issuer's key signed the grant."""
    check_credential(token.credential, authority, wall)
    _verify(token.key, token.signature, _covered("lab relay grant", token.grant), f"the token of {token.issuer}")


@dataclass(frozen=True)
class CallKeys:
    """What both ends of a call derive and nobody between them can: a key for the checks, and SRTP keys each way.

    `caller` and `callee` are what that side sends with: 30 bytes, a master key of 16 and a salt of 14 (RFC 3711).
    """

    check: bytes
    caller: bytes
    callee: bytes


def derive_keys(private: X25519PrivateKey, peer: bytes, call: str, invite: bytes, callee: bytes) -> CallKeys:
    """HKDF (RFC 5869) over the X25519 secret, bound to the call, the signed invite and the callee's ephemeral key.

    Raises ProtocolError for a peer key of low order.
    """
    try:
        secret = private.exchange(X25519PublicKey.from_public_bytes(peer))
    except ValueError:
        raise ProtocolError("the peer's ephemeral key is not a usable X25519 key") from None
    info = _covered("lab call keys", call.encode(), hashlib.sha256(invite).digest(), callee)
    material = HKDF(algorithm=hashes.SHA256(), length=92, salt=None, info=info).derive(secret)
    return CallKeys(material[:32], material[32:62], material[62:])
