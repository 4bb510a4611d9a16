import math

import numpy as np
import pytest
import torch

from allspark.evaluate.draw import draw_episodes
from allspark.evaluate.episodes import interval_95, run_episodes, score_episodes
from allspark.evaluate.probe import linear_probe
from allspark.evaluate.zeroshot import calibration_error, zero_shot, zero_shot_of
from allspark.fewshot import FewShot
from allspark.fewshot_methods import METHODS


def gaussian(classes=6, per_class=40, width=16, apart=3.0, seed=0):
    generator = np.random.default_rng(seed)
    centres = generator.normal(size=(classes, width)) * apart
    labels = [f"c{k}" for k in range(classes) for _ in range(per_class)]
    return centres.repeat(per_class, 0) + generator.normal(size=(classes * per_class, width)), labels


@pytest.mark.parametrize("method", ["auto", *METHODS])
def test_separable_classes_reach_one_and_noise_reaches_chance(method):
    features, labels = gaussian()
    many = 60
    far = run_episodes(features, labels, ways=5, shots=5, episodes=many, method=method)
    assert far.mean > 0.99
    assert (far.ways, far.shots, far.queries, far.episodes) == (5, 5, 15, many)
    noise = run_episodes(np.random.default_rng(1).normal(size=features.shape), labels, ways=5, shots=5, episodes=many,
                         method=method)  # fmt: skip
    assert abs(noise.mean - noise.chance) < 0.05


def test_interval_is_the_formula():
    features, labels = gaussian(apart=0.3)
    result = run_episodes(features, labels, ways=5, shots=1, episodes=50, method="centred")
    values = result.accuracies
    assert len(values) == 50
    spread = math.sqrt(((values - values.mean()) ** 2).sum() / 49)
    assert result.interval == pytest.approx(1.96 * spread / math.sqrt(50))
    assert result.mean == pytest.approx(values.mean())
    assert interval_95(np.array([0.5])) == 0.0
    assert str(result) == f"{100 * result.mean:.1f} ± {100 * result.interval:.1f}"


def test_a_label_that_leaks_only_through_the_group_gives_chance():
    generator = np.random.default_rng(0)
    groups = [f"g{k}" for k in range(40) for _ in range(5)]  # 5 nearly equal items in each group, 10 groups per class
    labels = [f"c{k // 10}" for k in range(40) for _ in range(5)]
    features = generator.normal(size=(40, 64)).repeat(5, 0) + 0.01 * generator.normal(size=(200, 64))
    blind = run_episodes(features, labels, None, ways=4, shots=5, episodes=100, method="ridge")
    fair = run_episodes(features, labels, groups, ways=4, shots=5, episodes=100, method="ridge")
    assert blind.mean > 0.4
    assert abs(fair.mean - 0.25) < 0.06


@pytest.mark.parametrize("shots", [1, 3])
@pytest.mark.parametrize("crossing", [False, True])
def test_no_group_stands_on_both_sides(shots, crossing):
    generator = np.random.default_rng(1)
    labels = [f"c{k}" for k in generator.integers(4, size=300)]
    groups = [int(g) if crossing else f"{label} {g}" for g, label in zip(generator.integers(12, size=300), labels)]
    drawn = draw_episodes(labels, groups, ways=4, shots=shots, episodes=50)
    for support, query in zip(drawn.support, drawn.query, strict=True):
        asked = query[query >= 0]
        assert not {groups[i] for i in support.ravel()} & {groups[i] for i in asked}
        assert len(set(support.ravel())) == support.size
        assert len(set(asked)) == len(asked) > 0
    names = np.array(labels)
    assert (names[drawn.support] == np.array(drawn.labels)[drawn.classes][:, :, None]).all()
    wrong = (names[drawn.query.clip(0)] != np.array(drawn.labels)[drawn.classes][:, :, None]) & (drawn.query >= 0)
    assert not wrong.any()


