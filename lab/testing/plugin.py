"""The pytest plugin: options, fixtures and hooks, by the entry point `pytest11`.

Every run of pytest in this environment imports it, also those that have nothing to do with the lab: it imports next to
nothing, and does nothing before a test asks for `lab` or `call`. Belongs here: pytest's hooks. Never: work.
"""

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from lab.testing.taken import taken_in

if TYPE_CHECKING:
    from lab.harness import Lab
    from lab.testing.calls import Calls

_OPTIONS = {
    "lab_name": ("NAME", "Which lab, of several side by side, as `lab --lab` has it.  [default: LAB_NAME, or lab]"),
    "lab_topology": ("FILE", "Topology of the fixture `lab`.  [default: the one that runs, or compose/reference.yml]"),
    "lab_evidence": (
        "DIR",
        "Folder for the calls of failed tests, one for each.  [default: .lab/tests of the checkout]",
    ),
}


def pytest_addoption(parser: pytest.Parser) -> None:
    """Each as an option and as a key of pytest's configuration file."""
    group = parser.getgroup("lab", "calls through real NATs (supernode-lab)")
    for name, (value, told) in _OPTIONS.items():
        group.addoption(f"--{name.replace('_', '-')}", metavar=value, default=None, help=told)
        parser.addini(name, told, default="")


def _told(config: pytest.Config, option: str) -> str | None:
    return config.getoption(option) or config.getini(option) or None


@pytest.fixture(scope="session")
def lab(pytestconfig: pytest.Config) -> Iterator["Lab"]:
    """The lab, every node ready and all as its file says; in the end taken down, or put back if it was up before."""
    import time

    from lab.errors import LabError
    from lab.testing import labs

    if os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1") != "1":
        pytest.fail("one lab is not for several workers at once: run these tests without -n", pytrace=False)
    trouble = ""
    try:
        found, was_up = labs.up(_told(pytestconfig, "lab_name"), _told(pytestconfig, "lab_topology"))
    except LabError as error:
        trouble = str(error)
    if trouble:  # out here, or pytest shows all that has led to the sentence
        pytest.fail(f"the lab is not to be had: {trouble}", pytrace=False)
    since = time.time()
    yield found
    try:
        if not was_up:
            found.down()
        elif found.world() is not None:
            labs.put_back(found, since)
    except LabError as error:
        trouble = str(error)
    if trouble:
        pytest.fail(f"the lab is not as it was before: {trouble}", pytrace=False)


@pytest.fixture
def call(lab: "Lab", request: pytest.FixtureRequest) -> "Calls":
    """`call("bob", "frank", seconds=2)` places a call; `call.path` is the path of the last one."""
    from lab.testing.calls import Calls
    from lab.testing.evidence import Kept

    kept = Kept(lab.checkout.state, _told(request.config, "lab_evidence"), request.node.nodeid)
    kept.forget()
    properties = request.node.user_properties  # what record_property fills, which warns of every test
    calls: Calls = Calls(lab, kept, lambda name, value: properties.append((name, value)))
    request.node.stash[_CALLS] = calls
    return calls


_FIXTURES = frozenset(("lab", "call"))
_CALLS: "pytest.StashKey[Calls]" = pytest.StashKey()


def pytest_assertrepr_compare(op: str, left: object, right: object) -> list[str] | None:
    """What a path that is not the one asked for has behind it."""
    taken = taken_in(left, right)
    if taken is None:
        return None
    return [f"{left!r} {op} {right!r}", *taken.told(str(right if taken is left else left))]


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: "pytest.CallInfo[None]") -> Iterator[None]:
    """A test that fails keeps what there is of its calls, and tells their whole story. An error of the lab is a
    sentence at the test's own line, but with --full-trace."""
    if call.excinfo is not None and not _FIXTURES.isdisjoint(getattr(item, "fixturenames", ())):
        from lab.testing.hiding import hide

        if not item.config.getoption("fulltrace", False):
            hide(call.excinfo, item.path)
    outcome: Any = yield
    report: pytest.TestReport = outcome.get_result()
    calls = item.stash.get(_CALLS, None)
    if calls is not None and report.failed:
        report.sections.extend(calls.keep())
