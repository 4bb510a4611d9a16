import json

import pytest
import torch

from allspark import fewshot_choice, fewshot_span
from allspark.fewshot import FewShot
from allspark.fewshot_methods import MARGIN, METHODS, Calibration, calibrate, choose, ridge_path
from allspark.readers import UnreadableFileError


def made(classes=4, shots=6, width=32, noise=0.5, seed=0):
    generator = torch.Generator().manual_seed(seed)
    centres = torch.randn(classes, width, generator=generator)
    labels = [f"class {k}" for k in range(classes) for _ in range(shots)]
    noisy = centres.repeat_interleave(shots, 0) + noise * torch.randn(classes * shots, width, generator=generator)
    return noisy + 3.0, labels, centres + 3.0  # the offset is what centring is for


@pytest.mark.parametrize("method", ["auto", *METHODS])
def test_separable_classes_are_told_apart(method):
    features, labels, centres = made()
    model = FewShot.fit(features, labels, method=method)
    probabilities = model.predict(centres)
    assert model.classify(centres) == list(model.labels) == [f"class {k}" for k in range(4)]
    assert probabilities.dtype == torch.float32
    torch.testing.assert_close(probabilities.sum(1), torch.ones(4))
    assert float(probabilities.max(1).values.min()) > 0.5
    query, truth, _ = made(shots=50, seed=0)
    right = sum(a == b for a, b in zip(model.classify(query), truth, strict=True)) / len(truth)
    assert right > 0.95


@pytest.mark.parametrize("method", METHODS)
def test_noise_alone_gives_chance(method):
    generator = torch.Generator().manual_seed(1)
    labels = ["a", "b"] * 20
    model = FewShot.fit(torch.randn(40, 16, generator=generator), labels, method=method)
    guess = model.classify(torch.randn(1000, 16, generator=generator))
    assert 0.2 < guess.count("a") / 1000 < 0.8


