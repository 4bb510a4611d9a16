"""Graphs: proteins, airports by traffic, papers by topic, air routes by continent, street networks by city.

Cora's files are Python pickles: their numbers are read without running them (`inert.py`).
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

import numpy as np

from ...items import Graph
from .archives import members, rows
from .base import Entry, Source, split_of
from .inert import read_inert

EGO_MOST, EGO_FEWEST = 64, 4  # nodes of an ego network
PAPERS = 128  # nodes of a paper's neighbourhood
STREETS = 60  # nodes of a piece of street network
PROTEIN_KINDS = 3  # helix, sheet, turn

NODE = re.compile(rb"node\s*\[\s*id\s+(-?\d+)\s+label\s+\"?(\d+)\"?")
EDGE = re.compile(rb"edge\s*\[\s*source\s+(-?\d+)\s+target\s+(-?\d+)")
CONTINENTS = {
    "Africa": "Africa", "America": "America", "Asia": "Asia", "Europe": "Europe", "Pacific": "Oceania",
    "Australia": "Oceania",
}  # fmt: skip
CITIES = {"Berlin": "Berlin", "Chicago": "Chicago", "chicago": "Chicago", "Barcelona": "Barcelona"}

Neighbours = Mapping[int, set[int]]


def undirected(pairs: np.ndarray) -> np.ndarray:
    """(2, E) with both directions of every link once, without loops."""
    both = np.concatenate([pairs, pairs[:, ::-1]])
    return np.unique(both[both[:, 0] != both[:, 1]], axis=0).T


def neighbours(edges: np.ndarray) -> dict[int, set[int]]:
    """node -> the nodes it is linked with, of (2, E) edges."""
    found: dict[int, set[int]] = {}
    for tail, head in edges.T.tolist():
        found.setdefault(tail, set()).add(head)
        found.setdefault(head, set()).add(tail)
    return found


def induced(nodes: list[int], near: Neighbours, positions: Mapping[int, tuple[float, float]] | None = None) -> Graph:
    """The graph of these nodes and of every link among them, in both directions; structure alone, or with places."""
    index = {node: i for i, node in enumerate(nodes)}
    links = [(i, index[other]) for node, i in index.items() for other in sorted(near[node]) if other in index]
    edges = np.array(links, dtype=np.int64).reshape(-1, 2).T
    places = None if positions is None else np.array([positions[node] for node in nodes])
    return Graph(edges, positions=places, count=len(nodes))


def ego(node: int, near: Neighbours, positions: Mapping[int, tuple[float, float]] | None = None) -> Graph:
    """A node, at most 63 of its neighbours (drawn with the node's number as the seed) and the links among them."""
    return induced(ego_nodes(node, near), near, positions)


def ego_nodes(node: int, near: Neighbours) -> list[int]:
    """A node first, then at most 63 of its neighbours, drawn with the node's number as the seed."""
    around = sorted(near[node] - {node})
    if len(around) >= EGO_MOST:
        around = sorted(np.random.default_rng(node).choice(around, EGO_MOST - 1, replace=False).tolist())
    return [node, *around]


def _protein(archive: zipfile.ZipFile, name: str) -> Graph:
    """A protein's GML by two patterns: eleven hundred files of one writer, so no general reader is needed."""
    text = archive.read(name)
    kinds = {int(node): int(kind) for node, kind in NODE.findall(text)}
    index = {node: i for i, node in enumerate(kinds)}
    pairs = np.array([(index[int(a)], index[int(b)]) for a, b in EDGE.findall(text)], dtype=np.int64).reshape(-1, 2)
    features = np.eye(PROTEIN_KINDS, dtype=np.float32)[list(kinds.values())]
    return Graph(undirected(pairs), nodes=features, count=len(kinds))


def proteins(path: Path) -> Iterator[Entry]:
    """Proteins as graphs of structure elements: enzyme or not. A test alone."""
    archive = zipfile.ZipFile(path / PROTEINS.files[0])
    labels = archive.read("Labels.txt").decode().split()
    for name, label in zip(members(archive, ".gml"), labels, strict=True):
        yield Entry(partial(_protein, archive, name), label, name, "test")


def airports(path: Path) -> Iterator[Entry]:
    """The ego network of each US airport, by quartile of its traffic, structure alone. A test alone. Ego networks of
    neighbouring airports overlap: the group is the airport.
    """
    archive = zipfile.ZipFile(path / AIRPORTS.files[0])
    near = neighbours(np.loadtxt(archive.open("usa-airports.edgelist"), dtype=np.int64, ndmin=2).T)
    table = rows(archive, "labels-usa-airports.txt", " ")
    next(table)
    for node, label in table:
        if int(node) in near:
            yield Entry(partial(ego, int(node), near), label, node, "test")


def cora(path: Path) -> Iterator[Entry]:
    """The two-hop neighbourhood of each paper of Cora, with the principal part of its words as features and what stands
    around it. A test alone. A paper is a group.
    """
    from scipy.sparse import csr_matrix, vstack

    from ...encoders.graph import ego as neighbourhood
    from ...encoders.graph import reduced

    archive = zipfile.ZipFile(path / CORA.files[0])
    parts = {key: read_inert(archive.read(f"ind.cora.{key}")) for key in ("allx", "tx", "ally", "ty", "graph")}
    order = np.loadtxt(archive.open("ind.cora.test.index"), dtype=np.int64)
    matrices = [csr_matrix(parts[key][:3], shape=parts[key][3]) for key in ("allx", "tx")]
    count = sum(matrix.shape[0] for matrix in matrices)
    place = np.concatenate([np.arange(count - len(order)), order])  # the test rows stand in another order
    words = vstack(matrices).tocsr()[np.argsort(place)]
    classes = np.concatenate([parts["ally"], parts["ty"]])[np.argsort(place)].argmax(1)
    pairs = [(node, other) for node, others in parts["graph"].items() for other in others]
    edges = undirected(np.array(pairs))
    linked = set(edges.ravel().tolist())
    whole = reduced(Graph(edges, nodes=words.toarray().astype(np.float32), count=count))
    for node in range(count):
        if node in linked:
            yield Entry(partial(neighbourhood, whole, node, limit=PAPERS), str(int(classes[node])), str(node), "test")


def openflights(path: Path) -> Iterator[Entry]:
    """The ego network of each airport of the world with coordinates, by continent; a country is a group."""
    archive = zipfile.ZipFile(path / OPENFLIGHTS.files[0])
    places, about = {}, {}
    for row in rows(archive, "airports.dat"):
        places[int(row[0])] = (float(row[7]), float(row[6]))
        about[int(row[0])] = (row[3], row[2], CONTINENTS.get(row[11].split("/")[0], ""))
    links = [
        (int(row[3]), int(row[5]))
        for row in rows(archive, "routes.dat")
        if row[3].isdigit() and row[5].isdigit() and int(row[3]) in places and int(row[5]) in places
    ]
    near = neighbours(undirected(np.array(links)))
    for node in sorted(near):
        country, city, continent = about[node]
        if continent and len(near[node]) >= EGO_FEWEST - 1:
            words = (f"air routes around {city}, {country}", f"flights from an airport in {continent}")
            yield Entry(partial(ego, node, near, places), continent, country, split_of(country), words)


def _tntp(archive: zipfile.ZipFile, name: str) -> dict[int, set[int]]:
    """The links of a TNTP network without its zones, which are no crossings but where trips start."""
    text = archive.read(name).decode("latin-1")
    through = re.search(r"<FIRST THRU NODE>\s*(\d+)", text)
    first = int(through.group(1)) if through else 1
    body = text.split("<END OF METADATA>")[-1]
    pairs = [line.split()[:2] for line in body.splitlines() if line.strip() and not line.lstrip().startswith("~")]
    edges = np.array([(int(a), int(b)) for a, b in pairs if min(int(a), int(b)) >= first]).reshape(-1, 2)
    return neighbours(undirected(edges))


def streets(path: Path) -> Iterator[Entry]:
    """Pieces of about sixty crossings of street networks, by city. Pieces do not overlap: each is its own group."""
    archive = zipfile.ZipFile(path / STREET_NETWORKS.files[0])
    for name in members(archive, "_net.tntp"):
        city = CITIES.get(re.split(r"[-_/]", name)[0], "")
        if not city:
            continue
        near = _tntp(archive, name)
        free = set(near)
        for number, start in enumerate(np.random.default_rng(0).permutation(sorted(near)).tolist()):
            if start not in free:
                continue
            piece, i = [start], 0
            free.discard(start)
            while i < len(piece) and len(piece) < STREETS:  # breadth first over what no other piece has
                fresh = sorted(near[piece[i]] & free)[: STREETS - len(piece)]
                piece += fresh
                free.difference_update(fresh)
                i += 1
            if len(piece) >= STREETS // 2:
                group = f"{name}-{number}"
                yield Entry(partial(induced, piece, near), city, group, split_of(group))


PROTEINS = Source(
    name="proteins", modality="graph", files=("graph/tu_proteins.zip",), scan=proteins, role="test",
    # the files do not name the classes; 663 of class 1 is the published number of enzymes
    labels={"1": ("enzyme", "a protein that speeds up a reaction"), "2": ("not an enzyme", "another protein")},
    licence="repository MIT; data not stated (TU Dortmund collection)",
    citation="Borgwardt et al., Protein function prediction via graph kernels, Bioinformatics 2005",
)  # fmt: skip
AIRPORTS = Source(
    name="airports_usa", modality="graph", files=("graph/airports_usa.zip",), scan=airports, role="test",
    labels={  # the mean degree falls from class 0 (69 routes) to class 3 (2 routes)
        "0": ("very busy airport", "a hub with many routes, the busiest quarter"),
        "1": ("busy airport", "an airport with a good number of routes"),
        "2": ("quiet airport", "an airport with few routes"),
        "3": ("very quiet airport", "an airport with hardly any routes, the least busy quarter"),
    },
    licence="MIT (repository); US Bureau of Transportation Statistics", citation="Ribeiro et al., struc2vec, KDD 2017",
)  # fmt: skip
CORA = Source(
    name="cora", modality="graph", files=("graph/planetoid_cora.zip",), scan=cora, role="test",
    # the files do not name the classes; their sizes (351, 217, 418, 818, 426, 298, 180) are the published ones
    labels={
        "0": ("learning theory", "papers on the theory of machine learning"),
        "1": ("reinforcement learning", "papers on learning by reward"),
        "2": ("genetic algorithms", "papers on evolutionary computation"),
        "3": ("neural networks", "papers on artificial neural networks"),
        "4": ("probabilistic methods", "papers on Bayesian and probabilistic models"),
        "5": ("case-based reasoning", "papers on reasoning from cases"),
        "6": ("rule learning", "papers on learning rules"),
    },
    licence="MIT (repository); data not stated",
    citation="Sen et al., Collective classification in network data, 2008; Yang et al., Planetoid, ICML 2016",
)  # fmt: skip
OPENFLIGHTS = Source(
    name="openflights", modality="graph", files=("graph/openflights.zip",), scan=openflights, role="train",
    labels={c: (f"air routes in {c}", c) for c in sorted(set(CONTINENTS.values()))},
    licence="Open Database License (ODbL)", citation="OpenFlights airports and routes",
)  # fmt: skip
STREET_NETWORKS = Source(
    name="street_networks", modality="graph", files=("graph/transportation_networks.zip",), scan=streets, role="train",
    labels={
        "Berlin": ("streets of Berlin", "an irregular European street network"),
        "Chicago": ("streets of Chicago", "a street network like a regular grid"),
        "Barcelona": ("streets of Barcelona", "a dense Mediterranean street network"),
    },
    licence="academic research purposes only",
    citation="Transportation Networks for Research Core Team, Transportation Networks for Research",
)  # fmt: skip
SOURCES = (PROTEINS, AIRPORTS, CORA, OPENFLIGHTS, STREET_NETWORKS)
