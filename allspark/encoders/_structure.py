"""What a node's place in a graph says without any features: degrees, triangles, PageRank, random-walk returns.

All of it on sparse matrices, exact on small graphs; on big ones the returns are estimated with fixed probes.
"""

from __future__ import annotations

from typing import Any

import numpy as np

LONGEST_WALK = 8  # return probabilities of walks of 2 to 8 steps: without self-loops none returns after one
STRUCTURE = 8 + LONGEST_WALK - 1  # numbers per node
_DENSE = 512  # up to this many nodes the walk's powers are dense and exact
_PROBES = 64  # on bigger graphs: a relative error of about sqrt(2 / 64) = 18 %, before the logarithm


def adjacency(edges: np.ndarray, count: int) -> tuple[Any, Any]:
    """(2, E) edges -> directed and undirected adjacency (V, V): CSR of ones, without self-loops and repeats."""
    from scipy.sparse import csr_array

    row, col = edges[:, edges[0] != edges[1]]
    directed = csr_array((np.ones(len(row), np.float32), (row, col)), shape=(count, count))
    directed.sum_duplicates()
    directed.data[:] = 1.0
    both = (directed + directed.T).tocsr()
    both.data[:] = 1.0
    both.sort_indices()
    return directed, both


def triangles(both: Any) -> np.ndarray:
    """(V,) the triangles through each node, exactly.

    Every edge is turned from its end of lower to its end of higher degree, which bounds the work by E^1.5 even where a
    hub touches everything (Chiba and Nishizeki, SIAM J. Comput. 1985).
    """
    degree = np.diff(both.indptr)
    rank = np.empty(len(degree), np.int64)
    rank[np.argsort(degree, kind="stable")] = np.arange(len(degree))
    coo = both.tocoo()
    keep = rank[coo.row] < rank[coo.col]
    from scipy.sparse import csr_array

    up = csr_array((np.ones(int(keep.sum()), np.float32), (coo.row[keep], coo.col[keep])), shape=both.shape)
    through = (up @ up).multiply(up)  # (u, w): the v with u -> v -> w and u -> w
    middle = (up.T @ up).multiply(up)  # (v, w): the u with u -> v and u -> w
    return np.asarray(through.sum(1)).ravel() + np.asarray(through.sum(0)).ravel() + np.asarray(middle.sum(1)).ravel()


def pagerank(directed: Any, steps: int = 20, damping: float = 0.85) -> np.ndarray:
    """(V,) PageRank by power iteration (Page et al. 1999); nodes without links out jump anywhere."""
    count = directed.shape[0]
    out = np.diff(directed.indptr)
    back = directed.T.tocsr()
    rank = np.full(count, 1 / count)
    for _ in range(steps):
        share = rank / np.maximum(out, 1)
        rank = (1 - damping + damping * rank[out == 0].sum()) / count + damping * (back @ share)
    return rank


def returns(both: Any) -> np.ndarray:
    """(V, 7): the probability that a random walk of k = 2 … 8 steps is back where it began.

    They are the random-walk structural codes of Dwivedi et al. (ICLR 2022). With N = D^-½ A D^-½ the diagonal of the
    walk's k-th power is that of N^k, and diag(N^(i+j)) is the row sum of N^i ∘ N^j. On big graphs N^j is applied to
    fixed ±1 probes instead, whose mean product has the same value in expectation (Hutchinson 1990).
    """
    from scipy.sparse import diags_array

    count = both.shape[0]
    root = 1 / np.sqrt(np.maximum(np.diff(both.indptr), 1)).astype(np.float32)
    walk = (diags_array(root) @ both @ diags_array(root)).tocsr()
    if count <= _DENSE:
        powers = [np.eye(count, dtype=np.float32), walk.toarray()]
        dense, divide = powers[1], 1
        step = lambda power: dense @ power  # noqa: E731
    else:
        signs = np.random.default_rng(0).integers(0, 2, (count, _PROBES)).astype(np.float32) * 2 - 1
        powers, divide = [signs, walk @ signs], _PROBES
        step = lambda power: walk @ power  # noqa: E731
    while len(powers) <= LONGEST_WALK // 2:
        powers.append(step(powers[-1]))
    twice = np.asarray(walk.multiply(walk).sum(1)).ravel()  # cheap and exact at any size
    product = [twice, *((powers[k // 2] * powers[k - k // 2]).sum(1) / divide for k in range(3, LONGEST_WALK + 1))]
    return np.clip(np.stack(product, 1), 0.0, 1.0)


def structure(edges: np.ndarray, count: int) -> tuple[np.ndarray, Any, np.ndarray]:
    """(V, STRUCTURE) float32 features, the undirected adjacency, and PageRank (V,)."""
    directed, both = adjacency(edges, count)
    out, into = np.diff(directed.indptr), np.bincount(directed.indices, minlength=count)
    degree = np.diff(both.indptr)
    pairs = degree * (degree - 1) / 2
    closed = triangles(both)
    logs = np.log1p(degree)
    around = (both @ logs) / np.maximum(degree, 1)
    spread = np.sqrt(np.maximum((both @ logs**2) / np.maximum(degree, 1) - around**2, 0))
    rank = pagerank(directed)
    columns = [
        np.log1p(out),
        np.log1p(into),
        logs,
        closed / np.maximum(pairs, 1),  # clustering coefficient
        np.log1p(closed),
        around,
        spread,
        np.log(rank * count),
    ]
    return np.concatenate([np.stack(columns, 1), returns(both) * 2], 1).astype(np.float32), both, rank
