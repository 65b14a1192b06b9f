"""Run a mapping: one typed table `t_<entity>` per kind of record, each row with its identity and its place.

Beside the canonical fields of its kind a typed table has

    id, file, row       the row's number, file and line
    fault, encoding     as in the raw table
    ignored             name of the mapping's rule that ignores the row, or NULL
    content             what tells it from others beside its fields
    w_<field>           number and time fields as written
    charge, said_kind   of lines and orders: the mapping's word on freight and on the document's kind
    identity            32 hexadecimal digits of sha256(source, entity or document, content, nth identical in its file)
    nth                 1 for the first row with that content in its file and document
    settled             `ignored`, `merged` or NULL when the row is still to be judged
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from threading import Timer
from typing import TYPE_CHECKING

import msgspec

from trueup.migrate import dates
from trueup.migrate.mapping import FIELDS, Entity, FileMapping, Mapping, MappingRefused, of_file
from trueup.migrate.sources import SourceFile, quoted

if TYPE_CHECKING:
    import duckdb

SECONDS_MAX = 120.0
SAMPLE_VALUES = 1500
_SEPARATOR = "chr(31)"
# Which field names the record that identical rows are counted within.
OWNER: dict[Entity, str] = {
    "item": "sku", "customer": "number", "order": "document", "line": "document", "count": "location",
    "refund": "document",
}  # fmt: skip


class Part(msgspec.Struct, frozen=True):
    """The files of one raw table that one file mapping reads."""

    mapping: FileMapping
    table: str
    columns: tuple[str, ...]
    files: tuple[str, ...]


def literal(text: str) -> str:
    """Write text as an SQL string."""
    return "'" + text.replace("'", "''") + "'"


def parts_of(files: Sequence[SourceFile], mapping: Mapping) -> tuple[Part, ...]:
    """Group the files by the mapping and the raw table they belong to; files that no mapping names are in none."""
    grouped: dict[tuple[int, str], list[SourceFile]] = {}
    order = {id(entry): place for place, entry in enumerate(mapping.files)}
    for file in files:
        entry = of_file(mapping, file.name)
        if entry is not None:
            grouped.setdefault((order[id(entry)], file.table), []).append(file)
    return tuple(
        Part(mapping.files[place], table, members[0].columns, tuple(member.name for member in members))
        for (place, table), members in grouped.items()
    )


def type_rows(connection: duckdb.DuckDBPyConnection, parts: Sequence[Part], mapping: Mapping) -> frozenset[Entity]:
    """Create the typed table of every kind of record and return the kinds the source has files for.

    Raises MappingRefused when an expression cannot be run, naming field, expression and cause.
    """
    for entity in FIELDS:
        own = [part for part in parts if part.mapping.entity == entity]
        selects = [_typed(connection, part, mapping) for part in own] or [_nothing(entity)]
        _run_users(connection, f"create temp table r_{entity} as {' union all by name '.join(selects)}", own)
        _identify(connection, entity, mapping)
    return frozenset(part.mapping.entity for part in parts)


def create_macros(connection: duckdb.DuckDBPyConnection) -> None:
    """Define how numbers, keys and spellings are read."""
    digits = r"(\d+|\d{1,3}(%s\d{3})+|)"
    point = "[+-]?" + digits % "[, ''’]" + r"(\.\d+)?([eE][+-]?\d+)?"
    comma = "[+-]?" + digits % "[. ''’]" + r"(,\d+)?"
    connection.execute(
        rf"""
        create or replace temp macro number_point(v) as case
            when regexp_full_match(trim(v), '{point}')
            then try_cast(regexp_replace(trim(v), '[, ''’]', '', 'g') as decimal(18, 6)) end;
        create or replace temp macro number_comma(v) as case
            when regexp_full_match(trim(v), '{comma}')
            then try_cast(replace(regexp_replace(trim(v), '[. ''’]', '', 'g'), ',', '.') as decimal(18, 6)) end;
        create or replace temp macro key_of(v) as
            case when ends_with(v, '.0') or starts_with(v, ' ') or ends_with(v, ' ') or v = ''
            then nullif(regexp_replace(trim(v), '^(\d+)\.0+$', '\1'), '') else v end;
        -- Two decimals of 18 digits multiply within 18 digits only, and overflow.
        create or replace temp macro amount_of(quantity, price) as cast(quantity as decimal(28, 6)) * price;
        create or replace temp macro spelling(v) as upper(regexp_replace(v, '[^\p{{L}}\p{{N}}]', '', 'g'));
        """
    )


def number_in_sql(value: str, decimal: str) -> str:
    """Return SQL that reads an expression of text as decimal(18,6), else NULL; more decimals are rounded."""
    return f"number_{'comma' if decimal == ',' else 'point'}({value})"


def selected(part: Part) -> str:
    """Return the SQL condition for the rows of a part's files in its raw table."""
    return f"_file in ({', '.join(map(literal, part.files))})"


