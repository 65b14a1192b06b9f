"""The house rules that a machine can hold. Each test names the rule; its failure names the place and the fix."""

import ast
import re
import statistics
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
HOUSE = ROOT / "src" / "trueup"
VENDOR = HOUSE / "web" / "console" / "static" / "vendor"

FUNCTION_LINES_MAX = 69
FUNCTION_LINES_MEDIAN_MAX = 13
FILE_LINES_MAX = 499
README_LINES_MAX = 40
WRITTEN_BY_HAND = {".py", ".sql", ".js", ".css", ".html"}
VAGUE_NAMES = {"util", "utils", "helper", "helpers", "common", "manager", "managers", "base"}
HEAVY_PACKAGES = {"duckdb", "highspy", "ibis", "openpyxl", "pyarrow", "pyspark", "python_calamine"}
EXACT_PLACES = ("orders", "stock", "payments", "core/money.py")

Function = ast.FunctionDef | ast.AsyncFunctionDef


# --- reading the repository --------------------------------------------------------------------------------------


@cache
def files_of_the_repository() -> tuple[Path, ...]:
    """Every file that is, or would be, in git; without git (a source archive), those of the code folders."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    if listed.returncode == 0:
        found = [ROOT / name for name in listed.stdout.split("\0") if name]
    else:
        found = [path for folder in ("src", "tests", "scripts") for path in (ROOT / folder).rglob("*")]
    return tuple(sorted(path for path in found if path.is_file() and VENDOR not in path.parents))


@cache
def text_of(path: Path) -> str:
    """The text of a file; empty for one that is not UTF-8 text (a picture, a deliberately odd fixture)."""
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return ""


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(text_of(path), filename=str(path))


@pytest.fixture(scope="module", autouse=True)
def _trees_are_let_go() -> Iterator[None]:
    """Give the memory back: 700 trees are more objects than all else in a worker."""
    yield
    tree_of.cache_clear()


def python_files(*folders: str) -> Iterator[Path]:
    wanted = [ROOT / folder for folder in folders]
    for path in files_of_the_repository():
        if path.suffix == ".py" and any(folder in path.parents for folder in wanted):
            yield path


def functions_in(path: Path) -> Iterator[Function]:
    for node in ast.walk(tree_of(path)):
        if isinstance(node, Function):
            yield node


def lines_of(function: Function) -> int:
    return (function.end_lineno or function.lineno) - function.lineno + 1


def place(path: Path, line: int | None = None) -> str:
    name = path.relative_to(ROOT).as_posix()
    return name if line is None else f"{name}:{line}"


def rooms() -> list[Path]:
    """The rooms that are packages, in no order; the order is import-linter's."""
    return sorted({HOUSE / path.relative_to(HOUSE).parts[0] for path in python_files("src") if path.parent != HOUSE})


def demand_none(problems: list[str], rule: str) -> None:
    assert not problems, f"{rule}\n" + "\n".join(f"  {problem}" for problem in problems)


# --- size and names ----------------------------------------------------------------------------------------------


def test_functions_stay_short():
    problems = [
        f"{place(path, function.lineno)} {function.name}: {lines_of(function)} lines"
        for path in python_files("src", "tests", "scripts")
        for function in functions_in(path)
        if lines_of(function) > FUNCTION_LINES_MAX
    ]
    demand_none(problems, f"A function has at most {FUNCTION_LINES_MAX} lines; split it by what it does:")


def test_the_median_function_is_short():
    lengths = [lines_of(function) for path in python_files("src") for function in functions_in(path)]
    median = statistics.median(lengths) if lengths else 0
    assert median <= FUNCTION_LINES_MEDIAN_MAX, f"the median function has {median} lines, of {len(lengths)} functions"


def test_files_stay_short():
    problems = [
        f"{place(path)}: {length} lines"
        for path in files_of_the_repository()
        if path.suffix in WRITTEN_BY_HAND and (length := len(text_of(path).splitlines())) > FILE_LINES_MAX
    ]
    demand_none(problems, f"A file has at most {FILE_LINES_MAX} lines; give a part of it its own name:")


