"""How a legacy system writes its files: names, headers, order of columns, delimiter, numbers, dates, encoding."""

import random
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Final, Literal

Sheet = Literal["items", "customers", "orders", "order_lines", "stock_count"]
"""One file of the export, by what it holds."""

SHEETS: Final[tuple[Sheet, ...]] = ("items", "customers", "orders", "order_lines", "stock_count")
DELIMITERS: Final = (",", ";", "\t", "|")
ENCODINGS: Final = ("utf-8", "utf-8-sig", "cp1252")

ISO_DATES: Final = "%Y-%m-%d %H:%M:%S"
GERMAN_DATES: Final = "%d.%m.%Y %H:%M"

_CENT = Decimal("0.01")
_WITHOUT_ACCENT = str.maketrans("ŁłĐđ", "LlDd")


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a file: what it holds, and what its header calls it."""

    field: str
    header: str


@dataclass(frozen=True, slots=True)
class Dialect:
    """The form of an export. Derive variants with `dataclasses.replace`; the content does not depend on it."""

    name: str
    file_names: Mapping[Sheet, str]
    columns: Mapping[Sheet, tuple[Column, ...]]
    """In the order written. A field may be left out, and `clerk` and `printed` are noise that nobody needs."""
    words: Mapping[str, str]
    """How statuses and kinds of document are written; a word that is missing here is written as it is."""
    delimiter: str = ","
    decimal_mark: str = "."
    date_format: str = ISO_DATES
    """ISO_DATES, or GERMAN_DATES (which has no seconds)."""
    encoding: str = "utf-8"
    line_ending: str = "\n"
    decimals_always: bool = False
    """Write amounts of currencies without decimals as `1250.00`, not `1250`."""

    def __post_init__(self) -> None:
        for what, value, allowed in (
            ("delimiter", self.delimiter, DELIMITERS),
            ("encoding", self.encoding, ENCODINGS),
            ("decimal_mark", self.decimal_mark, (".", ",")),
            ("date_format", self.date_format, (ISO_DATES, GERMAN_DATES)),
            ("line_ending", self.line_ending, ("\n", "\r\n")),
        ):
            if value not in allowed:
                raise ValueError(f"dialect {self.name}: {what} {value!r} is not one of {allowed!r}")

    def amount(self, value: Decimal, currency: str) -> str:
        """Write an amount with the currency's decimals; a fraction that the currency does not have is shown too."""
        if currency == "JPY" and not self.decimals_always and value == value.to_integral_value():
            return str(int(value))
        return str(value.quantize(_CENT)).replace(".", self.decimal_mark)

    def moment(self, when: datetime) -> str:
        """Write a point in time; the zone is not written, as in most legacy exports."""
        return when.strftime(self.date_format)

    def word(self, english: str) -> str:
        """Write a status or a kind of document."""
        return self.words.get(english, english)

    def line(self, cells: list[str]) -> str:
        """Join the cells of one row, quoting where a reader would otherwise split or trim; no line ending."""
        return self.delimiter.join(map(self._quoted, cells))

    def header(self, sheet: Sheet) -> str:
        """The header line of a file."""
        return self.line([column.header for column in self.columns[sheet]])

    def encode(self, text: str) -> bytes:
        """Encode one line, without a byte order mark. What cp1252 lacks loses its accent, as in old systems."""
        if self.encoding == "cp1252":
            return "".join(map(_in_cp1252, text)).encode("cp1252")
        return text.encode("utf-8")

    def _quoted(self, cell: str) -> str:
        if self.delimiter in cell or '"' in cell or cell != cell.strip():
            return '"' + cell.replace('"', '""') + '"'
        return cell


def _in_cp1252(character: str) -> str:
    try:
        character.encode("cp1252")
    except UnicodeEncodeError:
        plain = unicodedata.normalize("NFKD", character.translate(_WITHOUT_ACCENT))
        return plain.encode("ascii", "ignore").decode("ascii")
    return character


def _columns(**headers: str) -> tuple[Column, ...]:
    return tuple(Column(field, header) for field, header in headers.items())


ENGLISH: Final = Dialect(
    name="english",
    file_names={sheet: f"{sheet}.csv" for sheet in SHEETS},
    columns={
        "items": _columns(
            sku="sku",
            description="description",
            gtin="gtin",
            unit_price="unit_price",
            currency="currency",
            weight="weight_g",
            category="category",
        ),
        "customers": _columns(
            customer_id="customer_id",
            name="name",
            email="email",
            street="street",
            postcode="postcode",
            city="city",
            country="country",
        ),
        "orders": _columns(
            order_number="order_number",
            order_date="order_date",
            customer_id="customer_id",
            currency="currency",
            country="country",
            freight="freight",
            discount="discount",
            total="total",
            status="status",
            kind="kind",
        ),
        "order_lines": _columns(
            order_number="order_number",
            sku="sku",
            description="description",
            quantity="quantity",
            unit_price="unit_price",
            line_amount="line_amount",
        ),
        "stock_count": _columns(
            sku="sku",
            location_code="location_code",
            counted_quantity="counted_quantity",
            counted_at="counted_at",
        ),
    },
    words={},
)
"""The plain form: comma, UTF-8, ISO dates, decimal point."""

