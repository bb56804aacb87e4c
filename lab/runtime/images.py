"""The images: lab/base, and on it lab/node, lab/router and lab/probe; built when missing or outdated.

What an image is made from is a hash in its label lab.content. What is put into the images lies in images/, not here.
"""

import contextlib
import hashlib
import shutil
import sys
import tarfile
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import docker
import requests
import scapy
from docker.errors import APIError, DockerException, ImageNotFound

from lab.errors import RuntimeUnavailable
from lab.runtime import machine, rootfs
from lab.runtime.machine import Progress

BASE, NODE, ROUTER, PROBE = "lab/base", "lab/node", "lab/router", "lab/probe"
LABEL = "lab.content"
PYTHON = "3.13"  # of Debian 13
REGISTRY_PATIENCE_S = 15  # a registry that says nothing for so long is not there
# What stays on the host: rooms that no container runs. Edits there rebuild nothing.
HOST_ROOMS = {"certify", "cli", "evidence", "harness", "path_names.py", "report", "runtime"}
NOT_IN_NODE = HOST_ROOMS | {"probe"}
NOT_IN_PROBE = HOST_ROOMS | {"media", "node", "overlay", "wire"}
NOT_IN_ROUTER = NOT_IN_PROBE | {"probe"}
ROUTER_SITE = ("pyroute2",)  # of what images/node/requirements.lock unpacks
NOT_OF_SCAPY = {"contrib", "modules", "tools", "__pycache__"}  # of no use to a probe, and a third of the start-up
# Architecture as the engine calls it -> as wheels call it, and the oldest glibc that manylinux names for it (PEP 600).
MACHINES = {"amd64": ("x86_64", 5), "arm64": ("aarch64", 17)}
GLIBC_MINOR = 41  # glibc 2.41 of Debian 13


@dataclass(frozen=True)
class Recipe:
    """One image: its name and the hash of everything that it is made from."""

    image: str
    content: str


def ensure_images(client: docker.DockerClient, progress: Progress, only: str | None = None) -> bool:
    """Build what is missing or outdated (of all, or of one image and its base); True where anything was built.

    Raises RuntimeUnavailable with the last words of what failed; a failed or interrupted build leaves the old image.
    """
    root = machine.checkout()
    try:
        arch = str(client.version()["Arch"])
        platforms(arch)  # refuses an architecture before the time is spent
        base, node, router, probe = recipes(root, arch)
        stale = [
            recipe for recipe in (base, node, router, probe) if _content_of(client, recipe.image) != recipe.content
        ]
        if base in stale:
            _build_base(client, root, base, arch, progress)
        if {node, router, probe} & set(stale):
            site = _unpack_wheels(root, arch, progress)
            if node in stale:
                _build_node(client, root, node, site, progress)
            if router in stale:
                _build_router(client, root, router, site, progress)
            if probe in stale:
                _build_probe(client, root, probe, site, progress)
    except (DockerException, requests.RequestException) as error:
        raise RuntimeUnavailable(f"building the images failed: {_reason(error)}") from error
    return bool(stale)


def recipes(root: Path, arch: str) -> tuple[Recipe, Recipe, Recipe, Recipe]:
    """What base, node, router and probe should be made from now, for an engine on `arch` (amd64, arm64)."""
    images = root / "images"
    lock = images / "node" / "requirements.lock"
    base = _digest([images / "base" / "Dockerfile", images / "base" / "packages.txt"], root, arch, rootfs.SUITE)
    node = _digest([images / "node" / "Dockerfile", lock, *sources(root, NOT_IN_NODE)], root, base, PYTHON)
    router = _digest(
        [images / "router" / "Dockerfile", lock, *sources(root, NOT_IN_ROUTER)],
        root,
        base,
        PYTHON,
        *ROUTER_SITE,
    )
    probe = _digest(
        [images / "probe" / "Dockerfile", lock, *sources(root, NOT_IN_PROBE)],
        root,
        base,
        PYTHON,
        *ROUTER_SITE,
        scapy.__version__,
    )
    return Recipe(BASE, base), Recipe(NODE, node), Recipe(ROUTER, router), Recipe(PROBE, probe)


def sources(root: Path, without: Iterable[str]) -> list[Path]:
    """The files of lab/ that go into an image: code and recordings of every room but those named in `without`."""
    package, left_out = root / "lab", set(without)
    return sorted(
        path
        for path in package.rglob("*")
        if path.suffix in (".py", ".wav") and path.is_file() and path.relative_to(package).parts[0] not in left_out
    )


