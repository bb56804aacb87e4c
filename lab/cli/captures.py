"""The command that shows packets while they pass: capture.

Belongs here: options, what ends it, exit codes and what is printed. Never: what a packet is, or how a table looks.
"""

import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lab.cli.program import (
    CAPTURE,
    KEYS,
    closed,
    commands,
    example,
    hang_ups_ignored,
    let_go,
    nobody_reads,
    one_file,
    say,
    secret,
    the_lab,
)
from lab.errors import Interrupted, LabError, RuntimeUnavailable, Unread

if TYPE_CHECKING:
    from lab.harness import Lab
    from lab.harness.beside import Calling
    from lab.harness.call_report import CallReport
    from lab.harness.capturing import Capturing
    from lab.harness.passing import Row
    from lab.runtime.capture import Captured
    from lab.runtime.wireshark import Wireshark

EVERY = 0.1
"""Seconds between two looks at what has come."""


@commands.command(
    **example(
        "lab capture",
        "lab capture --call bob frank --live",
        "lab capture home-router core -w home.pcapng",
        'lab capture home-router --filter "udp port 33034" | head',
        "lab capture --call bob frank --wireshark",
        "lab capture --call dave erin -w call.pcapng --keys keys.txt",
    )
)
@click.argument("nodes", metavar="[NODE]...", nargs=-1)
@click.option(
    "--call",
    nargs=2,
    metavar="CALLER CALLEE",
    help="Place this call meanwhile, and end with it, the table by q; `lab call` judges it.",
)
@click.option(
    "-w",
    "file",
    metavar="FILE.pcapng",
    type=CAPTURE,
    help="Write every place's packets to one pcapng; a former capture there is replaced.",
)
@click.option("--filter", "expression", metavar="BPF", default="", help="Capture these packets alone, as tcpdump does.")
@click.option(
    "--keys",
    type=KEYS,
    help="Write the keys of the call's TLS connections to this file, in place of former ones, and into -w.",
)
@click.option("--live", is_flag=True, help="Show packets while they pass.  [default: where neither file nor Wireshark]")
@click.option("--wireshark", is_flag=True, help="Show them in the Wireshark of this machine while they pass.")
def capture(
    nodes: tuple[str, ...],
    call: tuple[str, str] | None,
    file: Path | None,
    expression: str,
    keys: Path | None,
    live: bool,
    wireshark: bool,
) -> None:
    """Capture at several nodes at once, and show each packet, what it is, and what its router made of it.

    A router is captured on both its sides. Without a NODE: where the call can pass, else all routers, core and relays.
    Goes on until Ctrl-C, or until the call is over, or nobody reads its lines any more. On a terminal: a table; space
    stops it, the arrows look around, n goes to the next event of a call and p to the one before, f shows rows with
    certain words alone (-word: without), w writes all so far to a file, q ends it: it stays when the call is over.
    Without a terminal: a line each. A file of no call is judged by `lab verdict FILE --caller NAME --callee NAME`.

    --keys takes a lab that was started with LAB_KEYLOG=1; both ends sign in anew before they call.

    Exit status: 0 at the end, 130 after Ctrl-C, 1 when the call failed, 2 when the request, the lab or
    Wireshark was wrong.
    """
    if keys and not call:
        raise click.UsageError("--keys are those of a call; name its ends with --call")
    from lab.harness.beside import Calling
    from lab.runtime.wireshark import Wireshark

    told = live or not (file or wireshark)
    viewer = Wireshark() if wireshark else None
    lab = the_lab()
    session = lab.capture(
        nodes, call=call, expression=expression, told=told, pipe=viewer.give if viewer else None, file=file
    )
    calling = Calling(lambda follow: lab.call(*call, keys=bool(keys), follow=follow), session.note) if call else None
    end = _End(lab, session, calling, viewer, file, keys)
    stopped: BaseException | None = None
    printed = _table if told and sys.stdin.isatty() and sys.stdout.isatty() else _lines if told else _quietly
    try:
        with contextlib.suppress(_Left):
            if calling:
                calling.start()
            printed(lab, session, calling, viewer, file)
    except BaseException as error:
        stopped = error
        if isinstance(error, OSError) and nobody_reads(error):
            end.unread()
            stopped = _interrupt_before(error)
    with hang_ups_ignored():
        end.close(_print if printed is _lines else _silent)
        if stopped is not None and not isinstance(stopped, KeyboardInterrupt | LabError):
            session.discard()
            raise stopped
        end.tell(stopped)


