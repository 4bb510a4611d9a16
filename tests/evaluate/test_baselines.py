import numpy as np
import pandas as pd
import pytest

from allspark.encoders.graph import egos
from allspark.evaluate.baselines import BASELINES, CLASSIFIERS, cheap_features, score_baselines
from allspark.evaluate.cheap_images import (
    image_statistics,
    middle_spectrum,
    random_convolutions,
    raw_spectrum,
    standardise,
)
from allspark.evaluate.cheap_shapes import graph_statistics
from allspark.evaluate.cheap_words import raw_columns, reduced
from allspark.evaluate.draw import draw_episodes
from allspark.items import Code, Graph, PointCloud, Raster, Table, Text, Trajectory

PER_CLASS = 20
WAVELENGTHS = np.linspace(0.4, 2.4, 30)


def photo(kind, generator):
    size = int(generator.integers(20, 40))
    noise = generator.normal(size=(3, size, size))
    smooth = noise.cumsum(1).cumsum(2) / size if kind else noise
    return Raster((128 + 40 * smooth).clip(0, 255).astype(np.uint8), units="uint8")


def radar(kind, generator):
    speckle = generator.gamma(1 + 4 * kind, 1 / (1 + 4 * kind), size=(2, 24, 24)) * 0.05
    return Raster(speckle.astype(np.float32), units="linear", bands=("VV", "VH"))


def spectrum(kind, generator):
    shape = np.sin(np.linspace(0, 3 + kind, 30))[:, None, None] * generator.uniform(0.5, 1.5)
    values = 0.3 + 0.1 * shape + 0.01 * generator.normal(size=(30, 5, 5))
    return Raster(values, units="reflectance", wavelengths=WAVELENGTHS)


def season(kind, generator):
    steps = int(generator.integers(6, 9))
    curve = np.sin(np.linspace(0, np.pi, steps) + kind)[:, None, None, None] * np.ones((1, 4, 1, 1))
    return Raster((curve + 0.2 * generator.normal(size=(steps, 4, 1, 1))).astype(np.float32), units="reflectance")


def cloud(kind, generator):
    points = generator.normal(size=(300, 3))
    if kind:
        points /= np.linalg.norm(points, axis=1, keepdims=True)  # a shell instead of a ball
    return PointCloud(points * generator.uniform(5, 10))


def track(kind, generator):
    turn = generator.normal(scale=0.1 + 0.8 * kind, size=50).cumsum()
    steps = 1e-4 * np.stack([np.cos(turn), np.sin(turn)], 1)
    return Trajectory(np.array([10.0, 50.0]) + steps.cumsum(0), np.arange(50.0) * 10)


def network(kind, generator):
    ring = np.stack([np.arange(20), (np.arange(20) + 1) % 20])
    edges = ring if kind else generator.integers(20, size=(2, 40))
    return Graph(edges, count=20)


def row(kind, generator):
    when = pd.Timestamp("2024-01-01") + pd.Timedelta(days=int(generator.integers(700)))
    value = np.nan if generator.random() < 0.1 else generator.normal() + 3 * kind
    soil = str(generator.choice(["clay", "sand"]))
    return Table(pd.DataFrame({"rain": [value], "soil": [soil], "wet": [bool(kind)], "day": [when]}))


def words(kind, generator):
    own = ["river", "lake"] if kind else ["road", "rail"]
    return Text(" ".join(generator.choice([*own, "the", "of"], 12)))


def program(kind, generator):
    lines = [f"x{i} = {i}" if kind else f"int x{i} = {i};" for i in generator.integers(50, size=5)]
    return Code("\n".join(lines))


MAKERS = {
    "rgb": photo,
    "sar": radar,
    "multispectral": season,
    "hyperspectral": spectrum,
    "point_cloud": cloud,
    "trajectory": track,
    "graph": network,
    "table": row,
    "language": words,
    "code": program,
}


SILENT = {"graph": {"features spread along links"}}  # of graphs that come without what stands around their centre


def items_of(modality):
    generator = np.random.default_rng(0)
    return [MAKERS[modality](kind, generator) for kind in (0, 1) for _ in range(PER_CLASS)]


def test_every_modality_has_a_baseline():
    assert set(BASELINES) == set(MAKERS)


def test_features_are_spread_along_links_where_the_items_have_them():
    values = np.random.default_rng(0).random((30, 90)).astype(np.float32)
    whole = Graph(np.stack([np.arange(30), (np.arange(30) + 1) % 30]), nodes=values)
    parts = egos(whole, range(12), hops=1)
    found = cheap_features(parts, "graph")["features spread along links"]
    spread = np.concatenate([part.around for part in parts])
    np.testing.assert_allclose(found @ found.T, spread @ spread.T, atol=1e-3)  # the likenesses are kept


@pytest.mark.parametrize("modality", MAKERS)
def test_cheap_features_tell_two_made_classes_apart(modality):
    items = items_of(modality)
    features = cheap_features(items, modality)
    assert set(features) == set(BASELINES[modality]) - SILENT.get(modality, set())
    for values in features.values():
        assert values.dtype == np.float32
        assert values.shape[0] == len(items)
        assert np.isfinite(values).all()
    again = cheap_features(items, modality)
    assert all((values == again[name]).all() for name, values in features.items())
    drawn = draw_episodes(["0"] * PER_CLASS + ["1"] * PER_CLASS, ways=2, shots=5, episodes=10)
    results = score_baselines(features, drawn)
    assert set(results) == {f"{name}, {title}" for name in features for title in CLASSIFIERS}
    assert max(result.mean for result in results.values()) > 0.9


