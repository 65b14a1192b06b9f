"""No status is typed in: every status column is generated, nothing writes one, and no rule compares a state's name.

Source: rule 4 of the house, state from facts; and that no rule but the workflow's own knows the name of a state.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import psycopg
import pytest
from tests.test_tidy import HOUSE, VENDOR, text_of, tree_of

from trueup.orders.workflow import STATES

STATUS_NAME = r"(^|_)(status|state|life|stage|phase)$"
NAMES = {state.name for state in STATES}

# Lists of words in governed tables that say what something is, once and for good; none says how far it has come.
WHAT_IT_IS = {
    ("employment", "employer"): "whether one's own or a consultant: what a contract says",
    ("journal", "kind"): "command or event",
    ("actor", "kind"): "person or service",
    ("item", "kind"): "good, charge or kit",
    ("item", "tracking"): "by lot, by serial number or not at all",
    ("location", "kind"): "warehouse, store or supplier",
    ("partner", "kind"): "supplier, carrier, marketplace, warehouse or payment: what it does for us",
    ("org_node", "kind"): "brand, company, region, site or channel",
    ("stock_claim", "kind"): "reservation or allocation; a claim is appended, never changed",
    ("stock_movement", "from_account"): "an account of the ledger; a movement is appended, never changed",
    ("stock_movement", "to_account"): "an account of the ledger; a movement is appended, never changed",
    ("stock_pool", "mode"): "ring-fence or cap",
    ("writer_rule", "entity"): "order, item, customer or stock",
    ("breach", "entity"): "item, location or partner",
    ("breach", "containment"): "what was agreed to happen to what breaks the rule",
    ("breach", "ended_by"): "that the rule passed, or is no rule any more, beside when; empty until then",
    ("change", "type"): "standard, normal or emergency",
    ("governance", "mode"): "in which of the two ways it is decided: small or full",
    ("stock_freeze", "mode"): "what the freeze does to movements",
    ("stock_feed", "kind"): "snapshot or delta",
    ("stock_feed_row_quarantined", "settled"): "what somebody did about it, beside when; empty until then",
    ("orders", "kind"): "sale, credit or adjustment",
    ("orders", "delivery"): "shipped or picked up",
    ("order_line", "kind"): "good, charge or kit",
}

GOVERNED = """select c.oid, c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where n.nspname = 'public' and c.relkind in ('r', 'p') and not c.relispartition
        and exists (select from pg_trigger t where t.tgrelid = c.oid and t.tgname = 'door_only')"""
COLUMNS = f"""select g.relname, a.attname, a.attgenerated = 's' from ({GOVERNED}) g
    join pg_attribute a on a.attrelid = g.oid and a.attnum > 0 and not a.attisdropped"""
STATUSES = f"{COLUMNS} where a.attname ~ '{STATUS_NAME}' order by 1, 2"
# A column whose check lists the words it may hold, or whose type does.
LISTED = f"""{COLUMNS} where exists (select from pg_type t where t.oid = a.atttypid and t.typtype = 'e')
    or exists (select from pg_constraint k where k.conrelid = g.oid and k.contype = 'c' and k.conkey = array[a.attnum]
        and pg_get_constraintdef(k.oid) ~ 'ANY \\(ARRAY\\[''') order by 1, 2"""

Column = tuple[str, str]


def columns(connection: psycopg.Connection, sql: str) -> dict[Column, bool]:
    """Return (table, column) -> whether it is generated and stored."""
    return {(table, column): generated for table, column, generated in connection.execute(sql)}


def writable(connection: psycopg.Connection) -> list[Column]:
    """Return the columns of governed tables in which somebody could type a status."""
    statuses, listed = columns(connection, STATUSES), columns(connection, LISTED)
    found = [column for column, generated in statuses.items() if not generated]
    return found + [column for column, generated in listed.items() if not generated and column not in WHAT_IT_IS]


def test_every_status_of_a_governed_table_is_generated(url: str):
    with psycopg.connect(url) as connection:
        assert writable(connection) == []
        found = columns(connection, STATUSES)
        assert {("orders", "state"), ("orders", "fulfilment_status"), ("fulfilment_order", "status")} <= found.keys()
        listed = columns(connection, LISTED)
        assert sorted(WHAT_IT_IS.keys() - listed.keys()) == [], "take out what is not there any more"


def test_the_database_refuses_to_have_a_status_written(url: str):
    with psycopg.connect(url, autocommit=True) as connection:
        for table, column in columns(connection, STATUSES):
            with pytest.raises(psycopg.errors.GeneratedAlways):
                connection.execute(f"update {table} set {column} = 'typed in'")
            with pytest.raises(psycopg.errors.GeneratedAlways):
                connection.execute(f"insert into {table} ({column}) values ('typed in')")


@pytest.mark.parametrize(
    ("column", "sql"),
    [
        ("status", "create table typed (id int, status text); select govern('typed')"),
        ("hold_state", "create table typed (id int, hold_state text); select govern('typed')"),
        ("life", "create table typed (id int, life text); select govern('typed')"),
        ("progress", "create table typed (progress text check (progress in ('new', 'done'))); select govern('typed')"),
        (
            "progress",
            "create type far as enum ('new', 'done'); create table typed (progress far); select govern('typed')",
        ),
    ],
    ids=["a status", "a state with a prefix", "a life", "a list in a check", "a list in a type"],
)
def test_the_control_a_status_that_can_be_written_is_found(url: str, column: str, sql: str):
    with psycopg.connect(url) as connection:
        connection.execute(sql)
        assert writable(connection) == [("typed", column)]


# --- what the code writes --------------------------------------------------------------------------------------------


def texts_in(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield each string of a module with its line; of a formatted one its fixed parts, with ? between them."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value
        elif isinstance(node, ast.JoinedStr):
            parts = (str(part.value) if isinstance(part, ast.Constant) else "?" for part in node.values)
            yield node.lineno, "".join(parts)


def written_statuses(tree: ast.Module, statuses: dict[Column, bool]) -> list[tuple[int, str]]:
    """Return the statements that set or insert a status of a governed table, by line."""
    found = []
    for line, text in texts_in(tree):
        update = re.match(r"\s*update\s+(?:only\s+)?(\w+)\b.*?\bset\b(.*?)(?:\bfrom\b|\bwhere\b|$)", text, re.I | re.S)
        insert = re.match(r"\s*insert\s+into\s+(\w+)\b[^(]*\(([^)]*)\)", text, re.I | re.S)
        set_ = re.findall(r"(\w+)\s*=", update[2]) if update else re.findall(r"\w+", insert[2]) if insert else []
        table = (update or insert or [""] * 2)[1]
        found += [(line, f"{table}.{column}") for column in set_ if (table, column) in statuses]
    return found


def test_no_statement_of_ours_writes_a_status(url: str):
    with psycopg.connect(url) as connection:
        statuses = columns(connection, STATUSES)
    found = {str(path): written_statuses(tree_of(path), statuses) for path in HOUSE.rglob("*.py")}
    assert {path: lines for path, lines in found.items() if lines} == {}


@pytest.mark.parametrize(
    "statement",
    ["update orders set total = 1, state = 'sourced'", "UPDATE only orders o\n set state = n.state from n",
     "insert into orders (id, state) values ('a', 'placed')"],
)  # fmt: skip
def test_the_control_a_statement_that_writes_a_status_is_found(statement: str):
    tree = ast.parse(f"SQL = {statement!r}")
    assert [what for _, what in written_statuses(tree, {("orders", "state"): True})] == ["orders.state"]


# --- who knows the names of states -------------------------------------------------------------------------------

# Where a shipped state's name stands for something else, and for what. A file that is not here says no such word.
OTHER_MEANINGS: dict[str, dict[str, str]] = {
    "catalogue/readiness.py": {"draft": "the step of readiness before the first"},
    "oversight/impact_orders.py": {"cancelled": "what became of an order in a replay", "placed": "the same"},
    "web/console/pages/guards.py": {"waiting": "acts that a guard keeps waiting, in a template"},
    "orders/advance.py": {"cancelled": "a business event", "sourced": "a business event"},
    "orders/cancel.py": {"cancelled": "a business event, and why claims ended", "sourced": "a business event"},
    "orders/draft.py": {"draft": "the id of a draft in an answer", "cancelled": "a business event"},
    "orders/draft_state.py": {"draft": "the id of a draft in an event"},
    "orders/fulfilment_orders.py": {"cancelled": "why a part became smaller"},
    "orders/holds.py": {"placed": "the event tables are asked on", "sourced": "a business event that holds stop",
                        "cancelled": "a business event that holds stop"},
    "orders/rows.py": {"cancelled": "a column of units"},
    "orders/workflow.py": dict.fromkeys(NAMES, "the states themselves"),
    "sourcing/allocate.py": {"sourced": "a business event"},
    "sourcing/assign.py": {"sourced": "a business event"},
    "sourcing/lent.py": {"sourced": "a business event"},
    "stock/freeze.py": {"cancelled": "the life of a freeze", "waiting": "intents, in an answer"},
    "stock/freeze_state.py": {"cancelled": "the life of a freeze"},
    "stock/peg.py": {"cancelled": "why demand waits no more"},
    "stock/state.py": {"waiting": "a kind of row that was read: units that wait for supply"},
    "stock/supply.py": {"waiting": "how many wait, in an answer"},
    "migrate/mapping.py": {"cancelled": "a field of a legacy source"},
    "migrate/propose_fields.py": {"cancelled": "a field of a legacy source"},
    "sandbox/dialects.py": {"cancelled": "a word of a legacy system"},
    "sandbox/order_history.py": {"cancelled": "a word of a legacy system"},
    "sandbox/shop.py": {"draft": "the id of a draft in an answer"},
    "cli/bench/__init__.py": {"sourced": "the name of a bench"},
    "cli/bench/sourced.py": {"sourced": "the name of a bench"},
    "web/api/capture.py": {"draft": "the kind of a resource"},
    "web/console/pages/order_entry.py": {"draft": "the id of a draft in a form"},
    "web/console/words.py": {"draft": "a step of readiness", "cancelled": "what people read",
                             "sourced": "what people read"},
}  # fmt: skip
STATE_IN_SQL = re.compile(r"\bstate\b\s*(?:=|<>|!=|is\s+(?:not\s+)?distinct\s+from|(?:not\s+)?in)\s*\(?\s*'", re.I)
STATE_IN_PAGE = re.compile(
    rf"\bstate\b\s*(?:={{2,3}}|!={{1,2}}|(?:not\s+)?in)[\s\[({{\w\"',]*[\"'](?:{'|'.join(sorted(NAMES))})[\"']", re.I
)


def names_said(tree: ast.Module) -> set[str]:
    """Return the names of shipped states that stand in a module as a string."""
    return {
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value in NAMES
    }


def test_no_module_but_the_workflow_knows_the_name_of_a_state():
    said = {path.relative_to(HOUSE).as_posix(): names_said(tree_of(path)) for path in HOUSE.rglob("*.py")}
    found = {path: sorted(names - OTHER_MEANINGS.get(path, {}).keys()) for path, names in said.items()}
    assert {path: names for path, names in found.items() if names} == {}, (
        "ask `workflow.allows` or `stays`, and say what happened by `advance`; or say here what else the word means"
    )
    gone = {path: sorted(words.keys() - said.get(path, set())) for path, words in OTHER_MEANINGS.items()}
    assert {path: names for path, names in gone.items() if names} == {}, "take out what no longer stands there"


def compared_with(tree: ast.Module) -> list[int]:
    """Return the lines that compare something called a state with a string."""
    lines = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
            called = any(re.search(r"(^|_)state$", ast.unparse(side).rsplit(".", 1)[-1]) for side in sides)
            words = any(isinstance(part, ast.Constant) and part.value in NAMES for s in sides for part in ast.walk(s))
            lines += [node.lineno] * (called and words)
    return lines


def test_no_rule_compares_a_state_by_name_in_code_in_sql_or_on_a_page():
    found: list[str] = []
    for path in sorted(HOUSE.rglob("*")):
        if VENDOR in path.parents or path.suffix not in (".py", ".sql", ".html", ".js"):
            continue
        if path.suffix == ".py":
            tree = tree_of(path)
            lines = compared_with(tree) + [line for line, text in texts_in(tree) if STATE_IN_SQL.search(text)]
        else:
            pattern = STATE_IN_SQL if path.suffix == ".sql" else STATE_IN_PAGE
            lines = [number for number, line in enumerate(text_of(path).splitlines(), 1) if pattern.search(line)]
        found += [f"{path.relative_to(HOUSE)}:{line}" for line in lines]
    assert found == []


@pytest.mark.parametrize(
    "code",
    ["if row.state == 'sourced': pass", "ok = row.state in ('placed', 'waiting')", "'cancelled' != order.state",
     "SQL = \"select 1 from orders where state = 'waiting'\"", "SQL = \"... and o.state not in ('draft', 'placed')\""],
)  # fmt: skip
def test_the_control_a_comparison_by_name_is_found(code: str):
    tree = ast.parse(code)
    assert compared_with(tree) or [line for line, text in texts_in(tree) if STATE_IN_SQL.search(text)]


@pytest.mark.parametrize(
    "page",
    ["{% if order.state == 'sourced' %}", 'if (row.state === "draft")', "{% if o.state in ('own', 'waiting') %}"],
)
def test_the_control_a_page_that_compares_by_name_is_found(page: str):
    assert STATE_IN_PAGE.search(page)
