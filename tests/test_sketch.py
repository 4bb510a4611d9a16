"""Exact characters and words as a vector: what it keeps, what it leaves out, and what its table says."""

import subprocess
import sys

import numpy as np
import pytest
import torch

import allspark
from allspark import sketch as module
from allspark.sketch import WIDTH, place, rarity, sketch, strings, words


def test_each_text_stands_for_itself_and_has_length_one():
    texts = ["Flooded fields along the river", "x", "sum += values[i];", "東京 naïve ☃"]
    together = sketch(texts)
    assert together.shape == (4, WIDTH)
    assert together.dtype == torch.float32
    assert torch.allclose(together.norm(dim=1), torch.ones(4))
    for text, row in zip(texts, together, strict=True):
        assert torch.equal(sketch([text])[0], row)
    assert not sketch(["", " \n\t"]).any()
    assert sketch([]).shape == (0, WIDTH)


def test_strings_are_those_of_two_to_five_characters_within_words():
    def counted(text):  # every string, one by one
        padded = f" {text} "
        parts = [padded[i : i + n] for n in range(2, 6) for i in range(len(padded) - n + 1)]
        return [part for part in parts if " " not in part[1:-1]]

    for text in ("road", "a bc", "river delta in spring"):
        expected = counted(text)
        found = strings(text)
        assert len(found) == len(expected)
        assert len(np.unique(found)) == len(set(expected))
    # the same string has the same hash wherever it stands
    assert set(strings("delta").tolist()) <= set(strings("a river delta").tolist())


def test_words_are_told_from_signs_and_pairs_have_an_order():
    one = words("i += step_2 ;")
    assert len(one) == 5 + 4  # i, +, =, step_2, ; and their pairs
    assert set(words("step_2").tolist()) <= set(one.tolist())
    same, turned = words("left right"), words("right left")
    assert set(same[:2].tolist()) == set(turned[:2].tolist())
    assert same[2] != turned[2]
    assert len(words("...")) == 3 + 2
    assert len(words("")) == 0


def test_case_and_blanks_do_not_count():
    assert torch.equal(sketch(["Flooded  FIELDS\n along"]), sketch([" flooded fields along "]))


def test_inner_products_are_those_of_what_is_shared():
    rng = np.random.default_rng(0)
    letters = "abcdefghijklmnopqrstuvwxyz"
    made = [["".join(rng.choice(list(letters), 8)) for _ in range(120)] for _ in range(2)]
    shared = [*made[0][:60], *made[1][:60]]
    found = sketch([" ".join(text) for text in (*made, shared)])
    products = found @ found.T
    assert float(products[0, 1]) == pytest.approx(0.1, abs=0.1)  # short strings meet by chance
    assert float(products[0, 2]) == pytest.approx(0.55, abs=0.1)


def test_words_of_one_stem_are_alike_and_rare_ones_count_more():
    plural = sketch(["flooded river", "floods rivers", "walnut orchard"])
    assert float(plural[0] @ plural[1]) > 0.3 > float(plural[0] @ plural[2])
    assert rarity()["words"][place(words("estuary"))] > rarity()["words"][place(words("the"))] + 3
    rare = sketch(["the estuary of", "of the", "estuary"])
    assert float(rare[0] @ rare[2]) > float(rare[0] @ rare[1])


def test_the_table_is_whole():
    tables = rarity()
    assert set(tables) == set(module.VIEWS) == set(module.SHARE) == set(module.RARITY)
    for table in tables.values():
        assert table.shape == (module.PLACES,)
        assert 1 <= table.min() < table.max() < 17


def test_importing_the_package_does_not_read_the_table():
    code = "import allspark, sys; from allspark import sketch; print(sketch.rarity.cache_info().currsize)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "0"


def test_programs_are_told_apart_by_it(tiny_folder):
    spark = allspark.load(tiny_folder)
    one = [allspark.Code(f"for (int i = 0; i < {n}; i++) sum += values[i];", "c") for n in range(4)]
    two = [allspark.Code(f"while (queue.size() > {n}) queue.pop();", "c") for n in range(4)]
    few = spark.few_shot({"sum": one[:2], "queue": two[:2]}, at="encoder")
    answers = spark.classify([*one[2:], *two[2:]], examples=few, at="encoder")
    assert [answer.label for answer in answers] == ["sum", "sum", "queue", "queue"]
    assert spark.embed(one[0], at="encoder").shape == (1, WIDTH)


def test_what_it_reads_is_what_the_item_says(tiny_folder):
    spark = allspark.load(tiny_folder)
    text = "flood water in the fields"
    items = [{"language": allspark.Text(text)}, {"language": allspark.Text("water")}]
    said = spark.processor.spelt([spark.processor.prepare(item) for item in items])
    assert [" ".join(one.split()) for one in said] == [text, "water"]
    assert torch.allclose(spark.embed(allspark.Text(text), at="encoder")[0], sketch([said[0]])[0])


def test_a_long_text_is_read_to_its_end(tiny_folder):
    spark = allspark.load(tiny_folder)
    start = "flood water in the fields " * 200
    texts = [allspark.Text(start + end, truncate=True) for end in ("", "and a harbour", "and a glacier")]
    found = spark.embed_levels(texts, levels=("encoder", "language"))
    plain, harbour, glacier = found["encoder"]
    assert not torch.allclose(harbour, plain)
    assert not torch.allclose(harbour, glacier)
    assert torch.allclose(harbour, sketch([start + "and a harbour"])[0], atol=1e-6)
    # the language model reads as many tokens as it can, which are the same of all three
    assert torch.allclose(found["language"][0], found["language"][1])
