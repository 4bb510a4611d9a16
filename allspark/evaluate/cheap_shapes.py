"""Cheap features of point clouds, trajectories and graphs: statistics of their geometry. No model, no label."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..items import Graph, PointCloud, Trajectory
from .cheap_images import standardise
from .cheap_words import reduced

POINTS = 1024  # of a cloud that statistics are taken of, drawn with a fixed seed
NEIGHBOURS = 16
EARTH = 6_371_008.8  # metres, mean radius
PERCENTILES = (5, 25, 50, 75, 95)


def _share(values: np.ndarray, bins: int, low: float, high: float) -> np.ndarray:
    counts = np.histogram(np.clip(values, low, high), bins, (low, high))[0]
    return counts / max(len(values), 1)


def _shape_of(eigenvalues: np.ndarray) -> np.ndarray:
    """(…, 3) ascending eigenvalues -> (…, 4) linearity, planarity, sphericity, change of curvature (Weinmann 2015)."""
    low, middle, high = np.moveaxis(np.clip(eigenvalues, 0, None), -1, 0)
    top, total = np.maximum(high, 1e-12), np.maximum(low + middle + high, 1e-12)
    return np.stack([(high - middle) / top, (middle - low) / top, low / top, low / total], -1)


def geometry_statistics(items: Sequence[PointCloud]) -> np.ndarray:
    """Extents, shape of the whole and of neighbourhoods, heights, and distances of random pairs.

    Global and local eigenvalue features (Weinmann et al. 2015), verticality, a histogram of heights, and the shape
    distribution D2 (Osada et al. 2002), each of at most 1024 points.

    Returns:
        (N, D) float32, standardised over the items.
    """
    from scipy.spatial import cKDTree

    rows = []
    for item in items:
        generator = np.random.default_rng(0)
        xyz = item.xyz.astype(np.float64)
        if len(xyz) > POINTS:
            xyz = xyz[generator.permutation(len(xyz))[:POINTS]]
        xyz = xyz - xyz.mean(0)
        extent = np.ptp(xyz, axis=0)
        values, vectors = np.linalg.eigh(np.cov(xyz.T) if len(xyz) > 1 else np.zeros((3, 3)))
        height = (xyz[:, 2] - xyz[:, 2].min()) / max(extent[2], 1e-9)

        near = cKDTree(xyz).query(xyz, min(NEIGHBOURS, len(xyz)))[1].reshape(len(xyz), -1)
        groups = xyz[near] - xyz[near].mean(1, keepdims=True)  # (P, k, 3)
        local, axes = np.linalg.eigh(groups.transpose(0, 2, 1) @ groups / groups.shape[1])
        verticality = 1 - np.abs(axes[:, 2, 0])  # of the direction of least spread, the normal
        features = np.concatenate([_shape_of(local), verticality[:, None]], 1)

        first, second = generator.integers(len(xyz), size=(2, 2048))
        distance = np.linalg.norm(xyz[first] - xyz[second], axis=1)
        distance = distance / max(distance.mean(), 1e-9)
        rows.append(
            np.concatenate(
                [
                    np.log1p(np.sort(extent[:2])),
                    np.log1p(extent[2:]),
                    [extent[2] / max(extent[:2].max(), 1e-9), np.log(len(item.xyz))],
                    _shape_of(values),
                    np.abs(vectors[2]),
                    _share(height, 10, 0, 1),
                    np.percentile(np.log1p(height * extent[2]), PERCENTILES),
                    features.mean(0),
                    features.std(0),
                    *(_share(column, 6, 0, 1) for column in features.T),
                    _share(distance, 16, 0, 3),
                    np.abs(xyz).mean(0) / max(extent.max(), 1e-9),
                ]
            )
        )
    return standardise(np.stack(rows))


def point_statistics(cloud: PointCloud, chosen: np.ndarray) -> np.ndarray:
    """What lies around single points: eigenvalue features at two scales, verticality, height, intensity, returns.

    Args:
        cloud: P points.
        chosen: (M,) point numbers.

    Returns:
        (M, D) float64, not standardised.
    """
    from scipy.spatial import cKDTree

    xyz = cloud.xyz.astype(np.float64)
    tree = cKDTree(xyz)
    columns = [xyz[chosen, 2] - xyz[:, 2].min(), xyz[:, 2].max() - xyz[chosen, 2]]
    for count in (NEIGHBOURS, 4 * NEIGHBOURS):
        near = tree.query(xyz[chosen], min(count, len(xyz)))[1].reshape(len(chosen), -1)
        groups = xyz[near] - xyz[near].mean(1, keepdims=True)  # (M, k, 3)
        values, axes = np.linalg.eigh(groups.transpose(0, 2, 1) @ groups / groups.shape[1])
        columns += [*_shape_of(values).T, 1 - np.abs(axes[:, 2, 0]), np.log1p(np.clip(values.sum(1), 0, None))]
        columns += [xyz[chosen, 2] - xyz[near, 2].min(1), xyz[near, 2].std(1)]
    for name in sorted(cloud.features):
        values = np.asarray(cloud.features[name], np.float64)
        columns.append(np.nan_to_num(values[chosen]))
    return np.stack(columns, 1)


def _moments(values: np.ndarray) -> np.ndarray:
    """(7,) percentiles, mean and spread; zeros of nothing."""
    if not len(values):
        return np.zeros(7)
    return np.concatenate([np.percentile(values, PERCENTILES), [values.mean(), values.std()]])


def motion_statistics(items: Sequence[Trajectory]) -> np.ndarray:
    """Percentiles of speed, acceleration, turning and time steps; length, duration, straightness, stops. No place.

    Returns:
        (N, D) float32, standardised over the items.
    """
    rows = []
    for item in items:
        steps = np.diff(item.positions[:, :2], axis=0)
        if item.geographic:
            latitude = np.radians((item.positions[1:, 1] + item.positions[:-1, 1]) / 2)
            steps[:, 0] = (steps[:, 0] + 180) % 360 - 180  # across the date line
            steps = np.radians(steps) * EARTH * np.stack([np.cos(latitude), np.ones_like(latitude)], 1)
        seconds = np.diff(item.time)
        length = np.linalg.norm(steps, axis=1)
        timed = seconds > 0
        speed = length[timed] / seconds[timed]
        change = np.diff(speed) / seconds[timed][1:]
        moved = steps[length > 0]
        heading = np.arctan2(moved[:, 1], moved[:, 0])
        turn = (np.diff(heading) + np.pi) % (2 * np.pi) - np.pi
        path, total = np.concatenate([np.zeros((1, 2)), steps.cumsum(0)]), float(length.sum())
        climb = np.diff(item.positions[:, 2]) if item.positions.shape[1] == 3 else np.zeros(1)
        rows.append(
            np.concatenate(
                [
                    _moments(np.log1p(speed)),
                    _moments(np.arcsinh(change)),
                    _moments(np.abs(turn)),
                    [turn.mean() if len(turn) else 0.0],
                    _moments(np.log1p(seconds)),
                    np.log1p([total, item.time[-1] - item.time[0], len(item.time), np.linalg.norm(path[-1])]),
                    np.log1p(np.sort(np.ptp(path, axis=0))),
                    [np.linalg.norm(path[-1]) / max(total, 1e-9)],
                    [(length <= 0.1 * np.median(length)).mean()],
                    np.arcsinh([climb.sum(), np.abs(climb).sum()]),
                ]
            )
        )
    return standardise(np.stack(rows))


def spread_features(items: Sequence[Graph]) -> np.ndarray:
    """Wide node features of the whole graph, spread along its links to the node that is asked for (`items.Graph`).

    Returns:
        (N, D) float32, reduced without labels; D = 0 where not every item says what stands around its node.
    """
    rows = [_of_centre(item) for item in items]
    if any(row is None for row in rows):
        return np.zeros((len(items), 0), np.float32)
    return reduced(np.stack(rows).astype(np.float64))  # type: ignore[arg-type]


def _of_centre(item: Graph) -> np.ndarray | None:
    if item.around is None or item.centre is None:
        return None
    return item.around[item.centre if len(item.around) > 1 else 0]


def graph_statistics(items: Sequence[Graph]) -> np.ndarray:
    """Sizes, degrees, clustering, components, and the node features: their mean, spread and agreement along edges.

    The first node's own features and degree and its neighbours' mean stand among them, because in a graph cut around
    one node that node comes first.

    Returns:
        (N, D) float32, standardised over the items; node features of more than 64 columns reduced without labels.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    widths = {0 if item.nodes is None else item.nodes.shape[1] for item in items}
    if len(widths) > 1:
        raise ValueError(f"the graphs have {sorted(widths)} features per node; wanted graphs of one kind")
    width = widths.pop()
    rows, contents = [], []
    for item in items:
        count = int(item.count or 0)
        ends = np.concatenate([item.edges, item.edges[::-1]], 1)
        near = coo_array((np.ones(ends.shape[1]), (ends[0], ends[1])), shape=(count, count)).tocsr()
        near.data[:] = 1.0
        near.setdiag(0)
        near.eliminate_zeros()
        degree = np.asarray(near.sum(1)).ravel()
        triangles = np.asarray((near @ near).multiply(near).sum(1)).ravel() / 2
        wedges = degree * (degree - 1) / 2
        clustering = triangles / np.maximum(wedges, 1)
        around = near @ degree / np.maximum(degree, 1)  # mean degree of the neighbours
        pieces = connected_components(near, directed=False)[0]
        rows.append(
            np.concatenate(
                [
                    np.log1p([count, degree.sum() / 2, pieces, item.edges.shape[1]]),
                    [degree.sum() / max(count * (count - 1), 1), pieces / count],
                    _share(np.log2(1 + degree), 8, 0, 8),
                    *map(_moments, (np.log1p(degree), np.log1p(around), clustering)),
                    np.log1p([degree[0], around[0]]),
                    [clustering[0], triangles.sum() / max(wedges.sum(), 1)],
                ]
            )
        )
        if width:
            nodes = np.asarray(item.nodes, np.float64)
            mean_of = (near @ nodes) / np.maximum(degree, 1)[:, None]
            parts = [nodes.mean(0), nodes.std(0), np.abs(nodes - mean_of).mean(0), nodes[0], mean_of[0]]
            contents.append(np.stack(parts))
    blocks = [standardise(np.stack(rows))]
    for block in np.stack(contents, 1) if width else ():
        blocks.append(standardise(block) if width <= 64 else reduced(block, 64))
    return np.concatenate(blocks, 1)
