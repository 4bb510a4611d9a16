"""The road past the language model: pieces put together to words, their rarity, and what a model with it answers."""

import numpy as np
import pytest
import torch

import allspark
from allspark.finetune import run
from allspark.heads.words import BUCKETS, PLACES, WordRoad, rarity, spelling

from . import made
from .test_wide import options


class Bytes:
    """A tokenizer that writes blanks as GPT-2's does, with a number that is not taken."""

    pieces = ("Ġdog", "Ġd", "og", "ĠDOG", "'s", "Ċ", "s", None)

    def __len__(self):
        return len(self.pieces)

    def convert_ids_to_tokens(self, ids):
        return [self.pieces[i] for i in ids]

    def convert_tokens_to_string(self, pieces):
        return "".join(pieces).replace("Ġ", " ").replace("Ċ", "\n")


def road(tokenizer, width=4, outputs=2):
    found = WordRoad(pieces=len(tokenizer), width=width, outputs=outputs, dropout=0.0)
    for name, value in spelling(tokenizer).items():
        getattr(found, name).copy_(value)
    return found.eval()


def hashes(found, tokenizer, text):
    ids = torch.tensor([tokenizer(text, add_special_tokens=False)["input_ids"]])
    return found.words(ids, torch.ones_like(ids, dtype=torch.bool))[1].tolist()


def test_a_word_is_what_it_spells(tiny):
    tokenizer = tiny.processor.tokenizer
    found = road(tokenizer)
    alone = {word: hashes(found, tokenizer, word) for word in ("hydrology", "Hydrology", "HYDROLOGY", "lake", "42")}
    assert {len(each) for each in alone.values()} == {1}
    assert alone["hydrology"] == alone["Hydrology"] == alone["HYDROLOGY"]  # which are cut in different places
    assert len({each[0] for each in alone.values()}) == 3
    said = hashes(found, tokenizer, "The lake, (hydrology); a lake_42!")
    assert said[1:] == [alone[word][0] for word in ("lake", "hydrology", "lake", "42")]  # "a" is too short to tell


def test_tokenizers_on_bytes_are_read_too():
    tokenizer = Bytes()
    found = road(tokenizer)
    ids = torch.tensor([[0, 4, 1, 2, 5, 2, 6, 7, 3]])  # dog's d·og ⏎ ogs – DOG
    row, spelt = found.words(ids, ids >= 0)
    assert row.tolist() == [0] * 4
    dog, cut, ogs, loud = spelt.tolist()
    assert dog == cut == loud != ogs


def test_only_the_items_own_words_count(tiny):
    tokenizer = tiny.processor.tokenizer
    found = road(tokenizer)
    batch = tiny.processor([{"language": allspark.Text("a lake")}, {"language": allspark.Text("lakes, lakes, river")}])
    assert batch["input_ids"].shape[1] > batch["content"].sum(1).max()  # the prompt stands before
    row, place, count = found.bags(batch["input_ids"], batch["content"])
    words = place < BUCKETS
    assert row[words].tolist() == [0, 1, 1]
    assert sorted(count[words].tolist()) == [1, 1, 2]
    assert int(count[~words].sum()) == int((batch["content"].sum(1) - 1).sum())  # pairs of neighbours
    assert place.max() < PLACES
    row, place, weight = found.weighed(batch["input_ids"], batch["content"])
    for i in range(2):
        assert float(weight[(row == i) & (place < BUCKETS)].norm()) == pytest.approx(1)
        assert float(weight[(row == i) & (place >= BUCKETS)].norm()) == pytest.approx(0.7)
    alone = found(*(tiny.processor([{"language": allspark.Text("a lake")}])[key] for key in ("input_ids", "content")))
    assert torch.allclose(found(batch["input_ids"], batch["content"])[:1], alone, atol=1e-6)
    none = found(batch["input_ids"], torch.zeros_like(batch["content"]))
    assert torch.equal(none[0], none[1])


def test_rare_words_weigh_more_and_single_ones_nothing():
    weight = rarity(7, [torch.tensor([1, 2]), torch.tensor([1, 2, 3]), torch.tensor([1])])
    assert weight[1] == pytest.approx(np.log(8 / 4) + 1)
    assert weight[2] == pytest.approx(np.log(8 / 3) + 1)
    assert weight[3] == weight[0] == 0


