"""What a user hands in: seven frozen item types, each with its units, each checked when it is made.

Every error says what came, what was wanted and what to do. Nothing here imports torch, rasterio or laspy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

UNITS = ("uint8", "reflectance", "radiance", "dn", "db", "linear", "amplitude", "kelvin", "metres")
POLARISATIONS = ("VV", "VH", "HH", "HV")
LONGEST_WAVELENGTH = 100.0  # micrometres: thermal infrared ends here; above it, somebody meant nanometres


def _array(value: Any, name: str, ndim: tuple[int, ...], wanted: str) -> np.ndarray:
    array = np.asarray(value)
    if array.ndim not in ndim:
        raise ValueError(f"{name} has shape {array.shape}; wanted {wanted}; reshape it first")
    return array


@dataclass(frozen=True, eq=False)
class Raster:
    """An image of any sensor: C bands on one grid, at one or several dates.

    Args:
        values: (C, H, W) or, for a time series, (T, C, H, W).
        units: one of ``UNITS``. "reflectance" runs from 0 to 1; "db", "linear" and "amplitude" are radar
            backscatter; "uint8" is a display image from 0 to 255; "dn" are raw digital numbers.
        bands: C names, a sensor's ("B02", "VV") or STAC's common ones ("red"). Their order is free.
        wavelengths: (C,) centres in micrometres.
        fwhm: (C,) full widths at half maximum in micrometres.
        valid: (H, W) bool, False where there is no data.
        gsd: ground sample distance in metres.
        crs: anything pyproj accepts, as a string.
        transform: the affine geotransform (rasterio's).
        time: (T,) datetime64.

    Raises:
        ValueError: a shape, a unit or a wavelength that cannot be right.

    Example:
        >>> Raster(np.zeros((2, 8, 8)) - 12.0, units="db", bands=("VV", "VH")).values.shape
        (2, 8, 8)
    """

    values: np.ndarray
    units: str
    bands: tuple[str, ...] | None = None
    wavelengths: np.ndarray | None = None
    fwhm: np.ndarray | None = None
    valid: np.ndarray | None = None
    gsd: float | None = None
    crs: str | None = None
    transform: Any = None
    time: np.ndarray | None = None

    def __post_init__(self) -> None:
        put = lambda name, value: object.__setattr__(self, name, value)  # noqa: E731
        values = _array(self.values, "values", (3, 4), "(C, H, W) or (T, C, H, W)")
        if min(values.shape) == 0:
            raise ValueError(f"values has shape {values.shape}; wanted at least one band and one pixel")
        if values.dtype.kind not in "uif":
            raise ValueError(f"values are of type {values.dtype}; wanted numbers; convert them first")
        put("values", values)
        if self.units not in UNITS:
            raise ValueError(f"units are {self.units!r}; wanted one of {', '.join(UNITS)}")
        channels = values.shape[-3]
        if self.bands is not None:
            put("bands", tuple(str(band) for band in self.bands))
            if len(self.bands) != channels:
                raise ValueError(f"{len(self.bands)} band names came for {channels} bands; give one name per band")
            if len(set(self.bands)) != channels:
                raise ValueError(f"band names {self.bands} repeat; name each band once")
        for name in ("wavelengths", "fwhm"):
            if getattr(self, name) is not None:
                put(name, self._spectral(name, channels))
        if self.valid is not None:
            valid = np.asarray(self.valid, dtype=bool)
            if valid.shape != values.shape[-2:]:
                raise ValueError(f"valid has shape {valid.shape}; wanted the raster's {values.shape[-2:]}")
            put("valid", valid)
        if self.time is not None:
            time = np.asarray(self.time, dtype="datetime64[ns]").reshape(-1)
            steps = values.shape[0] if values.ndim == 4 else 1
            if len(time) != steps:
                raise ValueError(f"{len(time)} times came for {steps} dates; give one time per date")
            put("time", time)

    def _spectral(self, name: str, channels: int) -> np.ndarray:
        array = np.asarray(getattr(self, name), dtype=np.float64).reshape(-1)
        if len(array) != channels:
            raise ValueError(f"{len(array)} {name} came for {channels} bands; give one per band, in micrometres")
        if not np.isfinite(array).all() or (array <= 0).any():
            raise ValueError(f"{name} hold values that are not positive numbers; give micrometres")
        if array.max() > LONGEST_WAVELENGTH:
            raise ValueError(
                f"{name} reach {array.max():g}; wanted micrometres (green is 0.56); divide nanometres by 1000"
            )
        return array

    @property
    def mask(self) -> np.ndarray:
        """(H, W) bool: ``valid`` and finite in every band and date."""
        finite = np.isfinite(self.values) if self.values.dtype.kind == "f" else None
        mask = np.ones(self.values.shape[-2:], bool) if self.valid is None else self.valid
        return mask if finite is None else mask & finite.reshape(-1, *mask.shape).all(0)

    def select(self, bands: Sequence[str]) -> Raster:
        """The raster with these bands, in this order; ValueError where one is missing."""
        if self.bands is None:
            raise ValueError("the raster's bands have no names; give bands= when it is made or read")
        missing = [band for band in bands if band not in self.bands]
        if missing:
            raise ValueError(f"bands {missing} are not among {self.bands}; choose among these")
        index = [self.bands.index(band) for band in bands]
        take = lambda array: None if array is None else array[index]  # noqa: E731
        return replace(
            self,
            values=self.values[..., index, :, :],
            bands=tuple(bands),
            wavelengths=take(self.wavelengths),
            fwhm=take(self.fwhm),
        )


@dataclass(frozen=True, eq=False)
class PointCloud:
    """P points in metres with any features per point.

    Args:
        xyz: (P, 3) metres; z is up.
        features: name -> (P,) numbers: "intensity", "red", "green", "blue", "nir", "return_number", "classification" …
        crs: anything pyproj accepts, as a string.

    Raises:
        ValueError: no points, not three coordinates, a coordinate that is not finite, or a feature of another length.
    """

    xyz: np.ndarray
    features: Mapping[str, np.ndarray] = field(default_factory=dict)
    crs: str | None = None

    def __post_init__(self) -> None:
        xyz = _array(self.xyz, "xyz", (2,), "(P, 3) metres")
        if xyz.shape[1] != 3:
            raise ValueError(f"xyz has shape {xyz.shape}; wanted (P, 3) metres; put other columns into features")
        if len(xyz) == 0:
            raise ValueError("the point cloud has 0 points; wanted at least one; check the file or the crop")
        bad = int((~np.isfinite(xyz)).any(1).sum())
        if bad:
            raise ValueError(f"{bad} of {len(xyz)} points have NaN or infinite coordinates; drop them first")
        features = {name: np.asarray(value) for name, value in self.features.items()}
        for name, value in features.items():
            if value.shape != (len(xyz),):
                raise ValueError(f"feature {name!r} has shape {value.shape}; wanted one number for {len(xyz)} points")
        object.__setattr__(self, "xyz", xyz)
        object.__setattr__(self, "features", features)


@dataclass(frozen=True, eq=False)
class Trajectory:
    """N fixes of one moving thing, in order of time.

    Args:
        positions: (N, 2 or 3): longitude, latitude in degrees when ``crs`` is geographic (the default), else metres;
            a third column is height in metres.
        time: (N,) seconds or datetime64, never decreasing.
        features: name -> (N,) numbers (heading, …).
        crs: "EPSG:4326" for degrees; "metres" or a projected system for metres.
        others: (M, N, 2) where M other things were at these times, in the same coordinates; NaN where one was not seen.

    Raises:
        ValueError: fewer than two fixes, a latitude over 90, a NaN, time that runs backwards, or others of another
            shape.
    """

    positions: np.ndarray
    time: np.ndarray
    features: Mapping[str, np.ndarray] = field(default_factory=dict)
    crs: str = "EPSG:4326"
    others: np.ndarray | None = None

    def __post_init__(self) -> None:
        positions = np.asarray(_array(self.positions, "positions", (2,), "(N, 2 or 3)"), dtype=np.float64)
        if positions.shape[1] not in (2, 3):
            raise ValueError(f"positions has shape {positions.shape}; wanted (N, 2) or (N, 3)")
        if len(positions) < 2:
            raise ValueError(f"the trajectory has {len(positions)} fixes; wanted at least 2")
        if not np.isfinite(positions).all():
            raise ValueError("the trajectory holds NaN or infinite positions; drop these fixes first")
        if self.geographic:
            if np.abs(positions[:, 1]).max() > 90:
                worst = positions[np.abs(positions[:, 1]).argmax(), 1]
                raise ValueError(
                    f"latitude reaches {worst:g}; wanted -90 to 90; positions are (longitude, latitude), "
                    'or give crs="metres"'
                )
            if np.abs(positions[:, 0]).max() > 360:
                raise ValueError(f"longitude reaches {np.abs(positions[:, 0]).max():g}; wanted -180 to 180 or 0 to 360")
        time = np.asarray(self.time)
        if time.dtype.kind == "M":
            if np.isnat(time).any():
                raise ValueError("the trajectory holds missing times; drop these fixes first")
            time = (time - time[0]) / np.timedelta64(1, "s")
        time = time.astype(np.float64)
        if time.shape != (len(positions),):
            raise ValueError(f"time has shape {time.shape}; wanted one time for each of {len(positions)} fixes")
        if not np.isfinite(time).all():
            raise ValueError("the trajectory holds times that are not finite; drop these fixes first")
        if (np.diff(time) < 0).any():
            raise ValueError("time runs backwards; sort the fixes by time first")
        if self.others is not None:
            others = np.asarray(self.others, dtype=np.float64)
            if others.ndim != 3 or others.shape[1:] != (len(positions), 2) or np.isinf(others).any():
                raise ValueError(
                    f"others has shape {others.shape}; wanted (M, {len(positions)}, 2): where each of M others was at "
                    "every fix, NaN where that is not known"
                )
            object.__setattr__(self, "others", others)
        object.__setattr__(self, "positions", positions)
        object.__setattr__(self, "time", time)
        object.__setattr__(self, "features", {name: np.asarray(value) for name, value in self.features.items()})

    @property
    def geographic(self) -> bool:
        """True where positions are degrees of longitude and latitude."""
        if self.crs in ("EPSG:4326", "OGC:CRS84"):
            return True
        if self.crs == "metres":
            return False
        from pyproj import CRS

        return CRS(self.crs).is_geographic


@dataclass(frozen=True, eq=False)
class Graph:
    """V nodes and E directed edges (give both directions for an undirected graph).

    Args:
        edges: (2, E) node numbers from 0.
        nodes: (V, F) numbers per node, or None for a graph of structure alone.
        edge_features: (E, G) numbers per edge.
        positions: (V, 2) longitude, latitude or metres.
        count: V, where neither nodes nor positions say it (isolated nodes at the end); else the largest number + 1.
        centre: the node that the item is about, where it is about one: the neighbourhood of a node (an ego graph).
        around: (V, W) what stands about each node in a bigger graph, or (1, W) about the centre alone
            (``encoders.graph.around``).
        region: (V, R) or (1, R), the principal part of that within the bigger graph (``encoders.graph.reduced``).

    Raises:
        ValueError: an edge that names a node which is not there, or features of another length.
    """

    edges: np.ndarray
    nodes: np.ndarray | None = None
    edge_features: np.ndarray | None = None
    positions: np.ndarray | None = None
    count: int | None = None
    centre: int | None = None
    around: np.ndarray | None = None
    region: np.ndarray | None = None

    def __post_init__(self) -> None:
        edges = np.asarray(self.edges)
        if edges.size == 0:
            edges = np.zeros((2, 0), np.int64)
        if edges.ndim != 2 or edges.shape[0] != 2 or edges.dtype.kind not in "iu":
            raise ValueError(f"edges have shape {edges.shape} and type {edges.dtype}; wanted (2, E) whole numbers")
        object.__setattr__(self, "edges", edges.astype(np.int64))
        for name in ("nodes", "edge_features", "positions"):
            value = getattr(self, name)
            if value is not None:
                value = np.asarray(value, dtype=np.float32 if name != "positions" else np.float64)
                object.__setattr__(self, name, value[:, None] if value.ndim == 1 else value)
        lengths = {name: len(getattr(self, name)) for name in ("nodes", "positions") if getattr(self, name) is not None}
        if self.count is not None:
            lengths["count"] = int(self.count)
        if len(set(lengths.values())) > 1:
            raise ValueError(f"the graph's number of nodes is not one: {lengths}; make them agree")
        highest = int(edges.max()) + 1 if edges.size else 0
        count = next(iter(lengths.values()), highest)
        if edges.size and (edges.min() < 0 or highest > count):
            raise ValueError(
                f"an edge names node {int(edges.min()) if edges.min() < 0 else highest - 1}, "
                f"but the nodes are 0 to {count - 1}; drop dangling edges or add the node"
            )
        if count < 1:
            raise ValueError("the graph has 0 nodes; wanted at least one")
        object.__setattr__(self, "count", count)
        if self.centre is not None and not 0 <= self.centre < count:
            raise ValueError(f"the centre is node {self.centre}, but the nodes are 0 to {count - 1}; name one of these")
        if self.edge_features is not None and len(self.edge_features) != edges.shape[1]:
            raise ValueError(f"{len(self.edge_features)} edge features came for {edges.shape[1]} edges; give one each")


@dataclass(frozen=True, eq=False)
class Table:
    """A pandas DataFrame of which **each row is one item**.

    A number means something against its column, so a table carries its columns' scales (median and spread), taken
    from the frame it was made of; ``table[rows]`` keeps them, and so do two tables given the same ``scales``.

    Args:
        frame: columns of numbers, categories (strings), dates or booleans; missing cells allowed.
        descriptions: column -> what it means, in words; the column's name is used where there is none.
        scales: column -> (centre, spread) for the columns of numbers.

    Raises:
        ValueError: no rows, no columns, or nothing but missing cells.
    """

    frame: pd.DataFrame
    descriptions: Mapping[str, str] | None = None
    scales: Mapping[str, tuple[float, float]] | None = None

    def __post_init__(self) -> None:
        frame = self.frame
        if not hasattr(frame, "columns"):
            raise ValueError(f"a table of type {type(frame).__name__} came; wanted a pandas DataFrame")
        if frame.shape[0] == 0 or frame.shape[1] == 0:
            raise ValueError(f"the table has {frame.shape[0]} rows and {frame.shape[1]} columns; wanted at least one")
        if frame.isna().to_numpy().all():
            raise ValueError(f"all {frame.size} cells of the table are missing; wanted at least one value")
        if self.scales is None:
            scales = {}
            for name in frame.columns:
                column = frame[name]
                if column.dtype.kind in "iuf" and len(frame) > 1:
                    values = column.to_numpy(np.float64)
                    values = values[np.isfinite(values)]
                    if len(values):
                        spread = np.subtract(*np.percentile(values, [75, 25])) / 1.349 or values.std()
                        scales[str(name)] = (float(np.median(values)), float(spread) or 1.0)
            object.__setattr__(self, "scales", scales)

    def __len__(self) -> int:
        return len(self.frame)

    def __getitem__(self, rows: int | slice | Sequence[int] | np.ndarray) -> Table:
        """These rows (positions, not index labels) with the whole table's scales."""
        rows = [rows] if isinstance(rows, (int, np.integer)) else rows
        return replace(self, frame=self.frame.iloc[rows])

    def rows(self) -> list[Table]:
        """One Table per row; a row of nothing but missing cells raises ValueError when it is reached."""
        return [self[i] for i in range(len(self))]


@dataclass(frozen=True)
class Text:
    """Words in a human language; ``truncate=True`` allows a text longer than the model reads to be cut."""

    words: str
    truncate: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.words, str) or not self.words.strip():
            raise ValueError("the text is empty; wanted words")


@dataclass(frozen=True)
class Code:
    """A program's source text; never run. ``language`` is its name ("python") where it is known."""

    source: str
    language: str | None = None
    truncate: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.source, str) or not self.source.strip():
            raise ValueError("the source is empty; wanted a program's text")


Item = Raster | PointCloud | Trajectory | Graph | Table | Text | Code
