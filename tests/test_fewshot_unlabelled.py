"""Asked together: unlabelled items show where classes lie, without running away from the examples."""

import numpy as np
import pytest
import torch

import allspark
from allspark.fewshot import FewShot
from allspark.fewshot_unlabelled import Examples


def clusters(seed, shots, counts, width=24, spread=1.1):
    """Examples (K · S, D) with labels, and counts[k] asked items of each class with theirs."""
    random = torch.Generator().manual_seed(seed)
    centres = torch.randn(len(counts), width, generator=random)
    near = lambda k, n: centres[k] + spread * torch.randn(n, width, generator=random)  # noqa: E731
    examples = torch.cat([near(k, shots) for k in range(len(counts))])
    asked = torch.cat([near(k, n) for k, n in enumerate(counts)])
    truth = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    return examples, [str(k) for k in range(len(counts)) for _ in range(shots)], asked, truth


def accuracies(shots, counts, seeds=12):
    """Mean over classes of recall, each item alone and all at once."""
    found = []
    for seed in range(seeds):
        examples, labels, asked, truth = clusters(seed, shots, counts)
        model = FewShot.fit(examples, labels)
        row = []
        for together in (False, True):
            guess = model.predict(asked, transductive=together).argmax(-1)
            row.append(np.mean([float((guess[truth == k] == k).float().mean()) for k in truth.unique()]))
        found.append(row)
    return np.mean(found, 0)


def test_from_one_example_a_class_the_other_items_help():
    alone, together = accuracies(1, [30] * 5)
    assert together > alone + 0.05


def test_from_five_they_still_do():
    alone, together = accuracies(5, [30] * 5)
    assert together >= alone


def test_where_cosines_differ_by_hundredths_they_still_tell_classes_apart():
    """As those of words do, in thousands of numbers."""
    found = []
    for seed in range(4):
        examples, labels, asked, truth = clusters(seed, 1, [30] * 5, width=2048, spread=4.0)
        model = FewShot.fit(examples, labels)
        found.append([(model.predict(asked, transductive=t).argmax(-1) == truth).float().mean() for t in (False, True)])
    alone, together = np.mean(found, 0)
    assert together > alone + 0.05


@pytest.mark.parametrize("counts", [[90, 10, 10, 10, 10], [40, 0, 40, 0, 0], [300, 3, 3, 3, 3]])
def test_classes_need_not_be_equally_frequent(counts):
    alone, together = accuracies(1, counts)
    assert together > alone - 0.01


def test_the_order_of_items_does_not_matter_and_rows_are_probabilities():
    examples, labels, asked, _ = clusters(0, 2, [7, 4, 5])
    model = FewShot.fit(examples, labels)
    found = model.predict(asked, transductive=True)
    assert torch.allclose(found.sum(-1), torch.ones(16))
    order = torch.randperm(16, generator=torch.Generator().manual_seed(1))
    assert torch.allclose(model.predict(asked[order], transductive=True), found[order], atol=1e-6)
    assert model.predict(asked[:0], transductive=True).shape == (0, 3)
    assert model.predict(asked[:1], transductive=True).isfinite().all()


def test_padding_of_examples_and_of_items_takes_no_part():
    examples, _, asked, _ = clusters(3, 3, [6, 6, 6])
    support, mask = examples.unflatten(0, (3, 3))[None], torch.ones(1, 3, 3, dtype=torch.bool)
    likely = torch.full((1, 18, 3), 1 / 3)
    plain = Examples.of(support, mask).refined(asked[None], likely)
    longer = torch.cat([support, torch.full((1, 3, 2, 24), 50.0)], 2)
    padded = Examples.of(longer, torch.arange(5).expand(1, 3, 5) < 3)
    extra = torch.cat([asked, torch.full((4, 24), -50.0)])[None]
    found = padded.refined(extra, torch.full((1, 22, 3), 1 / 3), torch.arange(22)[None] < 18)
    assert torch.allclose(found[:, :18], plain)


def test_a_saved_classifier_says_the_same(tmp_path):
    examples, labels, asked, _ = clusters(0, 2, [7, 4, 5])
    model = FewShot.fit(examples, labels)
    model.save(tmp_path / "few")
    again = FewShot.load(tmp_path / "few")
    assert torch.equal(again.predict(asked, transductive=True), model.predict(asked, transductive=True))
    older = FewShot(
        model.labels, model.method, model.at, model.temperature,
        {name: value for name, value in model.tensors.items() if name not in ("centre", "sums", "counts")},
    )  # fmt: skip
    assert torch.equal(older.predict(asked), model.predict(asked))
    with pytest.raises(ValueError, match="fit it again"):
        older.predict(asked, transductive=True)


def test_classify_passes_it_on(tiny_folder):
    spark = allspark.load(tiny_folder)
    kinds = {"sum": "sum += values[{}];", "queue": "queue.pop({});", "text": "print('{}')"}
    examples = {name: [allspark.Code(line.format(0), "c")] for name, line in kinds.items()}
    items = [allspark.Code(line.format(n), "c") for line in kinds.values() for n in range(1, 5)]
    few = spark.few_shot(examples)
    told = spark.classify(items, examples=few, transductive=True)
    expected = few.predict(spark.embed(items, at=few.at), transductive=True)
    assert np.allclose([[p.scores[label] for label in few.labels] for p in told], expected.numpy(), atol=1e-5)
    with pytest.raises(ValueError, match="few-shot"):
        spark.classify(items, labels=list(kinds), transductive=True)