def test_pairs_get_the_first_baseline_of_each_modality():
    pairs = [{"rgb": a, "table": b} for a, b in zip(items_of("rgb"), items_of("table"), strict=True)]
    ((name, values),) = cheap_features(pairs, "rgb+table").items()
    assert name == "rgb image statistics + table raw columns"
    assert values.shape[1] > image_statistics([pair["rgb"] for pair in pairs]).shape[1]
    assert cheap_features([{"unknown": 1}], "unknown") == {}
    assert cheap_features([object()], "somebody_elses") == {}


def test_odd_rasters_give_finite_numbers():
    generator = np.random.default_rng(0)
    holed = generator.normal(size=(2, 9, 9)).astype(np.float32)
    holed[:, :4] = np.nan
    odd = [
        Raster(generator.normal(size=(2, 1, 1)), units="db"),
        Raster(holed, units="db"),
        Raster(np.full((2, 4, 4), np.nan, np.float32), units="db"),
        Raster(np.zeros((2, 300, 2)), units="db"),
    ]
    for compute in (image_statistics, random_convolutions, raw_spectrum, middle_spectrum):
        assert np.isfinite(compute(odd)).all()
    with pytest.raises(ValueError, match=r"\[2, 3\] bands and no names"):
        image_statistics([*odd, Raster(np.zeros((3, 2, 2)), units="db")])
    dark = [Raster(np.zeros((1, 5, 5)), units="amplitude"), Raster(np.ones((1, 5, 5)), units="amplitude")]
    assert np.isfinite(image_statistics(dark)).all()


def test_bands_are_matched_by_name():
    values = np.random.default_rng(0).normal(size=(3, 3, 4, 4))
    plain = [Raster(v, units="dn", bands=("green", "red", "nir")) for v in values]
    turned = [plain[0], Raster(values[1][::-1], units="dn", bands=("nir", "red", "green")), plain[2]]
    np.testing.assert_allclose(raw_spectrum(turned), raw_spectrum(plain))
    fewer = [*plain[:2], plain[2].select(["red", "green"])]
    np.testing.assert_allclose(raw_spectrum(fewer), raw_spectrum([one.select(["green", "red"]) for one in plain]))


def test_the_middle_s_spectrum_is_the_middle_s_own():
    values = np.random.default_rng(0).random((4, 5, 3, 6)).astype(np.float32)
    there = np.ones((3, 6), bool)
    there[1, 3] = False  # the last one's middle
    items = [Raster(v, units="reflectance", valid=there if k == 3 else None) for k, v in enumerate(values)]
    expected = [*values[:3, :, 1, 3], values[3][:, there].mean(1)]
    expected = np.stack([np.r_[row, row / np.linalg.norm(row)] for row in expected])
    np.testing.assert_allclose(middle_spectrum(items), standardise(expected), rtol=1e-4)


def test_image_statistics_hold_the_mean_of_the_valid_pixels():
    values = np.arange(3, dtype=np.float32)[:, None, None, None] * np.ones((1, 1, 6, 6), np.float32)
    spoiled = values.copy()
    spoiled[:, :, 0] = 1e6
    valid = np.ones((6, 6), bool)
    valid[0] = False
    clean = image_statistics([Raster(v, units="dn") for v in values])
    masked = image_statistics([Raster(v, units="dn", valid=valid) for v in spoiled])
    np.testing.assert_allclose(clean, masked)


def test_graphs_of_one_node_and_with_features():
    graphs = [
        Graph(np.zeros((2, 0), np.int64), nodes=np.ones((1, 100))),
        Graph(np.array([[0, 1], [1, 0]]), nodes=np.random.default_rng(0).normal(size=(2, 100))),
        Graph(np.array([[0, 1, 2], [1, 2, 0]]), nodes=np.zeros((3, 100))),
    ]
    assert np.isfinite(graph_statistics(graphs)).all()
    with pytest.raises(ValueError, match="features per node"):
        graph_statistics([graphs[0], Graph(np.array([[0], [1]]))])


def test_raw_columns_hold_what_the_table_says():
    frame = pd.DataFrame({"x": [1.0, 2.0, np.nan, 6.0], "kind": ["a", "b", "a", None]})
    values = raw_columns(Table(frame).rows())
    expected = standardise(np.array([[0, 1, 0, 1, 0], [0, 2, 0, 0, 1], [1, 3, 0, 1, 0], [0, 6, 1, 0, 0]], dtype=float))
    np.testing.assert_allclose(values, expected)
    with pytest.raises(ValueError, match="table of 4 rows"):
        raw_columns([Table(frame)])


def test_reduction_keeps_inner_products():
    matrix = np.random.default_rng(0).normal(size=(6, 50))
    short = reduced(matrix)
    assert short.shape == (6, 6)
    np.testing.assert_allclose(short @ short.T, matrix @ matrix.T, rtol=1e-4, atol=1e-4)
    first = np.linalg.svd(matrix)[1][:2]
    np.testing.assert_allclose(np.linalg.norm(reduced(matrix, 2), axis=0), first, rtol=1e-5)
    assert reduced(np.zeros((3, 4))).shape == (3, 1)


def test_straight_and_date_line_tracks_are_finite():
    across = np.stack([[179.9, -179.9, -179.7], [0.0, 0.0, 0.0]], 1)
    still = np.zeros((3, 2))
    items = [Trajectory(across, np.arange(3.0)), Trajectory(still, np.zeros(3)), Trajectory(across[:2], np.arange(2.0))]
    assert np.isfinite(cheap_features(items, "trajectory")["geometry statistics"]).all()
