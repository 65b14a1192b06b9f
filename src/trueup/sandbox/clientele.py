"""Invented customers of a fictional retailer, from several countries, with the letters of their languages."""

import unicodedata
from dataclasses import dataclass
from random import Random
from typing import Final, NamedTuple

from trueup.sandbox.dialects import Dialect
from trueup.sandbox.sheets import SourceRow


@dataclass(slots=True, eq=False, kw_only=True)
class Customer(SourceRow):
    """One customer, a row of the customers file. The person does not exist."""

    customer_id: str
    """Five digits, with leading zeros."""
    name: str
    email: str
    """Under example.com or example.org, and of this customer alone."""
    street: str
    postcode: str
    city: str
    country: str
    currency: str
    """What this customer pays in; not written to the customers file."""

    def cells(self, dialect: Dialect) -> dict[str, str]:
        """The text of each field."""
        return {
            "customer_id": self.customer_id,
            "name": self.name,
            "email": self.email,
            "street": self.street,
            "postcode": self.postcode,
            "city": self.city,
            "country": self.country,
        }


def invent_customers(rng: Random, count: int) -> list[Customer]:
    """Make `count` customers, in the order of their numbers; every currency is there from 25 customers on."""
    numbers = sorted(rng.sample(range(101, 101 + 2 * count), count))
    regions = [_REGIONS[_MIX[position % len(_MIX)]] for position in range(count)]
    rng.shuffle(regions)
    return [_invent(rng, number, region) for number, region in zip(numbers, regions, strict=True)]


def _invent(rng: Random, number: int, region: "_Region") -> Customer:
    given, family = rng.choice(region.given), rng.choice(region.family)
    city, postcode = rng.choice(region.cities)
    name = f"{given} {family}"
    if rng.random() < 0.04:
        name = f"{family} & {rng.choice(region.family)}, {given}"
    local = f"{_plain(given)}.{_plain(family)}{number}"
    return Customer(
        customer_id=f"{number:05d}",
        name=name,
        email=f"{local}@example.{rng.choice(('com', 'org'))}",
        street=rng.choice(region.streets).replace("#", str(rng.randrange(1, 180))),
        postcode="".join(_filled(rng, character) for character in postcode),
        city=city,
        country=region.country,
        currency=region.currency,
    )


def _filled(rng: Random, character: str) -> str:
    if character == "#":
        return str(rng.randrange(10))
    return rng.choice("ABDEFGHJLNPQRSTUWXYZ") if character == "@" else character


_SPELT_OUT = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss", "ł": "l", "ø": "o", "æ": "ae", "å": "aa"})


def _plain(name: str) -> str:
    decomposed = unicodedata.normalize("NFKD", name.lower().translate(_SPELT_OUT))
    return "".join(character for character in decomposed if "a" <= character <= "z")


class _Region(NamedTuple):
    country: str
    currency: str
    given: tuple[str, ...]
    family: tuple[str, ...]
    streets: tuple[str, ...]
    """`#` is the house number."""
    cities: tuple[tuple[str, str], ...]
    """(city, postcode with `#` for a digit and `@` for a letter)."""


_GERMAN_GIVEN = ("Jürgen", "Käthe", "Sören", "Hannelore", "Björn", "Annika", "Götz", "Mareike", "Günther", "Wiebke")
_GERMAN_FAMILY = (
    "Müllerschön",
    "Kranzbühler",
    "Lindwart",
    "Schäfenacker",
    "Großmann",
    "Tölzer",
    "Vahrenkamp",
    "Weißhof",
)
_BRITISH_GIVEN = ("Imogen", "Alastair", "Zoë", "Rhys", "Beatrice", "Fergus", "Chloë", "Tamsin", "Angus", "Niamh")
_BRITISH_FAMILY = ("Thornbeck", "O'Dunleavy", "Hathersedge", "Pennicott", "Ashgrove-Lyle", "Brontley", "Carraway")

