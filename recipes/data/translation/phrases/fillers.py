"""What fills the blanks of the phrases: dates, times, numbers, money, measures, places, languages, in both languages.

Everything that depends on a language's rules comes from Babel's CLDR data or from num2words; only the article that
a few countries take in German, the names of people, cities and things, and which of CLDR's codes are used, is ours.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Sequence
from typing import Literal, TypeAlias

from babel import Locale
from babel.dates import format_date, format_time, format_timedelta
from babel.lists import format_list
from babel.numbers import format_currency, format_decimal, format_percent
from babel.units import format_unit
from num2words import num2words

from autolrs_recipes.data.translation.phrases import words
from autolrs_recipes.data.translation.phrases.draws import Draws

Filler: TypeAlias = tuple[str, str]
"""The same thing in English and in German."""
Maker: TypeAlias = Callable[[Draws], Filler]

ENGLISH, GERMAN = Locale("en"), Locale("de")
_DAY_ZERO = datetime.date(1950, 1, 1)
_DAYS = 100 * 365


def _both(form: Callable[[Locale], str]) -> Filler:
    return form(ENGLISH), form(GERMAN)


# --- dates and times -------------------------------------------------------------------------------------------------


def _day(draws: Draws) -> datetime.date:
    return _DAY_ZERO + datetime.timedelta(days=draws.between(0, _DAYS))


def _date(english: str, german: str) -> Maker:
    """Return a maker of dates: `english` and `german` hold a CLDR pattern in braces."""

    def one(template: str, day: datetime.date, locale: Locale) -> str:
        before, _, rest = template.partition("{")
        pattern, _, after = rest.partition("}")
        return before + format_date(day, pattern, locale=locale) + after

    def make(draws: Draws) -> Filler:
        day = _day(draws)
        return one(english, day, ENGLISH), one(german, day, GERMAN)

    return make


def _days_from_to(draws: Draws) -> Filler:
    first = _day(draws)
    last = first + datetime.timedelta(days=draws.between(2, 60))
    en = [format_date(day, "MMMM d", locale=ENGLISH) for day in (first, last)]
    de = [format_date(day, "d. MMMM", locale=GERMAN) for day in (first, last)]
    return f"from {en[0]} to {en[1]}", f"vom {de[0]} bis zum {de[1]}"


def _time_at(draws: Draws) -> Filler:
    time = datetime.time(draws.between(0, 23), 5 * draws.between(0, 11))
    english = format_time(time, "short", locale=ENGLISH)
    return f"at {english}", f"um {format_time(time, 'short', locale=GERMAN)} Uhr"


def _relative(sign: int) -> Maker:
    """Return a maker of times told from now: sign -1 for the past, 1 for the future."""
    # Most of a unit before CLDR's rules go over to the next one.
    units = (
        ("minutes", 1 / 1440, 40),
        ("hours", 1 / 24, 19),
        ("days", 1, 5),
        ("weeks", 7, 3),
        ("years", 366, 90),
    )

    def make(draws: Draws) -> Filler:
        _, days, most = draws.choice(units)
        delta = datetime.timedelta(days=sign * days * draws.between(2, most))
        return _both(lambda locale: format_timedelta(delta, add_direction=True, locale=locale))

    return make


# --- numbers ---------------------------------------------------------------------------------------------------------


def _whole(least: int, most: int) -> Maker:
    """Return a maker of whole numbers in digits."""

    def make(draws: Draws) -> Filler:
        number = draws.between(least, most)
        return _both(lambda locale: format_decimal(number, locale=locale))

    return make


def _big_number(draws: Draws) -> Filler:
    number = draws.between(1, 9999) * 10 ** draws.between(0, 4)
    return _both(lambda locale: format_decimal(number, locale=locale))


def _decimal(draws: Draws) -> Filler:
    number = draws.between(1, 99999) / 10 ** draws.between(1, 3)
    return _both(lambda locale: format_decimal(number, locale=locale))


def _percent(draws: Draws) -> Filler:
    share = draws.between(2, 99) / 100 + draws.choice((0.0, 0.0, 0.005, 0.002, 0.008))
    english = format_percent(share, "#,##0.#%", locale=ENGLISH)
    return english, format_percent(share, "#,##0.# %", locale=GERMAN)


def _words(number: int, to: str) -> Filler:
    return num2words(number, lang="en", to=to), num2words(number, lang="de", to=to)


def _in_words(least: int, most: int, to: str = "cardinal", german_ending: str = "") -> Maker:
    """Return a maker of numbers in words."""

    def make(draws: Draws) -> Filler:
        english, german = _words(draws.between(least, most), to)
        return english, german + german_ending

    return make


def _spelled(draws: Draws) -> Filler:
    number = draws.between(13, 10 ** draws.between(2, 5))
    english, german = _words(number, "cardinal")
    digits = _both(lambda locale: format_decimal(number, locale=locale))
    return f"{digits[0]} is written {english}", f"{digits[1]} schreibt man {german}"


def _sum(draws: Draws) -> Filler:
    one, other = draws.between(2, 60), draws.between(2, 60)
    parts = [_words(number, "cardinal") for number in (one, other, one + other)]
    english, german = ([part[i] for part in parts] for i in range(2))
    return "{} plus {} is {}".format(*english), "{} plus {} ist {}".format(*german)


# --- money and measures ----------------------------------------------------------------------------------------------


def _price(draws: Draws) -> Filler:
    amount = draws.between(2, 2000) + draws.choice((0.0, 0.0, 0.5, 0.99, 0.25))
    currency = draws.choice(words.CURRENCIES)
    style: Literal["standard", "name"] = draws.choice(("standard", "name"))
    return _both(lambda locale: format_currency(amount, currency, locale=locale, format_type=style))


def _measure(units: Sequence[str], most: int) -> Maker:
    """Return a maker of amounts of a unit: CLDR's nominative, which in German is also the accusative."""

    def make(draws: Draws) -> Filler:
        unit, amount = draws.choice(units), draws.between(2, most) + draws.choice((0.0, 0.0, 0.0, 0.5))
        return _both(lambda locale: format_unit(amount, unit, locale=locale))

    return make


