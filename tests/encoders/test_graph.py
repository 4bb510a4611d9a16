from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
import torch

from allspark.encoders._sampling import region
from allspark.encoders._structure import adjacency, pagerank, returns, triangles
from allspark.encoders.graph import (
    GraphEncoder,
    around,
    assign,
    collate,
    ego,
    egos,
    prepare,
    principal,
    project,
    spread,
)
from allspark.items import Graph


def edges_of(graph: nx.Graph) -> np.ndarray:
    pairs = np.array(graph.edges()).T
    return np.concatenate([pairs, pairs[::-1]], 1)


def encode(items: list[Graph]) -> list[torch.Tensor]:
    torch.manual_seed(0)
    encoder = GraphEncoder(width=32, rounds=2, depth=1, heads=2).eval()
    with torch.no_grad():
        tokens = encoder(**collate([prepare(item) for item in items]))
    return [features[mask] for features, mask in zip(tokens.features, tokens.mask)]


@pytest.mark.parametrize("graph", [nx.karate_club_graph(), nx.star_graph(40), nx.barabasi_albert_graph(600, 3, seed=1)])
def test_structure_against_networkx(graph):
    directed, both = adjacency(edges_of(graph), len(graph))
    assert triangles(both).tolist() == [nx.triangles(graph, node) for node in graph]
    expected = nx.pagerank(graph, weight=None, tol=1e-9, max_iter=200)
    assert pagerank(directed, steps=100) == pytest.approx([expected[n] for n in graph], abs=1e-5)


def test_return_probabilities_are_exact_when_small_and_near_when_big():
    graph = nx.barabasi_albert_graph(600, 3, seed=2)
    walk = nx.to_numpy_array(graph, weight=None)
    walk /= walk.sum(1, keepdims=True)
    exact = np.stack([np.diag(np.linalg.matrix_power(walk, k)) for k in range(2, 9)], 1)
    near = returns(adjacency(edges_of(graph), 600)[1])
    assert near[:, 0] == pytest.approx(exact[:, 0], abs=1e-6)
    assert np.abs(near - exact).mean() < 0.01
    small = nx.karate_club_graph()
    walk = nx.to_numpy_array(small, weight=None)
    walk /= walk.sum(1, keepdims=True)
    exact = np.stack([np.diag(np.linalg.matrix_power(walk, k)) for k in range(2, 9)], 1)
    assert returns(adjacency(edges_of(small), 34)[1]) == pytest.approx(exact, abs=1e-5)


@pytest.mark.parametrize(
    "item",
    [
        Graph(np.zeros((2, 0), int), count=1),
        Graph(np.array([[0], [1]])),
        Graph(np.array([[0, 0], [0, 1]])),  # a self-loop
        Graph(np.array([[0], [1]]), count=3000),  # isolated nodes
        Graph(np.stack([np.zeros(9999, int), np.arange(1, 10_000)])),  # a hub
    ],
)
def test_odd_graphs(item):
    sample = prepare(item)
    assert all(torch.isfinite(value.float()).all() for value in sample.values())
    assert int(sample["assign"].max()) < 256
    assert torch.isfinite(encode([item])[0]).all()


def test_every_node_of_a_big_graph_has_a_token():
    graph = nx.barabasi_albert_graph(5000, 2, seed=0)
    _, both = adjacency(edges_of(graph), 5000)
    tokens = assign(both, np.arange(5000.0), 100, centre=7)
    assert len(tokens) == 5000
    assert sorted(set(tokens)) == list(range(tokens.max() + 1))
    assert 90 <= tokens.max() + 1 <= 100
    assert (tokens == tokens[7]).sum() == 1


def test_numbering_of_nodes_means_nothing():
    graph = nx.karate_club_graph()
    edges, order = edges_of(graph), np.random.default_rng(0).permutation(34)
    features = np.random.default_rng(1).normal(size=(34, 5))
    shuffled = np.empty_like(features)
    shuffled[order] = features
    a, b = encode([Graph(edges, nodes=features), Graph(order[edges], nodes=shuffled)])
    torch.testing.assert_close(a[0], b[0], atol=1e-4, rtol=0)
    torch.testing.assert_close(a[1:], b[1:][order], atol=1e-4, rtol=0)


def test_features_of_any_width_keep_their_distances():
    rng = np.random.default_rng(0)
    for width in (1, 7, 1433):
        x = rng.normal(size=(20, width)).astype(np.float32)
        y = project(x, 64)
        assert y.shape == (20, 64)
        far = np.linalg.norm(x[:10] - x[10:], axis=1), np.linalg.norm(y[:10] - y[10:], axis=1)
        ratio = far[1] / far[0]
        assert ratio.std() / ratio.mean() < 0.25
        if width <= 64:
            assert ratio == pytest.approx(np.full(10, ratio[0]), rel=1e-4)
    wide = np.concatenate([x, np.zeros_like(x)], 1)
    assert project(wide, 64) == pytest.approx(y, abs=1e-4)