def _digest(files: Iterable[Path], root: Path, *facts: str) -> str:
    total = hashlib.sha256("\0".join(facts).encode())
    for path in files:
        data = path.read_bytes()
        total.update(f"\0{path.relative_to(root)}\0{len(data)}\0".encode())
        total.update(data)
    return total.hexdigest()


def _content_of(client: docker.DockerClient, image: str) -> str | None:
    labels = (_inspect(client, image).get("Config") or {}).get("Labels") or {}
    found = labels.get(LABEL)
    return str(found) if found else None


def _id_of(client: docker.DockerClient, image: str) -> str | None:
    return _inspect(client, image).get("Id")


def _inspect(client: docker.DockerClient, image: str) -> dict[str, Any]:
    """What the engine knows of an image; empty where there is none."""
    try:
        return dict(client.images.get(image).attrs)
    except ImageNotFound:
        return {}


# base ---------------------------------------------------------------------------------------------------------------


def _build_base(client: docker.DockerClient, root: Path, recipe: Recipe, arch: str, progress: Progress) -> None:
    source = _debian_of(root)
    progress(f"{BASE}: asking for the image {source}")
    try:
        pull(client, source)
        progress(f"{BASE}: building from {source}")
        context = [(path, path.name) for path in sorted((root / "images" / "base").iterdir())]
        _build(client, recipe, context, network=None)
        return
    except (RuntimeUnavailable, DockerException, requests.RequestException) as error:
        progress(f"{BASE}: no {source} to be had ({_reason(error)})")
    progress(f"{BASE}: putting it together from Debian packages, about half a minute")
    with tempfile.TemporaryFile() as archive:
        rootfs.make(archive, root / "images" / "base" / "packages.txt", arch, progress)
        archive.seek(0)
        progress(f"{BASE}: handing it to Docker")
        before = _id_of(client, BASE)
        pieces = iter(lambda: archive.read(1 << 20), b"")  # the SDK announces chunks, and sends a plain file without
        label = f"LABEL {LABEL}={recipe.content}"
        client.api.import_image_from_stream(pieces, repository=BASE, tag="latest", changes=[label])
    _replaced(client, recipe, before, "Docker did not take it; see the daemon's log")


def _reason(error: Exception) -> str:
    return machine.last_words(str(getattr(error, "explanation", None) or error), 1)


def _debian_of(root: Path) -> str:
    """The image that images/base/Dockerfile starts from."""
    for line in (root / "images" / "base" / "Dockerfile").read_text().splitlines():
        if line.startswith("FROM "):
            return line.split()[1]
    raise RuntimeUnavailable("images/base/Dockerfile has no FROM line")


def pull(client: docker.DockerClient, source: str) -> None:
    """Pull an image, once its registry has answered within REGISTRY_PATIENCE_S (the SDK gives a pull no time limit)."""
    patience, client.api.timeout = client.api.timeout, REGISTRY_PATIENCE_S
    try:
        client.images.get_registry_data(source)
    finally:
        client.api.timeout = patience
    for said in client.api.pull(source, stream=True, decode=True):
        if "error" in said:
            raise RuntimeUnavailable(str(said["error"]))


# node, router and probe ---------------------------------------------------------------------------------------------


def _build_node(client: docker.DockerClient, root: Path, recipe: Recipe, site: Path, progress: Progress) -> None:
    progress(f"{NODE}: building")
    context = [(root / "images" / "node" / "Dockerfile", "Dockerfile"), (site, "site")]
    context += [(path, str(path.relative_to(root))) for path in sources(root, NOT_IN_NODE)]
    _build(client, recipe, context, network="none")


def _build_router(client: docker.DockerClient, root: Path, recipe: Recipe, site: Path, progress: Progress) -> None:
    progress(f"{ROUTER}: building")
    context = [(root / "images" / "router" / "Dockerfile", "Dockerfile")]
    context += [(site / name, f"site/{name}") for name in ROUTER_SITE]
    context += [(path, str(path.relative_to(root))) for path in sources(root, NOT_IN_ROUTER)]
    _build(client, recipe, context, network="none")


