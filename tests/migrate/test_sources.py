"""Files are taken in whole with the line each row stands on, or refused in one message."""

from __future__ import annotations

import gzip
from pathlib import Path

import duckdb
import pytest

from trueup.migrate.mapping import Mapping
from trueup.migrate.sources import NothingToRead, SourceRefused, ingest
from trueup.migrate.stage import stage

Row = tuple[object, ...]


def taken(*paths: Path, columns: str = "*") -> list[Row]:
    with duckdb.connect() as connection:
        ingest(connection, list(paths))
        return connection.execute(f"select {columns} from raw_1 order by _id").fetchall()


def refused(path: Path) -> str:
    with pytest.raises(SourceRefused) as caught:
        taken(path)
    message = str(caught.value)
    assert path.name in message
    assert "Nothing was loaded" in message
    return message


def written(folder: Path, name: str, content: bytes) -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def test_rows_carry_their_physical_line(tmp_path: Path):
    path = written(tmp_path, "a.csv", b'id,text\n1,"two\nlines"\n2,"a ""quoted"", word"\n')
    assert taken(path, columns="_row, id, text") == [(2, "1", "two\nlines"), (4, "2", 'a "quoted", word')]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_found(tmp_path: Path, delimiter: str):
    text = f"id{delimiter}price{delimiter}note\n1{delimiter}2.50{delimiter}x, y; z\n".replace(
        "x, y; z", '"x, y; z | u"'
    )
    assert taken(written(tmp_path, "a.csv", text.encode()), columns="id, price, note") == [("1", "2.50", "x, y; z | u")]


def test_a_line_that_is_no_utf8_is_read_as_windows_and_remembered(tmp_path: Path):
    path = written(tmp_path, "a.csv", "id,name\n1,Müller\n".encode() + "2,Weiß\n".encode("cp1252") + b"3,x\n")
    assert taken(path, columns="id, name, _encoding") == [
        ("1", "Müller", None),
        ("2", "Weiß", "cp1252"),
        ("3", "x", None),
    ]


def test_a_file_that_is_windows_throughout_is_not_odd(tmp_path: Path):
    lines = "".join(f"{number},Müller{number}\n" for number in range(20))
    rows = taken(written(tmp_path, "a.csv", ("id,name\n" + lines).encode("cp1252")), columns="name, _encoding")
    assert rows[0] == ("Müller0", None)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig"])
def test_a_byte_order_mark_is_understood(tmp_path: Path, encoding: str):
    path = written(tmp_path, "a.csv", "id,name\n1,Grüße\n".encode(encoding))
    assert taken(path, columns="id, name") == [("1", "Grüße")]


def test_wrong_field_counts_blank_rows_and_repeated_headers_are_kept_and_named(tmp_path: Path):
    path = written(tmp_path, "a.csv", b"id,name,x\n1,a,b\n2,a\n3,a,b,c\n,,\n\nid,name,x\n4,a,b\n\n\n")
    assert taken(path, columns="_row, _fault") == [
        (2, None), (3, "wrong_field_count"), (4, "wrong_field_count"), (5, "blank_row"), (6, "blank_row"),
        (7, "repeated_header"), (8, None),
    ]  # fmt: skip
    assert taken(path, columns="_text")[1] == ("2,a",)


def test_a_quote_inside_a_field_swallows_nothing(tmp_path: Path):
    path = written(tmp_path, "a.csv", b'id,text\n1,12" ruler\n2,b\n')
    assert taken(path, columns="id, text") == [("1", '12" ruler'), ("2", "b")]


def test_files_with_the_same_columns_share_a_table_and_names_stay_apart(tmp_path: Path):
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        written(tmp_path / folder, "a.csv", b"id,x\n1,2\n")
    rows = taken(tmp_path / "one", tmp_path / "two", tmp_path / "one", columns="_id, _file, _row")
    assert rows == [(1, "a.csv", 2), (2, "a.csv#2", 2), (3, "a.csv#3", 2)]