def test_edge_direction_features_and_positions_change_the_answer():
    edges = np.array([[0, 1, 2, 3], [1, 2, 3, 0]])
    rng = np.random.default_rng(0)
    plain = Graph(edges)
    others = [
        Graph(np.concatenate([edges, edges[::-1]], 1)),
        Graph(edges, edge_features=rng.normal(size=(4, 2))),
        Graph(edges, positions=rng.normal(size=(4, 2))),
        Graph(edges, nodes=rng.normal(size=(4, 3))),
        Graph(edges, centre=2),
    ]
    first, *rest = encode([plain, *others])
    for answer in rest:
        assert float((first - answer).abs().max()) > 1e-3


def test_edge_features_follow_their_edge():
    edges = np.array([[3, 0, 1], [0, 1, 2]])
    values = np.array([[5.0], [1.0], [3.0]])
    order = [2, 0, 1]
    a, b = (prepare(Graph(e, edge_features=v)) for e, v in ((edges, values), (edges[:, order], values[order])))
    torch.testing.assert_close(a["edge_features"], b["edge_features"])
    pairs = {tuple(pair): row for pair, row in zip(a["edges"].T.tolist(), a["edge_features"])}
    assert pairs[3, 0][:2].tolist() == [1, 0]
    assert pairs[0, 3][:2].tolist() == [0, 1]
    torch.testing.assert_close(pairs[3, 0][4:], pairs[0, 3][4:])
    torch.testing.assert_close(pairs[3, 0][4:] / np.arcsinh(5), pairs[0, 1][4:] / np.arcsinh(1))


def test_ego_is_the_neighbourhood_with_its_centre_first():
    graph = nx.barabasi_albert_graph(300, 2, seed=3)
    whole = Graph(edges_of(graph), nodes=np.arange(300.0))
    part = ego(whole, 200, hops=2, limit=1000)
    expected = set(nx.ego_graph(graph, 200, radius=2).nodes)
    assert {int(v) for v in part.nodes[:, 0]} == expected
    assert int(part.nodes[0, 0]) == 200
    assert part.centre == 0
    assert part.edges.shape[1] == 2 * graph.subgraph(expected).number_of_edges()
    sampled, again = (ego(whole, 0, hops=2, limit=20) for _ in range(2))
    assert sampled.count == 20
    assert (sampled.nodes == again.nodes).all()
    bare = egos(Graph(whole.edges), [0, 200])
    assert bare[1].nodes.shape[1] > 5  # structure of the whole graph
    with pytest.raises(ValueError, match="node 300"):
        ego(whole, 300)


def test_principal_features_keep_topics_and_do_not_depend_on_the_order_of_nodes():
    rng = np.random.default_rng(0)
    topic = np.arange(300) % 3
    chances = np.full((3, 900), 0.01)
    for k in range(3):
        chances[k, 20 * k : 20 * k + 20] = 0.3
    words = (rng.random((300, 900)) < chances[topic]).astype(np.float32)
    edges = np.stack([np.arange(299), np.arange(1, 300)])
    reduced = principal(Graph(edges, nodes=words)).nodes
    assert reduced.shape == (300, 64)
    means = np.stack([reduced[topic == k, :8].mean(0) for k in range(3)])
    nearest = np.linalg.norm(reduced[:, None, :8] - means, axis=-1).argmin(1)
    assert (nearest == topic).mean() > 0.9
    order = rng.permutation(300)
    shuffled = principal(Graph(edges, nodes=words[order])).nodes
    np.testing.assert_allclose(shuffled[:, :3], reduced[order, :3], atol=1e-4)
    narrow = Graph(edges, nodes=rng.normal(size=(300, 64)))
    assert principal(narrow) is narrow
    dense = principal(Graph(edges, nodes=rng.normal(size=(300, 2)) @ rng.normal(size=(2, 100)) + 5)).nodes
    assert (np.abs(dense[:, 2:]) < 1e-3).all()  # two causes, two numbers
    few = principal(Graph(edges[:, :9], nodes=rng.random((10, 100)))).nodes
    assert few.shape == (10, 64)
    assert np.isfinite(few).all()


def test_the_centre_is_told_apart_from_its_neighbours():
    edges = np.array([[0, 1, 1, 2, 2, 0], [1, 0, 2, 1, 0, 2]])
    values = np.array([[1.0, 0], [0, 1], [0, 0]])
    answers = encode([Graph(edges, nodes=values, centre=k) for k in (0, 1)])
    assert float((answers[0] - answers[1]).abs().max()) > 1e-2


