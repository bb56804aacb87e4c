"""Guests: any program on a site's LAN, in a container without a single capability, gone when it ends.

The network is that of a second container, which has NET_ADMIN for as long as it takes to become a host of the site; the
program shares it and can change nothing of it. Both carry the lab's name, so `lab down` removes them, and none of the
labels by which nodes are found.
Belongs here: starting, attaching to and removing them. Never: which site, and where on it.
"""

import contextlib
import json
import os
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from docker import DockerClient
from docker.errors import APIError, ImageNotFound

from lab.errors import ConfigError, RuntimeUnavailable
from lab.runtime.exec import ExecStream, Stream
from lab.runtime.images import NODE
from lab.runtime.mishaps import engine_errors
from lab.runtime.probes import Place, network_of, remove
from lab.runtime.terminal import converse, on_terminal
from lab.runtime.world import PROJECT

LABEL = "lab.guest"
USER = "lab"
"""The ordinary user of the lab's own image."""
_SETTINGS = {"net.ipv4.ip_unprivileged_port_start": "0", "net.ipv4.ping_group_range": "0 2147483647"}
"""What a program without capabilities may do all the same: listen on any port, and ping."""
_WAIT = ["sh", "-c", "trap 'exit 0' TERM; sleep infinity & wait"]
_SHELL = ["sh", "-c", '"$@"; exit $?', "run"]
"""A first process of a container is deaf to signals that it does not handle; so in the lab's image that is a shell."""


class Berth:
    """A host of a site's LAN with nothing on it. Leaving the `with` block removes it; so does the end of this program,
    however that comes."""

    def __init__(self, client: DockerClient, lab: str, place: Place, alone: bool) -> None:
        """Raises RuntimeUnavailable where it cannot be made. `alone`: the site has no IPv4 inside."""
        api = client.api
        self._client = client
        with engine_errors(f"put a guest on {place.network}"):
            network = str(network_of(client, lab, place.network)["Name"])
            endpoint = api.create_endpoint_config(ipv4_address=place.address, ipv6_address=place.address6)
            created = api.create_container(
                f"{NODE}:latest",
                entrypoint=_WAIT,
                hostname="guest",
                labels={PROJECT: lab, LABEL: "network"},
                host_config=api.create_host_config(
                    cap_drop=["ALL"],
                    cap_add=["NET_ADMIN", "SYS_CHROOT"],  # SYS_CHROOT: on engines that run in a chroot themselves
                    security_opt=["no-new-privileges:true"],
                    read_only=True,
                    tmpfs={"/run": "", "/tmp": ""},
                    network_mode=network,
                    auto_remove=True,
                    sysctls=_SETTINGS,
                    dns=["127.0.0.1"],  # names are not resolved; nothing leaves the host
                ),
                networking_config=api.create_networking_config({network: endpoint}),  # type: ignore[arg-type]
            )
            self.id = str(created["Id"])
        try:
            with engine_errors(f"put a guest on {place.network}"):
                api.start(self.id)
            argv = ["python3", "-m", "lab.boot.guest", *(["alone"] if alone else [])]
            self._stream = ExecStream(client, self.id, argv, stdin=True)
            self._until_ready()
        except BaseException:
            remove(client, self.id)
            raise

    def _until_ready(self) -> None:
        said = b""
        for _, data in self._stream.chunks():
            said += data
            if b"\n" in said:
                break
        with contextlib.suppress(ValueError):
            answer = json.loads(said.splitlines()[0] if said else b"")
            if answer.get("event") == "ready":
                return
            said = str(answer.get("error", "")).encode()
        why = said.decode(errors="replace").strip().splitlines()[-1:] or ["it said nothing"]
        raise RuntimeUnavailable(f"the guest found no way out: {why[0]}")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stream.close()
        remove(self._client, self.id)


def run(client: DockerClient, lab: str, berth: str, image: str | None, command: Sequence[str]) -> int:
    """Run a command in the network of a berth, on this terminal, until it ends; its exit status. `image` None: the
    lab's own, as by its name. Whatever ends this ends the program. Raises ConfigError where there is no such image."""
    tty = on_terminal()
    container = _create(client, lab, berth, image, command, tty)
    try:
        with _Attached(client, container, tty) as stream:
            with engine_errors(f"run {' '.join(command) or image}"):
                client.api.start(container)
            return converse(stream, tty)
    finally:
        remove(client, container)


def _create(client: DockerClient, lab: str, berth: str, image: str | None, command: Sequence[str], tty: bool) -> str:
    own = image in (None, NODE, f"{NODE}:latest")  # whose entrypoint starts nodes, and no programs
    api = client.api
    more: dict[str, Any] = {"entrypoint": _SHELL, "user": USER, "working_dir": "/tmp"} if own else {}
    environment: Mapping[str, str] = {"TERM": os.environ.get("TERM", "xterm")} if tty else {}
    with engine_errors(f"run {' '.join(command) or image}"):
        try:
            created = api.create_container(
                image or f"{NODE}:latest",
                command=list(command) or None,
                tty=tty,
                stdin_open=True,
                labels={PROJECT: lab, LABEL: "program"},
                environment=dict(environment),
                host_config=api.create_host_config(
                    cap_drop=["ALL"],
                    security_opt=["no-new-privileges:true"],
                    network_mode=f"container:{berth}",
                    read_only=own,
                    tmpfs={"/tmp": ""} if own else None,
                ),
                **more,
            )
        except ImageNotFound:
            raise ConfigError(f"this engine has no image {image}; `docker pull {image}` fetches one") from None
    return str(created["Id"])


class _Attached(Stream):
    """The three streams of a container's own program."""

    def __init__(self, client: DockerClient, container: str, tty: bool) -> None:
        api: Any = client.api
        self._container = container
        with engine_errors("attach to a guest"):
            response = api._post(
                api._url("/containers/{0}/attach", container),
                headers={"Connection": "Upgrade", "Upgrade": "tcp"},
                params={"stream": 1, "stdin": 1, "stdout": 1, "stderr": 1},
                stream=True,
            )
            api._raise_for_status(response)
        super().__init__(api, response, tty)

    def resize(self, rows: int, columns: int) -> None:
        """Tell the program's terminal its size, in characters; one that has ended needs none."""
        with contextlib.suppress(APIError):
            self._api.resize(self._container, height=rows, width=columns)

    def status(self) -> int | None:
        """The exit status, when it has ended."""
        with engine_errors("ask for an exit status"):
            return int(self._api.wait(self._container)["StatusCode"])
