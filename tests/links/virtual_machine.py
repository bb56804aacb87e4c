"""A machine with another kernel, for what this one lacks: Debian's kernel in QEMU, on the files of this machine.

It reads them over 9p and writes to its memory alone; it has no network. Its clock counts instructions, so it keeps time
to the microsecond however busy this machine is, and sleeps take no time.
Belongs here: getting, building and running it. Never: what is run.
"""

import gzip
import platform
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

TOOLS = ("qemu-system-x86_64", "busybox", "cpio", "depmod", "apt-get", "dpkg")
WANTED = ("virtio_pci", "9pnet_virtio", "9p", "overlay")
"""Modules that lead to this machine's files."""
PLACE = Path(__file__).parents[2] / ".venv/kernel"
PATIENCE_S = 540.0
_INIT = """#!/bin/busybox sh
b=/bin/busybox
{insert}
$b mount -t 9p -o trans=virtio,version=9p2000.L,msize=262144,cache=loose,ro files /files
$b mount -t tmpfs written /written && $b mkdir /written/upper /written/work
$b mount -t overlay -o lowerdir=/files,upperdir=/written/upper,workdir=/written/work root /root
cd /root
$b mount -t proc proc proc && $b mount -t sysfs sys sys && $b mount -t devtmpfs dev dev && $b mount -t tmpfs run run
$b mkdir -p lib/modules && $b mount --bind /root{modules} lib/modules
exec $b switch_root /root /bin/sh -c {script}
"""
_ENDED = "the program has ended: "
_OFF = "echo o > /proc/sysrq-trigger; sleep 60"


@dataclass(frozen=True)
class Kernel:
    """Where its package is unpacked, and its version."""

    place: Path
    version: str

    @property
    def image(self) -> Path:
        return self.place / f"boot/vmlinuz-{self.version}"

    @property
    def modules(self) -> Path:
        return self.place / "lib/modules"


def refusal() -> str:
    """Why this machine can have none of these; empty where it can."""
    if platform.machine() != "x86_64":
        return f"QEMU emulates an x86_64, and this machine is {platform.machine()}"
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    return f"{', '.join(missing)} missing: apt-get install qemu-system-x86 busybox-static cpio kmod" if missing else ""


def kernel() -> Kernel | None:
    """The one that `fetch` has left; None where there is none."""
    images = sorted(PLACE.glob("boot/vmlinuz-*"))
    return Kernel(PLACE, images[-1].name.removeprefix("vmlinuz-")) if images else None


def fetch() -> None:
    """Leave Debian's own kernel, as apt has it, at PLACE. Before a lab is up: its networks may hide where apt goes.

    Raises CalledProcessError.
    """
    said = subprocess.run(["apt-cache", "depends", "linux-image-amd64"], check=True, capture_output=True, text=True)
    package = re.findall(r"Depends: (linux-image-\S+)", said.stdout)[0]
    shutil.rmtree(PLACE, ignore_errors=True)
    unpacked = PLACE.with_suffix(".new")
    shutil.rmtree(unpacked, ignore_errors=True)
    unpacked.mkdir()
    subprocess.run(["apt-get", "download", package], cwd=unpacked, check=True, stdout=subprocess.DEVNULL)
    (archive,) = unpacked.glob(f"{package}_*.deb")
    subprocess.run(["dpkg", "-x", str(archive), str(unpacked)], check=True)
    archive.unlink()
    subprocess.run(["depmod", "-b", str(unpacked), package.removeprefix("linux-image-")], check=True)
    unpacked.rename(PLACE)


def run(kernel: Kernel, work: Path, *argv: str, cwd: Path) -> tuple[int, str]:
    """Start the machine, run a program in it, let it end; how the program ended, and all that the console said.

    `work`: a directory for the machine's first file system. Raises TimeoutExpired.
    """
    first = work / "first"
    for name in ("bin", "modules", "files", "written", "root"):
        (first / name).mkdir(parents=True)
    shutil.copy(str(shutil.which("busybox")), first / "bin/busybox")
    insert = []
    for path in _needed(kernel):
        shutil.copy(path, first / "modules")
        insert.append(f"$b insmod /modules/{path.name}")
    script = f"cd {shlex.quote(str(cwd))} && {shlex.join(argv)}; echo '{_ENDED}'$?; {_OFF}"
    text = _INIT.format(insert="\n".join(insert), modules=kernel.modules, script=shlex.quote(script))
    (first / "init").write_text(text)
    (first / "init").chmod(0o755)
    names = "\n".join(str(path.relative_to(first)) for path in sorted(first.rglob("*")))
    packed = subprocess.run(["cpio", "-o", "-H", "newc", "--quiet"], cwd=first, input=names.encode(), check=True,
                            capture_output=True).stdout  # fmt: skip
    (work / "first.gz").write_bytes(gzip.compress(packed, 1))
    done = subprocess.run(
        [
            *("qemu-system-x86_64", "-M", "q35", "-cpu", "max", "-m", "2G", "-nodefaults", "-no-user-config"),
            *("-nographic", "-serial", "stdio", "-no-reboot", "-icount", "shift=0,sleep=off"),
            *("-kernel", str(kernel.image), "-initrd", str(work / "first.gz")),
            *("-append", "console=ttyS0 quiet panic=-1 mitigations=off random.trust_cpu=on"),
            *("-fsdev", "local,id=files,path=/,security_model=none,readonly=on,multidevs=remap"),
            *("-device", "virtio-9p-pci,fsdev=files,mount_tag=files"),
        ],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=PATIENCE_S,
        check=False,
    )
    said = done.stdout.decode(errors="replace").replace("\r\n", "\n") + done.stderr.decode(errors="replace")
    status = re.search(re.escape(_ENDED) + r"(\d+)", said)
    return int(status[1]) if status else -1, said


def _needed(kernel: Kernel) -> Iterator[Path]:
    """Files of the modules that are wanted, each behind those that it needs."""
    root = kernel.modules / kernel.version
    needs = {}
    for line in (root / "modules.dep").read_text().splitlines():
        path, _, others = line.partition(":")
        needs[path] = others.split()
    named = {re.sub(r"\.ko.*", "", Path(path).name): path for path in needs}
    order: dict[str, None] = {}
    for name in WANTED:
        for path in (*reversed(needs[named[name]]), named[name]):
            order.setdefault(path)
    return (root / path for path in order)


if __name__ == "__main__":
    if why := refusal():
        sys.exit(why)
    fetch()