# --- places, languages, people, things -------------------------------------------------------------------------------


def _one_of(pairs: Sequence[Filler]) -> Maker:
    return lambda draws: draws.choice(pairs)


def _country(draws: Draws) -> Filler:
    code = draws.choice(words.COUNTRIES)
    return _both(lambda locale: locale.territories[code])


def _country_with(english: str, german: str, articles: dict[str, Filler]) -> Maker:
    """Return a maker of countries after a preposition: `articles` has those that take an article in German."""

    def make(draws: Draws) -> Filler:
        code = draws.choice(words.COUNTRIES + tuple(articles))
        name = ENGLISH.territories[code]
        if code in articles:
            article, phrase = articles[code]
            return f"{english} {article}{name}", phrase
        return f"{english} {name}", f"{german} {GERMAN.territories[code]}"

    return make


def _language(draws: Draws) -> Filler:
    code = draws.choice(words.LANGUAGES)
    return _both(lambda locale: locale.languages[code])


def _several(maker: Maker) -> Maker:
    """Return a maker of lists of two to four different things."""

    def make(draws: Draws) -> Filler:
        items = dict.fromkeys(maker(draws) for _ in range(draws.between(2, 4)))
        english, german = zip(*items, strict=True)
        return format_list(english, locale=ENGLISH), format_list(german, locale=GERMAN)

    return make


MAKERS: dict[str, Maker] = {
    "date_on": _date("on {MMMM d, y}", "am {d. MMMM y}"),
    "weekday_date_on": _date("on {EEEE, MMMM d, y}", "am {EEEE, 'dem' d. MMMM y}"),
    "date_full": _date("{EEEE, MMMM d, y}", "{EEEE, 'der' d. MMMM y}"),
    "date_short": _date("{M/d/yy}", "{dd.MM.yy}"),
    "day_month_on": _date("on {MMMM d}", "am {d. MMMM}"),
    "weekday_on": _date("on {EEEE}", "am {EEEE}"),
    "month_in": _date("in {MMMM y}", "im {MMMM y}"),
    "quarter_in": _date("in the {QQQQ 'of' y}", "im {QQQQ y}"),
    "days_from_to": _days_from_to,
    "time_at": _time_at,
    "past": _relative(-1),
    "future": _relative(1),
    "count": _whole(2, 120),
    "age": _whole(4, 99),
    "number": _big_number,
    "decimal": _decimal,
    "percent": _percent,
    "few_in_words": _in_words(2, 12),
    "ordinal": _in_words(1, 99, "ordinal", german_ending="n"),
    "year": lambda draws: (str(year := draws.between(1100, 2030)), str(year)),
    "year_in_words": _in_words(1100, 2030, "year"),
    "spelled": _spelled,
    "sum": _sum,
    "price": _price,
    "length": _measure(("length-meter", "length-centimeter", "length-foot", "length-kilometer"), 900),
    "height": _measure(("length-centimeter",), 210),
    "distance": _measure(("length-kilometer", "length-mile"), 2500),
    "mass": _measure(("mass-gram", "mass-kilogram", "mass-pound"), 900),
    "volume": _measure(("volume-liter", "volume-milliliter"), 750),
    "area": _measure(("area-square-meter", "area-hectare", "area-square-kilometer"), 900),
    "speed": _measure(("speed-kilometer-per-hour", "speed-meter-per-second"), 300),
    "temperature": _measure(("temperature-celsius", "temperature-fahrenheit"), 45),
    "energy": _measure(("energy-kilowatt-hour", "energy-kilocalorie"), 900),
    "memory": _measure(("digital-megabyte", "digital-gigabyte"), 900),
    "duration": _measure(("duration-hour", "duration-minute", "duration-day", "duration-week"), 50),
    "country": _country,
    "country_in": _country_with("in", "in", words.IN_COUNTRY),
    "country_from": _country_with("from", "aus", words.FROM_COUNTRY),
    "country_to": _country_with("to", "nach", words.TO_COUNTRY),
    "language": _language,
    "languages": _several(_language),
    "city": _one_of(words.CITIES),
    "cities": _several(_one_of(words.CITIES)),
    "person": _one_of(words.PEOPLE),
    "thing": _one_of(words.THINGS),
    "object": _one_of(words.OBJECTS),
    "goods": _one_of(words.GOODS),
}
"""Blank -> what fills it; a digit at the end of a blank's name only tells two of a kind apart."""
