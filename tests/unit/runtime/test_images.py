"""What images are made from, how a registry that says nothing is left, and what goes into a build's context."""

import http.server
import io
import json
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest
import requests
from docker.errors import APIError

from lab.errors import RuntimeUnavailable
from lab.runtime import images

ROOT = Path(__file__).parents[3]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout in little, with one file of each room that matters."""
    files = {
        "images/base/Dockerfile": "FROM debian:trixie-slim\n",
        "images/base/packages.txt": "# words\npython3\n",
        "images/node/Dockerfile": "FROM lab/base\n",
        "images/node/requirements.lock": "x==1\n",
        "images/router/Dockerfile": "FROM lab/base\n",
        "images/probe/Dockerfile": "FROM lab/base\n",
        **{
            f"lab/{name}": ""
            for name in ("__init__.py", "cli/calls.py", "boot/__init__.py", "nat/render.py", "media/a.wav")
        },
        **{f"lab/{name}": "" for name in ("overlay/client.py", "runtime/images.py", "harness/up.py", "nat/notes.txt")},
        **{f"lab/{name}": "" for name in ("probe/reading.py", "certify/verdict.py")},
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def changed_by(checkout: Path, name: str) -> set[str]:
    """The images whose content a change of one file makes another."""
    before = images.recipes(checkout, "amd64")
    (checkout / name).write_text("changed\n")
    after = images.recipes(checkout, "amd64")
    return {new.image for old, new in zip(before, after, strict=True) if old.content != new.content}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("images/base/packages.txt", {"lab/base", "lab/node", "lab/probe", "lab/router"}),
        ("images/base/Dockerfile", {"lab/base", "lab/node", "lab/probe", "lab/router"}),
        ("images/node/requirements.lock", {"lab/node", "lab/probe", "lab/router"}),
        ("images/node/Dockerfile", {"lab/node"}),
        ("images/router/Dockerfile", {"lab/router"}),
        ("images/probe/Dockerfile", {"lab/probe"}),
        ("lab/boot/__init__.py", {"lab/node", "lab/probe", "lab/router"}),
        ("lab/nat/render.py", {"lab/node", "lab/probe", "lab/router"}),
        ("lab/probe/reading.py", {"lab/probe"}),
        ("lab/certify/verdict.py", set()),
        ("lab/overlay/client.py", {"lab/node"}),
        ("lab/media/a.wav", {"lab/node"}),
        ("lab/harness/up.py", set()),
        ("lab/runtime/images.py", set()),
        ("lab/cli/calls.py", set()),
        ("lab/nat/notes.txt", set()),
    ],
)
def test_a_change_rebuilds_what_it_is_in_and_nothing_else(checkout: Path, name: str, expected: set[str]) -> None:
    assert changed_by(checkout, name) == expected


def test_a_renamed_file_is_another_content(checkout: Path) -> None:
    before = images.recipes(checkout, "amd64")[1]
    (checkout / "lab/nat/render.py").rename(checkout / "lab/nat/rendered.py")
    assert images.recipes(checkout, "amd64")[1] != before


def test_architectures_do_not_share_images(checkout: Path) -> None:
    assert images.recipes(checkout, "amd64") != images.recipes(checkout, "arm64")


def test_the_router_gets_nothing_of_the_calling_system() -> None:
    rooms = {path.relative_to(ROOT / "lab").parts[0] for path in images.sources(ROOT, images.NOT_IN_ROUTER)}
    assert rooms >= {"__init__.py", "boot", "nat"}
    assert not rooms & {"overlay", "media", "node", "wire", "runtime", "harness", "evidence", "report", "cli.py"}


def test_platforms_begin_with_the_newest_glibc_of_debian_13() -> None:
    found = images.platforms("amd64")
    assert found[0] == "manylinux_2_41_x86_64"
    assert {"manylinux_2_34_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64"} <= set(found)


def test_arm_has_no_tags_older_than_its_first_manylinux() -> None:
    found = images.platforms("arm64")
    assert found[-1] == "manylinux2014_aarch64"
    assert "manylinux_2_16_aarch64" not in found


def test_an_architecture_without_wheels_is_refused_by_name() -> None:
    with pytest.raises(RuntimeUnavailable, match="riscv64"):
        images.platforms("riscv64")


def test_a_context_belongs_to_root_is_readable_and_holds_no_bytecode(tmp_path: Path) -> None:
    (tmp_path / "site" / "__pycache__").mkdir(parents=True)
    for name in ("site/a.py", "site/__pycache__/a.pyc", "site/run"):
        (tmp_path / name).write_text("x")
    (tmp_path / "site/a.py").chmod(0o600)
    (tmp_path / "site/run").chmod(0o700)
    archive = io.BytesIO()
    images.pack([(tmp_path / "site", "site")], archive)
    archive.seek(0)
    with tarfile.open(fileobj=archive) as tar:
        found = {entry.name: (entry.mode, entry.uid, entry.uname) for entry in tar}
    assert found == {
        "site": (0o755, 0, "root"),
        "site/a.py": (0o644, 0, "root"),
        "site/run": (0o755, 0, "root"),
    }


class Engine(http.server.BaseHTTPRequestHandler):
    """Answers for one registry: `registry` is silent, absent or there; `pulled` are the lines of a pull."""

    protocol_version = "HTTP/1.1"
    registry = "there"
    pulled: tuple[dict[str, str], ...] = ()
    over = threading.Event()

    def do_GET(self) -> None:
        """GET /distribution/NAME/json: what the registry says of an image."""
        if self.registry == "silent":
            self.over.wait(10)
            self.close_connection = True
            return
        if self.registry == "absent":
            self._answer(500, json.dumps({"message": "no such host"}))
            return
        described = {"Descriptor": {"digest": "sha256:" + "0" * 64}, "Platforms": []}
        self._answer(200, json.dumps(described))

    def do_POST(self) -> None:
        """POST /images/create: a pull, told in chunks as the engine does."""
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for line in (*(json.dumps(line) + "\r\n" for line in self.pulled), ""):
            self.wfile.write(f"{len(line):x}\r\n{line}\r\n".encode())

    def _answer(self, status: int, text: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def engine() -> Iterator[tuple[type[Engine], docker.DockerClient]]:
    """An engine in front of a registry, and its client."""

    class ThisEngine(Engine):
        over = threading.Event()

    kind = ThisEngine
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), kind) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        client = docker.DockerClient(base_url=f"tcp://127.0.0.1:{server.server_port}", version="1.41", timeout=30)
        yield kind, client
        kind.over.set()
        client.close()
        server.shutdown()


@pytest.mark.slow
def test_a_registry_that_says_nothing_is_left_after_a_short_bound(
    engine: tuple[type[Engine], docker.DockerClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    kind, client = engine
    kind.registry = "silent"
    monkeypatch.setattr(images, "REGISTRY_PATIENCE_S", 0.2)
    with pytest.raises(requests.exceptions.RequestException):
        images.pull(client, "debian:trixie-slim")
    assert client.api.timeout == 30


@pytest.mark.slow
def test_a_registry_that_is_not_there_is_said_in_the_engines_words(
    engine: tuple[type[Engine], docker.DockerClient],
) -> None:
    kind, client = engine
    kind.registry = "absent"
    with pytest.raises(APIError, match="no such host"):
        images.pull(client, "debian:trixie-slim")


@pytest.mark.slow
def test_a_pull_that_breaks_off_is_an_error(engine: tuple[type[Engine], docker.DockerClient]) -> None:
    kind, client = engine
    kind.pulled = ({"status": "Downloading"}, {"error": "unexpected EOF"})
    with pytest.raises(RuntimeUnavailable, match="unexpected EOF"):
        images.pull(client, "debian:trixie-slim")


@pytest.mark.slow
def test_a_pull_that_ends_well_is_silent(engine: tuple[type[Engine], docker.DockerClient]) -> None:
    kind, client = engine
    kind.pulled = ({"status": "Downloading"}, {"status": "Pull complete"})
    images.pull(client, "debian:trixie-slim")
