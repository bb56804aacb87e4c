"""A guest of a site: which rights its two containers have, and that nothing is left, however it ends."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from docker.errors import APIError, ImageNotFound
from fake_engine import FakeEngine, frame

from lab.errors import AddressTaken, ConfigError, RuntimeUnavailable
from lab.runtime import guests
from lab.runtime.exec import STDERR, STDOUT
from lab.runtime.guests import Berth, run
from lab.runtime.probes import Place

PLACE = Place("home", "192.168.32.200")


class Api:
    """As much of the SDK's low-level client as makes, starts and removes containers."""

    def __init__(self) -> None:
        self.created: list[tuple[str, dict[str, Any]]] = []
        self.started: list[str] = []
        self.removed: list[str] = []

    def networks(self, **asked: Any) -> list[dict[str, str]]:
        return [{"Id": "n1", "Name": "lab_home"}]

    def create_host_config(self, **settings: Any) -> dict[str, Any]:
        return settings

    def create_endpoint_config(self, **settings: Any) -> dict[str, Any]:
        return settings

    def create_networking_config(self, settings: Any) -> Any:
        return settings

    def create_container(self, image: str, **settings: Any) -> dict[str, str]:
        if image == "nowhere":
            raise ImageNotFound("no such image")
        self.created.append((image, settings))
        return {"Id": f"c{len(self.created)}"}

    def start(self, container: str) -> None:
        self.started.append(container)

    def remove_container(self, container: str, **options: Any) -> None:
        self.removed.append(container)


class Client:
    def __init__(self) -> None:
        self.api = Api()


class Streams:
    """Stands for a process: says one thing; `closed` when let go of."""

    said = b'{"event": "ready"}\n'

    def __init__(self, *about: Any, **more: Any) -> None:
        self.closed = False

    def __enter__(self) -> "Streams":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def chunks(self) -> Iterator[tuple[int, bytes]]:
        yield 1, self.said

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(guests, "ExecStream", Streams)
    monkeypatch.setattr(guests, "_Attached", Streams)
    monkeypatch.setattr(guests, "converse", lambda stream, tty: 7)
    return Client()


@pytest.mark.parametrize(
    "said", ["Address already in use", "failed to set up container networking: Address already in use"]
)
def test_an_address_that_somebody_else_was_given_meanwhile_is_told_apart(client: Any, said: str) -> None:
    def taken(container: str) -> None:
        raise APIError("403 Client Error", explanation=said)

    client.api.start = taken
    with pytest.raises(AddressTaken, match=r"put a guest on home: .*already in use"):
        Berth(client, "lab", PLACE, False)
    assert client.api.removed == ["c1"]


def test_the_program_has_no_capability_and_its_network_is_another_container_s(client: Any) -> None:
    with Berth(client, "lab", PLACE, False) as berth:
        assert run(client, "lab", berth.id, None, ["nc", "-l", "7"]) == 7
    (_, network), (image, program) = client.api.created
    assert network["host_config"]["cap_drop"] == program["host_config"]["cap_drop"] == ["ALL"]
    assert network["host_config"]["cap_add"] == ["NET_ADMIN", "SYS_CHROOT"]
    assert "cap_add" not in program["host_config"] and program["host_config"]["read_only"]
    assert program["host_config"]["network_mode"] == "container:c1" and program["user"] == "lab"
    assert all(one["host_config"]["security_opt"] == ["no-new-privileges:true"] for one in (network, program))
    assert all(one["labels"]["com.docker.compose.project"] == "lab" for one in (network, program))
    assert image == "lab/node:latest" and program["command"] == ["nc", "-l", "7"]
    assert client.api.started == ["c1", "c2"] and client.api.removed == ["c2", "c1"]


@pytest.mark.parametrize("image", [None, "lab/node", "lab/node:latest"])
def test_in_the_lab_s_own_image_by_whatever_name_the_command_is_what_runs(client: Any, image: str | None) -> None:
    assert run(client, "lab", "c0", image, ["id", "-un"]) == 7
    ((_, program),) = client.api.created
    assert program["entrypoint"] == ["sh", "-c", '"$@"; exit $?', "run"] and program["command"] == ["id", "-un"]
    assert program["user"] == "lab" and program["host_config"]["read_only"]


def test_another_image_is_run_as_it_is(client: Any) -> None:
    assert run(client, "lab", "c0", "debian:13", []) == 7
    ((image, program),) = client.api.created
    assert image == "debian:13" and "entrypoint" not in program and program["command"] is None
    assert not program["host_config"]["read_only"]
    with pytest.raises(ConfigError, match="no image nowhere; `docker pull nowhere` fetches one"):
        run(client, "lab", "c0", "nowhere", [])


def test_an_interrupt_leaves_nothing(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(stream: Any, tty: bool) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(guests, "converse", interrupted)
    with pytest.raises(KeyboardInterrupt), Berth(client, "lab", PLACE, False) as berth:
        run(client, "lab", berth.id, None, ["sleep", "9"])
    assert client.api.removed == ["c2", "c1"]


def test_the_streams_of_a_program_are_those_of_its_container(
    tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    def echo(connection: socket.socket) -> None:
        said = b""
        while data := connection.recv(4096):
            said += data
        connection.sendall(frame(STDOUT, b"heard " + said) + frame(STDERR, b"and no more"))

    given, keyboard = os.pipe()
    os.write(keyboard, b"hello")
    os.close(keyboard)
    engine = FakeEngine(tmp_path, b"", echo)
    with os.fdopen(given) as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        assert run(engine.client(), "lab", "c0", None, ["cat"]) == 5
    said = capfdbinary.readouterr()
    assert (said.out, said.err) == (b"heard hello", b"and no more")
    engine.close()


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (b'{"event": "failed", "error": "expected one address for the client, got none"}\n', "expected one address"),
        (b"No module named lab.boot.guest\n", "No module named"),
        (b"", "it said nothing"),
    ],
)
def test_a_host_without_a_way_out_is_refused_and_removed(
    client: Any, monkeypatch: pytest.MonkeyPatch, said: bytes, why: str
) -> None:
    monkeypatch.setattr(Streams, "said", said)
    with pytest.raises(RuntimeUnavailable, match=f"the guest found no way out: {why}"):
        Berth(cast("Any", client), "lab", PLACE, False)
    assert client.api.removed == ["c1"]
