"""Stage 1 of the recipe on a made data folder, with a random tiny BERT for a teacher."""

import io
import json
import math
import random
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "recipes" / "allspark-base"))

import language_stage
import language_vectors
from language_corpus import read_corpus, wordnet
from language_figures import spearman, spread_pairs
from language_start import distil_static, fit_head, log_frequencies, start_from_teacher
from language_texts import build_texts
from language_tokenizer import ROUNDTRIP, roundtrip_failures
from language_train import PackedTokens, Settings, add_gradient, build_model, rate, text_batches, train
from transformers import AutoModelForCausalLM, AutoTokenizer, BertConfig, BertModel, BertTokenizerFast
from vocabulary import NAMES, PARAPHRASES, phrases

WORDS = ["river", "forest", "airport", "harbour", "field", "road", "tower", "glacier", "island", "bridge", "wheat"]
WORDS += ["maize", "slow", "fast", "near", "above"]
CODE = "int main() {\n    int n = 3;\n    for (int i = 0; i < n; i++)\n        total += i;\n    return 0;\n}\n"


def sentence(rng):
    return "The " + " ".join(rng.choice(WORDS) for _ in range(rng.randint(5, 12))) + "."


def add(archive, name, text):
    info = tarfile.TarInfo(name)
    raw = text.encode()
    info.size = len(raw)
    archive.addfile(info, io.BytesIO(raw))


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder, rng = tmp_path_factory.mktemp("data"), random.Random(0)
    (folder / "language").mkdir()
    (folder / "code").mkdir()
    with tarfile.open(folder / "language/classic_books_md.tar.xz", "w:xz") as archive:
        for book in range(60):
            paragraphs = ["# A *title*\n" + "\n".join(sentence(rng) for _ in range(4)) for _ in range(12)]
            add(archive, f"Somebody/Book {book}.md", "\n\n".join(paragraphs))
    with zipfile.ZipFile(folder / "language/factbook.zip", "w") as archive:
        for place in ("Arda", "Oz", "Laputa"):
            record = {
                "Introduction": {"Background": {"text": f"<p>{sentence(rng)}</p> {sentence(rng)}"}},
                "Government": {"Country name": {"conventional short form": {"text": place}}},
            }
            archive.writestr(f"europe/{place}.json", json.dumps(record))
    with zipfile.ZipFile(folder / "language/rsicd_captions.zip", "w") as archive:
        archive.writestr("train_caps.txt", "\n".join(sentence(rng) for _ in range(500)))
        archive.writestr("train_filename.txt", "\n".join(f"{rng.choice(WORDS)}_{i}.jpg" for i in range(100)))
        archive.writestr("test_caps.txt", "a caption of the test set")
    question = {"text": "what is the length of the river0", "variables": {"river0": "nile"}, "question-split": "train"}
    unseen = {"text": "how long is the river0", "variables": {"river0": "rhine"}, "question-split": "test"}
    with zipfile.ZipFile(folder / "language/geoquery.zip", "w") as archive:
        archive.writestr("geography.json", json.dumps([{"sentences": [question, unseen]}]))
    with tarfile.open(folder / "code/earthengine_apidocs_js.tar.gz", "w:gz") as archive:
        for index in range(30):
            script = f"var size = {index};\nprint(ee.Image(size));\n"
            add(archive, f"samples/javascript/apidocs/ee-image-{index}.js", "/**\n * Licence words.\n */\n\n" + script)
    inner = io.BytesIO()
    with tarfile.open(fileobj=inner, mode="w:gz") as archive:
        for problem in (1, 2, 3, 4, 65):
            for index in range(4):
                add(archive, f"codexglue/{problem}/{index}.cpp", CODE.replace("3", str(problem)) + "// problem")
    with zipfile.ZipFile(folder / "code/poj104.zip", "w") as archive:
        archive.writestr("poj104.tar.gz", inner.getvalue())
    return folder


