"""Words that exports use, in English and German and some French, Spanish and Dutch."""

from __future__ import annotations

import re
from itertools import pairwise

# Codes and descriptions that read like a charge rather than goods.
CHARGE_WORDS = """
    postage post porto shipping shipment freight fracht frachtkosten versand versandkosten lieferkosten delivery
    carriage handling fee fees gebuehr gebühr gebuhr gebühren bearbeitungsgebühr charge charges surcharge zuschlag
    mautzuschlag discount rabatt nachlass skonto korjektur korrektur adjust adjustment manual anpassung ausgleich
    storno giftwrap geschenkverpackung verpackung packaging wrapping bank bankgebühr bankspesen spesen commission
    provision amazonfee insurance versicherung service servicegebühr samples voucher gutschein coupon rounding
    rundung deposit pfand frais port remise envio envío gastos descuento verzendkosten korting toeslag tax steuer
    mwst duty zoll cod nachnahme expressversand expresszuschlag mindermengenzuschlag
""".split()
CHARGE_PATTERN = (
    r"(^|[^\p{L}])("
    + "|".join(sorted(set(CHARGE_WORDS), key=len, reverse=True))
    + r"|gift[ _-]?wrap\w*|dotcom ?postage)"
    r"($|[^\p{L}])"
)

# What files are called. A whole word of the file's name, or the end of one.
FILE_WORDS: dict[str, str] = {
    "item": """
        items item articles article artikel artikelstamm products product produkte produkt catalog catalogue katalog
            sku skus articles produits articulos productos materials material stammdaten itm art prod
        """,
    "customer": """
        customers customer kunden kunde kundenstamm clients client debitoren accounts users klanten clientes cust kd
        """,
    "order": """
        orders order headers header auftraege auftrag auftragskopf bestellungen bestellung bestellkopf belege kopf
            koepfe invoices rechnungen commandes pedidos bestellingen hdr head belegkopf ord auf
        """,
    "line": """
        lines line positionen position pos posten auftragspositionen bestellpositionen details detail orderlines
            orderitems zeilen lignes lineas regels belegpositionen pos lin dtl
        """,
    "count": """
        stock inventory count counts stockcount bestand bestaende lagerbestand inventur zaehlung lager stocktake
            voorraad inventaire existencias onhand inv lag
        """,
}

