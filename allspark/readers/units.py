"""The words files use for units ("reflectance x 10000", "Sigma0 dB", "degC") -> allspark's units and a linear law."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..items import UNITS

LONGEST_PHRASE = 200  # characters
_NUMBER = r"\d[\d,]*(?:\.\d+)?(?:e[+-]?\d+)?"
# "x 10000", "× 10,000", "* 1e4", "scaled by 10000" and a number alone at the end
_TIMES = re.compile(rf"(?:x|×|\*|times|scaled by|scale factor|\s)\s*({_NUMBER})\s*\)?\s*$")

# Pattern of the whole phrase -> unit and the law (a, b): value * a + b is in that unit.
_PHRASES: tuple[tuple[str, str, float, float], ...] = (
    (r".*\bdbs?\b.*|.*\bdecibels?\b.*", "db", 1, 0),
    (r"(percent|%) .*reflectance.*|.*reflectance.*(percent|%).*", "reflectance", 0.01, 0),
    (r".*reflect(ance|ivity).*", "reflectance", 1, 0),
    (r".*radiance.*|.*\b[muµ]?w\b.*\bsr\b.*|.*[muµ]?w[/*\s].*sr.*", "radiance", 1, 0),
    (r"dn|dns|digital numbers?|(raw )?counts?", "dn", 1, 0),
    (r".*amplitude.*|magnitude", "amplitude", 1, 0),
    (r".*\blinear\b.*|.*\bpower\b.*|.*\bintensity\b.*", "linear", 1, 0),
    (r"k|kelvins?|degrees? kelvin|brightness temperature \(k\)", "kelvin", 1, 0),
    (r"°?c|deg ?c|celsius|degrees? c(elsius)?", "kelvin", 1, 273.15),
    (r"m|met(re|er)s?", "metres", 1, 0),
    (r"cm|centimet(re|er)s?", "metres", 0.01, 0),
    (r"ft|feet|foot", "metres", 0.3048, 0),
    (r"uint8|8[ -]?bit( display)?", "uint8", 1, 0),
)


@dataclass(frozen=True)
class Unit:
    """A unit as a file or a user names it.

    Args:
        name: one of ``allspark.items.UNITS``.
        factor: the stored numbers are this many times the value ("reflectance x 10000"); None where nothing is said.
        law: (a, b): what is decoded, times a, plus b, is in the unit (degrees Celsius to kelvin).
    """

    name: str
    factor: float | None = None
    law: tuple[float, float] = (1.0, 0.0)


def parse(text: str | None) -> Unit | None:
    """The unit a phrase names, or None where it names none that is known.

    Example:
        >>> parse("reflectance x 10000")
        Unit(name='reflectance', factor=10000.0, law=(1.0, 0.0))
    """
    words = (text or "").strip().lower()[:LONGEST_PHRASE].replace("_", " ").strip()
    if not words:
        return None
    if words in UNITS:
        return Unit(words)
    factor = None
    found = _TIMES.search(words)
    if found and words[: found.start()].strip():
        factor = float(found[1].replace(",", ""))
        if 0 < factor < 1:  # "reflectance x 0.0001" names the multiplier, not the scale
            factor = 1 / factor
        words = words[: found.start()].strip(" (,")
    for pattern, name, a, b in _PHRASES:
        if re.fullmatch(pattern, words):
            return Unit(name, factor or None, (float(a), float(b)))
    return None


def asked(text: str) -> Unit:
    """The unit a user names with ``units=``; ValueError where it is none."""
    unit = parse(text) if isinstance(text, str) else None
    if unit is None:
        raise ValueError(
            f"units={text!r} came; wanted one of {', '.join(UNITS)}, with a factor where the numbers are scaled "
            "('reflectance x 10000')"
        )
    return unit