def texts(folder, count=240):
    """What an item is of is told by one rare word among many common ones."""
    rng = np.random.default_rng(0)
    common = ["water", "field", "road", "town", "river", "tree", "house", "rain", "cloud", "stone"]
    rows = []
    for i in range(count):
        told = (["orbiter", "lander", "rover"], ["goalkeeper", "striker", "referee"])[i % 2][int(rng.integers(3))]
        words = [*rng.choice(common, 30), told]
        rows.append({"language": " ".join(rng.permutation(words)), "label": ("space", "sport")[i % 2],
                     "split": "test" if i % 3 == 0 else "train"})  # fmt: skip
    return made.write_csv(folder / "texts.csv", rows)


@pytest.mark.parametrize("at", ["words", "language"])
def test_exact_words_are_learnt_past_the_language_model(tiny_folder, tmp_path, at):
    manifest = texts(tmp_path)
    given = {"at": at, "steps": 60, "batch": 32, "lr": 3e-2, "augment": "none"}
    found = {
        wide: run(options(manifest, tmp_path / f"run{wide}", tiny_folder, wide=wide, **given))["test"]["accuracy"]
        for wide in (0, 8)
    }
    assert found[8] > 0.95
    assert found[8] > found[0] + 0.1
    spark = allspark.load(tiny_folder, adapter=tmp_path / "run8")
    said = [allspark.Text("the water, the stone and the ORBITER"), allspark.Text("rain on the referee's house")]
    answers = spark.classify(said)
    assert [answer.label for answer in answers] == ["space", "sport"]
    assert spark.classify(said[1])[0].scores == pytest.approx(answers[1].scores, abs=1e-5)
    spark.merge().save(tmp_path / "merged")
    assert allspark.load(tmp_path / "merged").classify(said)[0].scores == pytest.approx(answers[0].scores, abs=1e-5)


def test_words_and_numbers_of_one_thing_go_both_ways(tiny_folder, tmp_path):
    manifest = made.mixed(tmp_path)
    given = {"at": "language", "train": ["heads", "prompts", "bridges"], "steps": 4, "leak_distance": 0.0}
    run(options(manifest, tmp_path / "run", tiny_folder, **given))
    spark = allspark.load(tiny_folder, adapter=tmp_path / "run")
    head = spark.model.heads["classify"].modules_to_save["default"]
    assert head.wide.sizes.keys() == {"trajectory"}
    assert int((head.words.rarity > 0).sum()) > 0
    track = allspark.read(tmp_path / "track_0.csv")
    answers = spark.classify([{"trajectory": track, "language": allspark.Text("a road")}, track, allspark.Text("mud")])
    assert [set(a.inputs_used) for a in answers] == [{"trajectory", "language"}, {"trajectory"}, {"language"}]


def test_classes_start_from_naive_bayes(tiny):
    tokenizer = tiny.processor.tokenizer
    found = road(tokenizer)
    texts = ["orbiter and lander", "and orbiter with lander", "striker and referee", "and striker with referee"]
    ids = [torch.tensor(tokenizer(text, add_special_tokens=False)["input_ids"]) for text in texts]
    found.start(list(zip(ids, (0, 0, 1, 1))), 4, 2)
    torch.nn.init.zeros_(found.layers[-1].weight)
    torch.nn.init.zeros_(found.layers[-1].bias)

    def answer(text):
        given = torch.tensor([tokenizer(text, add_special_tokens=False)["input_ids"]])
        return found(given, torch.ones_like(given, dtype=torch.bool))[0]

    space, sport = answer("an orbiter"), answer("the referee")
    assert space[0] > 0 > space[1]
    assert sport[1] > 0 > sport[0]

    def begun(word):
        given = torch.tensor([tokenizer(word, add_special_tokens=False)["input_ids"]])
        _, place, _ = found.bags(given, torch.ones_like(given, dtype=torch.bool))
        return found.straight.weight[place[place < BUCKETS]]

    assert torch.allclose(begun("and"), torch.zeros(1, 2), atol=1e-2)  # as often in both
    assert torch.equal(begun("goalkeeper"), torch.zeros(1, 2))  # which no item held
    plain = road(tokenizer)
    plain.start(list(zip(ids, [None] * 4)), 4, 0)
    assert not plain.straight.weight.any()
    assert torch.equal(plain.rarity, found.rarity)
    with pytest.raises(ValueError, match="no two share a word"):
        plain.start([(ids[0], None), (ids[2][:1], None)], 2, 0)
