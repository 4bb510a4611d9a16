"""Graphs of any size, with or without features: message passing, then a transformer over at most N node tokens.

The messages are GINE's (Hu et al., ICLR 2020): h_v' = MLP(W h_v + Σ_u ReLU(h_u + e_uv)), the sum damped by the root of
the degree so that hubs stay bounded. Node features of any meaning and number come in by a fixed rotation, or where they
are many by a fixed random projection (Johnson-Lindenstrauss), beside structural features that every graph has. The
state of a neighbourhood's centre stands in the graph's own token: it is what is asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..items import Graph
from ..modality import Modality, register
from ._augment import network
from ._sampling import PRINCIPAL, around, ego, egos, principal, reduced
from ._structure import STRUCTURE, structure
from .base import Encoder, Tokens
from .vit import Transformer

__all__ = ["GraphEncoder", "around", "ego", "egos", "prepare", "principal", "reduced", "spread"]

NODE = 64  # numbers that node features are projected to, twice: as they are, and standardised in their graph
EDGE = 8  # numbers that edge features are projected to
NODES = STRUCTURE + 2 * NODE + 5  # + position (2), and whether features, positions and this centre are known
EDGES = EDGE + 4  # + edge there, edge back, features known, relative length
CENTRE = NODES - 3  # where a node says that it is the centre
SUMMARY = 17  # numbers per graph


@cache
def _rotation(width: int) -> np.ndarray:
    """(width, width): orthogonal rows of length sqrt(width)."""
    rotation = np.linalg.qr(np.random.default_rng(0).standard_normal((width, width)))[0]
    return (rotation * width**0.5).astype(np.float32)


def project(values: np.ndarray, width: int) -> np.ndarray:
    """(V, F) -> (V, width): column j times the j-th of fixed directions, which do not depend on how many columns there
    are. Up to ``width`` columns these are orthogonal, and rows keep their distances; the directions of more are random,
    and distances keep to about 1 / sqrt(width).
    """
    columns = values.shape[1]
    directions = _rotation(width)[:columns]
    if columns > width:
        directions = np.random.default_rng(0).standard_normal((columns, width)).astype(np.float32)
    length = np.sqrt((values**2).sum(1).mean()) or 1.0  # typical row: afterwards each number is about 1
    return values @ directions / length


def _node_features(item: Graph) -> tuple[np.ndarray, float]:
    """(V, 2 NODE): projections of asinh(x), which keeps what all nodes share, and of the standardised columns, which
    shows how they differ; and the logarithm of the first one's typical row.
    """
    count = int(item.count or 0)
    if item.nodes is None or item.nodes.shape[1] == 0:
        return np.zeros((count, 2 * NODE), np.float32), 0.0
    raw = np.nan_to_num(np.arcsinh(item.nodes), posinf=0.0, neginf=0.0)
    spread = raw.std(0)
    standard = (raw - raw.mean(0)) / np.where(spread > 1e-6, spread, np.inf)
    size = float(np.log1p(np.sqrt((raw**2).sum(1).mean())))
    return np.concatenate([project(raw, NODE), project(standard, NODE)], 1), size


def _positions(item: Graph) -> np.ndarray | None:
    """(V, 2): positions about their mean, in units of their root mean square distance. A graph does not say whether
    they are degrees or metres, so nothing is projected.
    """
    if item.positions is None:
        return None
    xy = np.nan_to_num(item.positions[:, :2] - np.nanmean(item.positions[:, :2], axis=0))
    return xy / (np.sqrt((xy**2).sum(1).mean()) or 1.0)


def _edges(item: Graph, both: Any, positions: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Both directions of every linked pair (2, E') and what is known of them (E', EDGES)."""
    count = int(item.count or 0)
    coo = both.tocoo()
    source, target = coo.row.astype(np.int64), coo.col.astype(np.int64)
    pairs = source * count + target
    given = item.edges[0] * count + item.edges[1]
    order = np.argsort(given, kind="stable")
    ordered = given[order]

    def there(keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Where each pair stands among the given edges, and whether it does."""
        place = np.minimum(np.searchsorted(ordered, keys), max(len(ordered) - 1, 0))
        return order[place], ordered[place] == keys

    known = np.zeros((len(pairs), EDGES), np.float32)
    if len(pairs):
        forth, is_forth = there(pairs)
        back, is_back = there(target * count + source)
        known[:, 0], known[:, 1] = is_forth, is_back
        if item.edge_features is not None and item.edge_features.shape[1]:
            raw = np.nan_to_num(np.arcsinh(item.edge_features), posinf=0.0, neginf=0.0)
            known[:, 2] = 1.0
            known[:, 4:] = project(raw, EDGE)[np.where(is_forth, forth, back)]
        if positions is not None:
            length = np.linalg.norm(positions[source] - positions[target], axis=1)
            known[:, 3] = np.log((length + 1e-4) / (np.median(length) + 1e-4))
    return np.stack([source, target]), known


def assign(both: Any, rank: np.ndarray, tokens: int, centre: int | None) -> np.ndarray:
    """(V,) which of at most ``tokens`` tokens each node is pooled into; every node counts somewhere.

    Small graphs have a token per node. In bigger ones half of the seeds are the nodes of highest PageRank, half are
    spread evenly over the others in that order, and every node joins its nearest seed; what no seed can reach shares
    the last token. A ``centre`` keeps the first token to itself.
    """
    count = len(rank)
    if count <= tokens:
        return np.arange(count)
    order = np.argsort(-rank, kind="stable")
    if centre is not None:
        order = np.r_[centre, order[order != centre]]
    top = (tokens - 1) // 2
    rest = np.linspace(top, count - 1, tokens - 1 - top).astype(np.int64)
    seeds = order[np.r_[np.arange(top), rest]]
    from scipy.sparse.csgraph import dijkstra

    _, _, nearest = dijkstra(both, indices=seeds, unweighted=True, min_only=True, return_predecessors=True)
    token_of = np.full(count, tokens - 1)
    token_of[seeds] = np.arange(len(seeds))
    result = np.where(nearest >= 0, token_of[np.maximum(nearest, 0)], tokens - 1)
    if centre is not None:
        neighbours = both.indices[both.indptr[centre] : both.indptr[centre + 1]]
        fallback = token_of[neighbours[rank[neighbours].argmax()]] if len(neighbours) else tokens - 1
        result = np.where((result == 0) & (np.arange(count) != centre), fallback, result)
    return np.unique(result, return_inverse=True)[1]  # tokens are numbered without gaps


def prepare(item: Graph, *, tokens: int = 256) -> dict[str, Tensor]:
    """A graph -> node features, edges in both directions, and the token each node is pooled into.

    Returns:
        "nodes" (V, F); "edges" (2, E); "edge_features" (E, G); "assign" (V,) below ``tokens``; "summary" (S,);
        "around" (W,), which heads alone read: what stands around the centre, W = 0 where that is not known; "region"
        (R,), the same for few examples, zeros where it is not known.
    """
    count = int(item.count or 0)
    shape, both, rank = structure(item.edges, count)
    features, size = _node_features(item)
    positions = _positions(item)
    known = np.zeros((count, 5), np.float32)
    known[:, 0] = item.nodes is not None
    known[:, 1] = positions is not None
    if item.centre is not None:
        known[item.centre, 2] = 1.0
    if positions is not None:
        known[:, 3:] = positions
    edges, edge_features = _edges(item, both, positions)
    links = edges.shape[1] / 2
    summary = np.r_[
        np.log10(count),
        np.log10(links + 1),
        np.log10(links + 1) - np.log10(count * (count - 1) / 2 + 1),
        np.percentile(shape[:, 2], (10, 50, 90, 100)),  # log degree
        shape[:, 3].mean(),  # clustering
        shape[:, 8:].mean(0),  # returns of random walks
        (edge_features[:, 0] * edge_features[:, 1]).mean() if links else 0.0,  # reciprocity
        size,
    ]
    return {
        "nodes": torch.from_numpy(np.concatenate([shape, features, known], 1).astype(np.float32)),
        "edges": torch.from_numpy(edges),
        "edge_features": torch.from_numpy(edge_features),
        "assign": torch.from_numpy(assign(both, rank, tokens, item.centre).astype(np.int64)),
        "summary": torch.from_numpy(summary.astype(np.float32)),
        "around": torch.from_numpy(_of_centre(item, item.around, 0)),
        "region": torch.from_numpy(_of_centre(item, item.region, PRINCIPAL)),
    }


def _of_centre(item: Graph, values: np.ndarray | None, width: int) -> np.ndarray:
    """(W,) the centre's row; ``width`` zeros where there is no centre or nothing is known."""
    if values is None or item.centre is None:
        return np.zeros(width, np.float32)
    return values[item.centre if len(values) > 1 else 0].astype(np.float32)


def spread(values: Tensor, item: Graph, *, tokens: int = 256) -> Tensor:
    """Values (1 + N, X) at the tokens, the graph's own first -> (V, X) at the nodes pooled into them."""
    _, both, rank = structure(item.edges, int(item.count or 0))
    return values[1:][torch.from_numpy(assign(both, rank, tokens, item.centre)).to(values.device)]


def collate(samples: Sequence[dict[str, Any]]) -> dict[str, Tensor]:
    """One big graph of separate parts: nodes (ΣV, F), edges (2, ΣE) renumbered, ``batch`` (ΣV,) the part of a node.

    What stands around the centres is (B, W), W the most that is known of any.
    """
    widest = max(len(sample["around"]) for sample in samples)
    sizes = torch.tensor([len(sample["nodes"]) for sample in samples])
    offsets = torch.cumsum(sizes, 0) - sizes
    return {
        "nodes": torch.cat([sample["nodes"] for sample in samples]),
        "edges": torch.cat([sample["edges"] + offset for sample, offset in zip(samples, offsets)], 1),
        "edge_features": torch.cat([sample["edge_features"] for sample in samples]),
        "assign": torch.cat([sample["assign"] for sample in samples]),
        "batch": torch.repeat_interleave(torch.arange(len(samples)), sizes),
        "summary": torch.stack([sample["summary"] for sample in samples]),
        "around": torch.stack([F.pad(one := sample["around"], (0, widest - len(one))) for sample in samples]),
        "region": torch.stack([sample["region"] for sample in samples]),
    }


def beside(region: Tensor, **_: Tensor) -> Tensor:
    """(B, R) what stands around the nodes that are asked for, of length one; zeros where that is not known."""
    return region


def own_numbers(
    nodes: Tensor, edges: Tensor, batch: Tensor, summary: Tensor, around: Tensor | None = None, **_: Tensor
) -> Tensor:
    """(B, W) what stands around the node that is asked for, where that is known, and nothing else.

    Otherwise (B, 3 · F + S): the node that is asked for, its neighbours' mean, the mean over all nodes, and the
    summary. Zeros stand for a node where none is asked for, and for its neighbours.
    """
    if around is not None and around.shape[1]:
        return around
    graphs = len(summary)
    asked = nodes[:, CENTRE : CENTRE + 1]

    def mean(values: Tensor, group: Tensor, weight: Tensor) -> Tensor:
        total = values.new_zeros(graphs, values.shape[1]).index_add(0, group, values * weight)
        return total / weight.new_zeros(graphs, 1).index_add(0, group, weight).clamp(min=1)

    source, target = edges
    near = mean(nodes[source], batch[target], asked[target])
    return torch.cat([mean(nodes, batch, asked), near, mean(nodes, batch, torch.ones_like(asked)), summary], 1)


class Messages(nn.Module):
    """One round of messages along edges, residual: (V, D) -> (V, D)."""

    def __init__(self, width: int):
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.edge = nn.Linear(EDGES, width)
        self.own = nn.Linear(width, width)
        self.update = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        )

    def forward(self, x: Tensor, edges: Tensor, edge_features: Tensor, damping: Tensor) -> Tensor:
        """``damping`` (V, 1): one over the root of the degree."""
        h = self.norm(x)
        messages = F.relu(h[edges[0]] + self.edge(edge_features)).float()
        heard = torch.zeros(x.shape, device=x.device).index_add_(0, edges[1], messages) * damping
        return x + self.update(self.own(h) + heard)