def test_names_say_what_a_thing_is():
    problems = [
        place(path)
        for path in python_files("src", "tests", "scripts")
        for part in path.relative_to(ROOT).with_suffix("").parts
        if VAGUE_NAMES & set(part.lower().split("_"))
    ]
    demand_none(problems, f"No module or package is called {', '.join(sorted(VAGUE_NAMES))}; name what it holds:")


def test_nothing_is_left_for_later():
    comment = r"(?:#|--|//|/\*|\*|<!--|\{#).*"
    left = re.compile(comment + r"\b(?:TODO|FIXME|XXX|HACK)\b")
    problems = [
        f"{place(path, number)} {line.strip()[:80]}"
        for path in files_of_the_repository()
        if path.suffix in WRITTEN_BY_HAND or path.parent == ROOT / "scripts"
        for number, line in enumerate(text_of(path).splitlines(), 1)
        if left.search(line)
    ]
    demand_none(problems, "What is left to do is an issue, not a comment:")


# --- imports -----------------------------------------------------------------------------------------------------


def own_imports(node: ast.AST) -> Iterator[ast.Import | ast.ImportFrom]:
    for inner in ast.walk(node):
        if isinstance(inner, ast.Import):
            names = [alias.name for alias in inner.names]
        elif isinstance(inner, ast.ImportFrom):
            names = ["trueup"] if inner.level else [inner.module or ""]
        else:
            continue
        if any(name.split(".")[0] == "trueup" for name in names):
            yield inner


def test_own_imports_stand_at_the_top():
    problems = [
        f"{place(path, found.lineno)} in {function.name}"
        for path in python_files("src")
        for function in functions_in(path)
        for found in own_imports(function)
    ]
    demand_none(problems, "An own import inside a function hides a cycle; import at the top or move the code:")


