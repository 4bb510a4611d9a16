"""Neighbourhoods of nodes, sampled on a compressed sparse row list: how one node of a big graph becomes an item."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..items import Graph

PRINCIPAL = 64  # numbers that wide node features are reduced to


class Neighbours:
    """The undirected neighbours of every node, in compressed sparse rows; made once, asked often.

    Args:
        edges: (2, E) node numbers.
        count: V.
    """

    def __init__(self, edges: np.ndarray, count: int):
        pairs = np.concatenate([edges, edges[::-1]], 1)
        pairs = pairs[:, pairs[0] != pairs[1]]
        keys = np.unique(pairs[0] * count + pairs[1])
        self.count = count
        self.targets = keys % count
        self.starts = np.searchsorted(keys // count, np.arange(count + 1))

    def of(self, nodes: np.ndarray) -> np.ndarray:
        """The neighbours of all these nodes, one after the other, with repeats."""
        starts, sizes = self.starts[nodes], self.starts[nodes + 1] - self.starts[nodes]
        ends = np.cumsum(sizes)
        index = np.arange(int(ends[-1]) if len(ends) else 0) + np.repeat(starts - (ends - sizes), sizes)
        return self.targets[index]

    def around(self, node: int, hops: int, limit: int) -> np.ndarray:
        """``node`` first, then the nodes within ``hops``, near ones first; a hop that would pass ``limit`` is sampled
        without replacement, with the node's number as the seed: the same node always gives the same answer.
        """
        seen = np.zeros(self.count, bool)
        seen[node] = True
        found = [np.array([node])]
        room = limit - 1
        for _ in range(hops):
            ring = np.unique(self.of(found[-1]))
            ring = ring[~seen[ring]]
            if len(ring) > room:
                ring = np.sort(np.random.default_rng(node).choice(ring, room, replace=False))
            if len(ring) == 0:
                break
            seen[ring] = True
            found.append(ring)
            room -= len(ring)
        return np.concatenate(found)


def principal(graph: Graph, width: int = PRINCIPAL) -> Graph:
    """The graph with its node features' principal part, where they are wider than ``width``: (V, F) -> (V, width).

    A neighbourhood alone cannot tell which of a thousand columns matter; the whole graph can, without labels.
    Features that are mostly zero and never negative are taken as counts of words: weighted by inverse document
    frequency and of unit length, before a truncated singular value decomposition (latent semantic analysis, Deerwester
    et al. 1990); others are standardised. The result means the same within one graph alone: graphs that are to be
    compared must have narrow features, or be one graph of several parts.

    Args:
        graph: any size.
        width: features of at most this width are left as they are.

    Example:
        >>> wide = Graph(np.array([[0, 1], [1, 2]]), nodes=np.eye(3, 200))
        >>> principal(wide, 2).nodes.shape
        (3, 2)
    """
    if graph.nodes is None or graph.nodes.shape[1] <= width:
        return graph
    from scipy.sparse import csr_array, diags_array

    values = np.nan_to_num(np.asarray(graph.nodes, np.float64), posinf=0.0, neginf=0.0)
    count = len(values)
    if values.min() >= 0 and (values > 0).mean() < 0.3:
        words = csr_array(values)
        inverse = np.log((1 + count) / (1 + np.bincount(words.indices, minlength=values.shape[1]))) + 1
        words = words @ diags_array(inverse)
        length = np.sqrt(np.asarray(words.power(2).sum(1)).ravel())
        table = diags_array(1 / np.maximum(length, 1e-12)) @ words
    else:
        spread = values.std(0)
        table = (values - values.mean(0)) / np.where(spread > 1e-9, spread, np.inf)
    return replace(graph, nodes=_components(table, width)[0])


def _components(table: Any, width: int) -> tuple[np.ndarray, np.ndarray]:
    """The first principal components of a table (V, F): (V, width) float32, zeros where there are fewer, and how large
    they are: (width,) singular values.
    """
    from scipy.sparse.linalg import svds

    kept = min(width, min(table.shape) - 1)
    if kept < 1 or abs(table).max() < 1e-6:  # one node, or nodes that do not differ: the solver has nothing to start on
        return np.zeros((table.shape[0], width), np.float32), np.zeros(width, np.float32)
    left, size, _ = svds(table, k=kept, v0=np.ones(min(table.shape)), solver="arpack")
    order = np.argsort(-size)
    found, sizes = np.zeros((table.shape[0], width)), np.zeros(width)
    found[:, :kept], sizes[:kept] = left[:, order] * size[order], size[order]
    signs = np.sign(found[np.abs(found).argmax(0), np.arange(width)])  # else they are the solver's choice
    return (found * signs).astype(np.float32), sizes.astype(np.float32)


def around(graph: Graph, rounds: int = 10, stay: float = 0.1) -> np.ndarray | None:
    """What stands about each node: wide node features spread along the links by personalised PageRank.

    x' = (1 - a) D^-1/2 (A + I) D^-1/2 x' + a x, as "Predict then Propagate" spreads answers (Gasteiger et al., ICLR
    2019), here for a linear layer to read: it reaches farther than a neighbourhood that an encoder reads, and keeps
    every column, which their principal part does not.

    Args:
        graph: any size.
        rounds: of spreading; no node farther than this is heard of.
        stay: a, the share of a node's own features in each round.

    Returns:
        (V, W) float32, rows of length 1; None where features are of at most ``PRINCIPAL`` columns or there are none.

    Example:
        >>> chain = Graph(np.array([[0, 1], [1, 2]]), nodes=np.eye(3, 200))
        >>> about = around(chain)
        >>> about.shape, bool(about[0, 1] > about[0, 2] > 0)
        ((3, 200), True)
    """
    if graph.nodes is None or graph.nodes.shape[1] <= PRINCIPAL:
        return None
    from scipy.sparse import csr_array, diags_array, eye_array

    count = len(graph.nodes)
    own = np.nan_to_num(graph.nodes.astype(np.float32), posinf=0.0, neginf=0.0)
    # a row of many words must not drown its neighbours
    own = own / np.maximum(np.abs(own).sum(1, keepdims=True), 1e-12)
    near = Neighbours(graph.edges, count)
    links = csr_array((np.ones(len(near.targets), np.float32), near.targets, near.starts), shape=(count, count))
    links = links + eye_array(count, dtype=np.float32)
    root = diags_array((1 / np.sqrt(links.sum(1))).astype(np.float32))
    walk, found = csr_array(root @ links @ root), own
    for _ in range(rounds):
        found = (1 - stay) * (walk @ found) + stay * own
    return (found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-12)).astype(np.float32)


def region(spread: np.ndarray, width: int = PRINCIPAL) -> np.ndarray:
    """What few examples can be compared by: (V, W) ``around`` -> (V, width), rows of length 1.

    Principal components about the graph's mean, each as often as large as it is: what many nodes share in part counts
    more than what one node has.
    """
    found, sizes = _components(spread - spread.mean(0), width)
    found = found * (sizes / max(float(sizes[0]), 1e-12))
    return found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-12)


def reduced(graph: Graph) -> Graph:
    """The graph with the principal part of wide features, and what of all of them stands around each node."""
    if graph.around is not None:
        return graph
    spread = around(graph)
    return replace(principal(graph), around=spread, region=None if spread is None else region(spread))


def egos(graph: Graph, nodes: Sequence[int], hops: int = 2, limit: int = 256) -> list[Graph]:
    """The neighbourhood of each of these nodes: to classify a node is to classify the graph around it.

    A graph without node features lends its neighbourhoods the structural features of the whole graph (degrees,
    PageRank, …): at the rim of a neighbourhood they could no longer be counted. Wide features come as their principal
    part (``principal``), and beside it as what stands around the node (``around``).

    Args:
        graph: any size.
        nodes: node numbers.
        hops: how far a neighbourhood reaches.
        limit: most nodes of a neighbourhood.

    Returns:
        One graph per node, its ``centre`` node 0.

    Raises:
        ValueError: a node that is not there.

    Example:
        >>> egos(Graph(np.array([[0, 1, 2], [1, 2, 3]])), [1], hops=1)[0].count
        3
    """
    count = int(graph.count or 0)
    wrong = [int(node) for node in nodes if not 0 <= node < count]
    if wrong:
        raise ValueError(f"node {wrong[0]} was asked for, but the nodes are 0 to {count - 1}; name one of these")
    neighbours = Neighbours(graph.edges, count)
    graph = reduced(graph)
    features = graph.nodes
    if features is None:
        from ._structure import structure

        features = structure(graph.edges, count)[0]
    order = np.argsort(graph.edges[0], kind="stable")
    starts = np.searchsorted(graph.edges[0][order], np.arange(count + 1))
    place = np.full(count, -1)
    result = []
    for node in nodes:
        kept = neighbours.around(int(node), hops, limit)
        place[kept] = np.arange(len(kept))
        leaving = np.concatenate([order[starts[k] : starts[k + 1]] for k in kept])
        inner = leaving[place[graph.edges[1][leaving]] >= 0]
        result.append(
            Graph(
                edges=place[graph.edges[:, inner]],
                nodes=features[kept],
                edge_features=None if graph.edge_features is None else np.asarray(graph.edge_features)[inner],
                positions=None if graph.positions is None else graph.positions[kept],
                centre=0,
                around=None if graph.around is None else graph.around[[node]],
                region=None if graph.region is None else graph.region[[node]],
            )
        )
        place[kept] = -1
    return result


def ego(graph: Graph, node: int, hops: int = 2, limit: int = 256) -> Graph:
    """The neighbourhood of one node, as ``egos`` makes them; for many nodes ask ``egos`` once."""
    return egos(graph, [node], hops, limit)[0]
