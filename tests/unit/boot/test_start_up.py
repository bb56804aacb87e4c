"""What start-up says when it cannot, and how the control socket of a router answers."""

import json

import pytest

from lab.boot import __main__ as boot
from lab.boot import forwarding
from lab.boot.router import Settings
from lab.errors import ConfigError

ORDERS = {
    "status": lambda order: {"state": "ready"},
    "fail": lambda order: _refuse(),
    "mtu": lambda order: {"mtu": int(order["mtu"])},
}


def _refuse() -> dict[str, object]:
    raise ConfigError("unknown profile 'cone'; allowed: linux")


@pytest.mark.parametrize("arguments", [[], ["king"], ["core", "router"]])
def test_an_unknown_role_is_one_line_and_exit_code_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert boot.main(arguments) == 2
    (line,) = capsys.readouterr().out.splitlines()
    said = json.loads(line)
    assert said["event"] == "failed"
    assert said["error"].startswith(
        "expected one role of core, router, client, supernode, relay, authority, proxy, got "
    )


def test_status_says_what_the_router_is() -> None:
    said = forwarding.answer(b'{"id": 4, "order": "status"}\n', ORDERS)
    assert said == {"id": 4, "ok": True, "state": "ready"}


def test_an_order_that_is_refused_is_a_no_with_its_sentence() -> None:
    said = forwarding.answer(b'{"id": 4, "order": "fail"}\n', ORDERS)
    assert said == {"id": 4, "ok": False, "error": "unknown profile 'cone'; allowed: linux", "refused": True}


@pytest.mark.parametrize("line", [b"status\n", b"[]\n", b"3\n", b"\xff\n", b"\n", b"[" * 100_000])
def test_what_is_no_order_is_refused(line: bytes) -> None:
    assert forwarding.answer(line, ORDERS) == {"ok": False, "error": "expected one JSON object a line"}


def test_unknown_orders_are_refused_with_the_known_ones() -> None:
    said = forwarding.answer(b'{"id": 4, "order": "dial"}\n', ORDERS)
    assert said == {"id": 4, "ok": False, "error": "unknown order 'dial'; known: status, fail, mtu"}


@pytest.mark.parametrize("field", ["[1]", '"wide"', "1e999", "null"])
def test_an_order_with_a_strange_field_is_answered(field: str) -> None:
    said = forwarding.answer(f'{{"id": 4, "order": "mtu", "mtu": {field}}}\n'.encode(), ORDERS)
    assert (said["id"], said["ok"], said["refused"]) == (4, False, False) and "mtu was not carried out" in said["error"]


def test_a_router_must_be_told_its_profile() -> None:
    with pytest.raises(ConfigError, match=r"expected lab\.profile in the environment, got none"):
        Settings.told({"lab.site": "home"})
