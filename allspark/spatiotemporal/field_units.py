"""Words that files use for a field's units, brought to one spelling, and the linear law from one unit to another."""

from __future__ import annotations

import re

_SPELLINGS: dict[str, str] = {
    "kelvin": "K", "degk": "K", "k": "K",
    "degc": "degC", "celsius": "degC", "degreec": "degC", "degreescelsius": "degC", "degreecelsius": "degC",
    "°c": "degC", "c": "degC",
    "mm/h": "mm/h", "mmh-1": "mm/h", "mmhr-1": "mm/h", "mm/hr": "mm/h", "mm/hour": "mm/h", "mmhour-1": "mm/h",
    "mmh^-1": "mm/h", "mmh**-1": "mm/h",
    "kgm-2s-1": "kg m-2 s-1", "kg/m2/s": "kg m-2 s-1", "kgm**-2s**-1": "kg m-2 s-1", "kgm^-2s^-1": "kg m-2 s-1",
    "mms-1": "mm/s", "mm/s": "mm/s",
    "mph": "mph", "mile/h": "mph", "miles/hour": "mph", "mi/h": "mph",
    "km/h": "km/h", "kmh-1": "km/h", "kph": "km/h",
    "m/s": "m/s", "ms-1": "m/s", "ms**-1": "m/s",
    "1": "1", "count": "1", "counts": "1", "dimensionless": "1", "uint8": "1",
}  # fmt: skip

# unit -> (what it measures, a, b): value · a + b is in the kind's own unit (kelvin, mm/h, m/s)
_LAWS: dict[str, tuple[str, float, float]] = {
    "K": ("temperature", 1.0, 0.0),
    "degC": ("temperature", 1.0, 273.15),
    "mm/h": ("rain rate", 1.0, 0.0),
    "mm/s": ("rain rate", 3600.0, 0.0),
    "kg m-2 s-1": ("rain rate", 3600.0, 0.0),  # of water: one kilogram on a square metre is one millimetre
    "m/s": ("speed", 1.0, 0.0),
    "km/h": ("speed", 1 / 3.6, 0.0),
    "mph": ("speed", 0.44704, 0.0),
}


def spelled(units: str) -> str:
    """One spelling of a unit; what is not known stays as it came.

    Example:
        >>> spelled("mm h-1"), spelled("bikes/h")
        ('mm/h', 'bikes/h')
    """
    return _SPELLINGS.get(re.sub(r"[\s_·]+", "", units).lower(), units.strip())


def law(found: str, wanted: str) -> tuple[float, float]:
    """(a, b): value · a + b turns ``found`` into ``wanted``.

    Raises:
        ValueError: one cannot become the other.

    Example:
        >>> law("degC", "K")
        (1.0, 273.15)
    """
    one, other = spelled(found), spelled(wanted)
    if one == other:
        return 1.0, 0.0
    if one in _LAWS and other in _LAWS and _LAWS[one][0] == _LAWS[other][0]:
        (_, a, b), (_, c, d) = _LAWS[one], _LAWS[other]
        return a / c, (b - d) / c
    raise ValueError(f"values in {found!r} came; the task is in {wanted!r}; convert them, or choose another task")
