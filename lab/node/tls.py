"""TLS whose certificates prove one thing: that the peer holds a certain Ed25519 key.

Nobody signs the certificates; the overlay compares the key with the one that the authority has bound to a name.
"""

import datetime
import ssl
import tempfile
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.x509.oid import NameOID

from lab.node import keys

LIFETIME = datetime.timedelta(days=365)


def server_context(name: str, private: Ed25519PrivateKey) -> ssl.SSLContext:
    """A context whose self-signed certificate carries `private`'s public key."""
    now = datetime.datetime.now(datetime.UTC)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(private.public_key())
    builder = builder.serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(now - LIFETIME).not_valid_after(now + LIFETIME)
    certificate = builder.sign(private, None).public_bytes(serialization.Encoding.PEM)
    key = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    with tempfile.NamedTemporaryFile(suffix=".pem") as file:  # the ssl module reads keys from files alone
        Path(file.name).write_bytes(certificate + key)
        context.load_cert_chain(file.name)
    return keys.logged(context)


SIGNALLING = "lab-signalling"
"""What a node asks for that looks for a hub (ALPN, RFC 7301): one port may be a hub's and something else's."""


def hub_context(name: str, private: Ed25519PrivateKey) -> ssl.SSLContext:
    """A context of one that is a hub beside something else: it says whether it was asked for signalling."""
    context = server_context(name, private)
    context.set_alpn_protocols([SIGNALLING])
    return context


def asks_for_hub(tls: ssl.SSLObject) -> bool:
    """Whether the peer has asked for signalling, and this side has it."""
    return tls.selected_alpn_protocol() == SIGNALLING


def wrapping_context() -> ssl.SSLContext:
    """A context for media, which is encrypted already and proves its sender by itself: its key is a throwaway one."""
    context = server_context("media", Ed25519PrivateKey.generate())
    context.num_tickets = 0  # nobody resumes
    return context


def client_context(signalling: bool = False) -> ssl.SSLContext:
    """A context that takes any certificate; whose key it is, is checked afterwards by `peer_key`'s reader.
    `signalling`: one that asks for a hub."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if signalling:
        context.set_alpn_protocols([SIGNALLING])
    return keys.logged(context)


def peer_key(tls: ssl.SSLObject) -> bytes:
    """The 32 bytes of the peer's Ed25519 key; empty when its certificate has another kind of key, or there is none."""
    certificate = tls.getpeercert(binary_form=True)
    if not certificate:
        return b""
    try:
        key = x509.load_der_x509_certificate(certificate).public_key()
    except ValueError:
        return b""
    return key.public_bytes_raw() if isinstance(key, Ed25519PublicKey) else b""