def values_of(
    connection: duckdb.DuckDBPyConnection, table: str, expression: str, condition: str, limit: int = SAMPLE_VALUES
) -> dict[str, int]:
    """Return up to `limit` distinct non-blank values of an expression, chosen evenly, with their number of rows."""
    found = connection.execute(
        f"select v, count(*) from (select trim(cast(({expression}) as varchar)) v from {table} "
        f"where _fault is null and {condition}) where v <> '' group by v order by hash(v) limit {limit}"
    ).fetchall()
    return dict(found)


def _typed(connection: duckdb.DuckDBPyConnection, part: Part, mapping: Mapping) -> str:
    entry, fields = part.mapping, FIELDS[part.mapping.entity]
    inner = [f"cast(({expression}) as varchar) as w_{field}" for field, expression in entry.columns.items()]
    inner += [
        f"cast(({entry.charges or 'null'}) as boolean) as charge",
        f"cast(({entry.document_kind or 'null'}) as varchar) as said_kind",
        f"concat_ws({_SEPARATOR}, {', '.join(f'({more})' for more in entry.content) or 'null'}) as content",
        f"case {_ignores(entry)} else null end as ignored",
    ]
    for expression in (*entry.columns.values(), *entry.ignore.values(), *entry.content, entry.charges or "1",
                       entry.document_kind or "1"):  # fmt: skip
        _one_expression(connection, expression, part)
    outer = [f"{_read(connection, part, mapping, field)} as {field}" for field in fields]
    outer += [
        f"w_{field}" if field in entry.columns else f"cast(null as varchar) as w_{field}"
        for field, kind in fields.items()
        if kind in ("number", "time")
    ]
    return (
        f"select id, file, row, fault, encoding, ignored, content, charge, said_kind, {', '.join(outer)} from ("
        f"select _id as id, _file as file, _row as row, _fault as fault, _encoding as encoding, {', '.join(inner)} "
        f"from {part.table} where {selected(part)})"
    )


def _ignores(entry: FileMapping) -> str:
    rules = "".join(f"when ({predicate}) then {literal(rule)} " for rule, predicate in entry.ignore.items())
    return f"when _fault in ('blank_row', 'repeated_header') then _fault {rules}"


def _read(connection: duckdb.DuckDBPyConnection, part: Part, mapping: Mapping, field: str) -> str:
    """Return the SQL that makes a typed value of what a mapping's expression gives."""
    entry, kind, written = part.mapping, FIELDS[part.mapping.entity][field], f"w_{field}"
    if field not in entry.columns:
        return f"cast(null as {_SQL_TYPES[kind]})"
    if kind == "number":
        return number_in_sql(written, entry.decimal or mapping.decimal)
    if kind == "time":
        form = entry.dates.get(field)
        if form is None:
            values = _users_values(connection, part, entry.columns[field])
            form = dates.majority(values, mapping.timezone.startswith("America/"))[0] or dates.ISO
        return dates.in_sql(written, form, mapping.timezone)
    if kind == "flag":
        return f"coalesce(try_cast(trim({written}) as boolean), false)"
    return {"key": f"key_of({written})", "code": f"nullif(upper(trim({written})), '')",
            "text": f"nullif(trim({written}), '')"}.get(kind, written)  # fmt: skip


_SQL_TYPES = {"number": "decimal(18, 6)", "time": "timestamptz", "flag": "boolean"} | dict.fromkeys(
    ("key", "sku", "text", "code"), "varchar"
)


def _nothing(entity: Entity) -> str:
    """Return a typed table's columns without rows."""
    fields = FIELDS[entity]
    typed = [f"cast(null as {_SQL_TYPES[kind]}) as {field}" for field, kind in fields.items()]
    typed += [f"cast(null as varchar) as w_{f}" for f, kind in fields.items() if kind in ("number", "time")]
    return (
        "select 0::bigint as id, '' as file, 0::bigint as row, '' as fault, '' as encoding, '' as ignored, "
        f"'' as content, false as charge, '' as said_kind, {', '.join(typed)} where false"
    )