def _interrupt_before(error: BaseException) -> KeyboardInterrupt | None:
    """The interrupt that was about to end it when this came of it: a terminal that is gone takes no last words."""
    before = error.__context__
    return before if before is None or isinstance(before, KeyboardInterrupt) else _interrupt_before(before)


class _Left(Exception):
    """Somebody has seen enough."""


class _End:
    """What is done when it is over, in whatever way: hang up, end the captures, write the file, say what there is."""

    def __init__(
        self,
        lab: "Lab",
        session: "Capturing",
        calling: "Calling | None",
        viewer: "Wireshark | None",
        file: Path | None,
        keys: Path | None,
    ) -> None:
        self._lab, self._session, self._calling, self._viewer = lab, session, calling, viewer
        self._file, self._keys = file, keys
        self._captured: list[Captured] = []
        self._read = True
        self._unshown: str | None = None

    def unread(self) -> None:
        """Nobody reads standard output any more: an end like another, of which standard error is told."""
        self._read = False
        let_go(sys.stdout)

    def close(self, show: "Callable[[Iterable[Row]], None]") -> None:
        """Nothing runs in any container after this."""
        try:
            if self._viewer and self._viewer.gone:
                self._unshown = self._viewer.failure
            if self._calling:
                self._calling.stop()
            self._captured = self._session.finish()
            rest = self._session.rest()
            if self._viewer:
                self._viewer.close()
            try:
                if self._read:
                    show(rest)
            except OSError as error:
                if not nobody_reads(error):
                    raise
                self.unread()
        finally:
            self._session.close()

    def tell(self, stopped: BaseException | None) -> None:
        """Write what is to be written, say what was lost, and leave with the exit code that fits."""
        calling = self._calling
        report, failure = (calling.report, calling.error) if calling else (None, None)
        number = report.call if report else failure.call if isinstance(failure, Interrupted) else None
        words = [f"{sum(one.packets for one in self._captured):,} packets captured"]
        if self._file and not self._session.full:
            try:
                if self._keys and number:
                    closed(self._file)
                written = self._session.write(self._file, self._lab.kept_call(number) if number else None)
            except LabError as error:
                if stopped is not None and not isinstance(stopped, KeyboardInterrupt):
                    say(str(stopped), 2)
                raise error from None
            words = [f"capture: {self._file}, {written:,} packets"]
        if stopped is None or isinstance(stopped, KeyboardInterrupt):  # else what it has says where the captures are
            self._session.discard()
        if self._keys and number:
            secret(self._keys, self._lab.keys(number))
        for one in self._captured:
            if one.dropped:
                say(f"the kernel dropped {one.dropped:,} packets at {one.node} before they were captured", 0)
            if one.unknown:
                say(f"{one.node} was stopped or restarted: what the kernel had dropped there before is not known", 0)
        for router in self._session.drops:
            say(str(router), 0)
        if isinstance(stopped, KeyboardInterrupt):
            raise Interrupted(f"interrupted; {words[0]}") from stopped
        if stopped is not None:
            if self._file and not self._session.full:
                say(words[0], 0)
            raise stopped
        if failure is not None and not isinstance(failure, KeyboardInterrupt):
            raise failure
        if isinstance(failure, Interrupted):
            say(str(failure), 0)
        self._conclude(report, words[0])
        if self._unshown:
            raise RuntimeUnavailable(self._unshown)
        if report and not report.holds():
            sys.exit(1)

    def _conclude(self, report: "CallReport | None", words: str) -> None:
        """What came of it, on standard output, or where nobody reads that on standard error."""
        from lab.report.console import err, out

        for console in (out, err) if self._read else (err,):
            try:
                if report:
                    from lab.report.result import result

                    topology, folder = self._session.topology, self._lab.checkout.call_folder(report.call)
                    console().print(result(report, topology, folder, None))
                console().print(f"  {words}" if report else words, style="dim", markup=False)
                return
            except OSError as error:
                if not nobody_reads(error):
                    raise
            except Unread:
                pass
            let_go(sys.stdout if console is out else sys.stderr)


