"""Compose files as plain data: variables, merging, and what is wrong with a file."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.errors import ConfigError
from lab.topology import compose


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("a $SET b", "a here b"),
        ("${SET}", "here"),
        ("${SET:-else}", "here"),
        ("${UNSET:-else}", "else"),
        ("${UNSET-else}", "else"),
        ("${EMPTY:-else}", "else"),
        ("${EMPTY-else}", ""),
        ("${UNSET}", ""),
        ("${SET:?needed}", "here"),
        ("${SET:+there}", "there"),
        ("${UNSET+there}", ""),
        ("$$SET", "$SET"),
    ],
)
def test_variables_are_filled_in_as_compose_does(text: str, filled: str) -> None:
    assert compose.interpolate(text, {"SET": "here", "EMPTY": ""}) == filled


@pytest.mark.parametrize("text", ["${UNSET:?say so}", "${EMPTY:?say so}"])
def test_a_needed_variable_is_named(text: str) -> None:
    with pytest.raises(ConfigError, match="say so"):
        compose.interpolate(text, {"EMPTY": ""})


@given(st.text(), st.dictionaries(st.from_regex(r"[A-Z]{1,3}", fullmatch=True), st.text()))
def test_any_text_is_filled_in_or_refused(text: str, variables: dict[str, str]) -> None:
    try:
        compose.interpolate(text, variables)
    except ConfigError:
        assert "$" in text


def test_variables_come_from_the_environment_and_then_from_the_file_beside(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("# ours\nNET=10.1.0.0/16\nNAME='quoted'\n")
    file = tmp_path / "lab.yml"
    file.write_text("services: {a: {image: '${NET} ${NAME}'}}\n")
    assert compose.read(file, {})["services"]["a"]["image"] == "10.1.0.0/16 quoted"
    assert compose.read(file, {"NET": "theirs"})["services"]["a"]["image"] == "theirs quoted"


def test_extends_merges_what_is_keyed_and_replaces_the_rest(tmp_path: Path) -> None:
    (tmp_path / "base.yml").write_text(
        "services:\n"
        "  root: {image: one, labels: [a=1, b=1], environment: {X: 1}, ports: ['1']}\n"
        "  base: {extends: root, command: [run], labels: {b: 2}}\n"
    )
    file = tmp_path / "lab.yml"
    file.write_text(
        "services:\n"
        "  node:\n"
        "    extends: {file: base.yml, service: base}\n"
        "    image: two\n"
        "    labels: {c: 3}\n"
        "    environment: [Y=2]\n"
        "    ports: ['2']\n"
    )
    assert compose.read(file, {})["services"]["node"] == {
        "image": "two",
        "command": ["run"],
        "labels": {"a": "1", "b": 2, "c": 3},
        "environment": {"X": 1, "Y": "2"},
        "ports": ["1", "2"],
    }


def test_anchors_and_merge_keys_are_followed(tmp_path: Path) -> None:
    file = tmp_path / "lab.yml"
    file.write_text(
        "x: &x {a: 1, b: 1}\ny: &y {<<: *x, b: 2}\nservices: {n: {labels: {<<: *y, c: 3}}, m: {labels: *y}}\n"
    )
    services = compose.read(file, {})["services"]
    assert services["n"]["labels"] == {"a": 1, "b": 2, "c": 3}
    assert services["m"]["labels"] == {"a": 1, "b": 2}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("services: [a: {", "is not YAML at line 1"),
        ("- a\n- b\n", "expected a compose file with services, got list"),
        ("", "expected a compose file with services, got NoneType"),
        ("services: [a]", "expected services to map names to settings, got list"),
        ("services: {a: 3}", "expected settings for service 'a', got int"),
        ("services:\n  a: {image: x}\n  a: {image: y}\n", "is not YAML at line 3: 'a' stands twice"),
        ("services: {a: {extends: b}}", "no service 'b' to extend; there are a"),
        ("services: {a: {extends: b}, b: {extends: a}}", "service 'a' extends itself"),
        ("services: {a: {extends: {file: none.yml, service: b}}}", "none.yml: cannot be read: No such file"),
        ("services: {a: {extends: 3}}", "expected `extends: {file, service}` in service 'a', got 3"),
        ("services: {a: {labels: 3}}", "expected labels of service 'a' to be keyed, got int"),
        ("services: {a: {image: '${X:?set X}'}}", "the variable X is needed: set X"),
        ("services: {a: {image: 'costs $'}}", "has a lone $"),
    ],
)
def test_a_broken_file_is_refused_in_one_sentence_that_names_it(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "lab.yml"
    file.write_text(text)
    with pytest.raises(ConfigError) as refusal:
        compose.read(file, {})
    assert message in str(refusal.value)
    assert str(tmp_path) in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"other\.yml: cannot be read: No such file"):
        compose.read(tmp_path / "other.yml", {})


@given(st.text())
def test_any_text_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    file = tmp_path_factory.mktemp("any") / "lab.yml"
    file.write_text(text, errors="replace")
    try:
        compose.read(file, {})
    except ConfigError as refusal:
        assert str(file) in str(refusal)


@pytest.mark.parametrize(
    "text",
    [
        "a: 2001-99-99",
        "a: 0x_",
        "a: !!int ''",
        "a: !!bool perhaps",
        "a: !!timestamp never",
        f"a: {'9' * 5000}",
        "a: &x [*x]",
        "services: &x {a: *x}",
        "[" * 500,
    ],
)
def test_what_python_itself_cannot_read_is_refused_in_a_sentence(tmp_path: Path, text: str) -> None:
    file = tmp_path / "lab.yml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=r"is not YAML at line 1: .* quote it|holds itself .* write it out flat"):
        compose.read(file, {})