def _identify(connection: duckdb.DuckDBPyConnection, entity: Entity, mapping: Mapping) -> None:
    """Number identical rows and derive each row's identity from source, owner, canonical content and that number."""
    canonical = ", ".join(f"coalesce({expression}, '')" for expression in _canonical(entity))
    owner = OWNER[entity]
    within = f"coalesce({owner}, '')"
    name = literal(f"{mapping.source}\x1f{entity}")
    connection.execute(
        f"""
        create temp table t_{entity} as
        with read as (select *, concat_ws({_SEPARATOR}, {within}, {canonical}, content) as whole from r_{entity}),
        numbered as (
            select *, case when ignored is null
                then row_number() over (partition by file, whole, ignored is null order by id) else 0 end as nth
            from read
        )
        select * exclude (whole), left(sha256(concat_ws({_SEPARATOR}, {name}, whole, nth)), 32) as identity,
            case when ignored is not null then 'ignored' end as settled
        from numbered
        """
    )
    connection.execute(f"drop table r_{entity}")
    connection.execute(
        f"""
        create temp table again_{entity} as
        select id from (
            select id, row_number() over (partition by identity order by id) as place from t_{entity}
            where settled is null and (select count(distinct file) from t_{entity}) > 1
        ) where place > 1
        """
    )
    merged = " or nth > 1" if mapping.identical_rows == "merge" or entity != "line" else ""
    connection.execute(
        f"update t_{entity} set settled = 'merged' where settled is null and fault is null "
        f"and (id in (from again_{entity}){merged})"
    )


def _canonical(entity: Entity) -> Iterator[str]:
    for field, kind in FIELDS[entity].items():
        if kind == "number":
            yield f"coalesce(cast({field} as varchar), trim(w_{field}))"
        elif kind == "time":
            yield f"coalesce(cast(epoch_us({field}) as varchar), trim(w_{field}))"
        elif kind == "sku":
            yield f"trim({field})"
        else:
            yield f"cast({field} as varchar)"


def _users_values(connection: duckdb.DuckDBPyConnection, part: Part, expression: str) -> dict[str, int]:
    import duckdb

    try:
        with TimeBound(connection):
            return values_of(connection, part.table, expression, selected(part))
    except duckdb.Error as error:
        raise _refused(part, expression, error) from error


class TimeBound:
    """Interrupt what a connection runs inside the `with` after SECONDS_MAX seconds."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, seconds: float | None = None) -> None:
        self._timer = Timer(SECONDS_MAX if seconds is None else seconds, connection.interrupt)
        self._timer.daemon = True

    def __enter__(self) -> None:
        self._timer.start()

    def __exit__(self, *error: object) -> None:
        self._timer.cancel()


def _run_users(connection: duckdb.DuckDBPyConnection, sql: str, parts: Sequence[Part]) -> None:
    """Run SQL that contains users' expressions; find the one at fault when it fails."""
    import duckdb

    try:
        with TimeBound(connection):
            connection.execute(sql)
    except duckdb.InterruptException as error:
        raise MappingRefused(
            f"{parts[0].files[0]}: the mapping ran for {SECONDS_MAX:g} s and was stopped. Simplify its expressions."
        ) from error
    except duckdb.Error as error:
        for part in parts:
            for expression in part.mapping.columns.values():
                try:
                    with TimeBound(connection):
                        connection.execute(f"select ({expression}) from {part.table} where {selected(part)}").fetchone()
                except duckdb.Error as cause:
                    raise _refused(part, expression, cause) from cause
        raise MappingRefused(
            f"The mapping cannot be run: {str(error).splitlines()[0]}. Correct the expression."
        ) from error


def _one_expression(connection: duckdb.DuckDBPyConnection, expression: str, part: Part) -> None:
    """Refuse text that is more than one SQL expression. Raises MappingRefused."""
    import duckdb

    try:
        statements = connection.extract_statements(f"select ({expression}) from {quoted(part.table)}")
        if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
            raise MappingRefused(f"{part.files[0]}: {expression!r} is more than one expression. Write one.")
        depth = 0
        for sign in re.sub(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"", "", expression):
            depth += (sign == "(") - (sign == ")")
            if depth < 0:
                break
        if depth != 0 or "--" in expression or "/*" in expression:
            raise MappingRefused(f"{part.files[0]}: {expression!r} is not a whole expression. Close its parentheses.")
    except duckdb.Error as error:
        raise _refused(part, expression, error) from error


def _refused(part: Part, expression: str, error: Exception) -> MappingRefused:
    fields = [field for field, own in part.mapping.columns.items() if own == expression]
    where = f"{part.files[0]}: {part.mapping.entity} {fields[0] if fields else 'rule'}"
    return MappingRefused(f"{where}: the expression {expression!r} cannot be run: {str(error).splitlines()[0]}. "
                          f"The file's columns are {', '.join(part.columns)}.")  # fmt: skip