def test_rooms_import_only_rooms_above_them():
    linter = Path(sys.executable).with_name("lint-imports")
    result = subprocess.run([linter, "--no-cache"], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr


def test_the_command_line_starts_without_heavy_packages():
    if not (HOUSE / "cli" / "main.py").exists():
        pytest.skip("there is no command line yet")
    loaded = "from trueup.cli.main import COMMANDS, load; [load(name) for name in COMMANDS]"
    program = f"import sys; {loaded}; print(*sorted({HEAVY_PACKAGES!r} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert not result.stdout.split(), f"imported by the command line, import where used: {result.stdout}"


# --- the plan of a room ------------------------------------------------------------------------------------------


def test_every_room_has_a_short_readme():
    problems = []
    for room in rooms():
        readme = room / "README.md"
        if not readme.exists():
            problems.append(f"{place(room)}: README.md is missing (tables, verbs, events, promises)")
        elif (length := len(text_of(readme).splitlines())) > README_LINES_MAX:
            problems.append(f"{place(readme)}: {length} lines")
    demand_none(problems, f"A room has a README.md of at most {README_LINES_MAX} lines:")


def public_definitions(path: Path) -> Iterator[Function | ast.ClassDef]:
    for node in tree_of(path).body:
        if isinstance(node, Function | ast.ClassDef) and not node.name.startswith("_"):
            yield node


def is_annotated(function: Function) -> bool:
    arguments = function.args
    named = arguments.posonlyargs + arguments.args + arguments.kwonlyargs
    rest = [argument for argument in (arguments.vararg, arguments.kwarg) if argument is not None]
    return function.returns is not None and all(argument.annotation is not None for argument in named + rest)


def test_what_a_room_shows_is_documented_and_typed():
    problems = []
    for path in (path for path in python_files("src") if path.parent in rooms()):
        for node in public_definitions(path):
            if ast.get_docstring(node) is None:
                problems.append(f"{place(path, node.lineno)} {node.name}: no docstring")
            if isinstance(node, Function) and not is_annotated(node):
                problems.append(f"{place(path, node.lineno)} {node.name}: not fully annotated")
    demand_none(problems, "What a room shows has a docstring and full types, or else a leading underscore:")


# --- each table has one owner ------------------------------------------------------------------------------------

WRITE = re.compile(
    r"""\b(?:
        insert\s+into\s+(?P<insert>[\w."]+)
      | update\s+(?:only\s+)?(?P<update>[\w."]+)(?:\s+(?:as\s+)?(?!set\b)\w+)?\s+set\b
      | delete\s+from\s+(?:only\s+)?(?P<delete>[\w."]+)
      | merge\s+into\s+(?P<merge>[\w."]+)
      | truncate\s+(?:table\s+)?(?P<truncate>[\w."]+)
      | copy\s+(?P<copy>[\w."]+)\s*(?:\([^)]*\)\s*)?from\s+stdin
    )""",
    re.IGNORECASE | re.VERBOSE,
)
TEMPORARY = re.compile(r"\bcreate\s+temp(?:orary)?\s+table\s+(?:if\s+not\s+exists\s+)?(\w+)", re.IGNORECASE)


def tables_of(room: Path) -> set[str]:
    """The tables that a room's README lists under *Tables*: every name in backticks before a bullet's colon."""
    readme = room / "README.md"
    section = re.search(r"^#+ Tables\b.*?\n(.*?)(?=^#|\Z)", text_of(readme), re.S | re.M) if readme.exists() else None
    bullets = re.findall(r"^- ([^:\n]*)", section.group(1), re.M) if section else []
    return {name for bullet in bullets for name in re.findall(r"`(\w+)`", bullet)}


def owners() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for room in rooms():
        for table in tables_of(room):
            found.setdefault(table, []).append(room.name)
    return found


def statements_in(path: Path) -> Iterator[tuple[int, str]]:
    """(line, text) of everything that may be SQL: a .sql file without its comments, a .py file's strings."""
    if path.suffix == ".sql":
        yield 1, re.sub(r"--.*", "", text_of(path))
        return
    tree = tree_of(path)
    prose = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    inside = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            parts = (part.value if isinstance(part, ast.Constant) else "{}" for part in node.values)
            yield node.lineno, "".join(map(str, parts))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in prose | inside:
            yield node.lineno, node.value


def writes_in(path: Path) -> Iterator[tuple[int, str]]:
    """(line, table) of every write in a file, but for those to its own temporary tables."""
    temporary = set(TEMPORARY.findall(text_of(path)))
    for first, statement in statements_in(path):
        for match in WRITE.finditer(statement):
            table = next(name for name in match.groups() if name).replace('"', "").rpartition(".")[2]
            if table and table not in temporary:
                yield first + statement.count("\n", 0, match.start()), table


def room_files_with_sql(room: Path) -> Iterator[Path]:
    """A room's .py and .sql files but for migrations, which the owner of the database runs, and benchmarks.

    A benchmark fills throw-away databases of its own, as their owner; no command could bring it a million orders.
    """
    for path in files_of_the_repository():
        if room in path.parents and path.suffix in {".py", ".sql"} and not {"migrations", "bench"} & set(path.parts):
            yield path


def test_each_table_has_one_owner():
    problems = [f"`{table}`: {', '.join(names)}" for table, names in sorted(owners().items()) if len(names) > 1]
    demand_none(problems, "A table stands in the README of one room, its owner:")


def test_only_its_owner_writes_a_table():
    owner_of = owners()
    problems = [
        f"{place(path, line)} writes `{table}`, owned by {', '.join(owner_of.get(table, ['no README']))}"
        for room in rooms()
        for path in room_files_with_sql(room)
        for line, table in writes_in(path)
        if owner_of.get(table) != [room.name]
    ]
    demand_none(problems, "A table is written only by the room whose README lists it under Tables:")


# --- exact figures -----------------------------------------------------------------------------------------------


ADVISORY_LOCK = re.compile(r"^_?[A-Z_]*(?:LOCK|LEASE) = (7_205_759_\d{3})$", re.MULTILINE)


def test_no_two_advisory_locks_are_one():
    """Who holds the storyline's lease would otherwise keep every command waiting that asks for the other's lock."""
    taken: dict[str, list[str]] = {}
    for path in HOUSE.rglob("*.py"):
        for number in ADVISORY_LOCK.findall(text_of(path)):
            taken.setdefault(number, []).append(str(path.relative_to(ROOT)))
    assert len(taken) >= 4
    assert {number: paths for number, paths in taken.items() if len(paths) > 1} == {}


def test_money_and_quantities_are_exact():
    exact = [HOUSE / name for name in EXACT_PLACES]
    problems = [
        f"{place(path, node.lineno)}"
        for path in python_files("src")
        if path in exact or any(folder in path.parents for folder in exact)
        for node in ast.walk(tree_of(path))
        if (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "float")
        or (isinstance(node, ast.Constant) and isinstance(node.value, float))
    ]
    demand_none(problems, "Money and quantities are exact decimals; no float here:")


# --- what must not be published ----------------------------------------------------------------------------------


def test_no_file_names_a_machine_or_a_registry():
    machine = r"(?<![\w.)\]}-])/(?:work|root|home/\w+|Users/\w+)/"
    registry = r"https?://\S*(?:registry|pypi|mirror|/simple/|/packages/[0-9a-f]{2}/|\.tgz|\.whl)"
    private = re.compile(f"{machine}|{registry}|[\"']resolved[\"']: *[\"']")
    problems = [
        f"{place(path, number)} {match.group()}"
        for path in files_of_the_repository()
        for number, line in enumerate(text_of(path).splitlines(), 1)
        if (match := private.search(line))
    ]
    demand_none(problems, "Paths of one machine and hosts of registries do not belong into a file:")


def test_every_dependency_has_its_reason():
    project = tomllib.loads(text_of(ROOT / "pyproject.toml"))
    required = project["project"]["dependencies"] + [
        name
        for group in (project["dependency-groups"], project["project"].get("optional-dependencies", {}))
        for names in group.values()
        for name in names
        if isinstance(name, str)
    ]
    explained = text_of(ROOT / "docs" / "decisions" / "0001-dependencies.md")
    names = {re.split(r"[\[<>=!~; ]", requirement)[0] for requirement in required}
    problems = sorted(name for name in names if not re.search(rf"^\|[^|]*\b{re.escape(name)}\b", explained, re.M))
    demand_none(problems, "A dependency has a line in docs/decisions/0001-dependencies.md:")


# --- the tests themselves ----------------------------------------------------------------------------------------


def called_name(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


def calls_in(function: Function) -> set[str]:
    return {called_name(node) for node in ast.walk(function) if isinstance(node, ast.Call)}


def asserts_itself(function: Function) -> bool:
    """Whether it has an assert, expects an exception or a warning, or uses Playwright's `expect`."""
    if any(isinstance(node, ast.Assert) for node in ast.walk(function)):
        return True
    return bool(calls_in(function) & {"raises", "warns", "fail", "expect", "run_state_machine_as_test"})


def test_every_test_asserts_something():
    functions = [(path, function) for path in python_files("tests") for function in functions_in(path)]
    asserting = {function.name for _, function in functions if asserts_itself(function)}
    while more := {function.name for _, function in functions if calls_in(function) & asserting} - asserting:
        asserting |= more
    problems = [
        f"{place(path, function.lineno)} {function.name}"
        for path, function in functions
        if function.name.startswith("test_") and function.name not in asserting
    ]
    demand_none(problems, "A test that asserts nothing proves nothing:")


# --- the rules bite ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("statement", "table"),
    [
        ("insert into orders (id) values (1)", "orders"),
        ("INSERT INTO\n  trueup.orders values (1)", "orders"),
        ("update orders o set total = 1", "orders"),
        ("update only orders set total = 1", "orders"),
        ("delete from orders where true", "orders"),
        ("copy orders (id, total) from stdin", "orders"),
        ("select 1 from orders for no key update", None),
        ("insert into {} values (1)", None),
        ("on conflict (id) do update set total = 1", None),
    ],
)
def test_a_write_is_recognised(tmp_path: Path, statement: str, table: str | None):
    file = tmp_path / "state.py"
    file.write_text(f"SQL = {statement!r}\n", encoding="utf-8")
    assert [found for _, found in writes_in(file)] == ([table] if table else [])
