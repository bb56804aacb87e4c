"""The site's HTTP proxy: found in the environment as programs find it, asked for tunnels by CONNECT (RFC 9110, 9.3.6).

When a connection goes through it is the machine's decision.
"""

import socket
import urllib.request
from dataclasses import dataclass
from urllib.parse import urlsplit

from python_socks import ProxyConnectionError, ProxyError, ProxyTimeoutError
from python_socks.async_.asyncio import Proxy

from lab.errors import ConfigError
from lab.wire.addresses import Address

CONNECT_LIMIT = 10.0
"""Seconds for a tunnel, longer than any machine waits for a link."""


@dataclass(frozen=True)
class HttpProxy:
    """`url` is the proxy's, with name and password where it wants them; `exempt` is what no_proxy says."""

    url: str
    exempt: str = ""

    @classmethod
    def from_environment(cls) -> "HttpProxy | None":
        """What https_proxy or HTTPS_PROXY names, else None. Raises ConfigError where that is no HTTP proxy."""
        settings = urllib.request.getproxies_environment()
        url = settings.get("https")
        return cls.named(url, settings.get("no", "")) if url else None

    @classmethod
    def named(cls, url: str, exempt: str = "") -> "HttpProxy":
        """The proxy at a URL. Raises ConfigError where that is no HTTP proxy's."""
        url = url if "://" in url else f"http://{url}"
        try:
            parts = urlsplit(url)
            usable = parts.scheme == "http" and bool(parts.hostname) and parts.port is not None
        except ValueError:
            usable = False
        if not usable:
            raise ConfigError(f"https_proxy is {url!r}, expected http://HOST:PORT; only HTTP proxies are spoken to")
        return cls(url, exempt)

    def serves(self, host: str) -> bool:
        """Whether a host is reached through it; no_proxy lists names, addresses, or `*` for all."""
        return not urllib.request.proxy_bypass_environment(host, {"no": self.exempt})  # type: ignore[attr-defined]

    async def tunnel(self, address: Address) -> socket.socket:
        """A connection through the proxy. Raises OSError with the proxy's words."""
        try:
            return await Proxy.from_url(self.url).connect(*address, timeout=CONNECT_LIMIT)
        except (ProxyError, ProxyConnectionError, ProxyTimeoutError) as error:
            raise OSError(f"the proxy says: {error}") from None
