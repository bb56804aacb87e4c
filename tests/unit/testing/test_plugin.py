"""The pytest plugin as pytest runs it: on test files of its own, with a lab whose calls are recorded ones."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from textwrap import indent
from xml.etree import ElementTree

import pytest

import lab.testing.calls
import lab.testing.hiding
import lab.testing.labs  # noqa: F401  # else each run inside of this one would have classes of its own of every error

pytestmark = pytest.mark.slow

pytest_plugins = ["pytester"]

NAME, MODULE = "supernode-lab", "lab.testing.plugin"
FAKE = """
    from contextlib import nullcontext
    from pathlib import Path
    from types import SimpleNamespace

    import pytest

    from lab.errors import NotNow
    from lab.harness import calling
    from tests.recorded import report


    class World:
        topology = SimpleNamespace(clients=lambda: [SimpleNamespace(name="bob"), SimpleNamespace(name="erin")])
        running = str


    class FakeLab:
        checkout = SimpleNamespace(state=Path("state").resolve())

        def call(self, caller, callee, **options):
            try:
                name = {"frank": "punched", "carol": "symmetric"}[callee]
            except KeyError:
                calling.clients_run(World, SimpleNamespace(caller="bob", callee=callee))
            return report(name, **CHANGES)

        def running_world(self):
            raise NotNow("the lab is not up")


    CHANGES = {}


    @pytest.fixture(scope="session")
    def lab():
        return FakeLab()
"""
TWO_CALLS = """
    def test_home_reaches_flat(call):
        call("bob", "frank", seconds=2)
        assert call.path == "punched/udp"


    def test_home_reaches_the_office_by_relay(call):
        placed = call("bob", "carol", seconds=2)
        assert placed.path == "relayed/udp"
"""


@pytest.fixture
def own(pytester: pytest.Pytester, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """An empty folder outside the checkout, with the plugin also where it is not installed, and without CI's words."""
    for name in ("CI", "BUILD_NUMBER", "LAB_ROOT", "LAB_NAME", "PYTEST_XDIST_WORKER_COUNT"):
        monkeypatch.delenv(name, raising=False)
    if not request.config.pluginmanager.hasplugin(NAME):
        monkeypatch.setenv("PYTEST_ADDOPTS", f"-p {MODULE}")
    monkeypatch.syspath_prepend(Path(__file__).parents[3])
    return pytester


def tried(
    own: pytest.Pytester, body: str, *told: str, lab: str = FAKE, options: Sequence[str] = (), **outcomes: int
) -> pytest.RunResult:
    """A test with this body is run with that lab, and ends so; these lines are told of it."""
    own.makeconftest(lab)
    own.makepyfile("def test_it(call):\n" + indent(body, "    "))
    done = own.runpytest(*options)
    done.assert_outcomes(**outcomes)
    done.stdout.fnmatch_lines(told)
    return done


@pytest.mark.slow
def test_a_path_that_is_not_the_one_asked_for_fails_with_its_story(own: pytest.Pytester) -> None:
    own.makeconftest(FAKE)
    own.makepyfile(TWO_CALLS)
    done = own.runpytest("--junit-xml=junit.xml", "--lab-evidence=kept")
    done.assert_outcomes(passed=1, failed=1)
    done.stdout.fnmatch_lines(
        [
            "*assert 'punched/udp' == 'relayed/udp'*",
            "*call c3 of bob to carol: the packets show punched/udp*",
            "*- call c3, bob to carol -*",
            "bob → carol  call c3  punched/udp  534 packets agree",
            "*0 ms*bob*dials carol*",
            "*2489 ms*bob*has an answer of 203.0.113.34:1480 after 43 ms: punched/udp works",
            "*direct/udp*ruled out*",
            "kept: *",
        ]
    )
    (folder,) = (own.path / "kept").iterdir()
    assert folder.name.endswith("test_home_reaches_the_office_by_relay")
    assert {file.name for file in (folder / "symmetric").iterdir()} == {"report.json", "timeline.jsonl"}
    cases = {case.get("name"): case for case in ElementTree.parse(own.path / "junit.xml").iter("testcase")}
    told = {name: {one.get("name"): one.get("value") for one in case.iter("property")} for name, case in cases.items()}
    assert told["test_home_reaches_flat"] == {"path of bob to frank": "punched/udp"}
    assert told["test_home_reaches_the_office_by_relay"] == {
        "path of bob to carol": "punched/udp",
        "evidence of bob to carol": str(folder / "symmetric"),
    }