@pytest.mark.parametrize("method", ["centres", "centred", "power"])
def test_leave_one_out_of_the_centres_is_exact(method):
    features, labels, _ = made(shots=4, noise=1.5)
    record = METHODS[method]
    solution = record.solve(record.lift(features.reshape(1, 4, 4, -1)), torch.ones(1, 4, 4, dtype=torch.bool))
    assert solution.usable.all()
    for row in range(len(labels)):
        rest = [i for i in range(len(labels)) if i != row]
        model = FewShot.fit(features[rest], [labels[i] for i in rest], method=method, classes=sorted(set(labels)))
        parts = (model.tensors[name] for name in ("shift", "weights", "bias"))
        alone = record.scores(features[row : row + 1], *parts)[0]
        torch.testing.assert_close(solution.held_out[0, row], alone, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("repeated", [False, True])
@pytest.mark.parametrize("method", METHODS)
def test_the_span_of_few_examples_says_all_that_many_numbers_do(method, repeated, monkeypatch):
    features, _, centres = made(classes=3, shots=5, width=200, noise=1.5)
    support = features.reshape(1, 3, 5, -1).double()
    if repeated:
        support[0, 1, 4] = support[0, 1, 3]  # twice the same example: a direction less, and no Cholesky factor
    mask = torch.ones(1, 3, 5, dtype=torch.bool)
    mask[0, 2, 3:] = False
    found = []
    for wider in (1000, fewshot_span.WIDER):
        monkeypatch.setattr(fewshot_span, "WIDER", wider)
        fitted = fewshot_choice.fit(support, mask, [method])
        found.append((fitted.probabilities(centres[None].double()), fitted.held_out[fitted.usable]))
    assert fewshot_span.WIDER * 15 <= 200  # the second was found in the span
    for whole, short in zip(*found, strict=True):
        torch.testing.assert_close(short, whole, atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize("width", [5, 40])  # primal and dual
def test_leave_one_out_of_ridge_equals_brute_force(width):
    generator = torch.Generator().manual_seed(2)
    rows = torch.randn(1, 12, width, generator=generator, dtype=torch.float64)
    targets = torch.eye(3, dtype=torch.float64)[torch.tensor([0] * 6 + [1] * 4 + [2] * 2)][None]
    weights = (targets / targets.sum(1, keepdim=True)).sum(-1) / 3
    penalty = 0.3
    _, _, predictions = ridge_path(rows, targets, weights, torch.tensor([penalty], dtype=torch.float64))
    centre = weights[0] @ rows[0]
    total = float((weights[0][:, None] * (rows[0] - centre).square()).sum())
    for row in range(12):
        rest = [i for i in range(12) if i != row]
        x = torch.cat([rows[0, rest], torch.ones(11, 1, dtype=torch.float64)], 1)
        w = weights[0, rest][:, None]
        shrink = penalty * total * torch.eye(width + 1, dtype=torch.float64)
        shrink[-1, -1] = 0  # the intercept is free
        solved = torch.linalg.solve(x.T @ (w * x) + shrink, x.T @ (w * targets[0, rest]))
        expected = torch.cat([rows[0, row], torch.ones(1, dtype=torch.float64)]) @ solved
        torch.testing.assert_close(predictions[0, 0, row], expected)


def test_ridge_ignores_how_many_examples_a_class_has():
    features, labels, _ = made(classes=2, shots=20, noise=3.0, width=8)
    features, labels = features[:22], labels[:22]  # 20 of one, 2 of the other
    balanced = FewShot.fit(features, labels, method="ridge")
    query, truth, _ = made(classes=2, shots=400, noise=3.0, width=8)
    found = balanced.classify(query).count("class 1") / len(truth)
    assert 0.25 < found < 0.75


def test_auto_takes_centred_for_one_shot_and_ridge_where_directions_matter():
    features, labels, _ = made(shots=1)
    assert FewShot.fit(features, labels).method == "centred"
    generator = torch.Generator().manual_seed(3)
    classes = torch.arange(2).repeat_interleave(8)
    nuisance = torch.randn(16, 1, generator=generator) * 10
    signal = (classes * 2.0 - 1)[:, None] + 0.1 * torch.randn(16, 1, generator=generator)
    model = FewShot.fit(torch.cat([nuisance, signal, torch.ones(16, 1)], 1), [str(int(k)) for k in classes])
    assert model.method == "ridge"


def test_a_better_method_wins_only_beyond_the_margin():
    one = torch.ones(1, dtype=torch.float64)
    near, far = one * (1 - MARGIN / 2), one * (1 - 2 * MARGIN)
    assert int(choose([Calibration(one, one, one), Calibration(one, near, one)])) == 0
    assert int(choose([Calibration(one, one, one), Calibration(one, far, one)])) == 1


def test_temperature_follows_the_evidence():
    scores = torch.tensor([[0.2, 0.0]] * 20 + [[0.0, 0.2]] * 20, dtype=torch.float64)[None]
    usable = torch.ones(1, 40, dtype=torch.bool)
    sharp = calibrate(scores, usable, 0.1)
    wrong = scores.clone()
    wrong[:, ::2] = wrong[:, ::2].flip(-1)
    assert float(sharp.accuracy) == 1.0
    assert float(sharp.temperature) < 0.1 < float(calibrate(wrong, usable, 0.1).temperature)
    assert float(calibrate(scores, ~usable, 0.1).temperature) == pytest.approx(0.1)


def test_text_helps_where_examples_are_noisy():
    _, _, centres = made(width=16)
    features, labels, _ = made(width=16, shots=2, noise=6.0)
    query, truth, _ = made(width=16, shots=200, noise=1.0)
    alone = FewShot.fit(features, labels, method="centred")
    mixed = FewShot.fit(features, labels, method="centred", text=centres)
    score = lambda model: sum(a == b for a, b in zip(model.classify(query), truth, strict=True)) / len(truth)  # noqa: E731
    assert score(mixed) > score(alone) + 0.1
    one = FewShot.fit(*made(width=16, shots=1)[:2], text=centres)
    assert "text" in one.tensors


@pytest.mark.parametrize("method", METHODS)
def test_saved_and_loaded_is_bit_for_bit_the_same(tmp_path, method):
    features, labels, centres = made()
    text = centres if method == "centred" else None
    model = FewShot.fit(features, labels, method=method, at="bridge", modality="sar", text=text)
    model.save(tmp_path / "crops.v1")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["crops.v1.json", "crops.v1.safetensors"]
    for name in ("crops.v1", "crops.v1.json"):
        again = FewShot.load(tmp_path / name)
        assert (again.labels, again.method, again.at, again.modality) == (model.labels, method, "bridge", "sar")
        assert torch.equal(again.predict(features), model.predict(features))
    model.save(tmp_path)  # a folder
    assert torch.equal(FewShot.load(tmp_path).predict(features), model.predict(features))


def test_the_same_examples_give_the_same_classifier_in_any_order():
    features, labels, centres = made()
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))
    first = FewShot.fit(features, labels, classes=sorted(set(labels)))
    second = FewShot.fit(features[order], [labels[i] for i in order], classes=sorted(set(labels)))
    torch.testing.assert_close(first.predict(centres), second.predict(centres), atol=1e-5, rtol=1e-4)
    assert torch.equal(first.predict(centres), FewShot.fit(features, labels).predict(centres))


