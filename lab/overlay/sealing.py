"""What two clients tell one another is read by these two alone: sealing, opening, and the keys for it.

Belongs here: bytes to sealed bytes and back, and which keys a client opens with. Never: who signs, who is believed.

HPKE in base mode (RFC 9180: X25519, HKDF-SHA256, ChaCha20-Poly1305), each message with a key of its own. Names, call
and direction are part of what the key is made from, so that what was sealed for one place opens in no other.
"""

from collections import OrderedDict

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from lab.errors import ProtocolError

STEP = 256
"""Bytes that a message is filled up to a multiple of: how many candidates there are, of some 80 each, is nobody's."""
GRACE = 30.0
"""Seconds for which a client opens with a key that it has replaced: as long as an invite is fresh (CLOCK_TOLERANCE),
and longer than supernodes go by a location that they have found (CACHE_SECONDS, 10 s)."""
MOST_KEPT = 8
"""Replaced keys that are kept: who signs in anew more often than every four seconds loses the oldest early."""

_SUITE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.CHACHA20_POLY1305)
_LENGTH = 2
_PROBE = X25519PrivateKey.generate()


def fill(data: bytes) -> bytes:
    """`data`, of at most 65,535 bytes, behind its length and before as many zeros as make it a multiple of STEP."""
    filled = len(data).to_bytes(_LENGTH, "big") + data
    return filled + bytes(-len(filled) % STEP)


def unfill(filled: bytes) -> bytes:
    """What was filled up; raises ProtocolError for what `fill` does not make."""
    data = filled[_LENGTH : _LENGTH + int.from_bytes(filled[:_LENGTH], "big")]
    if fill(data) != filled:
        raise ProtocolError(f"a sealed message of {len(filled)} bytes is not filled up as it should be")
    return data


def seal(data: bytes, to: bytes, context: bytes) -> bytes:
    """`data`, of at most 65,535 bytes, for the holder of the X25519 public key `to`; `context` has to be known to open
    it. Raises ProtocolError for a key of low order."""
    try:
        return _SUITE.encrypt(fill(data), X25519PublicKey.from_public_bytes(to), info=context)
    except ValueError:
        raise ProtocolError("the key to seal a message under is not a usable X25519 key") from None


def unseal(text: bytes, private: X25519PrivateKey, context: bytes) -> bytes:
    """What was sealed under this key in this context; raises ProtocolError for all else."""
    try:
        filled = _SUITE.decrypt(text, private, info=context)
    except (InvalidTag, ValueError):
        raise ProtocolError(f"a sealed message of {len(text)} bytes does not open") from None
    return unfill(filled)


def check_usable(public: bytes) -> None:
    """Raises ProtocolError for an X25519 public key of low order, under which nothing can be sealed (RFC 7748, 6.1)."""
    try:
        _PROBE.exchange(X25519PublicKey.from_public_bytes(public))
    except ValueError:
        raise ProtocolError("the key to seal a message under is not a usable X25519 key") from None


class SealingKeys:
    """The keys under which others seal a client's first words to it: one from sign-in to sign-in, in memory only.

    A replaced one opens for GRACE seconds more, for what was on its way, and is forgotten: who has recorded a call
    reads nothing of it with all that the client knows later. That time begins when the client sits under the next one:
    a sign-in elsewhere may fail, and leave it where it is.
    """

    def __init__(self) -> None:
        self._current: X25519PrivateKey | None = None
        self.public = b""
        """The 32 bytes under which others are to seal now; none before the first sign-in is begun."""
        self._used = False
        self._before: OrderedDict[bytes, tuple[X25519PrivateKey, float]] = OrderedDict()

    def signed_in(self, now: float) -> None:
        """The client sits at a supernode under this key: the next sign-in is under another one."""
        self._used = True
        for public, (key, until) in self._before.items():
            self._before[public] = key, min(until, now + GRACE)

    def to_sign_in(self, now: float) -> bytes:
        """The public key to name in a sign-in."""
        if self._current is not None and self._used:
            self._before[self.public] = self._current, float("inf")
            while len(self._before) > MOST_KEPT:
                self._before.popitem(last=False)
        if self._current is None or self._used:
            self._current, self._used = X25519PrivateKey.generate(), False
            self.public = self._current.public_key().public_bytes_raw()
        self.poll(now)
        return self.public

    def private(self, public: bytes, now: float) -> X25519PrivateKey:
        """The private half of a key that is in use, or was until lately; raises ProtocolError for any other."""
        self.poll(now)
        if self._current is not None and public == self.public:
            return self._current
        if public not in self._before:
            raise ProtocolError("it is sealed under a key that this client does not have, or not any more")
        return self._before[public][0]

    def poll(self, now: float) -> None:
        """Forgets what has had its time."""
        while self._before and now >= next(iter(self._before.values()))[1]:
            self._before.popitem(last=False)
