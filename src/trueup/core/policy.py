"""Policy documents: everything a user can configure, validated by a struct, versioned, with a digest.

A room declares its kinds as subclasses of `Policy`; the active version of each is read once per authority epoch.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any, ClassVar, TypeVar

import msgspec

from trueup.core import json
from trueup.core.errors import Refusal


class Policy(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A document that steers behaviour. Subclasses name their `kind` and hold defaults a small shop can live with."""

    kind: ClassVar[str]


P = TypeVar("P", bound=Policy)


class Active(msgspec.Struct, frozen=True):
    """The version of a document that is in force: orders pin its number."""

    name: str
    version: int
    digest: bytes
    document: Policy


def digest(document: bytes) -> bytes:
    """Return the SHA-256 that approvals and drift are bound to."""
    return hashlib.sha256(document).digest()


class Policies:
    """The documents in force at one epoch."""

    def __init__(self, active: Iterable[Active]) -> None:
        self._active = {(entry.document.kind, entry.name): entry for entry in active}

    def find(self, kind: type[P], name: str) -> P | None:
        """Return the active document of this kind and name, or None."""
        entry = self._active.get((kind.kind, name))
        return entry.document if entry is not None and isinstance(entry.document, kind) else None

    def get(self, kind: type[P], name: str = "default") -> P:
        """Return the active document of this kind and name; where none was published, the struct's defaults."""
        return self.find(kind, name) or kind()

    def version(self, kind: type[P], name: str = "default") -> int:
        """Return the active version's number; 0 stands for the defaults."""
        entry = self._active.get((kind.kind, name))
        return entry.version if entry else 0

    def all(self, kind: type[P]) -> dict[str, P]:
        """Return every active document of a kind by name."""
        return {e.name: e.document for e in self._active.values() if isinstance(e.document, kind)}


def read_document(kinds: dict[str, type[Policy]], kind: str, document: Any) -> Policy | Refusal:
    """Validate a document given as plain data; a refusal names the path and the kinds there are."""
    if kind not in kinds:
        return Refusal(
            "policy.unknown_kind", f"There is no policy of kind {kind!r}.", f"Use one of: {', '.join(sorted(kinds))}."
        )
    try:
        return json.convert(document, kinds[kind])
    except msgspec.ValidationError as error:
        return Refusal(
            "policy.invalid", f"The document is not a valid {kind}: {error}.", "Correct it and send it again."
        )