GERMAN: Final = Dialect(
    name="german",
    file_names={
        "items": "artikel.csv",
        "customers": "kunden.csv",
        "orders": "auftraege.csv",
        "order_lines": "positionen.csv",
        "stock_count": "inventur.csv",
    },
    columns={
        "items": _columns(
            sku="Artikelnummer",
            description="Bezeichnung",
            category="Warengruppe",
            gtin="EAN",
            unit_price="Einzelpreis",
            currency="Währung",
            weight="Gewicht (g)",
        ),
        "customers": _columns(
            customer_id="Kundennummer",
            name="Name",
            street="Straße",
            postcode="PLZ",
            city="Ort",
            country="Land",
            email="E-Mail",
        ),
        "orders": _columns(
            order_number="Auftragsnummer",
            kind="Belegart",
            order_date="Auftragsdatum",
            customer_id="Kundennummer",
            country="Land",
            clerk="Sachbearbeiter",
            currency="Währung",
            freight="Fracht",
            discount="Rabatt",
            total="Gesamtbetrag",
            status="Status",
        ),
        "order_lines": _columns(
            order_number="Auftragsnummer",
            sku="Artikelnummer",
            description="Bezeichnung",
            quantity="Menge",
            unit_price="Einzelpreis",
            line_amount="Positionsbetrag",
            printed="gedruckt",
        ),
        "stock_count": _columns(
            sku="Artikelnummer",
            location_code="Lagerort",
            counted_quantity="Zählmenge",
            counted_at="Gezählt am",
        ),
    },
    words={
        "open": "offen",
        "shipped": "versandt",
        "delivered": "geliefert",
        "cancelled": "storniert",
        "credited": "gutgeschrieben",
        "order": "Auftrag",
        "credit": "Gutschrift",
    },
    delimiter=";",
    decimal_mark=",",
    date_format=GERMAN_DATES,
    encoding="utf-8-sig",
    line_ending="\r\n",
)
"""German file names, headers and words; semicolon, decimal comma, `dd.mm.yyyy HH:MM`, byte order mark, CRLF, noise."""

TERSE: Final = Dialect(
    name="terse",
    file_names=ENGLISH.file_names,
    columns={
        "items": _columns(
            sku="art", description="descr", gtin="ean", unit_price="price", currency="cur", weight="wt", category="grp"
        ),
        "customers": _columns(
            customer_id="cust_no", name="nm", email="mail", street="str", postcode="zip", city="town", country="ctry"
        ),
        "orders": _columns(
            order_number="ord_no",
            order_date="ord_dt",
            customer_id="cust_no",
            currency="cur",
            country="ctry",
            freight="frt",
            discount="disc",
            total="tot",
            status="st",
            clerk="usr",
        ),
        "order_lines": _columns(
            order_number="ord_no",
            sku="art",
            description="descr",
            quantity="qty",
            unit_price="price",
            line_amount="amt",
            printed="prt",
        ),
        "stock_count": _columns(sku="art", location_code="loc", counted_quantity="cnt", counted_at="cnt_dt"),
    },
    words={"open": "O", "shipped": "S", "delivered": "D", "cancelled": "X", "credited": "C"},
    delimiter="|",
    decimals_always=True,
)
"""Abbreviated headers and one-letter statuses, no kind of document; pipe, and yen written as `1250.00`."""


def shuffled(dialect: Dialect, seed: int) -> Dialect:
    """The same dialect with the columns of every file in another order, the same for the same seed."""
    rng = random.Random(f"columns/{seed}")
    columns = {sheet: tuple(rng.sample(dialect.columns[sheet], len(dialect.columns[sheet]))) for sheet in SHEETS}
    return replace(dialect, name=f"{dialect.name}-shuffled", columns=columns)


def dialect_named(name: str, seed: int = 0) -> Dialect:
    """The dialect called `english`, `german`, `terse` or `shuffled` (English headers, columns in the seed's order)."""
    known = {"english": ENGLISH, "german": GERMAN, "terse": TERSE, "shuffled": shuffled(ENGLISH, seed)}
    if name not in known:
        raise ValueError(f"dialect {name!r} is not known; choose one of {', '.join(known)}")
    return known[name]
