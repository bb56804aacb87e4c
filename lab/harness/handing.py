"""The folder that a report is handed out in: the page, and beside it what was captured of each call.

Belongs here: whose folder it is, and writing files there. Never: the page.
"""

import shutil
from pathlib import Path

from lab.errors import ConfigError, EvidenceError, RuntimeUnavailable
from lab.harness.kept import PCAP_HEADER, Kept, one_file

PAGE, CAPTURES = "index.html", "captures"
MARK = '<meta name="generator" content="lab report">'
"""What a page of ours has in its head: a folder with another page is somebody else's."""
_HEAD = 4096
File = tuple[str, int]
"""A file beside the page: its name from there, and its bytes."""


class Handout:
    """A folder that is new, empty, or holds a report of before, which is replaced; ConfigError where it is another."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.page = folder / PAGE
        _check(folder)

    def open(self) -> None:
        """Make the folder, without what a report of before has left in it."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self.page.unlink(missing_ok=True)
            shutil.rmtree(self.folder / CAPTURES, ignore_errors=True)
            self.page.touch()
        except OSError as error:
            raise ConfigError(f"{self.folder} cannot be written: {error.strerror or error}") from None

    def captures(self, folder: Path, call: Kept | None) -> list[File]:
        """Put the captures of the call of this folder here; relative names and bytes.

        They are one pcapng, with names and comments; where its setting is not kept (None) each place's file as it is.
        Raises RuntimeUnavailable where the disk is full.
        """
        target, name = self.folder / CAPTURES, folder.name
        try:
            target.mkdir(exist_ok=True)
            whole = target / f"{name}.pcapng"
            if call:
                try:
                    one_file(call, whole)
                    return [self._named(whole)]
                except EvidenceError:  # a torn one is handed out as it is
                    whole.unlink(missing_ok=True)
            files = [one for one in sorted(folder.glob("*.pcap")) if one.stat().st_size > PCAP_HEADER]
            if files:
                (target / name).mkdir()
            return [self._named(Path(shutil.copyfile(one, target / name / one.name))) for one in files]
        except OSError as error:
            raise RuntimeUnavailable(f"{target} cannot be written: {error.strerror or error}") from None

    def write(self, text: str) -> None:
        """Write the page. Raises RuntimeUnavailable where it cannot be written to its end."""
        try:
            self.page.write_text(text, encoding="utf-8")
        except OSError as error:
            raise RuntimeUnavailable(f"{self.page} cannot be written: {error.strerror or error}") from None

    def _named(self, file: Path) -> File:
        return file.relative_to(self.folder).as_posix(), file.stat().st_size


def _check(folder: Path) -> None:
    try:
        if not folder.exists():
            if not folder.resolve().parent.is_dir():
                raise ConfigError(f"there is no folder {folder.parent} to make {folder.name} in")
            return
        if not folder.is_dir():
            raise ConfigError(f"{folder} is a file; a report needs a folder of its own")
        held = {one.name for one in folder.iterdir()}
        ours = PAGE in held and _ours(folder / PAGE)
    except OSError as error:
        raise ConfigError(f"{folder} cannot be read: {error.strerror or error}") from None
    others = sorted(held - ({PAGE, CAPTURES} if ours else set()))
    if others:
        raise ConfigError(f"{folder} holds something else ({others[0]}); name a folder that is new or empty")


def _ours(page: Path) -> bool:
    """A page of a report, or what one leaves that was ended before its page was written."""
    with page.open("rb") as file:
        head = file.read(_HEAD)
    return not head or MARK.encode() in head