def test_parquet_is_read_by_row(tmp_path: Path):
    path = tmp_path / "a.parquet"
    duckdb.execute(f"copy (select 7 as id, 2.50::decimal(9, 3) as price, null as note) to '{path}' (format parquet)")
    assert taken(path, columns="_row, id, price, note") == [(1, "7", "2.500", None)]


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.csv", b"", "empty"),
        ("a.csv", b"id,x\n1,\0\n", "NUL"),
        ("a.csv", b"\x89PNG\r\n\x1a\n" + bytes(range(256)), "NUL"),
        ("a.csv", gzip.compress(b"id,x\n" * 100_000), "gzip"),
        ("a.csv", b"PK\x03\x04rest", "zip"),
        ("a.csv", b"1,2,3\n4,5,6\n", "no header"),
        ("a.csv", b"SO-1,anna@example.org,x\n", "no header"),
        ("a.csv", b"id\n1\n", "no delimiter"),
        ("a.csv", ",".join(f"c{n}" for n in range(501)).encode() + b"\n", "501 columns"),
        ("a.csv", b"id,x\n1," + b"y" * (1 << 20) + b"\n", "the limit is 1,048,576"),
        ("a.csv", b'id,x\n1,"never closed\n' + b"2,line\n" * 300_000, "never closed"),
        ("a.parquet", b"id,x\n1,2\n", "not one"),
        ("a.parquet", b"PAR1" + b"x" * 40, "cut short"),
        ("a.parquet", b"PAR1" + b"x" * 40 + b"PAR1", "parquet"),
        ("a.xlsx", b"PK\x03\x04", "cannot be read"),
        ("a.sql", b"create table t (a int);", "no rows"),
        ("a.sql", b"create table t (a int); copy t from stdin;\n1\n", "COPY"),
        ("a.sql", b"create table t (a int); insert into t values (pg_sleep(9));", "literal"),
        ("a.sql", b"create table t (a int); insert into t select 1;", "literal"),
    ],
)
def test_a_file_that_is_not_what_it_says_is_refused(tmp_path: Path, name: str, content: bytes, says: str):
    assert says in refused(written(tmp_path, name, content))


def test_a_refusal_leaves_nothing(tmp_path: Path):
    written(tmp_path, "a.csv", b"id,x\n1,2\n")
    written(tmp_path, "b.csv", b"")
    with pytest.raises(SourceRefused):
        stage([tmp_path], Mapping(), tmp_path / "work")
    assert list((tmp_path / "work").iterdir()) == []


def test_a_missing_path_and_an_empty_folder_are_said(tmp_path: Path):
    with pytest.raises(NothingToRead):
        taken(tmp_path)
    with pytest.raises(SourceRefused, match="not there"):
        taken(tmp_path / "missing.csv")


def test_a_dump_is_read_without_running_it(tmp_path: Path):
    dump = """
    create table public.item (id int not null, name text default 'x, y', price numeric(9, 2), primary key (id));
    drop table item; -- insert into item values (9);
    insert into item values (1, 'O''Hara; \\x', 2.50), (2, null, -1);
    INSERT INTO item (price, id) VALUES (3, 4);
    """
    path = written(tmp_path, "shop.sql", dump.encode())
    assert taken(path, columns="_file, _row, id, name, price") == [
        ("shop.sql/item", 1, "1", "O'Hara; \\x", "2.50"), ("shop.sql/item", 2, "2", None, "-1"),
        ("shop.sql/item", 3, "4", None, "3"),
    ]  # fmt: skip


@pytest.mark.parametrize("header", ["card_number", "CVV", "Passwort", "user password", "apiKey", "Kreditkartennummer"])
def test_a_column_named_like_a_secret_is_refused(tmp_path: Path, header: str):
    path = written(tmp_path, "a.csv", f"id,{header}\nA,x\n".encode())
    with pytest.raises(SourceRefused, match=header):
        stage([path], Mapping(), tmp_path / "work")


def test_card_numbers_are_found_by_value(tmp_path: Path):
    rows = "".join(f"A{n},{'4111 1111 1111 1111' if n % 30 == 0 else 'none'}\n" for n in range(200))
    path = written(tmp_path, "a.csv", f"id,note\n{rows}".encode())
    with pytest.raises(SourceRefused, match="'note'"):
        stage([path], Mapping(), tmp_path / "work")


def test_gtins_telephones_and_long_numbers_are_no_cards(tmp_path: Path):
    rows = "".join(
        f"A{n},{4006381333000 + n * 37},+49 151 {10000000 + n * 7919},{10**15 + n * 104729}\n" for n in range(400)
    )
    path = written(tmp_path, "a.csv", f"id,ean,phone,reference\n{rows}".encode())
    assert stage([path], Mapping(), tmp_path / "work").rows() == 400
