"""TLS shows whose key is at the other end, and nothing else is believed."""

import ssl

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from lab.node.tls import client_context, peer_key, server_context


def handshake(server: ssl.SSLContext, client: ssl.SSLContext) -> ssl.SSLObject:
    """The client's end after a handshake in memory."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    near = client.wrap_bio(to_client, to_server, server_side=False)
    far = server.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(4):
        for end in (near, far):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
    return near


def test_the_client_sees_the_servers_key() -> None:
    private = Ed25519PrivateKey.generate()
    near = handshake(server_context("supernode-1", private), client_context())
    assert peer_key(near) == private.public_key().public_bytes_raw()
    assert near.version() == "TLSv1.3"


def test_no_certificate_is_no_key() -> None:
    class Silent:
        def getpeercert(self, binary_form: bool = False) -> bytes | None:
            return None

    class Garbled(Silent):
        def getpeercert(self, binary_form: bool = False) -> bytes | None:
            return b"not a certificate"

    assert peer_key(Silent()) == b""  # type: ignore[arg-type]
    assert peer_key(Garbled()) == b""  # type: ignore[arg-type]
