"""YAML that remembers where each value stood, so that a mistake is reported with file and line.

Read by PyYAML, which Dagster has loaded already: ruamel.yaml costs every process a tenth of a
second or more to import, and turns dates and hexadecimal numbers into what they are not here.
"""

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from clustering_pipeline.core.errors import InputError

Keys = tuple[str, ...]
# A file of settings has some kilobytes; what is far larger is another file by mistake.
MOST_BYTES = 2**20
# For how long a file that is being saved may be empty, or not there.
SAVING_SECONDS = 0.3
# Of a value in a message.
LONGEST_SHOWN = 120


@dataclass(frozen=True)
class SettingsLayer:
    """One source of settings: a nested mapping, what to call it, and the line of each value that
    has one.
    """

    source: str
    values: Mapping[str, Any] = field(default_factory=dict)
    lines: Mapping[Keys, int] = field(default_factory=dict)

    def has(self, keys: Keys) -> bool:
        """Whether this layer says anything at `keys`."""
        inner: Any = self.values
        for key in keys:
            if isinstance(inner, list):
                inner = dict(zip(map(str, range(len(inner))), inner, strict=True))
            if not isinstance(inner, Mapping) or key not in inner:
                return False
            inner = inner[key]
        return True

    def where(self, keys: Keys) -> str:
        """Return `file:line` of the value at `keys`, or of the nearest value around it."""
        for length in range(len(keys), 0, -1):
            if keys[:length] in self.lines:
                return f"{self.source}:{self.lines[keys[:length]]}"
        return self.source

    def below(self, *keys: str) -> "SettingsLayer":
        """Return the layer made of what stands at `keys`: empty when nothing does."""
        inner: Any = self.values
        for key in keys:
            section = inner.get(key)
            inner = {} if section is None else section
            if not isinstance(inner, Mapping):
                name = ".".join(keys)
                raise InputError(
                    f"{self.where(keys)}: `{name}` is {shown(inner)}; `name: value` lines below it "
                    f"are expected."
                )
        lines = {
            path[len(keys) :]: line
            for path, line in self.lines.items()
            if path[: len(keys)] == keys
        }
        return SettingsLayer(self.source, inner, lines)

    def without(self, key: str) -> "SettingsLayer":
        """Return the layer without what stands at the top-level `key`."""
        return SettingsLayer(
            self.source,
            {name: value for name, value in self.values.items() if name != key},
            self.lines,
        )


class _CoreSchemaLoader(yaml.SafeLoader):
    """Reads scalars as YAML 1.2 does: `on`, `off`, `12:30` and `2024-01-01` are text."""

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            # PyYAML's stubs leave this one method without types.
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise yaml.MarkedYAMLError(
                problem="aliases are not read here; write the value out", problem_mark=mark
            )
        return super().compose_node(parent, index)


_CoreSchemaLoader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9]+", list("-+0123456789")),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", list("-+.0123456789")),
):
    _CoreSchemaLoader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), _first
    )


def read_layer(path: Path) -> SettingsLayer:
    """Return the settings that the file at `path` holds; raises InputError with the line that
    cannot be read, and for a file that says nothing at all.
    """
    text = _text(path)
    if not text.strip():
        time.sleep(SAVING_SECONDS)
        text = _text(path)
    if not text.strip():
        raise InputError(
            f"The settings file {path} is empty, as one is that was lost to a full disk or a power "
            f"cut. Write its settings again; for the defaults, remove it or write `{{}}` into it."
        )
    return parse_layer(text, str(path))


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
        text = content.decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"The settings file {path} cannot be read ({error}). A YAML file in UTF-8 is expected."
        ) from error
    if len(content) > MOST_BYTES:
        raise InputError(
            f"The settings file {path} is larger than {MOST_BYTES // 1024:,} KB, the most that is "
            f"read. A YAML file of settings is expected."
        )
    return text


# A run asks for its settings a thousand times; the file is read each time, and parsed when it says
# something else.
@lru_cache(maxsize=8)
def parse_layer(text: str, source: str) -> SettingsLayer:
    """Return the settings in `text`; raises InputError that names `source` and the line."""
    lines: dict[Keys, int] = {}
    try:
        values = _read(text, lines)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise InputError(
            f"{_place(error, source)}: this is not YAML that can be read: {_problem(error)}."
        ) from error
    if values is None:
        return SettingsLayer(source)
    if not isinstance(values, dict):
        raise InputError(
            f"{source}: a settings file has `name: value` lines, not {type(values).__name__}."
        )
    return SettingsLayer(source, values, lines)


def parse_value(text: str) -> Any:
    """Return the value that `text` would have in a settings file; text that is no YAML stays
    text.
    """
    try:
        return _read(text, {})
    except (yaml.YAMLError, ValueError, RecursionError):
        return text


def shown(value: object) -> str:
    """Return a value for a message, cut off where it is long."""
    text = repr(value)
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}…"


def _read(text: str, lines: dict[Keys, int]) -> Any:
    loader = _CoreSchemaLoader(text)
    node = loader.get_single_node()
    return None if node is None else _plain(loader, node, (), lines)


def _plain(loader: yaml.SafeLoader, node: yaml.Node, keys: Keys, lines: dict[Keys, int]) -> Any:
    if isinstance(node, yaml.MappingNode):
        return _plain_mapping(loader, node, keys, lines)
    if isinstance(node, yaml.SequenceNode):
        return [
            _plain(loader, item, (*keys, str(index)), lines)
            for index, item in enumerate(node.value)
        ]
    try:
        return loader.construct_object(node)
    except (ValueError, LookupError, AttributeError) as error:
        kind = node.tag.rpartition(":")[2]
        raise yaml.MarkedYAMLError(
            problem=f"{shown(node.value)} is no value of the kind {kind}",
            problem_mark=node.start_mark,
        ) from error


def _plain_mapping(
    loader: yaml.SafeLoader, node: yaml.MappingNode, keys: Keys, lines: dict[Keys, int]
) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for key_node, value_node in node.value:
        key = str(key_node.value) if isinstance(key_node, yaml.ScalarNode) else None
        if key is None or key in values:
            problem = "a name stands twice in one place" if key else "a name must be plain text"
            raise yaml.MarkedYAMLError(
                problem=f"{problem}: {key}", problem_mark=key_node.start_mark
            )
        lines[(*keys, key)] = key_node.start_mark.line + 1
        values[key] = _plain(loader, value_node, (*keys, key), lines)
    return values


def _place(error: Exception, source: str) -> str:
    mark = getattr(error, "problem_mark", None)
    return source if mark is None else f"{source}:{mark.line + 1}"


def _problem(error: Exception) -> str:
    return str(getattr(error, "problem", None) or error).rstrip(".")
