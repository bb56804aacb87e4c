"""A call that was placed with `--keys` on a lab that keeps them: its TLS opens, and its voice is heard in the clear."""

import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from second_lab import SECOND, second_lab
from typed import cli

from lab.harness import Lab

SECONDS = 3
FRAMES = 50 * SECONDS
OPUS = "111"


@pytest.fixture(scope="module")
def folder(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One call between two sites: keys.txt, call.pcapng, and what `lab verdict --voice` makes of it."""
    folder = tmp_path_factory.mktemp("keys")
    with second_lab(folder, LAB_KEYLOG="1"):
        files = ["--keys", str(folder / "keys.txt"), "--capture", str(folder / "call.pcapng")]
        done = cli("--lab", SECOND, "call", "bob", "alice", "--seconds", str(SECONDS), *files)
        assert done.returncode == 0, done.stderr
    yield folder


def tshark(file: Path, *words: str) -> list[list[str]]:
    """Its fields, a list a packet."""
    if shutil.which("tshark") is None:
        pytest.skip("there is no tshark: apt-get install --no-install-recommends tshark")
    done = subprocess.run(["tshark", "-r", file, *words], check=True, capture_output=True, text=True, timeout=60)
    return [line.split("\t") for line in done.stdout.splitlines()]


def test_the_keys_of_both_ends_are_kept(folder: Path) -> None:
    lines = (folder / "keys.txt").read_text().splitlines()
    voice = [line.split() for line in lines if line.startswith("# SRTP ")]
    assert {line[2] for line in voice} == {"bob", "alice"} and len({line[-1] for line in voice}) == 2
    secrets = Counter(line.split()[0] for line in lines if not line.startswith("#"))
    assert secrets["CLIENT_TRAFFIC_SECRET_0"] >= 2, secrets


def test_wireshark_reads_the_signalling_with_them(folder: Path) -> None:
    fields = ["-T", "fields", "-e", "tls.app_data", "-e", "data.data"]
    opened = tshark(folder / "call.pcapng", "-Y", "tls && data", *fields)
    text = b"".join(bytes.fromhex(part) for _, data in opened for part in data.split(","))
    assert b"Hello" in text and b"Carry" in text, text[:400]


def test_the_voice_in_the_clear_is_opus_of_both_ends(folder: Path) -> None:
    voice = folder / "voice.pcapng"
    done = cli("verdict", str(folder / "call.pcapng"), "--voice", str(voice), "--json")
    assert done.returncode == 0, done.stderr
    fields = ["-T", "fields", "-e", "rtp.ssrc", "-e", "rtp.p_type", "-e", "udp.length"]
    packets = tshark(voice, "--enable-heuristic", "rtp_udp", "-Y", "rtp", *fields)
    assert {kind for _, kind, _ in packets} == {OPUS}
    ends = Counter(ssrc for ssrc, *_ in packets)
    assert len(ends) == 2 and all(0.9 * FRAMES <= count <= 1.1 * FRAMES for count in ends.values()), ends
    sealed = tshark(folder / "call.pcapng", "--enable-heuristic", "rtp_udp", "-Y", f"rtp.p_type == {OPUS}", *fields)
    longest = max(int(length) for *_, length in sealed), max(int(length) for *_, length in packets)
    assert longest[0] == longest[1] + 10, "the tag of 80 bits is gone"
