"""From nodes and edges with attributes of any kind to a ``Graph`` of numbers."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from ..items import Graph

MOST_WORDS = 64  # of one attribute: more are names, not categories
PLACES = (("lon", "lat"), ("longitude", "latitude"), ("long", "lat"), ("lng", "lat"), ("x", "y"))
EDGE_NAMES = ("id", "key")  # of edges: what formats call an edge, not what it is


@dataclass
class RawGraph:
    """What a format holds: V names, E pairs of node numbers, and attributes as columns; None where one is missing."""

    names: list[Hashable]
    edges: np.ndarray  # (2, E)
    directed: bool
    node_columns: Mapping[str, Sequence[Any] | np.ndarray] = field(default_factory=dict)
    edge_columns: Mapping[str, Sequence[Any] | np.ndarray] = field(default_factory=dict)


class NamedGraph(NamedTuple):
    """A graph with what its numbers are called."""

    graph: Graph
    names: tuple[Hashable, ...]  # V node names
    node_columns: tuple[str, ...]  # F
    edge_columns: tuple[str, ...]  # G


def assemble(
    raw: RawGraph,
    directed: bool,
    node_features: Sequence[str] | None,
    edge_features: Sequence[str] | None,
    categories: Mapping[str, Sequence[str]],
) -> NamedGraph:
    """Columns become matrices; undirected edges go both ways.

    Raises:
        ValueError: an attribute that some nodes or edges lack, or one that is wanted and not there.
    """
    columns = dict(raw.node_columns)
    positions = _positions(columns)
    nodes, node_names = _matrix(columns, raw.names, node_features, categories, "node")
    given = {name: values for name, values in raw.edge_columns.items() if name.lower() not in EDGE_NAMES}
    features, edge_names = _matrix(given, (), edge_features, categories, "edge")
    edges = raw.edges
    if not directed:
        edges, index = both_directions(edges)
        features = None if features is None else features[index]
    graph = Graph(edges, nodes, features, positions, len(raw.names))
    return NamedGraph(graph, tuple(raw.names), node_names, edge_names)


def both_directions(edges: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(2, E') edges with the reverse of each that lacks it, and for each the number of the edge it came from."""
    edges = np.asarray(edges, np.int64).reshape(2, -1)
    span = int(edges.max()) + 1 if edges.size else 1
    forward, backward = edges[0] * span + edges[1], edges[1] * span + edges[0]
    lone = np.flatnonzero(~np.isin(backward, forward))  # a loop is its own reverse
    index = np.concatenate([np.arange(edges.shape[1]), lone])
    return np.concatenate([edges, edges[::-1, lone]], axis=1), index


def number(values: Sequence[Any] | np.ndarray) -> np.ndarray | None:
    """(N,) float64 of numbers, truths or words that are all numbers; None where one is none."""
    try:
        array = np.array([float(value) for value in values], np.float64)
    except (TypeError, ValueError):
        return None
    return array if np.isfinite(array).all() else None


def _positions(columns: dict[str, Sequence[Any] | np.ndarray]) -> np.ndarray | None:
    """(V, 2) from the columns that say it, which are taken out."""
    lower = {name.lower(): name for name in columns}
    for x, y in PLACES:
        if x in lower and y in lower:
            first, second = number(columns[lower[x]]), number(columns[lower[y]])
            if first is not None and second is not None:
                del columns[lower[x]], columns[lower[y]]
                return np.column_stack([first, second])
    for name in ("pos", "position", "graphics"):
        if name in lower:
            pairs = [_pair(value) for value in columns[lower[name]]]
            del columns[lower[name]]
            if pairs and all(pair is not None for pair in pairs):
                return np.array(pairs, np.float64)
    return None


def _pair(value: Any) -> tuple[float, float] | None:
    if isinstance(value, Mapping):  # GML's graphics [ x 1 y 2 ]
        value = (value.get("x"), value.get("y"))
    if isinstance(value, str):
        value = value.strip("()[] ").replace(",", " ").split()
    found = number(value) if isinstance(value, (list, tuple)) and len(value) >= 2 else None
    return None if found is None else (float(found[0]), float(found[1]))


def _matrix(
    columns: Mapping[str, Sequence[Any] | np.ndarray],
    names: Sequence[Hashable],
    wanted: Sequence[str] | None,
    categories: Mapping[str, Sequence[str]],
    kind: str,
) -> tuple[np.ndarray | None, tuple[str, ...]]:
    missing = [name for name in wanted or () if name not in columns]
    if missing:
        raise ValueError(f"no {kind} attributes {missing} came; there are {', '.join(columns) or 'none'}; choose")
    parts: dict[str, np.ndarray] = {}
    for name in sorted(columns) if wanted is None else wanted:
        values = columns[name]
        known = [value for value in values if value is not None]
        found = _columns(name, known, names, wanted is not None, categories.get(name))
        if not found:
            continue
        if len(known) < len(values):
            first = next(i for i, value in enumerate(values) if value is None)
            which = f"{kind} {names[first]}" if first < len(names) else f"{kind} number {first}"
            raise ValueError(
                f"{len(values) - len(known)} of {len(values)} {kind}s lack attribute {name!r}, first {which}; wanted "
                f"it for all; fill it, or name the attributes to keep with {kind}_features="
            )
        parts |= found
    return (np.column_stack(list(parts.values())), tuple(parts)) if parts else (None, ())


def _columns(
    name: str, values: Sequence[Any], names: Sequence[Hashable], asked: bool, words: Sequence[str] | None
) -> dict[str, np.ndarray]:
    """The columns of one attribute: numbers as they are, words one-hot, names none."""
    found = number(values) if words is None else None
    if found is not None and len(found):
        spoken = any(isinstance(value, str) for value in values)
        is_name = spoken and [str(value) for value in values] == [str(n) for n in names]  # GML's label of node 7 is "7"
        return {} if is_name and not asked else {name: found}
    if not values or not all(isinstance(value, str) for value in values):
        return {}
    if words is None:
        words = sorted(set(values))
        if len(words) > MOST_WORDS or len(words) * 2 > len(values):
            return {}
    strange = sorted(set(values) - set(words))
    if strange:
        raise ValueError(f"attribute {name!r} holds {strange[:3]}; wanted the categories given, {list(words)}")
    array = np.array(values, dtype=object)
    return {f"{name}={word}": (array == word).astype(np.float64) for word in words}
