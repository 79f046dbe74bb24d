"""The bundled phrases: good German, the same everywhere, and unseen combinations held out."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
import subprocess
import sys

import pytest
from refusals import told
from translation_cases import phrases

from autolrs_recipes.data.cache import quiet
from autolrs_recipes.data.translation.phrases import words
from autolrs_recipes.data.translation.phrases.draws import Draws
from autolrs_recipes.data.translation.phrases.fillers import ENGLISH, GERMAN, MAKERS
from autolrs_recipes.data.translation.phrases.frames import CLAUSES, SENTENCES
from autolrs_recipes.data.translation.phrases.make import blanks, make_phrases
from autolrs_recipes.data.translation.phrases.phrases import Phrases


@pytest.fixture(scope="module")
def made() -> dict[str, str]:
    return make_phrases(3000, 0, quiet)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory):
    return phrases(tmp_path_factory.mktemp("cache"))


class TestGerman:
    def test_dates_prices_and_numbers_follow_each_language(self, made):
        pairs = list(made.items())
        checked = 0
        for english, german in pairs:
            if found := re.search(r"(\d{1,2}):(\d\d) ([AP])M", english):
                hour = int(found[1]) % 12 + (12 if found[3] == "P" else 0)
                assert f"um {hour:02}:{found[2]} Uhr" in german
                checked += 1
            if found := re.fullmatch(r"The answer is ([\d,]+)\.(\d+)\.", english):
                assert german == f"Die Antwort lautet {found[1].replace(',', '.')},{found[2]}."
                checked += 1
        assert checked > 100

    @pytest.mark.parametrize(
        ("kind", "english", "german"),
        [
            ("country_in", "in Switzerland", "in der Schweiz"),
            ("country_in", "in the United States", "in den Vereinigten Staaten"),
            ("country_to", "to the Netherlands", "in die Niederlande"),
            ("country_to", "to Austria", "nach Österreich"),
            ("country_from", "from the United Kingdom", "aus dem Vereinigten Königreich"),
            ("language", "French", "Französisch"),
            ("city", "Cologne", "Köln"),
            ("ordinal", "twenty-first", "einundzwanzigsten"),
            ("ordinal", "third", "dritten"),
            ("year_in_words", "nineteen eighty-seven", "neunzehnhundertsiebenundachtzig"),
            ("few_in_words", "twelve", "zwölf"),
            ("past", "3 days ago", "vor 3 Tagen"),
            ("future", "in 2 weeks", "in 2 Wochen"),
            ("weekday_on", "on Monday", "am Montag"),
            ("temperature", "20 degrees Celsius", "20 Grad Celsius"),
            ("percent", "12.5%", "12,5 %"),
        ],
    )
    def test_fillers(self, kind, english, german):
        draws = Draws(1, kind)
        fillers = (MAKERS[kind](draws) for _ in range(20_000))
        found = (de for en, de in fillers if en.replace("\xa0", " ") == english)
        assert next(found).replace("\xa0", " ") == german

    def test_both_sides_of_a_frame_have_the_same_blanks(self):
        for frame in (*CLAUSES, *SENTENCES):
            there = set(blanks(frame))
            assert there == set(blanks(frame[::-1]))
            assert {kind for _, kind in there} <= set(MAKERS)
        used = {kind for frame in (*CLAUSES, *SENTENCES) for _, kind in blanks(frame)}
        assert used == set(MAKERS)

    def test_cldr_has_a_plain_name_for_every_code(self):
        for code in words.COUNTRIES:
            assert re.fullmatch(r"[^\W\d]+([ -][^\W\d]+)*", GERMAN.territories[code]), code
        for code in words.LANGUAGES:
            assert ENGLISH.languages[code].isalpha()
            assert GERMAN.languages[code].isalpha()

    def test_sentences_are_whole(self, made):
        for english, german in made.items():
            for sentence in (english, german):
                assert sentence[0].isupper() or sentence[0].isdigit()
                assert sentence[-1] in ".?"
                assert not set("{}\n\u00a0\u202f\u2009") & set(sentence)
                assert "  " not in sentence

    def test_sums_are_right(self, made):
        assert made["Twenty-eight plus forty-nine is seventy-seven."] == (
            "Achtundzwanzig plus neunundvierzig ist siebenundsiebzig."
        )

    def test_they_vary(self, made):
        assert len(made) == 3000
        assert len(set(made.values())) > 2950
        assert len({word for german in made.values() for word in german.split()}) > 2500


class TestSplit:
    def test_no_held_out_english_side_is_trained_on(self, prepared):
        tokenizer = prepared.prepared.tokenizer()
        sides = {}
        for name in ("train", "choose", "target"):
            table = prepared.prepared.pairs(name)
            sides[name] = [tokenizer.decode(table.source[i].tolist()) for i in range(len(table))]
        assert {name: len(side) for name, side in sides.items()} == prepared.prepared.sizes
        everything = [sentence for side in sides.values() for sentence in side]
        assert len(set(everything)) == len(everything) == 1200
        assert prepared.prepared.sizes == {"train": 1140, "choose": 20, "target": 40}

    def test_target_is_what_the_smallest_hashes_name(self, prepared):
        made = make_phrases(1200, 0, quiet)
        by_hash = sorted(made, key=lambda english: hashlib.sha256(english.encode()).digest())[:40]
        assert {english for english, _ in prepared.prepared.test_sentences()} == set(by_hash)

    def test_the_same_in_another_process_with_one_thread(self, prepared, tmp_path):
        program = (
            "import json, sys; from autolrs_recipes.data.translation.phrases.phrases import Phrases\n"
            "print(Phrases(**json.loads(sys.argv[1])).prepared.facts.fingerprint)"
        )
        settings = json.dumps({**dataclasses.asdict(prepared), "cache_dir": str(tmp_path)})
        environment = {"PYTHONHASHSEED": "7", "TOKENIZERS_PARALLELISM": "false", "OMP_NUM_THREADS": "1"}
        done = subprocess.run(
            [sys.executable, "-c", program, settings],
            capture_output=True,
            text=True,
            env=environment,
            check=True,
        )
        assert done.stdout.strip() == prepared.prepared.facts.fingerprint

    def test_fingerprint_follows_content(self, prepared, tmp_path):
        other = phrases(tmp_path, generation_seed=1)
        assert other.prepared.facts.fingerprint != prepared.prepared.facts.fingerprint

    def test_prepared_once(self, prepared, monkeypatch):
        told = []
        copy = dataclasses.replace(prepared)
        copy.prepare(lambda *what: told.append(what))
        assert told == []
        assert copy.prepared.folder == prepared.prepared.folder
        assert "Babel" in prepared.describe()
        assert "num2words" in prepared.describe()


class TestSettings:
    def test_good(self, prepared):
        assert prepared.problems() == []

    @pytest.mark.parametrize(
        ("key", "value"),
        [
            ("num_pairs", 0),
            ("generation_seed", -1),
            ("choose_pairs", 0),
            ("target_pairs", "many"),
            ("vocab_size", 100),
            ("max_length", 1),
        ],
    )
    def test_bad_settings_name_their_key(self, tmp_path, key, value):
        (problem,) = phrases(tmp_path, told("data", Phrases), **{key: value})
        assert f"`data.{key}`" in problem
        assert f"Set data.{key}" in problem

    def test_slices_must_leave_training_pairs(self, tmp_path):
        (problem,) = phrases(tmp_path, target_pairs=1180).problems()
        assert "data.num_pairs=1200" in problem