class GraphEncoder(Encoder):
    """Rounds of messages over all nodes, pooling into tokens, transformer; the graph's own token comes first.

    Args:
        width: D.  rounds: of messages.  depth, heads: of the transformer.
    """

    def __init__(self, width: int = 128, rounds: int = 3, depth: int = 2, heads: int = 4, drop_path: float = 0.0):
        super().__init__()
        self.width = width
        self.node = nn.Sequential(nn.Linear(NODES, width), nn.GELU(), nn.Linear(width, width))
        self.rounds = nn.ModuleList(Messages(width) for _ in range(rounds))
        self.size = nn.Linear(1, width)
        self.whole = nn.Sequential(nn.Linear(SUMMARY + 2 * width, width), nn.GELU(), nn.Linear(width, width))
        self.blocks = Transformer(width, depth, heads, drop_path=drop_path)

    def forward(  # type: ignore[override]
        self,
        nodes: Tensor,
        edges: Tensor,
        edge_features: Tensor,
        assign: Tensor,
        batch: Tensor,
        summary: Tensor,
        around: Tensor | None = None,
        region: Tensor | None = None,
    ) -> Tokens:
        """The union of B graphs -> Tokens (B, 1 + N, D), N the largest number of tokens among them.

        ``around`` is for heads (``own_numbers``): how many columns it has depends on the graph. ``region`` is for
        comparisons with examples (``beside``).
        """
        graphs, most = len(summary), int(assign.max()) + 1
        ones = torch.ones(len(nodes), 1, device=nodes.device)
        degree = torch.zeros_like(ones).index_add_(0, edges[1], torch.ones(edges.shape[1], 1, device=nodes.device))
        damping = (degree + 1).rsqrt()
        x = self.node(nodes).float()
        for messages in self.rounds:
            x = messages(x, edges, edge_features, damping)
        slot = batch * most + assign
        size = torch.zeros(graphs * most, 1, device=x.device).index_add_(0, slot, ones)
        pooled = torch.zeros(graphs * most, self.width, device=x.device).index_add_(0, slot, x.float())
        pooled = pooled / size.clamp(min=1)
        mean = (pooled * size).view(graphs, most, -1).sum(1) / size.view(graphs, most, 1).sum(1)
        tokens = (pooled + self.size(size.clamp(min=1).log())).view(graphs, most, self.width)
        centre = torch.zeros(graphs, self.width, device=x.device)  # stays zero where no node is asked for
        centre = centre.index_add_(0, batch, x.float() * nodes[:, CENTRE : CENTRE + 1].float())
        whole = self.whole(torch.cat([summary, mean, centre], 1))[:, None]
        mask = F.pad(size.view(graphs, most) > 0, (1, 0), value=True)
        return Tokens(self.blocks(torch.cat([whole.to(tokens.dtype), tokens], 1), mask), mask)


def recognises(item: Any) -> bool:
    """Every graph."""
    return isinstance(item, Graph)


register(
    Modality(
        name="graph",
        item=Graph,
        prepare=prepare,
        encoder=GraphEncoder,
        prompt="A network of places and the links between them:",
        recognises=recognises,
        collate=collate,
        spread=spread,
        input={"tokens": 256},
        config={"width": 128, "rounds": 3, "depth": 2, "heads": 4, "drop_path": 0.0},
        augment=network,
        numbers=own_numbers,
        beside=beside,
    )
)
