"""Made few-shot tasks on the nodes of one random network: what its neighbours and its features say of a node.

A task is a network whose nodes have classes without names; an item is the neighbourhood of one node. Networks are
degree-corrected stochastic block models (Karrer and Newman, Phys. Rev. E 2011) with links within and between classes in
a drawn proportion; node features are words of a topic model, dense vectors about class means, or nothing. Where
there is nothing, the class is how central a node is: its degree, or its PageRank, in as many even parts.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache, partial
from pathlib import Path

import numpy as np

from ...items import Graph
from .base import Entry, Source, split_of

TASKS, EACH = 180, 8  # tasks; nodes of a class that are kept
HOPS, LIMIT = 2, 40  # of a neighbourhood
WAYS = (2, 3, 4, 5, 5, 5, 6)


def blocks(classes: np.ndarray, degree: float, within: float, rng: np.random.Generator) -> np.ndarray:
    """(2, E) links, both directions, of a degree-corrected block model.

    Args:
        classes: (V,) class of each node.
        degree: the mean number of links of a node.
        within: the share of links that stay in a class.
        rng: of the draw.
    """
    count = len(classes)
    weight = rng.pareto(rng.uniform(1.5, 6.0), count) + 0.2
    links = int(count * degree / 2)
    first = rng.choice(count, links, p=weight / weight.sum())
    second = rng.choice(count, links, p=weight / weight.sum())
    for k in np.unique(classes):
        own = np.flatnonzero(classes == k)
        chosen = (classes[first] == k) & (rng.random(links) < within)
        second[chosen] = rng.choice(own, int(chosen.sum()), p=weight[own] / weight[own].sum())
    pairs = np.stack([first, second])[:, first != second]
    return np.unique(np.concatenate([pairs, pairs[::-1]], 1), axis=1)


def words(classes: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(V, F) of 0 and 1: words that a node's topic and the common language bring."""
    ways, vocabulary = int(classes.max()) + 1, int(rng.integers(100, 1500))
    common = rng.dirichlet(np.full(vocabulary, 0.2))
    topics = rng.dirichlet(np.full(vocabulary, rng.uniform(0.02, 0.1)), ways)
    share = rng.uniform(0.15, 0.6)
    found = np.zeros((len(classes), vocabulary), np.float32)
    for node, k in enumerate(classes):
        picks = rng.choice(vocabulary, int(rng.integers(6, 30)), p=share * topics[k] + (1 - share) * common)
        found[node, picks] = 1
    return found


def vectors(classes: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(V, F) dense numbers about class means, each column of a scale of its own."""
    width = int(rng.integers(2, 50))
    means = rng.normal(0, rng.uniform(0.2, 1.2), (int(classes.max()) + 1, width))
    values = means[classes] + rng.normal(0, 1, (len(classes), width))
    return (values * 10 ** rng.uniform(-1, 2, width) + rng.normal(0, 3, width)).astype(np.float32)


@lru_cache(maxsize=4)
def task(seed: int) -> tuple[list[Graph], list[int]]:
    """The neighbourhoods that take part, and their nodes' classes."""
    from ...encoders._structure import structure
    from ...encoders.graph import egos

    rng = np.random.default_rng(seed)
    ways, count = int(rng.choice(WAYS)), int(rng.integers(150, 600))
    classes = rng.integers(ways, size=count)
    kind = ("words", "words", "vectors", "nothing")[rng.integers(4)]
    edges = blocks(classes, rng.uniform(2.5, 9.0), rng.choice([rng.uniform(0.5, 0.95), rng.uniform(0.1, 0.5)]), rng)
    if kind == "nothing":
        degree = np.bincount(edges[0], minlength=count).astype(float)
        rank = structure(edges, count)[2] if rng.random() < 0.5 else degree
        rank = rank + rng.normal(0, 1e-3, count) * rank.std()
        classes = (np.argsort(np.argsort(rank)) * ways // count).astype(int)
    nodes = None if kind == "nothing" else words(classes, rng) if kind == "words" else vectors(classes, rng)
    linked = np.bincount(edges[0], minlength=count) > 0
    found = [rng.permutation(np.flatnonzero((classes == k) & linked))[:EACH] for k in range(ways)]
    kept = [(int(node), k) for k, part in enumerate(found) if len(part) == EACH for node in part]
    graphs = egos(Graph(edges, nodes=nodes, count=count), [node for node, _ in kept], HOPS, LIMIT)
    return graphs, [k for _, k in kept]


def _item(seed: int, number: int) -> Graph:
    return task(seed)[0][number]


def made(path: Path) -> Iterator[Entry]:
    """The same tasks on every machine; a task is a group. Nothing is read from the data folder."""
    for number in range(TASKS):
        seed, group = 31_000_003 + number, f"task-{number}"
        classes = task(seed)[1]
        if len(set(classes)) > 1:
            for item, k in enumerate(classes):
                yield Entry(partial(_item, seed, item), f"{group}/{k}", group, split_of(group))


MADE = Source(
    name="made_node_tasks", modality="graph", files=(), scan=made, labels={}, role="train", licence="Apache-2.0",
    citation="made here from degree-corrected block models", task="episodes",
)  # fmt: skip
SOURCES = (MADE,)
