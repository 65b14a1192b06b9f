"""Contracts as ODCS 3.1.0 documents, both ways; what we do not run is kept, so that nothing is lost.

Of a document we take what we run; the rest of each part stays beside it as it came (`rest`) and goes out again. Our own
terms stand where the standard has a place for them: hours in `slaProperties`, the others in `customProperties`.
Source: Open Data Contract Standard 3.1.0 (Bitol, LF AI & Data).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, get_args

import msgspec

from trueup.catalogue.contract import Containment, Contract, Entity, Field, FieldType, RowCheck, Rule
from trueup.core import json
from trueup.core.errors import Refusal, RefusalDetail

API_VERSION = "v3.1.0"
ENGINE = "trueup"
INITIATE = "timeToInitiate"
OWNER, SEVERITY, CONTAINMENT = "trueupOwnerRole", "trueupSeverity", "trueupContainment"
_REQUIRED = ("version", "apiVersion", "kind", "id", "status")
_SEVERITIES = {"critical": 1, "error": 2, "warning": 3, "info": 4, "1": 1, "2": 2, "3": 3, "4": 4}
_HOURS = {"h": 1, "hour": 1, "hours": 1, "d": 24, "day": 24, "days": 24}
_METRICS = {
    "required": "nullValues",
    "unique": "duplicateValues",
    "one_of": "invalidValues",
    "pattern": "invalidValues",
}
_EMPTY: tuple[Any, ...] = (None, "")


class _Wrong(Exception):
    """One thing in a document that cannot be read: path, value, what the rule asks for, and the fix."""

    def __init__(self, where: str, value: Any, what: str, fix: str) -> None:
        super().__init__(what)
        self.refusal = Refusal("contract.odcs", f"{where or 'The document'}: {what}.", fix, where, str(value)[:200])


def imported(document: Mapping[str, Any]) -> Contract | Refusal:
    """Return the contract that an ODCS document is. Refuses, naming path, value, rule and fix, all faults at once."""
    faults: list[Refusal] = []

    def attempt(read: Any, *given: Any) -> Any:
        try:
            return read(*given)
        except _Wrong as wrong:
            faults.append(wrong.refusal)
            return None

    attempt(_head, document)
    rest = {key: value for key, value in document.items() if key not in (*_REQUIRED, "schema")}
    terms: dict[str, Any] = {}
    for read in (_owner, _severity, _containment, _hours):
        terms |= attempt(read, rest) or {}
    entities = []
    schema = document.get("schema")
    for at, raw in enumerate(schema if isinstance(schema, list) else []):
        entities.append(attempt(_entity, raw, f"schema[{at}]"))
    if schema is not None and not isinstance(schema, list):
        faults.append(_Wrong("schema", schema, "is a list of objects", "Write `- name: item` under it.").refusal)
    elif schema == []:
        rest["schema"] = []
    if faults:
        details = tuple(RefusalDetail(fault.where, fault.value, fault.what) for fault in faults)
        return msgspec.structs.replace(faults[0], details=details)
    if document["apiVersion"] != API_VERSION:
        rest["apiVersion"] = document["apiVersion"]
    return Contract(
        id=document["id"], version=document["version"], status=document["status"], entities=tuple(entities), rest=rest,
        **terms,
    )  # fmt: skip


def exported(name: str, contract: Contract) -> dict[str, Any]:
    """Return a contract as an ODCS document; of what was imported, everything it had."""
    rest = _copy(contract.rest)
    document: dict[str, Any] = {
        "apiVersion": rest.pop("apiVersion", API_VERSION),
        "kind": "DataContract",
        "id": contract.id or name,
        "version": contract.version,
        "status": contract.status,
        **rest,
    }
    if contract.entities:
        document["schema"] = [_entity_out(entity) for entity in contract.entities]
    plain = Contract()
    _put(document, "slaProperties", INITIATE, contract.initiate_hours, plain.initiate_hours, unit="h")
    _put(document, "customProperties", OWNER, contract.owner_role, plain.owner_role)
    _put(document, "customProperties", SEVERITY, contract.severity, plain.severity)
    _put(document, "customProperties", CONTAINMENT, contract.containment, plain.containment)
    return document


def not_run(contract: Contract) -> tuple[str, ...]:
    """Return the names of the rules that were written for another engine: kept and shown, and not run here."""
    rules = [rule for entity in contract.entities for rule in entity.rules]
    rules += [rule for entity in contract.entities for field in entity.fields for rule in field.rules]
    return tuple(rule.name for rule in rules if rule.check is None)


def _head(document: Mapping[str, Any]) -> None:
    for key in _REQUIRED:
        if not isinstance(document.get(key), str) or not document[key]:
            raise _Wrong(key, document.get(key, ""), "is required, as text", f"Add `{key}: ...`, in quotes if need be.")
    if not document["apiVersion"].startswith("v3.1."):
        raise _Wrong("apiVersion", document["apiVersion"], f"only {API_VERSION} is read",
                     "Bring the document to ODCS 3.1.0 and say so.")  # fmt: skip
    if document["kind"] != "DataContract":
        raise _Wrong("kind", document["kind"], "is DataContract", "Export the contract, not another document.")


def _owner(rest: dict[str, Any]) -> dict[str, Any]:
    value = _take(rest, "customProperties", OWNER)
    if value is None:
        return {}
    if not isinstance(value, str) or not value.strip():
        raise _Wrong(f"customProperties.{OWNER}", value, "is the name of a role", "Name the role that owns the data.")
    return {"owner_role": value}


def _severity(rest: dict[str, Any], where: str = "") -> dict[str, Any]:
    value = _take(rest, "customProperties", SEVERITY)
    if value is None:
        return {}
    if isinstance(value, bool) or value not in (1, 2, 3, 4):
        raise _Wrong(f"{where}customProperties.{SEVERITY}", value, "is 1 (worst) to 4", "Choose one of 1, 2, 3, 4.")
    return {"severity": value}


def _containment(rest: dict[str, Any], where: str = "") -> dict[str, Any]:
    value = _take(rest, "customProperties", CONTAINMENT)
    known = get_args(Containment)
    if value is None:
        return {}
    if value not in known:
        raise _Wrong(f"{where}customProperties.{CONTAINMENT}", value, f"is one of {', '.join(known)}",
                     "Choose one: nothing else applies itself.")  # fmt: skip
    return {"containment": value}


def _hours(rest: dict[str, Any]) -> dict[str, Any]:
    entry = _find(rest.get("slaProperties"), INITIATE)
    if entry is None:
        return {}
    value, unit = entry.get("value"), entry.get("unit", "h")
    each = _HOURS.get(unit) if isinstance(unit, str) else None
    if isinstance(value, bool) or not isinstance(value, int) or each is None or not 1 <= value * each <= 8760:
        raise _Wrong(f"slaProperties.{INITIATE}", f"{value} {unit}", "is whole hours or days, at least one hour",
                     "Write `value: 24` and `unit: h`.")  # fmt: skip
    if each == 1:
        _take(rest, "slaProperties", INITIATE)
    return {"initiate_hours": value * each}


def _entity(raw: Any, where: str) -> Entity:
    name = _named(raw, where)
    rest = {key: value for key, value in raw.items() if key != "name"}
    fields = [_field(part, f"{where}.properties[{at}]") for at, part in enumerate(_list(raw, "properties", where))]
    rules = [_rule(part, None, f"{where}.quality[{at}]", f"{name}.rule{at + 1}")
             for at, part in enumerate(_list(raw, "quality", where))]  # fmt: skip
    for key, parts in (("properties", fields), ("quality", rules)):
        if parts:
            rest.pop(key)
    return Entity(name=name, fields=tuple(fields), rules=tuple(rules), rest=rest)


def _field(raw: Any, where: str) -> Field:
    name = _named(raw, where)
    rest = {key: value for key, value in raw.items() if key != "name"}
    taken: dict[str, Any] = {}
    if rest.get("logicalType") in get_args(FieldType):
        taken["type"] = rest.pop("logicalType")
    elif "logicalType" in rest:
        raise _Wrong(f"{where}.logicalType", rest["logicalType"], f"is one of {', '.join(get_args(FieldType))}",
                     "Choose the nearest, and say the database's own in physicalType.")  # fmt: skip
    for key in ("required", "unique"):
        if not isinstance(rest.get(key, False), bool):
            raise _Wrong(f"{where}.{key}", rest[key], "is true or false", "Write true or false, unquoted.")
        if rest.get(key):
            taken[key] = rest.pop(key)
    taken |= _options(rest, taken.get("type"), where)
    rules = [_rule(part, name, f"{where}.quality[{at}]", f"{name}.rule{at + 1}")
             for at, part in enumerate(_list(raw, "quality", where))]  # fmt: skip
    if rules:
        rest.pop("quality")
    return Field(name=name, rules=tuple(rules), rest=rest, **taken)


def _options(rest: dict[str, Any], kind: str | None, where: str) -> dict[str, Any]:
    options = rest.get("logicalTypeOptions")
    if not isinstance(options, dict):
        return {}
    taken: dict[str, Any] = {}
    if isinstance(options.get("pattern"), str):
        taken["pattern"] = options["pattern"]
    for key in ("minimum", "maximum") if kind in ("number", "integer") else ():
        if key in options:
            taken[key] = _number(options[key], f"{where}.logicalTypeOptions.{key}")
    left = {key: value for key, value in options.items() if key not in taken}
    if taken and not left:
        rest.pop("logicalTypeOptions")
    elif taken:
        rest["logicalTypeOptions"] = left
    return taken


def _number(value: Any, where: str) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _Wrong(where, value, "is a number", "Write it unquoted, as in 0.5.")
    return Decimal(str(value))


def _rule(raw: Any, field: str | None, where: str, unnamed: str) -> Rule:
    if not isinstance(raw, dict):
        raise _Wrong(where, raw, "is a mapping", "Write `- name: ...` with its metric.")
    named = isinstance(raw.get("name"), str) and bool(raw["name"].strip())
    rest = {key: value for key, value in raw.items() if not (named and key == "name")}
    terms = _severity(rest, f"{where}.") | _containment(rest, f"{where}.")
    word = raw.get("severity")
    if "severity" not in terms and isinstance(word, str) and word.lower() in _SEVERITIES:
        terms["severity"] = _SEVERITIES[word.lower()]
    check = _check(rest, field, where)
    return Rule(name=raw["name"] if named else unnamed, named=named, check=check, rest=rest, **terms)


def _check(rest: dict[str, Any], field: str | None, where: str) -> RowCheck | None:
    """Return what a quality entry asks for where it can be run here, and take it out of the entry."""
    if rest.get("type") == "custom" and rest.get("engine") == ENGINE:
        body = rest.pop("implementation", None)
        try:
            given = {"field": field, **body} if isinstance(body, dict) and field is not None else body
            return json.convert(_exact(given), RowCheck)
        except msgspec.ValidationError as error:
            raise _Wrong(f"{where}.implementation", body, f"is no check of ours: {error}",
                         "Write `kind: range` with `field`, `minimum` and `maximum`, say.") from error  # fmt: skip
    if field is None or rest.get("mustBe") != 0 or isinstance(rest.get("mustBe"), bool):
        return None
    metric, arguments = rest.get("metric"), rest.get("arguments", {})
    if not isinstance(arguments, dict):
        raise _Wrong(f"{where}.arguments", arguments, "is a mapping", "Write `validValues: [...]` under it.")
    if metric == "nullValues" and not arguments:
        return RowCheck(kind="required", field=field)
    if metric == "missingValues" and all(value in _EMPTY for value in arguments.get("missingValues", ())):
        return RowCheck(kind="required", field=field)
    if metric == "duplicateValues" and not arguments:
        return RowCheck(kind="unique", field=field)
    if metric == "invalidValues" and len(arguments) == 1:
        return _of_values(rest, arguments, field)
    return None


def _of_values(rest: dict[str, Any], arguments: dict[str, Any], field: str) -> RowCheck | None:
    values, pattern = arguments.get("validValues"), arguments.get("pattern")
    if isinstance(values, list) and values and all(isinstance(value, str) for value in values):
        rest.pop("arguments")
        return RowCheck(kind="one_of", field=field, values=tuple(values))
    if isinstance(pattern, str):
        rest.pop("arguments")
        return RowCheck(kind="pattern", field=field, pattern=pattern)
    return None


def _entity_out(entity: Entity) -> dict[str, Any]:
    out: dict[str, Any] = {"name": entity.name, **_copy(entity.rest)}
    if entity.fields:
        out["properties"] = [_field_out(field) for field in entity.fields]
    if entity.rules:
        out["quality"] = [_rule_out(rule, None) for rule in entity.rules]
    return out


def _field_out(field: Field) -> dict[str, Any]:
    out: dict[str, Any] = {"name": field.name, **_copy(field.rest)}
    if field.type is not None:
        out["logicalType"] = field.type
    for key in ("required", "unique"):
        if getattr(field, key):
            out[key] = True
    options = {key: _plain(value) for key in ("pattern", "minimum", "maximum")
               if (value := getattr(field, key)) is not None}  # fmt: skip
    if options:
        out["logicalTypeOptions"] = {**out.get("logicalTypeOptions", {}), **options}
    if field.rules:
        out["quality"] = [_rule_out(rule, field.name) for rule in field.rules]
    return out


def _rule_out(rule: Rule, field: str | None) -> dict[str, Any]:
    out: dict[str, Any] = {**({"name": rule.name} if rule.named else {}), **_copy(rule.rest)}
    word = out.get("severity")
    if rule.severity is not None and not (isinstance(word, str) and _SEVERITIES.get(word.lower()) == rule.severity):
        _put(out, "customProperties", SEVERITY, rule.severity, None)
    if rule.containment is not None:
        _put(out, "customProperties", CONTAINMENT, rule.containment, None)
    if rule.check is not None:
        _check_out(out, rule.check, field)
    return out


def _check_out(out: dict[str, Any], check: RowCheck, field: str | None) -> None:
    """Write a check as the standard's metric where it has one for it, else for our own engine."""
    metric = out.get("metric")
    own = out.get("engine") == ENGINE or field is None or check.field != field or check.when is not None
    wanted = _METRICS.get(check.kind)
    if own or wanted is None:
        body = {key: _plain(value) for key, value in json.to_plain(check).items() if value not in (None, [], ())}
        body |= {key: _plain(getattr(check, key)) for key in ("minimum", "maximum") if getattr(check, key) is not None}
        if field is not None and check.field == field:
            body.pop("field")
        out.update({"type": "custom", "engine": ENGINE, "implementation": body})
        return
    if metric != wanted and not (check.kind == "required" and metric == "missingValues"):
        out["metric"] = wanted
    out["mustBe"] = 0
    if check.kind == "one_of":
        out["arguments"] = {"validValues": list(check.values)}
    elif check.kind == "pattern":
        out["arguments"] = {"pattern": check.pattern}