def test_support_spreads_over_groups():
    labels = ["a"] * 80 + ["b"] * 80
    groups = [i // 8 for i in range(160)]
    drawn = draw_episodes(labels, groups, ways=2, shots=5, episodes=20)
    assert all(len({groups[i] for i in row}) == 5 for episode in drawn.support for row in episode)


def test_the_seed_decides():
    labels = ["a"] * 30 + ["b"] * 30 + ["c"] * 30
    first, second, other = (draw_episodes(labels, ways=2, shots=2, episodes=5, seed=s) for s in (0, 0, 1))
    assert (first.support == second.support).all()
    assert (first.query == second.query).all()
    assert (first.support != other.support).any()


def test_batched_scores_are_those_of_the_classifier_itself():
    features, labels = gaussian(apart=0.6)
    drawn = draw_episodes(labels, ways=4, shots=3, episodes=6)
    table = torch.as_tensor(features, dtype=torch.float32)
    for method in ("centres", "centred", "power", "ridge", "logistic", "auto"):
        result = score_episodes(features, drawn, method=method)
        for e in range(6):
            named = [str(k) for k in range(4) for _ in range(3)]
            model = FewShot.fit(table[drawn.support[e].ravel()], named, method=method)
            guess = model.classify(table[drawn.query[e].ravel()])
            right = np.mean([a == str(k // 15) for k, a in enumerate(guess)])
            assert result.accuracies[e] == pytest.approx(right)


def test_classes_that_cannot_take_part_are_named():
    labels = ["a"] * 20 + ["b"] * 20 + ["lone"] * 20 + ["few"] * 2
    groups = [*range(40), *["one"] * 20, 60, 61]
    drawn = draw_episodes(labels, groups, ways=5, shots=3, episodes=5)
    words = " ".join(drawn.notes)
    assert drawn.ways == 2
    assert "'lone' is left out: 20 items in 1 groups" in words
    assert "'few' is left out" in words
    assert "2-way instead of 5-way" in words
    assert score_episodes(np.zeros((62, 3)), drawn, method="centres").notes == drawn.notes
    small = draw_episodes(["a"] * 6 + ["b"] * 30, ways=2, shots=1, episodes=5)
    assert "fewer than 15 queries (at least 5)" in " ".join(small.notes)
    assert ((small.query >= 0).sum(-1).min(), (small.query >= 0).sum(-1).max()) == (5, 15)


def test_episodes_that_cannot_be_drawn_are_refused():
    with pytest.raises(ValueError, match="at least two"):
        draw_episodes(["a"] * 20 + ["b"], ways=2, shots=1)
    with pytest.raises(ValueError, match="cannot be kept in different groups"):  # an odd ring of shared groups
        draw_episodes(["a", "a", "b", "b", "c", "c"], [1, 2, 2, 3, 3, 1], ways=3, shots=1, episodes=3)
    with pytest.raises(ValueError, match="one group for each item"):
        draw_episodes(["a", "b"], [1], ways=2, shots=1)
    with pytest.raises(ValueError, match="2-way"):
        draw_episodes(["a", "b"], ways=1, shots=1)
    drawn = draw_episodes(["a"] * 20 + ["b"] * 20, ways=2, shots=1, episodes=3)
    with pytest.raises(ValueError, match="wanted auto"):
        score_episodes(np.zeros((40, 2)), drawn, method="magic")
    with pytest.raises(ValueError, match="of the items"):
        score_episodes(np.zeros((4, 2)), drawn)
    with pytest.raises(ValueError, match="40 of 40 feature vectors"):
        score_episodes(np.full((40, 2), np.nan), drawn)


def test_zero_shot_counts_by_hand():
    names = ["sea", "land", "ice"]
    truth = ["sea", "sea", "sea", "land"]
    guess = np.eye(3)[[0, 0, 1, 1]]
    judged = zero_shot_of(guess, truth, names)
    assert judged.accuracy == 0.75
    assert judged.interval == pytest.approx(1.96 * math.sqrt(0.75 * 0.25 / 4))
    assert judged.per_class == {"sea": pytest.approx(2 / 3), "land": 1.0}
    assert judged.balanced == pytest.approx(5 / 6)
    assert judged.macro_f1 == pytest.approx((0.8 + 2 / 3) / 2)
    assert judged.confusion.tolist() == [[2, 1, 0], [0, 1, 0], [0, 0, 0]]
    assert judged.chance == pytest.approx(1 / 3)
    assert calibration_error(np.array([[0.9, 0.1]] * 10), np.array([0] * 9 + [1])) == pytest.approx(0)
    assert calibration_error(np.array([[0.9, 0.1]] * 10), np.array([1] * 10)) == pytest.approx(0.9)
    text = torch.randn(3, 8, generator=torch.Generator().manual_seed(0))
    assert zero_shot(text[[0, 0, 1, 1]] * 5, text, ["sea", "sea", "land", "land"], names).accuracy == 1.0
    with pytest.raises(ValueError, match="fire are not among"):
        zero_shot_of(guess, ["sea", "sea", "fire", "land"], names)
    with pytest.raises(ValueError, match="items by classes"):
        zero_shot_of(guess[:, :2], truth, names)
    with pytest.raises(ValueError, match="1 of 4 items"):
        zero_shot_of(np.where(np.arange(4)[:, None] == 1, np.nan, guess), truth, names)
    with pytest.raises(ValueError, match=r"\(N, H\) and \(K, H\)"):
        zero_shot(text, text[:, :3], truth, names)


def test_linear_probe_learns_and_keeps_groups_whole():
    features, labels = gaussian(classes=3, apart=2.0)
    train, test = slice(None, None, 2), slice(1, None, 2)
    probe = linear_probe(features[train], labels[train], features[test], labels[test])
    assert probe.accuracy > 0.95
    assert probe.macro_f1 > 0.95
    assert probe.classes == 3
    assert probe.notes == ()
    generator = np.random.default_rng(0)  # the label leaks through the group: grouped folds see no use in any C
    leak = generator.normal(size=(20, 32)).repeat(6, 0) + 0.01 * generator.normal(size=(120, 32))
    names, groups = [f"c{(i // 6) % 2}" for i in range(120)], [i // 6 for i in range(120)]
    fresh = generator.normal(size=(200, 32))
    blind = linear_probe(leak, names, fresh, ["c0", "c1"] * 100)
    grouped = linear_probe(leak, names, fresh, ["c0", "c1"] * 100, groups=groups)
    assert grouped.strength < blind.strength
    assert abs(grouped.accuracy - 0.5) < 0.12
    alone = linear_probe(features[train], labels[train], features[test], labels[test], groups=[0] * 60)
    assert "was not chosen" in alone.notes[0]
    with pytest.raises(ValueError, match="at least two"):
        linear_probe(features[:5], ["a"] * 5, features[:5], ["a"] * 5)
    with pytest.raises(ValueError, match="hold NaN"):
        linear_probe(features * np.nan, labels, features, labels)