# What columns are called; `#` stands for no, nr, num, number, nummer, id, code, key, ref.
_COLUMN_WORDS = {
    "item": """
        sku: sku# item# itm# article# artikel# art# product# produkt# prod# material# mat# stock# part# ware# waren#
            teile# artikelstamm# produit# articulo# producto# sku artikel item article #
        name: name bezeichnung artikelbezeichnung artikelname title titel description beschreibung itemname
            productname produktname label desc descr descripcion libelle omschrijving bez bezeichn itemdesc text
            kurztext artbez artikelbez
        kind: kind type typ art artikelart itemtype producttype artikeltyp
        gtin: gtin ean ean# barcode strichcode upc gtin# ean13 gtin13 eangtin gtinean barcode#
        weight_g: weightg gewichtg weight gewicht weightgram gramm grams gewichtgramm wt wtg gewg
        category: category kategorie warengruppe group gruppe productgroup cat kat wgr wg department sortiment
            artikelgruppe warengrp categorie categoria
        unit_price: price preis unitprice einzelpreis listprice listenpreis vk vkpreis verkaufspreis retailprice ep
            prix precio prijs salesprice pr listpr vkp
        currency: currency waehrung curr cur ccy whg wkz devise moneda valuta currency# waehrungs#
        """,
    "customer": """
        number: customer# cust# client# kunde# kunden# kd# kdn# debitor# debitoren# deb# account# acct# buyer# user#
            member# klant# cliente# besteller# kaeufer# customer kunde #
        name: name kundenname customername fullname firma company nachname lastname kunde client nom nombre naam
            custname vollername kdname
        email: email mail emailaddress emailadresse courriel correo eml
        phone: phone telefon tel telephone telefonnummer mobile mobil handy fon telefono tel# phone# telefon#
        street: street strasse str address adresse anschrift address1 rue calle straat strassehausnr addr
        postcode: postcode plz zip zip# postal postal# postleitzahl zipcode post# postalcode codepostal
        city: city ort stadt town wohnort ville ciudad plaats place cty
        region: region state bundesland province county staat
        country: country land laender country# land# pays pais ctry landkz iso lkz
        """,
    "order": """
        document: order# ord# salesorder# so# auftrag# auftrags# auftr# auf# bestell# bestellung# bestellungs# best#
            beleg# belegs# invoice# inv# rechnung# rechnungs# rech# rg# doc# document# dokument# vorgang# vorgangs#
            transaction# commande# pedido# bestelling# purchase# bon# order auftrag beleg bestellung #
        placed_at: orderdate date datum bestelldatum auftragsdatum belegdatum placedat createdat created placed
            orderedat ordered rechnungsdatum invoicedate zeitpunkt fecha bestelltam erstelltam timestamp dt orddate
            orddt auftrdat beldat belegdat bestdat auftrdatum orderplaced erfasstam time
        customer: customer# cust# client# kunde# kunden# kd# kdn# debitor# debitoren# deb# account# acct# buyer# user#
            member# klant# cliente# besteller# kaeufer# customer kunde client buyer kd
        currency: currency waehrung curr cur ccy whg wkz devise moneda valuta currency# waehrungs#
        country: country land lieferland shipcountry shippingcountry country# land# deliverycountry pays pais ctry lkz
            lieferlandkz zielland destination
        charges: freight shipping fracht versand versandkosten frachtkosten shippingcost shippingcosts delivery
            postage charges porto lieferkosten frt shipcost portokosten shippingfee frght frkosten versk
            shippingamount nebenkosten ship fr
        discount: discount rabatt nachlass discountamount rabattbetrag disc remise descuento korting skonto rab
            orderdiscount
        tax: tax vat mwst ust steuer taxamount mwstbetrag umsatzsteuer tva iva btw steuerbetrag
        source_total: total ordertotal gesamt gesamtbetrag summe total# totalamount grandtotal amount betrag
            rechnungsbetrag endbetrag auftragswert totalvalue tot gesamtsumme bruttobetrag belegsumme ordervalue ges
            gesbetrag totamt totalprice belegbetrag endsumme importe montant
        paid: paid bezahlt amountpaid gezahlt
        refunded: refunded erstattet refund refundamount
        kind: kind type typ belegart ordertype documenttype doctype auftragsart belegtyp
        status: status state auftragsstatus orderstatus belegstatus stat zustand sts
        """,
    "line": """
        document: order# ord# salesorder# so# auftrag# auftrags# auftr# auf# bestell# bestellung# bestellungs# best#
            beleg# belegs# invoice# inv# rechnung# rechnungs# rech# rg# doc# document# dokument# vorgang# vorgangs#
            transaction# commande# pedido# bestelling# purchase# bon# order auftrag beleg bestellung
        sku_written: sku# item# itm# article# artikel# art# product# produkt# prod# material# mat# stock# part# ware#
            waren# teile# artikelstamm# produit# articulo# producto# sku artikel item article product produkt
        description: description beschreibung bezeichnung artikelbezeichnung text positionstext name desc descr
            itemname productname artikelname produktname bez label libelle omschrijving itemdesc artbez kurztext
            artikelbez artikeltext title
        quantity: quantity qty menge anzahl stueck stk units pieces pcs count cantidad quantite aantal mng
            bestellmenge orderedqty qtyordered quant anz
        unit_price: unitprice price einzelpreis preis stueckpreis ep priceeach itemprice vk vkpreis prix precio prijs
            prixunitaire preisstk epreis uprice unitpr preisprostueck stkpreis pr eprs priceperunit
        amount: amount lineamount linetotal total betrag gesamtpreis positionsbetrag positionswert gesamt summe
            subtotal zeilenbetrag extendedprice gp wert value lineamt amt posbetrag poswert gpreis zeilensumme
            zeilenwert
        placed_at: orderdate invoicedate date datum bestelldatum auftragsdatum belegdatum placedat createdat created
            rechnungsdatum
        customer: customer# cust# client# kunde# kunden# kd# kdn# debitor# debitoren# deb# account# acct# buyer# user#
            member# klant# cliente# besteller# kaeufer# customer kunde
        country: country land lieferland shipcountry
        currency: currency waehrung curr cur ccy whg wkz
        shipped: shipped shippedqty qtyshipped geliefert liefermenge geliefertemenge
        returned: returned returnedqty qtyreturned retourniert retourmenge
        """,
    "count": """
        sku_written: sku# item# itm# article# artikel# art# product# produkt# prod# material# mat# stock# part# ware#
            waren# teile# artikelstamm# produit# articulo# producto# sku artikel item article product produkt
        location: location location# lager lagerort lager# warehouse warehouse# site standort standort# lagerplatz
            store filiale loc loc# lgo lgort wh werk platz depot magasin almacen site# bin lagerort#
        counted: counted quantity qty menge anzahl bestand onhand stock count countedqty gezaehlt istbestand istmenge
            units stk stueck qtycounted countedquantity lagerbestand ist zaehlmenge mng best
        counted_at: countedat date datum countdate zaehldatum gezaehltam asof stand time timestamp stichtag zeitpunkt
            inventurdatum counted zaehlzeit countedon dt zeit countdt
        """,
}
COLUMN_WORDS: dict[str, dict[str, tuple[str, ...]]] = {
    entity: {
        field: tuple(words.split()) for field, words in re.findall(r"(\w+): ((?:[^:]|\n)*?)(?=\s+\w+:|\s*\Z)", text)
    }
    for entity, text in _COLUMN_WORDS.items()
}