def _named(raw: Any, where: str) -> str:
    if not isinstance(raw, dict):
        raise _Wrong(where, raw, "is a mapping", "Write `- name: ...`.")
    name = raw.get("name")
    if not isinstance(name, str) or not name.strip() or name != name.strip() or len(name) > 100:
        raise _Wrong(f"{where}.name", name or "", "is required, as text of at most 100", "Give it a name.")
    return name


def _list(raw: Mapping[str, Any], key: str, where: str) -> Sequence[Any]:
    found = raw.get(key, [])
    if not isinstance(found, list):
        raise _Wrong(f"{where}.{key}", found, "is a list", "Write its entries with a dash each.")
    return found


def _find(entries: Any, name: str) -> dict[str, Any] | None:
    found = (entry for entry in entries if isinstance(entry, dict)) if isinstance(entries, list) else ()
    return next((entry for entry in found if entry.get("property") == name), None)


def _take(rest: dict[str, Any], key: str, name: str) -> Any:
    """Take one property's value out of a list; its entry stays, so that it goes out where it came in."""
    entry = _find(rest.get(key), name)
    if entry is None:
        return None
    left = {field: value for field, value in entry.items() if field != "value"}
    rest[key] = [left if other is entry else other for other in rest[key]]
    return entry.get("value")


