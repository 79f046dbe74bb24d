"""The sentences whose blanks the phrases fill: (English, German), with the same blanks in both."""

from __future__ import annotations

# Main clauses: they stand alone, or two are joined. Amounts stand only where CLDR's nominative is right in German,
# people only as subjects.
CLAUSES = (
    ("the meeting takes place {date_on} {time_at}", "die Sitzung findet {date_on} {time_at} statt"),
    (
        "the train from {city} to {city2} leaves {time_at}",
        "der Zug von {city} nach {city2} fährt {time_at} ab",
    ),
    (
        "the train to {city} arrives {weekday_on} {time_at}",
        "der Zug nach {city} kommt {weekday_on} {time_at} an",
    ),
    ("{person} was born {date_on} in {city}", "{person} wurde {date_on} in {city} geboren"),
    (
        "{person} lives {country_in} and speaks {language}",
        "{person} lebt {country_in} und spricht {language}",
    ),
    ("{person} comes {country_from}", "{person} kommt {country_from}"),
    ("{person} speaks {languages}", "{person} spricht {languages}"),
    ("{person} is traveling {country_to} {month_in}", "{person} reist {month_in} {country_to}"),
    ("{person} moved to {city} {past}", "{person} ist {past} nach {city} gezogen"),
    ("{person} will come back from {city} {future}", "{person} kommt {future} aus {city} zurück"),
    ("{person} is {age} years old and {height} tall", "{person} ist {age} Jahre alt und {height} groß"),
    ("{person} bought {count} {goods} for {price}", "{person} hat {count} {goods} für {price} gekauft"),
    ("{person} needs {few_in_words} {goods}", "{person} braucht {few_in_words} {goods}"),
    ("{person} wants to buy {object}", "{person} möchte {object} kaufen"),
    ("{person} sent {object} to {city} {past}", "{person} hat {past} {object} nach {city} geschickt"),
    ("{person} has forgotten {object} in {city}", "{person} hat {object} in {city} vergessen"),
    (
        "{person} finished the race in {ordinal} place",
        "{person} beendete das Rennen auf dem {ordinal} Platz",
    ),
    ("{person} is calling for the {ordinal} time", "{person} ruft zum {ordinal} Mal an"),
    ("{person} has been waiting for {duration}", "{person} wartet schon {duration}"),
    ("{thing} costs {price}", "{thing} kostet {price}"),
    ("{thing} is from the year {year}", "{thing} ist aus dem Jahr {year}"),
    ("{thing} cost {price} {country_in} {past}", "{thing} kostete {past} {country_in} {price}"),
    (
        "the invoice of {date_short} comes to {price}",
        "die Rechnung vom {date_short} beläuft sich auf {price}",
    ),
    ("the bridge is {length} long", "die Brücke ist {length} lang"),
    ("the package weighs {mass}", "das Paket wiegt {mass}"),
    ("the tank holds {volume}", "der Tank fasst {volume}"),
    ("the plot of land measures {area}", "das Grundstück ist {area} groß"),
    ("the file is {memory} in size", "die Datei ist {memory} groß"),
    ("the storm reached {speed} in {city}", "der Sturm erreichte in {city} {speed}"),
    ("the household uses {energy} per month", "der Haushalt verbraucht {energy} im Monat"),
    ("the temperature in {city} is {temperature}", "die Temperatur in {city} beträgt {temperature}"),
    (
        "the distance between {city} and {city2} is {distance}",
        "die Entfernung zwischen {city} und {city2} beträgt {distance}",
    ),
    (
        "the recipe needs {mass} of flour and {volume} of milk",
        "das Rezept braucht {mass} Mehl und {volume} Milch",
    ),
    (
        "the patient must take {volume} {few_in_words} times a day",
        "der Patient muss {few_in_words}mal am Tag {volume} einnehmen",
    ),
    ("the flight to {city} takes {duration}", "der Flug nach {city} dauert {duration}"),
    ("{country} has {number} inhabitants", "{country} hat {number} Einwohner"),
    (
        "unemployment {country_in} fell by {percent}",
        "die Arbeitslosigkeit ist {country_in} um {percent} gesunken",
    ),
    ("{percent} of the students are learning {language}", "{percent} der Schüler lernen {language}"),
    ("the share rose by {percent} {day_month_on}", "die Aktie ist {day_month_on} um {percent} gestiegen"),
    ("the company earned {price} {quarter_in}", "das Unternehmen hat {quarter_in} {price} verdient"),
    ("one pound is currently worth {price}", "ein Pfund ist derzeit {price} wert"),
    ("ticket number {count} has won {price}", "das Los mit der Nummer {count} hat {price} gewonnen"),
    ("the shop opens {weekday_on} {time_at}", "das Geschäft öffnet {weekday_on} {time_at}"),
    ("the office in {city} is closed {days_from_to}", "das Büro in {city} ist {days_from_to} geschlossen"),
    (
        "the course in {language} begins {weekday_date_on}",
        "der Kurs in {language} beginnt {weekday_date_on}",
    ),
    ("today is {date_full}", "heute ist {date_full}"),
    ("the deadline is {date_full}", "der Stichtag ist {date_full}"),
    ("we will see each other again {future}", "wir sehen uns {future} wieder"),
    ("we visited {cities} {month_in}", "wir haben {month_in} {cities} besucht"),
    ("the castle was built in {year_in_words}", "das Schloss wurde {year_in_words} gebaut"),
    ("{city} was first mentioned in the year {year}", "{city} wurde im Jahr {year} zum ersten Mal erwähnt"),
    ("the museum has {number} visitors per year", "das Museum hat {number} Besucher im Jahr"),
    ("there are {number} books in the library", "in der Bibliothek gibt es {number} Bücher"),
    ("the number {spelled}", "die Zahl {spelled}"),
    ("the answer is {decimal}", "die Antwort lautet {decimal}"),
    ("{sum}", "{sum}"),
)

# Whole sentences.
SENTENCES = (
    ("How far is it from {city} to {city2}?", "Wie weit ist es von {city} nach {city2}?"),
    ("What does {thing} cost {country_in}?", "Was kostet {thing} {country_in}?"),
    ("Does {person} speak {language}?", "Spricht {person} {language}?"),
    ("When does the train to {city} leave {weekday_on}?", "Wann fährt {weekday_on} der Zug nach {city} ab?"),
    ("Is {decimal} greater than {decimal2}?", "Ist {decimal} größer als {decimal2}?"),
    ("How many {goods} did {person} buy {date_on}?", "Wie viele {goods} hat {person} {date_on} gekauft?"),
    ("Please call back {weekday_on} {time_at}.", "Bitte rufen Sie {weekday_on} {time_at} zurück."),
    ("Where was {person} {date_on}?", "Wo war {person} {date_on}?"),
    ("Has {person} already been {country_in}?", "Ist {person} schon einmal {country_in} gewesen?"),
)

# Between two clauses.
JOINTS = ((", and ", " und "), (", but ", ", aber "), ("; ", "; "))
