"""What the bootstrap decides over what it saw: each situation of a machine, and the sentence or step that it gets."""

import dataclasses
import socket
from pathlib import Path

import docker
import pytest
from docker.errors import DockerException
from hypothesis import given
from hypothesis import strategies as st

from lab.errors import RuntimeUnavailable
from lab.runtime.engine import Answer, Facts, Step, classify, decide

FRESH = Facts(Answer.NOBODY, "No such file or directory", daemon=False, compose=False, root=True, systemd=False)
STOPPED = dataclasses.replace(FRESH, daemon=True, compose=True)
RUNNING = dataclasses.replace(STOPPED, answer=Answer.YES, words="")
facts = st.builds(
    Facts,
    answer=st.sampled_from(Answer),
    words=st.sampled_from(["", "some words"]),
    endpoint=st.sampled_from([None, "tcp://192.0.2.1:2375", "unix:///run/other.sock"]),
    daemon=st.booleans(),
    compose=st.booleans(),
    root=st.booleans(),
    may_install=st.booleans(),
    apt=st.booleans(),
    systemd=st.booleans(),
    user=st.just("ann"),
)


def refusal(seen: Facts) -> str:
    with pytest.raises(RuntimeUnavailable) as caught:
        decide(seen)
    return str(caught.value)


def test_an_engine_and_compose_that_answer_need_nothing() -> None:
    assert decide(RUNNING) is Step.GO


def test_neither_root_nor_permission_to_install_matters_once_both_answer() -> None:
    assert decide(dataclasses.replace(RUNNING, root=False, may_install=False, daemon=False)) is Step.GO


def test_a_machine_without_docker_gets_it_installed() -> None:
    assert decide(FRESH) is Step.INSTALL


def test_an_installed_engine_is_started() -> None:
    assert decide(STOPPED) is Step.START


def test_starting_is_not_installing() -> None:
    assert decide(dataclasses.replace(STOPPED, may_install=False)) is Step.START


def test_missing_compose_alone_is_installed() -> None:
    assert decide(dataclasses.replace(RUNNING, compose=False)) is Step.INSTALL


def test_missing_compose_is_installed_beside_a_remote_engine_too() -> None:
    assert decide(dataclasses.replace(RUNNING, compose=False, endpoint="ssh://ann@far")) is Step.INSTALL


def test_forbidden_installation_of_docker_says_what_to_type() -> None:
    said = refusal(dataclasses.replace(FRESH, may_install=False))
    assert said.startswith("Docker is not installed, and LAB_NO_INSTALL forbids installing it")
    assert "sudo apt-get install docker.io docker-compose" in said


def test_forbidden_installation_of_compose_names_compose_alone() -> None:
    said = refusal(dataclasses.replace(RUNNING, compose=False, may_install=False))
    assert said.startswith("Docker Compose is not installed")
    assert "docker.io" not in said


def test_docker_missing_for_a_plain_user_says_what_to_type() -> None:
    said = refusal(dataclasses.replace(FRESH, root=False))
    assert said.startswith("Docker is not installed: ")
    assert "LAB_NO_INSTALL" not in said


def test_without_apt_no_apt_command_is_advised() -> None:
    assert "apt-get" not in refusal(dataclasses.replace(FRESH, apt=False))


@pytest.mark.parametrize(("systemd", "how"), [(True, "sudo systemctl start docker"), (False, "sudo dockerd &")])
def test_a_plain_user_is_told_how_to_start_the_daemon(systemd: bool, how: str) -> None:
    said = refusal(dataclasses.replace(STOPPED, root=False, systemd=systemd))
    assert said.startswith("Docker is installed but does not run")
    assert how in said


def test_no_permission_names_the_user_and_the_group() -> None:
    said = refusal(dataclasses.replace(RUNNING, answer=Answer.FORBIDDEN, user="ann"))
    assert "sudo usermod -aG docker ann" in said
    assert "newgrp docker" in said


def test_a_permission_that_is_missing_is_never_mistaken_for_a_missing_engine() -> None:
    assert "permission" in refusal(dataclasses.replace(FRESH, answer=Answer.FORBIDDEN))


def test_an_engine_that_talks_nonsense_is_quoted() -> None:
    assert "needs 20.10" in refusal(dataclasses.replace(RUNNING, answer=Answer.ODD, words="Engine 19, needs 20.10"))


@given(facts)
def test_a_given_endpoint_that_does_not_answer_is_named_and_nothing_is_installed_or_started(seen: Facts) -> None:
    if seen.endpoint is None or seen.answer in (Answer.YES, Answer.FORBIDDEN):
        return
    assert seen.endpoint in refusal(seen)


@given(facts)
def test_nothing_is_installed_where_that_is_forbidden_or_impossible(seen: Facts) -> None:
    if seen.may_install and seen.root and seen.apt:
        return
    try:
        assert decide(seen) is not Step.INSTALL
    except RuntimeUnavailable as error:
        assert str(error)


@given(facts)
def test_go_means_that_both_answer(seen: Facts) -> None:
    try:
        step = decide(seen)
    except RuntimeUnavailable:
        return
    assert (step is Step.GO) == (seen.answer is Answer.YES and seen.compose)


def calling(endpoint: str) -> DockerException:
    with pytest.raises(DockerException) as caught:
        docker.DockerClient(base_url=endpoint, timeout=2).ping()
    return caught.value


def test_a_missing_socket_is_nobody(tmp_path: Path) -> None:
    assert classify(calling(f"unix://{tmp_path}/none.sock"))[0] is Answer.NOBODY


def test_a_socket_that_its_daemon_left_behind_is_nobody(tmp_path: Path) -> None:
    path = tmp_path / "stale.sock"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    answer, words = classify(calling(f"unix://{path}"))
    assert (answer, "refused" in words) == (Answer.NOBODY, True)


def test_a_closed_port_is_nobody() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    assert classify(calling(f"tcp://127.0.0.1:{port}"))[0] is Answer.NOBODY


def test_a_refused_permission_is_seen_through_the_layers_of_the_sdk() -> None:
    outer = DockerException("Error while fetching server API version")
    outer.__cause__ = ConnectionError("Connection aborted.", PermissionError(13, "Permission denied"))
    assert classify(outer)[0] is Answer.FORBIDDEN


def test_an_address_that_is_none_is_odd() -> None:
    assert classify(calling("carrier-pigeon://here"))[0] is Answer.ODD
