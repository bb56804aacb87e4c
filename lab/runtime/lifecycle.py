"""Starting and stopping: whole labs through Compose, single nodes through the engine, taking down by label.

Belongs here: changing containers and networks. Never: building images, reading topologies, waiting for readiness.
"""

import contextlib
import os
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from docker import DockerClient
from docker.errors import APIError, NotFound

from lab.errors import RuntimeUnavailable
from lab.runtime.mishaps import engine_errors
from lab.runtime.world import PROJECT, Container

Say = Callable[[str], None]


@dataclass(frozen=True)
class Removed:
    """How much a `down` took away."""

    containers: int
    networks: int
    volumes: int


AT_ONCE = 24
"""Containers that Compose is asked to start at once: 1.29 keeps 25 connections to the engine, and where it needs more,
closes one that is about to be used ("Pool is closed")."""


def compose_up(
    compose: Sequence[str],
    name: str,
    file: Path,
    nodes: Sequence[str],
    log: Path,
    variables: Mapping[str, str],
    started: Callable[[int], object] = lambda nodes: None,
) -> None:
    """Create and start the `nodes` of a file, filled in with `variables`; Compose's words go to `log`. `started` hears
    how many have been, now and then while there are more.

    Raises RuntimeUnavailable.
    """
    command = [
        *compose,
        "--project-name",
        name,
        "--file",
        str(file),
        "up",
        "--detach",
        "--no-build",
        "--remove-orphans",
    ]
    # Compose 1.29 starts nodes one after the other below this limit; with few it hung. Asked for so many at once, an
    # engine on a busy machine may need longer for one than the minute that Compose gives it.
    patience = {"COMPOSE_PARALLEL_LIMIT": "200", "COMPOSE_HTTP_TIMEOUT": "300"}
    environment = {**patience, **os.environ, **variables, "COMPOSE_PROJECT_NAME": name}
    log.parent.mkdir(parents=True, exist_ok=True)
    returned = 0
    with log.open("w") as output:
        for first in range(0, len(nodes), AT_ONCE):
            if first:
                started(first)
            returned = subprocess.run(
                [*command, *nodes[first : first + AT_ONCE]],
                cwd=file.parent,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                check=False,
            ).returncode
            if returned:
                break
    if returned:
        words = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
        telling = [line for line in words if "error" in line.lower()] or words or ["it said nothing"]
        raise RuntimeUnavailable(f"Compose could not start {file.name}: {telling[-1]} (its whole output: {log})")


def take_down(client: DockerClient, name: str) -> Removed:
    """Remove every container, network and volume that carries the lab's name; what is gone already is no error.

    By label and in parallel, so it does not depend on Compose, on the file, or on how far an `up` had come.
    """
    ours = {"label": f"{PROJECT}={name}"}
    with engine_errors("list what belongs to the lab"):
        containers = [str(found["Id"]) for found in client.api.containers(all=True, filters=ours)]
        networks = [str(found["Id"]) for found in client.api.networks(filters=ours)]
        volumes = [str(found["Name"]) for found in client.api.volumes(filters=ours).get("Volumes") or ()]
    with ThreadPoolExecutor(max_workers=8, thread_name_prefix="down") as pool:
        _all(pool, lambda one: _gone(lambda: client.api.remove_container(one, force=True, v=True)), containers)
        _all(pool, lambda one: _remove_network(client, one), networks)
        _all(pool, lambda one: _gone(lambda: client.api.remove_volume(one, force=True)), volumes)
    return Removed(len(containers), len(networks), len(volumes))


def kill(client: DockerClient, container: Container) -> None:
    """Stop a node at once, without a goodbye, and return when it is down."""
    with engine_errors(f"kill {container.node}"):
        client.api.kill(container.id)
        client.api.wait(container.id)


STOP_SECONDS = 10
"""What a node has for ending by itself; a supernode hands over its clients within three, a relay its calls within
five."""


def stop(client: DockerClient, container: Container) -> None:
    """Ask a node to end, and return when it is down: killed, if it takes too long."""
    with engine_errors(f"stop {container.node}"):
        client.api.stop(container.id, timeout=STOP_SECONDS)


def start(client: DockerClient, container: Container) -> None:
    """Start a stopped node; being ready is another matter."""
    with engine_errors(f"start {container.node}"):
        client.api.start(container.id)


def _all(pool: ThreadPoolExecutor, act: Callable[[str], None], things: Iterable[str]) -> None:
    with engine_errors("take the lab down"):
        list(pool.map(act, things))


def _gone(remove: Callable[[], object], seconds: float = 30.0) -> None:
    """Remove what may be gone already, or be on its way out by another hand: the engine offers no wait for that."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            remove()
        except NotFound:
            return
        except APIError as error:
            if error.status_code != 409 or time.monotonic() > deadline:  # 409: in progress, or still in use
                raise
            time.sleep(0.1)
        else:
            return


def _remove_network(client: DockerClient, network: str) -> None:
    try:
        client.api.remove_network(network)
    except NotFound:
        return
    except APIError:  # "has active endpoints": ones that outlived their container
        with contextlib.suppress(NotFound):
            for endpoint in client.api.inspect_network(network)["Containers"] or ():
                with contextlib.suppress(APIError):
                    client.api.disconnect_container_from_network(endpoint, network, force=True)
            try:
                client.api.remove_network(network)
            except APIError as error:
                if "active endpoints" not in str(error.explanation or error):
                    raise
                raise RuntimeUnavailable(
                    f"the engine holds on to the network {network} for containers that are gone: restart the engine, "
                    "which counts them anew, and try again"
                ) from error