CREDIT_WORDS = frozenset(
    "abono avoir credit credit_note creditnota creditnote gutschrift refund retoure return storno".split()
)
CANCELLED_WORDS = frozenset("annule annulliert cancelado canceled cancelled geannuleerd storniert void".split())
SHIPPED_WORDS = frozenset(
    "delivered entregado enviado expedie fulfilled geleverd geliefert livre shipped versandt verzonden "
    "zugestellt".split()
)
SECRET_WORDS = frozenset(
    """
    accesstoken apikey apitoken authtoken card cardcvc cardcvv cardno cardnr cardnum cardnumber ccno ccnum ccnumber
        clientsecret creditcard creditcardnumber cvc cvc2 cvv cvv2 geheimnis kartennummer kartenpruefnummer kennwort
        kreditkarte kreditkartennummer pan passwd password passwort paymentcard paymentcardnumber privatekey pwd
        secret secretkey securitycode token
    """.split()
)

_NUMBER_ENDINGS = ("nummer", "number", "num", "nbr", "nr", "no", "id", "code", "key", "ref", "kennung")
_UMLAUTS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss", "é": "e", "è": "e", "ñ": "n", "#": " nr "})


def words_of(name: str) -> tuple[str, ...]:
    """Split a column's or file's name into lower-case words: `OrderNo`, `order_no` and `Order No.` are the same."""
    split = re.sub(r"(?<=[a-zäöüß0-9])(?=[A-ZÄÖÜ])", " ", name)
    return tuple(re.findall(r"[a-z0-9]+", split.lower().translate(_UMLAUTS)))


def name_score(entity: str, field: str, column: str) -> float:
    """Tell how well a column's name says a field, from 0 (not at all) to 1 (exactly)."""
    vocabulary = COLUMN_WORDS[entity].get(field, ())
    words = words_of(column)
    whole = "".join(words)
    if not whole:
        return 0.0
    if _says(whole, vocabulary):
        return 1.0
    meaningful = [word for word in words if word not in _FILLERS]
    if meaningful and _says("".join(meaningful), vocabulary):
        return 0.9
    last = [word for word in meaningful if _says(word, vocabulary)]
    if last:
        return 0.65 if last[-1] == meaningful[-1] else 0.5
    pairs = ["".join(pair) for pair in pairwise(words)]
    return 0.7 if any(_says(pair, vocabulary) for pair in pairs) else 0.0


_FILLERS = frozenset(
    "brutto col das der des die eur f feld fld gbp gross in net netto of per pro s spalte tbl the usd x z".split()
)


def _says(word: str, vocabulary: tuple[str, ...]) -> bool:
    if word in vocabulary:
        return True
    return any(word.endswith(ending) and word[: -len(ending)] + "#" in vocabulary for ending in _NUMBER_ENDINGS)


def file_score(entity: str, name: str) -> float:
    """Tell how well a file's name says what it holds: 1 for its last telling word, less for earlier ones."""
    words = [word for word in words_of(name.rpartition("/")[2].rpartition(".")[0] or name) if not word.isdecimal()]
    telling = FILE_WORDS[entity].split()
    hits = [place for place, word in enumerate(words) if word in telling]
    if "".join(words) in telling:
        return 1.2
    if hits:
        return 1.0 - 0.3 * (len(words) - 1 - hits[-1])
    ends = [word for word in words if any(len(tell) > 4 and word.endswith(tell) for tell in telling)]
    return 0.8 if ends else 0.0


def is_secret(column: str) -> bool:
    """Tell whether a column's name says that it holds card numbers, passwords or keys."""
    words = words_of(column)
    pairs = ("".join(pair) for pair in pairwise(words))
    telling = {"cvv", "cvc", "cvv2", "cvc2", "password", "passwd", "passwort", "kennwort", "pwd", "secret", "apikey"}
    return (
        "".join(words) in SECRET_WORDS
        or any(word in telling for word in words)
        or any(pair in SECRET_WORDS for pair in pairs)
    )
