"""YAML in and out, by the core schema of YAML 1.2: what is no number, true, false or null there is text.

`no`, `12:30` and `2026-01-01` are text then, and go out as they came in.
"""

from __future__ import annotations

import re
from typing import Any

import yaml

from trueup.core.errors import Refusal

BYTES_MAX = 1_000_000
DEPTH_MAX = 50
_PLAIN = {
    "tag:yaml.org,2002:null": (r"^(?:~|null|Null|NULL|)$", ("~", "n", "N", "")),
    "tag:yaml.org,2002:bool": (r"^(?:true|True|TRUE|false|False|FALSE)$", tuple("tTfF")),
    "tag:yaml.org,2002:int": (r"^(?:[-+]?[0-9]+)$", tuple("-+0123456789")),
    "tag:yaml.org,2002:float": (r"^[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$", tuple("-+.0123456789")),
}


class _Reader(yaml.SafeLoader):  # type: ignore[misc]
    """Reads the core schema; refuses a key that stands twice, and anchors, which make a short text a long one."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.events.AliasEvent):
            event = self.get_event()
            raise yaml.composer.ComposerError(None, None, "a reference to an anchor", event.start_mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"the key {key.value!r} twice", key.start_mark)
            seen.add(key.value)
        made: dict[Any, Any] = super().construct_mapping(node, deep)
        return made


class _Writer(yaml.SafeDumper):  # type: ignore[misc]
    """Writes the core schema: text that would read as something else is quoted."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012

    def ignore_aliases(self, data: Any) -> bool:
        return True


for _tag, (_pattern, _first) in _PLAIN.items():
    for _kind in (_Reader, _Writer):
        _kind.add_implicit_resolver(_tag, re.compile(_pattern), list(_first))
_Reader.add_constructor("tag:yaml.org,2002:int", lambda loader, node: int(loader.construct_scalar(node)))
_Reader.add_constructor("tag:yaml.org,2002:float", lambda loader, node: float(loader.construct_scalar(node)))


def read_yaml(text: str) -> dict[str, Any] | Refusal:
    """Return the mapping that the text is. Refuses what is none, with line and column."""
    if len(text.encode()) > BYTES_MAX:
        return _refusal(f"it has more than {BYTES_MAX:,} bytes", "", "Send a smaller document.")
    try:
        found = yaml.load(text, Loader=_Reader)  # noqa: S506
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}" if mark is not None else ""
        return _refusal(str(error.problem), where, "Write it out plainly there and send it again.")
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        return _refusal(str(error).split("\n", 1)[0][:200], "", "Correct it and send it again.")
    if not isinstance(found, dict):
        return _refusal("it is no mapping of keys to values", "line 1", "Begin with `apiVersion: v3.1.0`.")
    if _depth(found) > DEPTH_MAX:
        return _refusal(f"it is nested deeper than {DEPTH_MAX}", "", "Flatten it.")
    return found


def write_yaml(document: dict[str, Any]) -> str:
    """Return a document as YAML, keys in their order."""
    text: str = yaml.dump(document, Dumper=_Writer, sort_keys=False, allow_unicode=True, width=110)
    return text


def _depth(value: Any) -> int:
    deepest, waiting = 0, [(value, 1)]
    while waiting:
        part, depth = waiting.pop()
        deepest = max(deepest, depth)
        if isinstance(part, dict):
            waiting += [(entry, depth + 1) for entry in part.values()]
        elif isinstance(part, list):
            waiting += [(entry, depth + 1) for entry in part]
    return deepest


def _refusal(what: str, where: str, fix: str) -> Refusal:
    return Refusal("contract.yaml", f"The text is not YAML that can be read: {what}.", fix, where)
