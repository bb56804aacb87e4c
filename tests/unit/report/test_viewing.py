"""What somebody sees of packets that pass, key by key; no terminal."""

import random

import pytest

from lab.harness.passing import Row
from lab.report.viewing import _SLACK, KEEP, Keys, View, Wanted


def row(number: int, what: str = "RTP 1", event: str | None = None, fate: str = "") -> Row:
    return Row(float(number), "core", f"bob:{number}", "frank:1", what, fate, "", "", event)  # type: ignore[arg-type]


def view(*rows: Row) -> View:
    found = View()
    found.add(rows)
    return found


def press(one: View, *pressed: str) -> Wanted | None:
    wanted = None
    for key in pressed:
        wanted = one.press(key, 10)
    return wanted


def ports(one: View, height: int = 5) -> list[str]:
    return [row.source.partition(":")[2] for row in one.window(height)[0]]


def test_new_rows_scroll_by_until_space_stops_them() -> None:
    one = view(*map(row, range(10)))
    assert ports(one) == ["5", "6", "7", "8", "9"] and one.window(5)[1] is None
    press(one, " ")
    one.add(map(row, range(10, 20)))
    shown, looked_at = one.window(5)
    assert one.paused and looked_at is not None and shown[looked_at].source == "bob:9"
    press(one, " ")
    assert ports(one)[-1] == "19"


def test_arrows_stop_it_and_look_around() -> None:
    one = view(*map(row, range(30)))
    press(one, "up", "up")
    shown, looked_at = one.window(5)
    assert looked_at is not None and shown[looked_at].source == "bob:27"
    press(one, "page up", "down")
    assert one.shown[one.at].source == "bob:18"
    press(one, "home", "up")
    assert one.at == 0 and ports(one) == ["0", "1", "2", "3", "4"]
    press(one, "end")
    assert not one.paused and ports(one)[-1] == "29"


def test_n_and_p_go_from_event_to_event() -> None:
    events = {3: "first check of bob", 7: "first voice of bob"}
    one = view(*(row(n, event=events.get(n)) for n in range(12)))
    press(one, "p")
    assert one.shown[one.at].event == one.message == "first voice of bob"
    press(one, "p")
    assert one.shown[one.at].event == "first check of bob"
    press(one, "p")
    assert one.message == "there is no event before this one" and one.at == 3
    press(one, "n")
    assert one.at == 7


def test_an_event_that_has_not_come_yet_is_waited_for() -> None:
    one = view(*map(row, range(10)))
    press(one, "n")
    assert one.awaiting and not one.paused
    one.add([row(10), row(11, event="nominated by bob"), row(12)])
    assert one.paused and not one.awaiting and one.shown[one.at].event == one.message == "nominated by bob"


def test_a_filter_shows_rows_with_all_its_words_and_none_behind_a_minus() -> None:
    one = view(row(1, "STUN check"), row(2, "RTP 5"), row(3, "STUN answer"), row(4, "note", fate="note"))
    press(one, "f", *"stun -answer", "enter")
    assert ports(one) == ["1", "4"] and one.filter == "stun -answer"
    one.add([row(5, "RTP 6"), row(6, "STUN check")])
    assert ports(one) == ["1", "4", "6"]
    press(one, "esc")
    assert len(one.shown) == 6 and one.filter == ""


def test_keys_of_a_text_are_no_commands_and_escape_leaves_all_as_it_was() -> None:
    one = view(row(1))
    assert press(one, "/", "q", "w") is None and one.typed == "qw"
    press(one, "backspace", "é")
    assert one.typed == "qé"
    press(one, "esc")
    assert one.asked is None and one.filter == ""


def test_leaving_and_writing_are_for_others_to_do() -> None:
    one = view(row(1))
    assert press(one, "q") == Wanted("quit")
    assert press(one, "w", *"a.pcapng", "enter") == Wanted("write", "a.pcapng")
    assert press(one, "w", "enter") is None


def test_a_filter_while_paused_stays_at_its_moment() -> None:
    one = view(*(row(n, "STUN check" if n % 2 else "RTP 1") for n in range(20)))
    press(one, "home", *["down"] * 8, "f", *"stun", "enter")
    assert one.shown[one.at].at == 9.0


@pytest.mark.slow
def test_what_was_long_ago_is_let_go_and_what_is_looked_at_stays() -> None:
    one = view(*map(row, range(KEEP + _SLACK)))
    press(one, "up")
    looked_at = one.shown[one.at]
    one.add([row(KEEP + _SLACK)])
    assert len(one.rows) == len(one.shown) == KEEP and one.shown[one.at] == looked_at
    assert one.packets == KEEP + _SLACK + 1


def test_no_keys_in_whatever_order_break_it() -> None:
    names = [*" fnpqwjkgG/x-", "up", "down", "page up", "page down", "home", "end", "esc", "enter", "backspace"]
    for seed in range(30):
        chance, one = random.Random(seed), View()
        for number in range(300):
            if chance.random() < 0.3:
                event = "e" if chance.random() < 0.1 else None
                one.add([row(number, chance.choice(["STUN", "RTP"]), event)])
            press(one, chance.choice(names))
            shown, looked_at = one.window(chance.randint(1, 30))
            assert looked_at is None or 0 <= looked_at < len(shown)


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("n q", ["n", " ", "q"]),
        ("\x1b[A\x1b[B\x1bOA", ["up", "down", "up"]),
        ("\x1b[5~\x1b[6~\x1b[H\x1b[F\x1b[1~", ["page up", "page down", "home", "end", "home"]),
        ("\x1b", ["esc"]),
        ("\x1bq", ["esc", "q"]),
        ("a\r\x7f", ["a", "enter", "backspace"]),
        ("\x1b[1;5C", []),
        ("\x1b[", []),
    ],
)
def test_what_a_terminal_sends_is_keys(typed: str, expected: list[str]) -> None:
    keys = Keys()
    assert [*keys.read(typed), *keys.read("")] == expected
    assert keys.read("q") == ["q"]


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        (("\x1b", "[A"), ["up"]),
        (("\x1b[", "A"), ["up"]),
        (("x\x1b[5", "~y"), ["x", "page up", "y"]),
        (("\x1bO", "B"), ["down"]),
        (("\x1b", "q"), ["esc", "q"]),
        (("\x1b", "\x1b", "[A"), ["esc", "up"]),
        (("\x1b", "", "[A"), ["esc", "[", "A"]),
        (("\x1b[", "", "A"), ["A"]),
        (("\x1b[" + "1" * 20, "n"), ["n"]),
    ],
)
def test_what_a_slow_line_has_torn_is_one_key(parts: tuple[str, ...], expected: list[str]) -> None:
    keys = Keys()
    assert [key for part in parts for key in keys.read(part)] == expected


def test_an_arrow_that_comes_in_two_parts_leaves_the_filter() -> None:
    one, keys = view(row(1, "STUN check"), row(2)), Keys()
    press(one, "f", *"stun", "enter")
    for part in ("\x1b", "[A"):
        press(one, *keys.read(part))
    assert one.filter == "stun" and one.paused
