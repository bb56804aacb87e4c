"""Compose files as plain data: YAML with anchors, variables filled in, `extends` followed.

Belongs here: what Compose itself does with a file before it acts. Never: what the lab makes of it.
"""

import os
import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from lab.errors import ConfigError

Yaml = dict[str, Any]
_VARIABLE = re.compile(
    r"\$(?:(?P<escaped>\$)|(?P<bare>[A-Za-z_]\w*)|\{(?P<name>[A-Za-z_]\w*)(?:(?P<operator>:?[-?+])(?P<word>[^}]*))?\}|(?P<bad>))"
)
_KEYED = ("labels", "environment", "networks", "sysctls")  # `extends` merges these key by key, whichever way written
_TOO_DEEP = "something in it holds itself (*name inside of &name), or nests hundreds deep; write it out flat"
_LISTED = ("ports", "expose")  # ... and appends these


class _Loader(yaml.SafeLoader):
    """Keeps a rule of YAML that PyYAML does not: a key stands once in a mapping. A node written twice is two nodes.
    What looks like a number or a date and is none is an error of YAML here; PyYAML lets Python's own through."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except (ValueError, LookupError, AttributeError) as error:
            kind, written = node.tag.rpartition(":")[2], str(node.value)[:40]
            raise yaml.constructor.ConstructorError(
                None, None, f"{written!r} is not of the kind {kind} that it looks like; quote it", node.start_mark
            ) from error

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        seen = set()
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            if key.value in seen:
                raise yaml.composer.ComposerError(None, None, f"{key.value!r} stands twice", key.start_mark)
            seen.add(key.value)
        return node


def read(path: Path, environ: Mapping[str, str] | None = None) -> Yaml:
    """The file as Compose understands it: {"services": {name: {...}}, "networks": {...}, ...}.

    Variables come from `environ` (default: this process's), then from `.env` beside the file.
    Labels, environment and networks of services are always dicts of strings or of dicts.
    Raises ConfigError when a file is missing, is not YAML, or extends what is not there.
    """
    variables = {**_env_file(path.parent / ".env"), **(os.environ if environ is None else environ)}
    document = _load(path, variables)
    services = _section(document, "services", path)
    document["services"] = {name: _service(path, document, name, variables, ()) for name in services}
    document["networks"] = _section(document, "networks", path)
    return document


def _env_file(path: Path) -> dict[str, str]:
    if not path.is_file():
        return {}
    lines = (line.strip() for line in path.read_text().splitlines())
    pairs = (line.partition("=") for line in lines if line and not line.startswith("#"))
    return {name.strip(): value.strip().strip("'\"") for name, _, value in pairs}


def _load(path: Path, variables: Mapping[str, str]) -> Yaml:
    try:
        document = _parsed(path.read_text())
    except RecursionError:
        raise ConfigError(f"{path}: {_TOO_DEEP}") from None
    except OSError as error:
        beside = (
            "; a topology needs base.yml and .env beside it, copy them from compose/" if path.name == "base.yml" else ""
        )
        raise ConfigError(f"{path}: cannot be read: {error.strerror}{beside}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f" at line {mark.line + 1}" if mark else ""
        raise ConfigError(f"{path}: is not YAML{where}: {getattr(error, 'problem', None) or error}") from error
    if not isinstance(document, dict):
        raise ConfigError(f"{path}: expected a compose file with services, got {type(document).__name__}")
    try:
        filled: Yaml = _fill(document, variables)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error
    except RecursionError:
        raise ConfigError(f"{path}: {_TOO_DEEP}") from None
    return filled


@lru_cache(maxsize=32)
def _parsed(text: str) -> Any:
    """The document of a text, not to be changed: every service of a topology extends the same file."""
    return yaml.load(text, _Loader)  # a SafeLoader


def _fill(value: Any, variables: Mapping[str, str]) -> Any:
    """`value` with the variables of every string in it replaced; keys stay as they are."""
    if isinstance(value, dict):
        return {str(key): _fill(item, variables) for key, item in value.items()}
    if isinstance(value, list):
        return [_fill(item, variables) for item in value]
    return interpolate(value, variables) if isinstance(value, str) else value


def interpolate(text: str, variables: Mapping[str, str]) -> str:
    """Compose's interpolation: $VAR, ${VAR}, ${VAR:-default}, ${VAR-default}, ${VAR:?error}, ${VAR:+other}, and $$."""

    def value(match: re.Match[str]) -> str:
        if match["escaped"]:
            return "$"
        if match["bad"] is not None:
            raise ConfigError(f"{text!r} has a lone $; write $$ for a dollar sign")
        name, operator, word = match["bare"] or match["name"], match["operator"] or "", match["word"] or ""
        found = variables.get(name)
        given = bool(found) if operator.startswith(":") else found is not None
        match operator[-1:]:
            case "-":
                return found or "" if given else word
            case "?" if not given:
                raise ConfigError(f"the variable {name} is needed: {word or 'it is not set'}")
            case "+":
                return word if given else ""
        return found or ""

    return _VARIABLE.sub(value, text)


def _section(document: Yaml, name: str, path: Path) -> Yaml:
    section = document.get(name) or {}
    if not isinstance(section, dict):
        raise ConfigError(f"{path}: expected {name} to map names to settings, got {type(section).__name__}")
    return {key: value if value is not None else {} for key, value in section.items()}


def _service(path: Path, document: Yaml, name: str, variables: Mapping[str, str], seen: tuple[str, ...]) -> Yaml:
    """One service with everything that it extends merged under it."""
    services = _section(document, "services", path)
    if name not in services:
        raise ConfigError(f"{path}: no service {name!r} to extend; there are {', '.join(services) or 'none'}")
    here = f"{path.resolve()}:{name}"
    if here in seen:
        raise ConfigError(f"{path}: service {name!r} extends itself")
    if not isinstance(services[name], dict):
        raise ConfigError(f"{path}: expected settings for service {name!r}, got {type(services[name]).__name__}")
    service = {key: _keyed(path, name, key, value) for key, value in services[name].items()}
    extends = service.pop("extends", None)
    if extends is None:
        return service
    wanted = {"service": extends} if isinstance(extends, str) else extends
    if not isinstance(wanted, dict) or not isinstance(wanted.get("service"), str):
        raise ConfigError(f"{path}: expected `extends: {{file, service}}` in service {name!r}, got {extends!r}")
    if wanted.get("file"):
        other = path.parent / str(wanted["file"])
        base = _service(other, _load(other, variables), wanted["service"], variables, (*seen, here))
    else:
        base = _service(path, document, wanted["service"], variables, (*seen, here))
    return _merged(base, service)


def _merged(base: Yaml, over: Yaml) -> Yaml:
    merged = {**base, **over}
    for key in _KEYED:
        if key in base and key in over:
            merged[key] = {**base[key], **over[key]}
    for key in _LISTED:
        if key in base and key in over:
            merged[key] = [*base[key], *over[key]]
    return merged


def _keyed(path: Path, service: str, key: str, value: Any) -> Any:
    """`labels: [a=b]` and `labels: {a: b}` are one; likewise the other keyed settings."""
    if key not in _KEYED:
        return value
    if value is None:
        return {}
    if isinstance(value, list):
        value = {str(name): text for name, _, text in (str(item).partition("=") for item in value)}
        return {name: {} for name in value} if key == "networks" else value
    if not isinstance(value, dict):
        raise ConfigError(f"{path}: expected {key} of service {service!r} to be keyed, got {type(value).__name__}")
    empty: Any = {} if key == "networks" else ""
    return {name: empty if item is None else item for name, item in value.items()}
