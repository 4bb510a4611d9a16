"""Made graphs of known structure with captions: what a graph encoder can learn words from without any data."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ...items import Graph
from .base import Entry, Source, split_of

PER_CLASS = 250
SMALLEST, LARGEST = 12, 160  # nodes

LABELS = {
    "tree": ("tree", "a branching network without any loop"),
    "grid": ("grid", "streets that cross at right angles"),
    "ring": ("ring", "a closed chain of nodes"),
    "star": ("star", "one hub with many leaves"),
    "small_world": ("small-world network", "a ring of close neighbours with a few long shortcuts"),
    "scale_free": ("scale-free network", "a few hubs with very many links and many nodes with few"),
    "random": ("random network", "nodes that are linked by chance"),
    "geometric": ("road-like network", "near nodes are linked as in a road network"),
    "cliques": ("ring of cliques", "tightly knit groups joined in a circle"),
    "communities": ("communities", "dense groups with few links between them"),
    "hubs": ("hub and spoke network", "several linked hubs, each with its own leaves"),
    "bipartite": ("bipartite network", "two sets of nodes with links only between the sets"),
}


def _hubs(n: int, r: np.random.Generator) -> Any:
    import networkx as nx

    hubs = int(r.integers(2, 6))
    graph = nx.complete_graph(hubs)
    graph.add_edges_from((int(r.integers(hubs)), node) for node in range(hubs, n))
    return graph


def _geometric(n: int, r: np.random.Generator) -> Any:
    import networkx as nx

    radius = float((r.uniform(4, 8) / (np.pi * n)) ** 0.5)  # so that a node has four to eight neighbours
    return nx.random_geometric_graph(n, radius, seed=int(r.integers(2**31)))


def _communities(n: int, r: np.random.Generator) -> Any:
    import networkx as nx

    groups = int(r.integers(2, 6))
    size = max(n // groups, 4)
    return nx.planted_partition_graph(groups, size, min(1.0, 6 / size), 0.6 / n, seed=int(r.integers(2**31)))


def _makers() -> dict[str, Callable[[int, np.random.Generator], Any]]:
    import networkx as nx

    def seed(r: np.random.Generator) -> int:
        return int(r.integers(2**31))

    return {
        "tree": lambda n, r: nx.random_labeled_tree(n, seed=seed(r)),
        "grid": lambda n, r: nx.grid_2d_graph(k := int(r.integers(3, max(4, int(n**0.5) + 1))), max(3, n // k)),
        "ring": lambda n, r: nx.cycle_graph(n),
        "star": lambda n, r: nx.star_graph(n - 1),
        "small_world": lambda n, r: nx.watts_strogatz_graph(n, 4, float(r.uniform(0.05, 0.25)), seed=seed(r)),
        "scale_free": lambda n, r: nx.barabasi_albert_graph(n, int(r.integers(1, 4)), seed=seed(r)),
        "random": lambda n, r: nx.gnp_random_graph(n, float(r.uniform(2.5, 6)) / n, seed=seed(r)),
        "geometric": _geometric,
        "cliques": lambda n, r: nx.ring_of_cliques(max(3, n // (k := int(r.integers(3, 8)))), k),
        "communities": _communities,
        "hubs": _hubs,
        "bipartite": lambda n, r: nx.bipartite.random_graph(n // 3, n - n // 3, min(1.0, 9 / n), seed=seed(r)),
    }  # fmt: skip


def _make(label: str, nodes: int, seed: int) -> Graph:
    made = _makers()[label](nodes, np.random.default_rng(seed))
    order = np.random.default_rng(seed + 1).permutation(len(made))  # node numbers must not tell what the graph is
    index = {node: int(order[i]) for i, node in enumerate(made)}
    pairs = np.array([(index[a], index[b]) for a, b in made.edges], dtype=np.int64).reshape(-1, 2)
    return Graph(np.concatenate([pairs, pairs[:, ::-1]]).T, count=len(made))


def made(path: Path) -> Iterator[Entry]:
    """The same graphs on every machine; nothing is read from the data folder."""
    for kind, label in enumerate(LABELS):
        for number in range(PER_CLASS):
            seed = kind * 100_003 + number
            nodes = int(np.random.default_rng(seed).integers(SMALLEST, LARGEST))
            size = "small" if nodes < 40 else "large" if nodes > 100 else "middling"
            group = f"{label}-{number}"
            words = (f"a {size} {LABELS[label][0]}", f"a graph: {LABELS[label][1]}")
            yield Entry(partial(_make, label, nodes, seed), label, group, split_of(group), words)


MADE = Source(
    name="made_graphs", modality="graph", files=(), scan=made, labels=LABELS, role="train", licence="Apache-2.0",
    citation="made here with networkx's generators",
)  # fmt: skip
SOURCES = (MADE,)