_REGIONS: Final = {
    "DE": _Region(
        "DE",
        "EUR",
        _GERMAN_GIVEN,
        _GERMAN_FAMILY,
        ("Königsallee #", "Am Mühlbach #", "Gartenstraße #", "Lindenweg #", "Schloßplatz #", "Bahnhofstr. #"),
        (("Köln", "50###"), ("München", "80###"), ("Dresden", "010##"), ("Berlin", "10###"), ("Görlitz", "028##")),
    ),
    "AT": _Region(
        "AT",
        "EUR",
        _GERMAN_GIVEN,
        ("Hölzlbauer", "Steinlechtner", "Grübelhof", "Pfandlmayr", "Wöginger"),
        ("Getreideweg #", "Mönchsberg #", "Währinger Zeile #"),
        (("Wien", "1##0"), ("Graz", "80##"), ("Sankt Pölten", "310#")),
    ),
    "FR": _Region(
        "FR",
        "EUR",
        ("Élodie", "François", "Hélène", "Benoît", "Chloé", "Thibault", "Anaïs", "Loïc"),
        ("Lefèvrier", "Bonnechère", "Garçonnet", "Desprésaux", "Châtelmont", "Moriceau"),
        ("# rue de l'Église", "# allée des Tilleuls", "# bd de la République", "# quai Saint-André"),
        (("Orléans", "450##"), ("Nîmes", "300##"), ("Lyon", "6900#"), ("Bourg-en-Bresse", "010##")),
    ),
    "ES": _Region(
        "ES",
        "EUR",
        ("José", "Begoña", "Íñigo", "Lucía", "Andrés", "Pilar"),
        ("Ordóñez Palmar", "Castañeral", "Ibarguren", "Muñozal Ríos", "Peñalta"),
        ("Calle de la Peña, #", "Avenida del Mar, #", "Plaza Núñez, #"),
        (("Málaga", "290##"), ("A Coruña", "150##"), ("Cádiz", "110##"), ("Álava", "010##")),
    ),
    "NL": _Region(
        "NL",
        "EUR",
        ("Sjoerd", "Renée", "Maaike", "Daniël", "Fleur"),
        ("van der Kolkhorst", "Bruijnzand", "Coöperman", "de Wittenberghe"),
        ("Keizersvaart #", "Oude Dijk #", "Noordersingel #"),
        (("Utrecht", "35## @@"), ("Groningen", "97## @@"), ("Curaçaobuurt", "12## @@")),
    ),
    "SE": _Region(
        "SE",
        "EUR",
        ("Åsa", "Göran", "Linnéa", "Håkan"),
        ("Björkstrand", "Sjöholmen", "Lindqvarn", "Ängberg"),
        ("Storgatan #", "Änggatan #", "Östra Vägen #"),
        (("Malmö", "21# ##"), ("Umeå", "90# ##"), ("Örebro", "70# ##")),
    ),
    "PL": _Region(
        "PL",
        "EUR",
        ("Łucja", "Małgorzata", "Zbigniew", "Grażyna"),
        ("Wójcikowiak", "Żółtek", "Kowalczyński", "Brzózka"),
        ("ul. Długa #", "ul. Świętojańska #", "al. Wiśniowa #"),
        (("Kraków", "30-###"), ("Łódź", "90-###"), ("Gdańsk", "80-###")),
    ),
    "CZ": _Region(
        "CZ",
        "EUR",
        ("Jiří", "Božena", "Ondřej", "Zdeňka"),
        ("Dvořáčkov", "Šimáňová", "Kučerka", "Horáčil"),
        ("Dlouhá #", "Květná #", "Na Příkopech #"),
        (("Brno", "602 ##"), ("Plzeň", "301 ##")),
    ),
    "GB": _Region(
        "GB",
        "GBP",
        _BRITISH_GIVEN,
        _BRITISH_FAMILY,
        ("# Quarry Lane", "# St Aidan's Terrace", "Flat 3, # Mill Road", "# Larkfield Avenue"),
        (("Leeds", "LS## #@@"), ("Bristol", "BS# #@@"), ("Norwich", "NR# #@@"), ("Dùn Èideann", "EH## #@@")),
    ),
    "JP": _Region(
        "JP",
        "JPY",
        (*_GERMAN_GIVEN[:4], *_BRITISH_GIVEN[:4], "Haruka", "Sōichi"),
        (*_GERMAN_FAMILY[:3], *_BRITISH_FAMILY[:3], "Kitahoshi", "Minazuki"),
        ("#-4 Midorigaoka", "2-#-11 Sakuradai", "Ōtemae #-8"),
        (("Kyōto", "60#-####"), ("Kobe", "65#-####"), ("Sapporo", "06#-####")),
    ),
}

_MIX: Final = tuple("DE GB FR JP DE AT ES DE GB NL SE DE PL FR GB DE CZ ES DE GB JP DE NL FR DE".split())
"""The country of every customer in turn: of 25, 8 German, 4 British, 2 in Japan."""