def _build_probe(client: docker.DockerClient, root: Path, recipe: Recipe, site: Path, progress: Progress) -> None:
    """scapy is nothing but Python, and the lab's own environment has it, as the lock says."""
    progress(f"{PROBE}: building")
    context = [(root / "images" / "probe" / "Dockerfile", "Dockerfile")]
    context += [(site / name, f"site/{name}") for name in ROUTER_SITE]
    package = Path(str(scapy.__file__)).parent
    context += [
        (path, f"site/scapy/{path.name}") for path in sorted(package.iterdir()) if path.name not in NOT_OF_SCAPY
    ]
    context += [(path, str(path.relative_to(root))) for path in sources(root, NOT_IN_PROBE)]
    _build(client, recipe, context, network="none")


def platforms(arch: str) -> list[str]:
    """Platform tags of wheels that run on Debian 13, newest first (PEP 600, and the older names for the same)."""
    if arch not in MACHINES:
        raise RuntimeUnavailable(f"the engine runs on {arch}; the lab's images are made for {' and '.join(MACHINES)}")
    wheel, oldest = MACHINES[arch]
    older = ["manylinux2014", "manylinux2010", "manylinux1"] if oldest < 17 else ["manylinux2014"]
    return [f"manylinux_2_{minor}_{wheel}" for minor in range(GLIBC_MINOR, oldest - 1, -1)] + [
        f"{name}_{wheel}" for name in older
    ]


def _unpack_wheels(root: Path, arch: str, progress: Progress) -> Path:
    """The folder `site` for the images: the locked wheels, fetched and unpacked on the host, once for each lock."""
    lock = root / "images" / "node" / "requirements.lock"
    site = root / ".cache" / f"site-{_digest([lock], root, PYTHON, arch)[:16]}"
    if site.is_dir():
        return site
    progress(f"fetching the Python packages of {lock.relative_to(root)}")
    site.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=site.parent) as folder:
        target = Path(folder) / "site"
        wanted = [word for tag in platforms(arch) for word in ("--platform", tag)]
        machine.run(
            [
                *(sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"),
                *("--target", str(target), "--python-version", PYTHON, "--implementation", "cp", *wanted),
                *("--only-binary=:all:", "--no-deps", "--no-compile", "--require-hashes", "-r", str(lock)),
            ],
            f"fetching the packages of {lock.relative_to(root)}",
            timeout_s=machine.APT_PATIENCE_S,
        )
        for outdated in site.parent.glob("site-*"):
            shutil.rmtree(outdated)
        target.rename(site)
    return site


# building -----------------------------------------------------------------------------------------------------------


def _build(
    client: docker.DockerClient, recipe: Recipe, context: Iterable[tuple[Path, str]], network: str | None
) -> None:
    """Build an image from (path on the host, path in the context) pairs; network "none" lets nothing be fetched."""
    before = _id_of(client, recipe.image)
    with tempfile.TemporaryFile() as archive:
        pack(context, archive)
        archive.seek(0)
        said = client.api.build(
            fileobj=archive,
            custom_context=True,
            tag=f"{recipe.image}:latest",
            labels={LABEL: recipe.content},
            network_mode=network,
            rm=True,
            forcerm=True,
            decode=True,
        )
        heard = "".join(_words(said))
    _replaced(client, recipe, before, machine.last_words(heard))


def pack(context: Iterable[tuple[Path, str]], archive: IO[bytes]) -> None:
    """A tar of the context whose entries belong to root and are readable by all, whatever the checkout's umask."""

    def plain(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
        if entry.name.endswith(".pyc") or entry.name.endswith("__pycache__"):
            return None
        entry.uid = entry.gid = 0
        entry.uname = entry.gname = "root"
        entry.mode = 0o755 if entry.isdir() or entry.mode & 0o100 else 0o644
        return entry

    with tarfile.open(fileobj=archive, mode="w") as tar:
        for path, name in context:
            tar.add(path, name, filter=plain)


def _words(said: Iterable[dict[str, object]]) -> Iterator[str]:
    for message in said:
        if "error" in message:
            yield f"\n{message['error']}\n"
        elif "stream" in message:
            yield str(message["stream"])


def _replaced(client: docker.DockerClient, recipe: Recipe, before: str | None, words: str) -> None:
    """Check that the new image is there, and take away the one it replaced unless a container runs from it."""
    if _content_of(client, recipe.image) != recipe.content:
        raise RuntimeUnavailable(f"building {recipe.image} failed: {words}")
    if before and before != _id_of(client, recipe.image):
        with contextlib.suppress(APIError):
            client.api.remove_image(before)