def _done(calling: "Calling | None", viewer: "Wireshark | None") -> bool:
    return bool((calling and calling.over) or (viewer and viewer.gone))


def _lines(
    lab: "Lab", session: "Capturing", calling: "Calling | None", viewer: "Wireshark | None", file: Path | None
) -> None:
    """A line a packet, until it is over."""
    while not _done(calling, viewer):
        _print(session.poll(time.monotonic()))
        time.sleep(EVERY)


def _print(rows: "Iterable[Row]") -> None:
    from lab.report.packets import line

    text = "".join(f"{line(row)}\n" for row in rows)
    if text:
        sys.stdout.write(text)
        sys.stdout.flush()


def _silent(rows: "Iterable[Row]") -> None:
    pass


def _quietly(
    lab: "Lab", session: "Capturing", calling: "Calling | None", viewer: "Wireshark | None", file: Path | None
) -> None:
    """Nothing but what befalls the captures themselves."""
    places = ", ".join(node.name for node in session.watched.nodes)
    until = "the call is over" if calling else "Wireshark is closed" if viewer else "Ctrl-C"
    say(f"capturing at {places} until {until}", 0)
    while not _done(calling, viewer):
        for row in session.poll(time.monotonic()):
            if row.fate == "note" and row.event is None:
                say(row.what, 0)
        time.sleep(EVERY)


def _table(
    lab: "Lab", session: "Capturing", calling: "Calling | None", viewer: "Wireshark | None", file: Path | None
) -> None:
    """A table that fills the terminal, until somebody leaves it."""
    from rich.live import Live

    from lab.cli.keyboard import Keyboard
    from lab.report.console import out
    from lab.report.packets import AROUND, screen
    from lab.report.viewing import Keys, View

    view, keys, console, over = View(), Keys(), out(), False
    recording = f"writing {file}" if file else ""
    with Keyboard() as keyboard, Live(console=console, screen=True, auto_refresh=False) as table:
        while not (viewer and viewer.gone):
            typed = keyboard.read(EVERY)
            if typed is None:
                raise _Left
            for key in keys.read(typed):
                wanted = view.press(key, max(1, console.height - AROUND))
                if wanted and wanted.what == "quit":
                    raise _Left
                if wanted:
                    view.message = _written(lab, session, calling, wanted.file)
            view.add(session.poll(time.monotonic()))
            if calling and calling.over and not over:
                if calling.report is None:  # it was not placed, and why is said when the table is gone
                    raise _Left
                over = True
                view.message = f"the call is over{_path(calling)}: q leaves"
            table.update(screen(view, console.width, console.height, recording), refresh=True)


def _path(calling: "Calling") -> str:
    report = calling.report
    if report is None or report.observed is None:
        return f", {(report and report.error) or 'without a verdict'}"
    return f", {report.observed}"


def _written(lab: "Lab", session: "Capturing", calling: "Calling | None", name: str) -> str:
    """What became of writing to a file that somebody has named, in one sentence: of the call, once it is over."""
    try:
        name, own = os.path.expanduser(name), session.watched.file  # noqa: PTH111  # one that nobody has is a name too
        if own is not None and one_file(own, Path(name)):
            return f"{name} is being written already"
        target = CAPTURE.convert(name, None, click.get_current_context(silent=True))
        report = calling.report if calling and calling.over else None
        if report and lab.keys(report.call):
            closed(target)
        packets = session.write(target, lab.kept_call(report.call) if report else None)
        return f"{packets:,} packets so far are in {target}"
    except click.BadParameter as error:
        return error.message
    except LabError as error:
        return str(error)