@pytest.fixture(scope="module")
def dictionary(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wordnet")
    for kind in ("noun", "verb", "adj", "adv"):
        lines = ["  1 This is a licence line  "]
        for index, word in enumerate(WORDS):
            names = f"{word} 0 {word}_side(a) 0"
            lines.append(f'{index:08d} 03 {kind[0]} 02 {names} 000 | a {word} of kind {index}; "said so"  ')
        (folder / f"data.{kind}").write_text("\n".join(lines))
    return folder


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    folder = tmp_path_factory.mktemp("teacher")
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS, *(f"##{c}" for c in "abcdefghijklmnopqrstuvwxyz")]
    pieces += list("abcdefghijklmnopqrstuvwxyz0123456789.,:")
    (folder / "vocab.txt").write_text("\n".join(pieces))
    BertTokenizerFast(vocab=str(folder / "vocab.txt")).save_pretrained(folder)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(pieces), hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32
    )
    BertModel(config, add_pooling_layer=False).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def arguments(data, dictionary, teacher, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "language"
    options = {"data": data, "teacher": teacher, "wordnet": dictionary, "out": out, "minutes": 0.02, "texts": 400}
    options |= {"static-minutes": 0.01, "vocabulary": 800, "threads": 1}
    options |= {"hidden": 32, "layers": 1, "heads": 2, "feed-forward": 32}
    return [word for name, value in options.items() for word in (f"--{name}", str(value))]


@pytest.fixture(scope="module")
def made(arguments):
    found = language_stage.main(arguments)
    return Path(arguments[arguments.index("--out") + 1]), found


def test_the_sources_are_read_without_their_test_parts(data, dictionary, tmp_path, capsys):
    corpus = read_corpus(data, dictionary)
    documents = [*corpus.train.values(), *corpus.held_out.values()]
    everything = "\n".join(text for texts in documents for text in texts)
    assert "what is the length of the nile" in everything
    assert "rhine" not in everything
    assert "test set" not in everything
    assert "n = 65" not in everything
    assert "n = 4" in everything
    assert "Licence words" not in everything
    assert "<p>" not in everything
    assert len(corpus.captions) == 500
    assert wordnet(dictionary)[0].lemmas == ["river", "river side"]
    assert wordnet(dictionary)[0].gloss == "a river of kind 0"
    assert not read_corpus(data, tmp_path).synsets
    assert "wordnet-base" in capsys.readouterr().out


def test_paraphrases_are_kept_out_of_the_training_texts(data, dictionary):
    texts = build_texts(read_corpus(data, dictionary), 20_000)
    reserved = {words for group in PARAPHRASES.values() for words in group}
    assert not reserved & set(texts.train)
    assert not set(texts.held_out["caption"]) & set(texts.train)
    assert set(phrases()) - reserved <= set(texts.train)
    assert all(name in NAMES[theme] for theme, group in PARAPHRASES.items() for name in group.values())


def test_the_folder_loads_and_measures(made):
    out, found = made
    tokenizer = AutoTokenizer.from_pretrained(out)
    model = AutoModelForCausalLM.from_pretrained(out, dtype=torch.float32)
    assert (out / "tokenizer.model").is_file()
    assert tokenizer.convert_tokens_to_ids(["<pad>", "<unk>", "<s>", "</s>"]) == [0, 1, 2, 3]
    assert (tokenizer.pad_token_id, tokenizer.bos_token_id, tokenizer.eos_token_id) == (0, 2, 3)
    assert tokenizer.padding_side == "left"
    assert len(tokenizer) == model.config.vocab_size
    assert not model.config.tie_word_embeddings
    assert roundtrip_failures(tokenizer, [*ROUNDTRIP, CODE]) == []
    assert tokenizer.convert_ids_to_tokens(tokenizer("12")["input_ids"])[-2:] == ["1", "2"]
    assert 0 < found["prediction_books"]["bits_per_byte"] < 8
    assert found["paraphrased_names"]["paraphrases"] == sum(map(len, PARAPHRASES.values()))


def test_text_vectors_are_the_pooled_last_hidden_states(made):
    tokenizer = AutoTokenizer.from_pretrained(made[0])
    model = AutoModelForCausalLM.from_pretrained(made[0], dtype=torch.float32)
    texts = ["a river", "an airport with a tower near the field", "wheat"]
    found = language_vectors.text_vectors(model, tokenizer, texts, token_budget=12)
    for text, vector in zip(texts, found, strict=True):
        ids = torch.tensor([tokenizer(text, add_special_tokens=False)["input_ids"]])
        with torch.inference_mode():
            alone = model.model(input_ids=ids).last_hidden_state[0].mean(0)
        assert torch.allclose(vector, alone / alone.norm(), atol=1e-5)
    with pytest.raises(ValueError, match="empty text"):
        language_vectors.text_vectors(model, tokenizer, ["a river", ""])


def test_finished_parts_are_skipped_and_training_resumes(made, arguments):
    out, found = made
    weights, vectors = out / "model.safetensors", out / "work" / "teacher.safetensors"
    before = weights.stat().st_mtime_ns, vectors.stat().st_mtime_ns
    assert language_stage.main(arguments) == found
    assert (weights.stat().st_mtime_ns, vectors.stat().st_mtime_ns) == before
    steps = [json.loads(line)["step"] for line in (out / "work" / "log.jsonl").read_text().splitlines()]
    weights.unlink()
    language_stage.main([*arguments, "--minutes", "0.03"])
    again = [json.loads(line) for line in (out / "work" / "log.jsonl").read_text().splitlines()][len(steps) :]
    assert again[0]["step"] == steps[-1]
    assert again[-1]["step"] > steps[-1]
    assert vectors.stat().st_mtime_ns == before[1]


def test_training_brings_the_student_to_its_teacher(made, teacher, tmp_path):
    tokenizer = AutoTokenizer.from_pretrained(made[0])
    rng = random.Random(1)
    texts = [sentence(rng) for _ in range(40)]
    targets = language_vectors.Teacher(teacher).vectors(texts)
    targets = torch.nn.functional.normalize(targets - targets.mean(0), dim=-1)  # else one vector fits them all
    ids = tokenizer(texts, add_special_tokens=False)["input_ids"]
    settings = Settings(minutes=0.04, hidden=32, layers=1, heads=2, feed_forward=32, sequences=1, length=16)
    settings.learning_rate = settings.embedding_rate = 1e-2
    model = build_model(tokenizer, settings)
    before = (language_vectors.text_vectors(model, tokenizer, texts) * targets).sum(-1).mean()
    streams = {"books": torch.tensor([one for some in ids for one in some])}
    train(model, ids, targets, streams, settings, tmp_path, tokenizer.pad_token_id)
    after = (language_vectors.text_vectors(model, tokenizer, texts) * targets).sum(-1).mean()
    assert before < 0.3
    assert after > 0.7


def test_the_start_follows_the_teacher_and_predicts_better_than_chance(made, teacher):
    tokenizer = AutoTokenizer.from_pretrained(made[0])
    rng = random.Random(2)
    texts = [sentence(rng) for _ in range(100)]
    targets = language_vectors.Teacher(teacher).vectors(texts)
    targets = torch.nn.functional.normalize(targets - targets.mean(0), dim=-1)
    ids = tokenizer(texts, add_special_tokens=False)["input_ids"]
    stream = torch.tensor([one for some in ids for one in some])
    frequencies = log_frequencies({"books": stream}, {"books": 1.0}, len(tokenizer))
    assert frequencies.exp().sum() == pytest.approx(1.0, abs=0.01)
    model = build_model(tokenizer, Settings(hidden=32, layers=1, heads=2, feed_forward=32, tied=True))
    rows = start_from_teacher(model, tokenizer, language_vectors.Teacher(teacher), frequencies, targets)
    assert 100 < rows < len(tokenizer)

    def cosine():
        return (language_vectors.text_vectors(model, tokenizer, texts) * targets).sum(-1).mean()

    before = cosine()
    distil_static(model, ids, targets, 1.0, learning_rate=1e-2, batch=32)
    static = language_vectors.text_vectors(model, tokenizer, texts)
    loss = fit_head(model, stream[:65][None])
    assert cosine() > before + 0.2
    assert loss < math.log(len(tokenizer))
    assert torch.allclose(static, language_vectors.text_vectors(model, tokenizer, texts), atol=1e-4)
    narrow = build_model(tokenizer, Settings(hidden=16, layers=1, heads=2, feed_forward=16))
    with pytest.raises(ValueError, match="give --hidden 32"):
        start_from_teacher(narrow, tokenizer, language_vectors.Teacher(teacher), frequencies, targets)


def test_the_second_loss_stays_within_its_share_where_the_first_one_trains():
    trunk, head = torch.nn.Linear(2, 2, bias=False), torch.nn.Linear(2, 1, bias=False)
    model = torch.nn.Sequential(trunk, head)
    with torch.no_grad():
        trunk.weight.copy_(torch.eye(2))
        head.weight.fill_(1.0)
    trunk(torch.tensor([1.0, 0.0]))[0].backward()
    add_gradient(model, 100 * model(torch.tensor([0.0, 1.0])).sum(), weight=1.0, share=0.5)
    added = 0.5 * 2**-0.5
    assert torch.allclose(trunk.weight.grad, torch.tensor([[1.0, added], [0.0, added]]))
    assert torch.equal(head.weight.grad, torch.tensor([[0.0, 100.0]]))
    trunk.weight.grad.copy_(torch.eye(2))
    add_gradient(model, model(torch.tensor([0.0, 1.0])).sum(), weight=0.1, share=0.5)
    assert torch.allclose(trunk.weight.grad, torch.tensor([[1.0, 0.1], [0.0, 1.1]]))


def test_batches_are_the_same_after_a_restart():
    lengths, settings = [random.Random(i).randint(2, 30) for i in range(500)], Settings(text_tokens=200, most_texts=40)
    whole, later = text_batches(lengths, settings, 0), text_batches(lengths, settings, 30)
    first = [next(whole) for _ in range(60)]
    assert first[30:] == [next(later) for _ in range(30)]
    assert all(len(batch) * max(lengths[i] for i in batch) <= 200 for batch in first)
    streams = {"books": torch.arange(100), "code": torch.arange(5)}
    assert torch.equal(PackedTokens(streams, 10, 3).batch(7, 4), PackedTokens(streams, 10, 3).batch(7, 4))
    assert rate(0.06, 0.06) == pytest.approx(1.0)
    assert rate(1.0, 0.06) == pytest.approx(0.02)


def test_pairs_cover_the_range_of_similarities():
    vectors = torch.nn.functional.normalize(torch.randn(200, 3, generator=torch.Generator().manual_seed(0)), dim=-1)
    similarity = vectors @ vectors.T
    i, j = spread_pairs(similarity, 1000, 0)
    counts = torch.histc(similarity[i, j], 10, -0.1, 0.9)
    assert len(i) == 1000
    assert counts.min() >= 95
    assert (i < j).all()
    assert spearman(torch.tensor([1.0, 2.0, 3.0]), torch.tensor([2.0, 4.0, 9.0])) == pytest.approx(1.0)