def test_several_workers_are_told_that_there_is_one_lab(own: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTEST_XDIST_WORKER_COUNT", "2")
    sentence = "*one lab is not for several workers at once: run these tests without -n*"
    tried(own, 'call("bob", "frank")', sentence, lab="", errors=1)


def test_what_a_failure_has_left_goes_when_the_test_is_run_again(own: pytest.Pytester) -> None:
    tried(own, 'assert call("bob", "frank").path == "relayed/tcp"', failed=1)
    assert list((own.path / "state" / "tests").iterdir())
    tried(own, 'assert call("bob", "frank").path == "punched/udp"', options=("-p", "no:cacheprovider"), passed=1)
    assert not list((own.path / "state" / "tests").iterdir())


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ('{"connected": False, "error": "no answer", "observed": None}', "no path"),
        ('{"agrees": False, "disagreements": ("they differ",)}', "contested"),
    ],
)
def test_a_call_that_failed_has_no_path_s_name(own: pytest.Pytester, changes: str, word: str) -> None:
    changed = FAKE.replace("CHANGES = {}", f"CHANGES = {changes}")
    body = 'call("bob", "frank")\nassert call.path == "punched/udp"'
    tried(own, body, f"*assert '{word}' == 'punched/udp'*", lab=changed, failed=1)


def test_a_slip_of_the_pen_is_no_other_path(own: pytest.Pytester) -> None:
    body = 'call("bob", "frank")\nassert call.path != "punched/upd"'
    tried(own, body, "*expected a path as kind/transport*got 'punched/upd'*", failed=1)


SLIPS = {
    'call("bob", "nobody")': "lab.errors.ConfigError: no client is called 'nobody'; the clients are bob, erin",
    "call.path": 'LookupError: no call has been placed yet; call("bob", "frank") places one',
    'call("bob", "frank").path == "punched/upd"': "ValueError: expected a path as kind/transport*",
    'call("bob", "frank").report.holds("punched/upd")': "ValueError: expected a path as kind/transport*",
    'call("bob", "frank").paht': "AttributeError: 'CallReport' object has no attribute 'paht'",
}


@pytest.mark.parametrize("slip", SLIPS)
def test_a_slip_shows_one_sentence_and_the_line_where_it_is(own: pytest.Pytester, slip: str) -> None:
    lines = tried(own, slip, f">       {slip}", f"E       {SLIPS[slip]}", "test_*.py:2: *", failed=1).stdout.str()
    assert not any(words in lines for words in ("lab/", "conftest.py", "During handling")), lines


def test_what_has_caused_an_error_of_the_lab_is_shown_to_who_asks_for_all(own: pytest.Pytester) -> None:
    where = "*lab/harness/calling.py:*: ConfigError"
    tried(own, 'call("bob", "nobody")', where, options=("--full-trace",), failed=1)


def test_an_error_that_is_none_of_the_lab_s_tree_is_a_defect_and_shows_where(own: pytest.Pytester) -> None:
    tried(own, 'call("bob", "erin")', "conftest.py:*: UnboundLocalError", failed=1)


def test_a_lab_that_cannot_be_put_back_is_one_sentence(own: pytest.Pytester) -> None:
    own.makeconftest(
        """
        from types import SimpleNamespace

        import pytest

        from lab.errors import RuntimeUnavailable
        from lab.testing import labs


        def down():
            raise RuntimeUnavailable("docker does not answer; start it")


        @pytest.fixture(autouse=True, scope="session")
        def away():
            labs.up = lambda name, topology: (SimpleNamespace(down=down), False)
        """
    )
    own.makepyfile("def test_it(lab):\n    pass\n")
    done = own.runpytest_subprocess()
    done.assert_outcomes(passed=1, errors=1)
    done.stdout.fnmatch_lines(["the lab is not as it was before: docker does not answer; start it"])
    assert "lab/" not in done.stdout.str()


def test_without_a_checkout_it_is_one_sentence(own: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_ROOT", "/nowhere")
    sentence = "the lab is not to be had: LAB_ROOT is /nowhere, which holds no compose/base.yml*"
    done = tried(own, 'call("bob", "frank")', sentence, lab="", errors=1)
    assert not any(words in done.stdout.str() for words in ("Traceback", "During handling"))


def test_a_suite_that_has_nothing_to_do_with_it_has_its_own_names(own: pytest.Pytester) -> None:
    own.makepyfile(
        """
        import pytest

        @pytest.fixture
        def lab():
            return "laboratory"

        def test_it(lab):
            assert lab == "laboratory"

        def test_that_fails():
            assert "punched/udp" == "direct/udp"
        """
    )
    done = own.runpytest()
    done.assert_outcomes(passed=1, failed=1)
    assert not (own.path / ".lab").exists()


def test_it_costs_next_to_nothing_until_a_test_asks_for_it() -> None:
    heavy = "{'docker', 'scapy', 'rich', 'click', 'yaml', 'lab.harness', 'asyncio'}"
    program = f"import pytest; import sys; was = set(sys.modules); import {MODULE}; "
    program += f"print(sorted({heavy} & (set(sys.modules) - was)))"
    root = Path(__file__).parents[3]
    done = subprocess.run([sys.executable, "-c", program], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
