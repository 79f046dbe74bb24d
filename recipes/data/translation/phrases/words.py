"""Names of people, cities and things in English and German, and which of CLDR's codes the phrases use."""

# ruff: noqa: SIM905 - a hundred codes are easier read in one string

from __future__ import annotations

CURRENCIES = ("EUR", "USD", "GBP", "CHF", "JPY", "DKK", "SEK", "CZK", "PLN", "CAD", "AUD", "INR")

# Countries that take no article in German.
COUNTRIES = tuple(
    "AF AL AM AO AR AT AU AZ BD BE BG BJ BO BR BY CA CL CN CO CR CU CY DE DK DZ EC EE EG ES ET FI FR GE GH GR GT HN "
    "HR HU ID IE IL IN IS IT JM JO JP KE KH KR KW KZ LA LK LT LU LV LY MA MG ML MM MT MX MY MZ NA NG NI NO NP NZ OM "
    "PA PE PK PL PT PY RO RS RW SA SE SG SI SN SV SY TG TH TN TZ UG UY UZ VE VN ZA ZM ZW".split()
)

# Code -> the article of the English name, and the German phrase: countries that do take one.
IN_COUNTRY = {
    "CH": ("", "in der Schweiz"),
    "MN": ("", "in der Mongolei"),
    "SK": ("", "in der Slowakei"),
    "UA": ("", "in der Ukraine"),
    "NL": ("the ", "in den Niederlanden"),
    "PH": ("the ", "auf den Philippinen"),
    "US": ("the ", "in den Vereinigten Staaten"),
    "GB": ("the ", "im Vereinigten Königreich"),
}
FROM_COUNTRY = {
    "CH": ("", "aus der Schweiz"),
    "MN": ("", "aus der Mongolei"),
    "SK": ("", "aus der Slowakei"),
    "UA": ("", "aus der Ukraine"),
    "NL": ("the ", "aus den Niederlanden"),
    "PH": ("the ", "von den Philippinen"),
    "US": ("the ", "aus den Vereinigten Staaten"),
    "GB": ("the ", "aus dem Vereinigten Königreich"),
}
TO_COUNTRY = {
    "CH": ("", "in die Schweiz"),
    "MN": ("", "in die Mongolei"),
    "SK": ("", "in die Slowakei"),
    "UA": ("", "in die Ukraine"),
    "NL": ("the ", "in die Niederlande"),
    "PH": ("the ", "auf die Philippinen"),
    "US": ("the ", "in die Vereinigten Staaten"),
    "GB": ("the ", "ins Vereinigte Königreich"),
}

LANGUAGES = tuple(
    "af am ar az bg bn ca cs cy da de el en eo es et eu fa fi fr ga gl ha he hi hr hu hy id is it ja ka kk km ko la "
    "lb lo lt lv mn ms mt my ne nl no pl pt ro ru si sk sl sr sv sw ta te th tr uk ur uz vi xh yo zh zu".split()
)

CITIES = (
    ("Athens", "Athen"),
    ("Berlin", "Berlin"),
    ("Bern", "Bern"),
    ("Brunswick", "Braunschweig"),
    ("Brussels", "Brüssel"),
    ("Bucharest", "Bukarest"),
    ("Cairo", "Kairo"),
    ("Cologne", "Köln"),
    ("Copenhagen", "Kopenhagen"),
    ("Damascus", "Damaskus"),
    ("Dresden", "Dresden"),
    ("Florence", "Florenz"),
    ("Geneva", "Genf"),
    ("Hamburg", "Hamburg"),
    ("Hanover", "Hannover"),
    ("Helsinki", "Helsinki"),
    ("Leipzig", "Leipzig"),
    ("Lisbon", "Lissabon"),
    ("London", "London"),
    ("Lucerne", "Luzern"),
    ("Madrid", "Madrid"),
    ("Milan", "Mailand"),
    ("Moscow", "Moskau"),
    ("Munich", "München"),
    ("Naples", "Neapel"),
    ("Nice", "Nizza"),
    ("Nuremberg", "Nürnberg"),
    ("Oslo", "Oslo"),
    ("Paris", "Paris"),
    ("Prague", "Prag"),
    ("Rome", "Rom"),
    ("Seville", "Sevilla"),
    ("Strasbourg", "Straßburg"),
    ("Stuttgart", "Stuttgart"),
    ("Tokyo", "Tokio"),
    ("Turin", "Turin"),
    ("Venice", "Venedig"),
    ("Vienna", "Wien"),
    ("Warsaw", "Warschau"),
    ("Zurich", "Zürich"),
)

_GIVEN_NAMES = (
    "Anna Ben Clara David Emil Eva Felix Greta Hannah Ida Jonas Karl Lena Leon Maria Max Nina Oskar Paul Peter Rosa "
    "Sophie Thomas Ulrike Viktor"
).split()
_FAMILY_NAMES = (
    "Becker Fischer Hoffmann Klein Koch Lang Meyer Richter Schmidt Vogel Wagner Weber Wolf".split()
)

# As subjects only: in other cases it would be "Herrn".
PEOPLE = (
    *((name, name) for name in _GIVEN_NAMES),
    *((f"Ms. {name}", f"Frau {name}") for name in _FAMILY_NAMES),
    *((f"Mr. {name}", f"Herr {name}") for name in _FAMILY_NAMES),
    ("my sister", "meine Schwester"),
    ("our neighbor", "unser Nachbar"),
    ("the teacher", "die Lehrerin"),
    ("the director", "der Direktor"),
    ("her brother", "ihr Bruder"),
    ("the doctor", "die Ärztin"),
)

# As subjects.
THINGS = (
    ("the book", "das Buch"),
    ("the bicycle", "das Fahrrad"),
    ("the coat", "der Mantel"),
    ("the ticket", "die Fahrkarte"),
    ("the lamp", "die Lampe"),
    ("the guitar", "die Gitarre"),
    ("the table", "der Tisch"),
    ("the computer", "der Computer"),
    ("the hotel room", "das Hotelzimmer"),
    ("the breakfast", "das Frühstück"),
    ("the city map", "der Stadtplan"),
    ("the wedding dress", "das Hochzeitskleid"),
    ("the repair", "die Reparatur"),
    ("this painting", "dieses Gemälde"),
    ("this watch", "diese Uhr"),
    ("this carpet", "dieser Teppich"),
)

# As objects (accusative).
OBJECTS = (
    ("a letter", "einen Brief"),
    ("a package", "ein Paket"),
    ("a postcard", "eine Postkarte"),
    ("an invitation", "eine Einladung"),
    ("a dictionary", "ein Wörterbuch"),
    ("an umbrella", "einen Regenschirm"),
    ("a clock", "eine Uhr"),
    ("a suitcase", "einen Koffer"),
    ("a newspaper", "eine Zeitung"),
    ("a piano", "ein Klavier"),
    ("the old camera", "die alte Kamera"),
    ("the red chair", "den roten Stuhl"),
    ("the new key", "den neuen Schlüssel"),
    ("the small house", "das kleine Haus"),
)

# Several of them, as subjects or objects.
GOODS = (
    ("apples", "Äpfel"),
    ("books", "Bücher"),
    ("bottles", "Flaschen"),
    ("candles", "Kerzen"),
    ("chairs", "Stühle"),
    ("eggs", "Eier"),
    ("flowers", "Blumen"),
    ("glasses", "Gläser"),
    ("notebooks", "Hefte"),
    ("oranges", "Orangen"),
    ("pencils", "Bleistifte"),
    ("plates", "Teller"),
    ("stamps", "Briefmarken"),
    ("tickets", "Fahrkarten"),
)