def _put(document: dict[str, Any], key: str, name: str, value: Any, plain: Any, **more: Any) -> None:
    """Put one property's value back into its entry; where there was none and it is not the plain one, add it."""
    entry = _find(document.get(key), name)
    if entry is not None:
        if "value" in entry and _same(entry, value):
            return
        entry["value"] = value
        if more and "unit" in entry:
            entry.update(more)
    elif value != plain:
        document[key] = [*document.get(key, []), {"property": name, "value": value, **more}]


def _same(entry: dict[str, Any], value: Any) -> bool:
    each = _HOURS.get(str(entry.get("unit", "h")), 1) if entry["property"] == INITIATE else 1
    return bool(entry["value"] == value or (isinstance(entry["value"], int) and entry["value"] * each == value))


def _exact(value: Any) -> Any:
    """Return plain data with Decimals for floats, as a check takes them."""
    if isinstance(value, dict):
        return {key: _exact(part) for key, part in value.items()}
    return Decimal(str(value)) if isinstance(value, float) else value


def _plain(value: Any) -> Any:
    """Return what goes out: lists and numbers as YAML has them."""
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    return value


def _copy(value: Any) -> Any:
    """Return plain data that may be changed without changing the contract."""
    if isinstance(value, dict):
        return {key: _copy(part) for key, part in value.items()}
    return [_copy(part) for part in value] if isinstance(value, list) else value