def test_spread_gives_every_node_its_own_token():
    graph = Graph(edges_of(nx.path_graph(5)))
    assert spread(torch.arange(6.0)[:, None], graph).flatten().tolist() == [1, 2, 3, 4, 5]


def test_what_stands_around_a_node_is_spread_by_personalised_pagerank():
    graph = nx.barabasi_albert_graph(40, 2, seed=1)
    rng = np.random.default_rng(0)
    values = (rng.random((40, 90)) < 0.1).astype(np.float32)
    values[:, 0] = 1  # every row has something
    found = around(Graph(edges_of(graph), nodes=values), rounds=200, stay=0.2)
    links = nx.to_numpy_array(graph) + np.eye(40)
    root = links.sum(1) ** -0.5
    walk = root[:, None] * links * root
    expected = 0.2 * np.linalg.solve(np.eye(40) - 0.8 * walk, values / values.sum(1, keepdims=True))
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert around(Graph(edges_of(graph), nodes=values[:, :64])) is None
    assert around(Graph(edges_of(graph))) is None


def test_a_neighbourhood_keeps_what_stands_around_its_centre():
    graph = nx.barabasi_albert_graph(40, 2, seed=1)
    values = np.random.default_rng(0).random((40, 90)).astype(np.float32)
    whole = Graph(edges_of(graph), nodes=values)
    about = around(whole)
    parts = egos(whole, [3, 17], hops=1)
    for node, part in zip((3, 17), parts):
        np.testing.assert_array_equal(part.around, about[[node]])
        np.testing.assert_array_equal(prepare(part)["around"].numpy(), about[node])
    assert prepare(whole)["around"].shape == (0,), "no node is asked for"
    narrow = ego(Graph(edges_of(graph), nodes=values[:, :3]), 3, hops=1)
    batch = collate([prepare(part) for part in (*parts, narrow)])
    assert batch["around"].shape == (3, 90)
    assert not batch["around"][2].any()
    encoder = GraphEncoder(width=32, rounds=1, depth=1)
    batch = collate([prepare(part) for part in parts])
    torch.testing.assert_close(
        encoder(**batch).features, encoder(**{**batch, "around": batch["around"] * 0}).features
    )


def two_topics(count: int = 120) -> tuple[Graph, np.ndarray]:
    """Papers of two topics that share many of their 200 words, and that mostly cite their own."""
    random = np.random.default_rng(0)
    topics = np.arange(count) % 2
    likely = random.dirichlet(np.full(200, 0.3), 2)
    words = np.stack([random.multinomial(6, 0.7 * likely.mean(0) + 0.3 * likely[k]) > 0 for k in topics])
    near = [int(random.choice(np.flatnonzero(topics == (k if random.random() < 0.9 else 1 - k)))) for k in topics]
    return Graph(np.stack([np.arange(count), near]), nodes=words.astype(np.float32)), topics


def test_a_region_is_the_principal_part_of_what_stands_around():
    whole, topics = two_topics()
    found = region(around(whole), 8)
    assert found.shape == (120, 8)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, rtol=1e-5)
    spread = around(whole) - around(whole).mean(0)
    left, size, _ = np.linalg.svd(spread, full_matrices=False)
    wanted = left[:, :8] * size[:8] ** 2
    wanted = wanted / np.linalg.norm(wanted, axis=1, keepdims=True)
    np.testing.assert_allclose(np.abs(found), np.abs(wanted), atol=1e-3)  # signs are free
    same = (found @ found.T)[topics[:, None] == topics]
    other = (found @ found.T)[topics[:, None] != topics]
    assert same.mean() > other.mean() + 0.2


def test_a_region_stands_beside_the_tokens_and_nothing_where_it_is_not_known(tiny):
    whole, _ = two_topics()
    parts = egos(whole, [0, 1, 2], hops=1)
    np.testing.assert_array_equal(parts[1].region[0], region(around(whole))[1])
    plain = Graph(whole.edges, count=120)
    vectors = tiny.embed([*parts, ego(plain, 0, hops=1)], modality="graph", at="encoder")
    width = tiny.model.encoders["graph"].width
    assert vectors.shape == (4, width + 64)
    torch.testing.assert_close(vectors[1, width:], torch.from_numpy(parts[1].region[0]))
    assert not vectors[3, width:].any()
    torch.testing.assert_close(vectors[:, :width].norm(dim=1), torch.full((4,), 0.5))


@pytest.mark.parametrize("values", [np.ones((1, 90)), np.ones((3, 90)), np.tile(np.eye(1, 90), (5, 1))])
def test_nodes_that_do_not_differ_have_no_region(values):
    count = len(values)
    ring = np.stack([np.arange(count), (np.arange(count) + 1) % count])
    part = ego(Graph(ring, nodes=values.astype(np.float32)), 0, hops=1)
    assert not part.region.any()
    assert torch.isfinite(prepare(part)["nodes"]).all()