def test_missing_and_damaged_files_are_named(tmp_path):
    features, labels, _ = made()
    FewShot.fit(features, labels, method="ridge").save(tmp_path / "m")
    with pytest.raises(FileNotFoundError, match=r"other\.json is not there"):
        FewShot.load(tmp_path / "other")
    tensors, record = tmp_path / "m.safetensors", tmp_path / "m.json"
    whole, words = tensors.read_bytes(), record.read_text()
    tensors.write_bytes(whole[:-7])
    with pytest.raises(UnreadableFileError, match="damaged"):
        FewShot.load(tmp_path / "m")
    tensors.write_bytes(whole)
    for broken in ("", "[]", '{"version": 1}', words.replace('"class 0",', ""), words.replace("ridge", "magic")):
        record.write_text(broken)
        with pytest.raises(UnreadableFileError, match="not a readable few-shot classifier"):
            FewShot.load(tmp_path / "m")
    record.write_text(json.dumps({**json.loads(words), "version": 99}))
    with pytest.raises(UnreadableFileError, match="update allspark"):
        FewShot.load(tmp_path / "m")
    tensors.unlink()
    with pytest.raises(FileNotFoundError, match=r"m\.safetensors is not there"):
        FewShot.load(tmp_path / "m")


def test_bad_input_gets_a_sentence():
    features, labels, _ = made()
    cases = [
        ((features, ["one"] * len(labels)), {}, "at least two classes"),
        ((features, labels), {"classes": [*sorted(set(labels)), "empty"]}, "no example came for empty"),
        ((features, labels), {"classes": ["class 0", "class 1"]}, "not among the classes"),
        ((features, labels[:-1]), {}, "23 labels came for 24"),
        ((features, labels), {"method": "magic"}, "method is 'magic'; wanted auto, ridge"),
        ((features[0], labels), {}, r"wanted \(N, D\)"),
        ((features, labels), {"text": features[:3]}, "wanted 4 finite vectors"),
        ((features.index_fill(0, torch.tensor([2, 5]), float("nan")), labels), {}, "2 of 24 feature vectors hold NaN"),
    ]
    for arguments, options, words in cases:
        with pytest.raises(ValueError, match=words):
            FewShot.fit(*arguments, **options)
    with pytest.raises(ValueError, match=r"wanted \(N, 32\)"):
        FewShot.fit(features, labels).predict(features[:, :5])
