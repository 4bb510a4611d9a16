"""Drawing N-way K-shot episodes in which no group stands on both sides.

A group is whatever makes two items nearly the same: a parcel, a flight line, a user, a tile. If it stood in support and
query at once, an episode would measure memory of the group. The rule holds over the whole episode, not class by class.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np

TRIES = 50  # draws of one episode before its classes are given up


@dataclass(frozen=True, eq=False)
class Episodes:
    """E drawn episodes; numbers index the N items that were given.

    Attributes:
        classes: (E, K) index into ``labels``.
        support: (E, K, S).
        query: (E, K, Q), -1 where a class had fewer than Q items left.
        labels: the class names that took part.
        seed: of the draw.
        notes: what differs from what was asked, in sentences.
    """

    classes: np.ndarray
    support: np.ndarray
    query: np.ndarray
    labels: tuple[str, ...]
    seed: int
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.classes)

    def __getitem__(self, part: slice) -> Episodes:
        """These episodes."""
        return Episodes(self.classes[part], self.support[part], self.query[part], self.labels, self.seed, self.notes)

    @property
    def ways(self) -> int:
        """K."""
        return self.classes.shape[1]

    @property
    def shots(self) -> int:
        """S."""
        return self.support.shape[2]


def draw_episodes(
    labels: Sequence[str],
    groups: Sequence[Hashable] | None = None,
    *,
    ways: int,
    shots: int,
    queries: int = 15,
    episodes: int = 600,
    seed: int = 0,
) -> Episodes:
    """Draw episodes.

    In a class the support comes from as many groups as it can, but from no more than half of them, so that queries
    remain; queries are drawn from all other groups.

    Args:
        labels: N class names.
        groups: N groups; None where every item is its own.
        ways: classes per episode; all of them where fewer can take part, which a note says.
        shots: support items per class.
        queries: query items per class, fewer where a class has fewer left.
        episodes: how many.
        seed: of the draw: the same arguments give the same episodes on every machine.

    Raises:
        ValueError: fewer than two classes can take part, or their groups cannot be kept apart.
    """
    if min(ways - 1, shots, queries, episodes) < 1:
        raise ValueError(f"{ways}-way {shots}-shot, {queries} queries, {episodes} episodes came; wanted at least 2-way "
                         "1-shot, one query and one episode")  # fmt: skip
    if groups is not None and len(groups) != len(labels):
        raise ValueError(f"{len(groups)} groups came for {len(labels)} labels; give one group for each item")
    pool, notes = _pool(labels, groups, shots)
    names = tuple(pool)
    if len(names) < 2:
        raise ValueError(
            f"{len(names)} classes can take part in {shots}-shot episodes; wanted at least two. " + " ".join(notes)
        )
    if len(names) < ways:
        notes.append(f"{len(names)}-way instead of {ways}-way: no more classes can take part.")
        ways = len(names)
    generator = np.random.default_rng(seed)
    members = list(pool.values())
    alone = all(len(group) == 1 for one in members for group in one.values()) and _disjoint(members)
    flat = [np.concatenate(list(one.values())) for one in members]
    classes = np.empty((episodes, ways), np.int64)
    support = np.empty((episodes, ways, shots), np.int64)
    query = np.full((episodes, ways, queries), -1, np.int64)
    failures = 0
    for e in range(episodes):
        while True:
            classes[e] = generator.permutation(len(names))[:ways]
            if alone:
                for k, c in enumerate(classes[e]):
                    picked = generator.permutation(flat[c])[: shots + queries]
                    support[e, k], query[e, k, : len(picked) - shots] = picked[:shots], picked[shots:]
                break
            sides = _sides([members[c] for c in classes[e]], shots, queries, generator)
            if sides is not None:
                for k, (chosen, asked) in enumerate(sides):
                    support[e, k], query[e, k, : len(asked)] = chosen, asked
                break
            failures += 1
            if failures > TRIES + episodes // 2:
                raise ValueError(
                    f"support and query of {ways}-way {shots}-shot episodes cannot be kept in different groups: the "
                    "classes share too few groups; give finer groups or fewer shots"
                )
    short = float((query < 0).any(-1).mean())
    if short:
        least = int((query >= 0).sum(-1).min())
        notes.append(f"{short:.0%} of the class draws have fewer than {queries} queries (at least {least}).")
    return Episodes(classes, support, query, names, seed, tuple(notes))


Groups = dict[Hashable, np.ndarray]


def _pool(labels: Sequence[str], groups: Sequence[Hashable] | None, shots: int) -> tuple[dict[str, Groups], list[str]]:
    """Class -> group -> its items, of the classes that can give ``shots`` and still leave a group; and who cannot."""
    lists: dict[str, dict[Hashable, list[int]]] = {}
    for i, label in enumerate(labels):
        lists.setdefault(str(label), {}).setdefault(i if groups is None else groups[i], []).append(i)
    pool: dict[str, Groups] = {}
    notes = []
    for label in sorted(lists):
        sizes = [len(items) for items in lists[label].values()]
        if len(sizes) < 2 or sum(sizes) - min(sizes) < shots:
            held = f"{sum(sizes)} items in {len(sizes)} groups"
            notes.append(f"Class {label!r} is left out: {held} cannot give {shots} shots and a query of another group.")
        else:
            pool[label] = {group: np.array(items) for group, items in lists[label].items()}
    return pool, notes


def _disjoint(members: Sequence[Groups]) -> bool:
    return len(set().union(*members)) == sum(map(len, members))


def _sides(
    members: Sequence[Groups], shots: int, queries: int, generator: np.random.Generator
) -> list[tuple[np.ndarray, np.ndarray]] | None:
    """(support, query) items of each class of one episode, or None where this draw cannot keep the groups apart."""
    supporting: set[Hashable] = set()  # groups of any class's support
    asking: set[Hashable] = set()  # one group per class that is kept for its queries
    chosen: list[np.ndarray] = []
    for groups in members:
        keys = list(groups)
        keys = [keys[i] for i in generator.permutation(len(keys))]
        total = sum(len(items) for items in groups.values())
        kept = [key for key in keys if key not in supporting and total - len(groups[key]) >= shots]
        if not kept:
            return None
        asking.add(next((key for key in kept if key in asking), kept[0]))
        free = [key for key in keys if key not in asking]
        free.sort(key=lambda key: key not in supporting)  # a group that supports already costs no queries
        piles: list[np.ndarray] = []
        for key in free:
            if sum(map(len, piles)) >= shots and len(piles) >= min(shots, len(keys) // 2):
                break
            piles.append(generator.permutation(groups[key]))
            supporting.add(key)
        # One of each group, then a second of each: as many different groups as the shots allow.
        turns = sorted((turn, pile) for pile, items in enumerate(piles) for turn in range(len(items)))
        if len(turns) < shots:
            return None
        chosen.append(np.array([piles[pile][turn] for turn, pile in turns[:shots]]))
    sides = []
    for groups, items in zip(members, chosen, strict=True):
        rest = np.concatenate([groups[key] for key in groups if key not in supporting])
        sides.append((items, generator.permutation(rest)[:queries]))
    return sides
