"""One-to-one matching of points to points, for measuring a detector against a truth.

A hit is a pair not further apart than a given distance. Of all one-to-one pairings the one with the most
pairs is taken, and among those the one with the smallest sum of distances. Nearest-first (greedy) pairing can
lose hits, and its answer may depend on the order of the points. Units are the caller's own.

The problem falls apart into groups of points that are neighbours of neighbours. Small ones are solved densely
(Crouse 2016), large ones sparsely (LAPJVsp, Jonker and Volgenant 1987), both by SciPy.

References
----------
Crouse DF. On implementing 2D rectangular assignment algorithms. IEEE Trans Aerosp Electron Syst
2016;52:1679-1696.
Jonker R, Volgenant A. A shortest augmenting path algorithm for dense and sparse linear assignment problems.
Computing 1987;38:325-340.
"""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import connected_components, min_weight_full_bipartite_matching
from scipy.spatial import KDTree

_DENSE_LIMIT = 250_000
"""Cells of the cost matrix up to which a group is solved densely: 2 MB, faster than the sparse solver."""


@dataclass(frozen=True, slots=True)
class Matches:
    """The pairs, and how many points there were."""

    truth_index: np.ndarray
    """int64 (k,), rows of the truth, ascending."""
    found_index: np.ndarray
    """int64 (k,), the row of the found points that goes with each."""
    distance: np.ndarray
    """float64 (k,), in the caller's unit."""
    n_truth: int
    """How many true points there were."""
    n_found: int
    """How many points were found."""

    def __post_init__(self) -> None:
        if not len(self.truth_index) == len(self.found_index) == len(self.distance):
            raise ValueError("truth_index, found_index and distance differ in length; pass one entry a pair")
        if len(self.truth_index) > min(self.n_truth, self.n_found):
            raise ValueError(f"{len(self.truth_index)} pairs of {self.n_truth} and {self.n_found} points")

    @property
    def n_hits(self) -> int:
        """Number of pairs (true positives)."""
        return len(self.truth_index)

    @property
    def precision(self) -> float:
        """Share of the found points that are hits, 0..1; nan where nothing was found."""
        return self.n_hits / self.n_found if self.n_found else float("nan")

    @property
    def recall(self) -> float:
        """Share of the true points that were found, 0..1; nan where there is no true point."""
        return self.n_hits / self.n_truth if self.n_truth else float("nan")

    @property
    def f1(self) -> float:
        """``2 hits / (n_truth + n_found)``, 0..1; nan where there are no points at all."""
        total = self.n_truth + self.n_found
        return 2 * self.n_hits / total if total else float("nan")


def match_points(truth_xy: np.ndarray, found_xy: np.ndarray, *, max_distance: float) -> Matches:
    """Pair true with found points, one to one, as many as can be and then as close as can be.

    Parameters
    ----------
    truth_xy, found_xy
        Points, shapes (n, 2) and (m, 2), finite. Either may be empty.
    max_distance
        Largest distance of a pair, inclusive, > 0, in the unit of the points.

    Returns
    -------
    Matches
        The number of hits and the sum of distances do not depend on the order of the points.

    Raises
    ------
    ValueError
        If a shape, a coordinate or `max_distance` is not usable.
    """
    truth, found = _points("truth_xy", truth_xy), _points("found_xy", found_xy)
    if not np.isfinite(max_distance) or max_distance <= 0:
        raise ValueError(f"max_distance={max_distance!r}; pass a distance > 0 in the unit of the points")
    rows, columns, distance = _neighbours(truth, found, max_distance)
    pair = _assign(rows, columns, distance, len(truth), len(found), max_distance)
    pair = pair[np.argsort(rows[pair], kind="stable")]
    return Matches(rows[pair], columns[pair], distance[pair], len(truth), len(found))


def _points(name: str, xy: np.ndarray) -> np.ndarray:
    points = np.asarray(xy, dtype=np.float64)
    if points.size == 0:
        return np.zeros((0, 2))
    if points.ndim != 2 or points.shape[1] != 2:
        raise ValueError(f"{name} has shape {points.shape}; pass (n, 2), x and y in columns")
    if not np.all(np.isfinite(points)):
        raise ValueError(f"{name} holds nan or infinite coordinates; drop those rows first")
    return points


def _neighbours(
    truth: np.ndarray, found: np.ndarray, max_distance: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return all pairs within reach: rows, columns (int64) and distances, sorted by row and column."""
    if not len(truth) or not len(found):
        return np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0)
    near = KDTree(truth).sparse_distance_matrix(KDTree(found), max_distance, output_type="ndarray")
    order = np.lexsort((near["j"], near["i"]))
    return near["i"][order].astype(np.int64), near["j"][order].astype(np.int64), near["v"][order]


def _assign(
    rows: np.ndarray, columns: np.ndarray, distance: np.ndarray, n: int, m: int, max_distance: float
) -> np.ndarray:
    """Return the indices of the pairs that are kept, group by group."""
    if not len(rows):
        return np.zeros(0, np.int64)
    graph = coo_array((np.ones(len(rows)), (rows, columns + n)), shape=(n + m, n + m))
    _, group_of = connected_components(graph, directed=False)
    group = group_of[rows]
    order = np.argsort(group, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(group[order]) > 0, True])
    sizes = np.diff(starts)
    kept = [order[starts[:-1][sizes == 1]]]  # groups of one pair need no solver
    for begin, end in zip(starts[:-1][sizes > 1], starts[1:][sizes > 1], strict=True):
        inside = order[begin:end]
        kept.append(inside[_solve(rows[inside], columns[inside], distance[inside], max_distance)])
    return np.concatenate(kept)


def _solve(rows: np.ndarray, columns: np.ndarray, distance: np.ndarray, max_distance: float) -> np.ndarray:
    """Return the indices of the best pairs of one group of neighbours."""
    own_rows, r = np.unique(rows, return_inverse=True)
    own_columns, c = np.unique(columns, return_inverse=True)
    n, m = len(own_rows), len(own_columns)
    # A missing pair costs more than all distances together, so the number of pairs comes first.
    missing = float((min(n, m) + 1) * max_distance)
    if n * m <= _DENSE_LIMIT:
        cost = np.full((n, m), missing)
        cost[r, c] = distance
        to = np.full(n, -1)
        row, column = linear_sum_assignment(cost)
        to[row] = column
    else:
        # Every true point may also stay alone, with a partner of its own that costs `missing`. The solver
        # takes a zero for no edge; a length added to all edges changes nothing, as every row takes one.
        cost_graph = csr_array(
            (
                np.r_[distance, np.full(n, missing)] + max_distance,
                (np.r_[r, np.arange(n)], np.r_[c, m + np.arange(n)]),
            ),
            shape=(n, m + n),
        )
        row, column = min_weight_full_bipartite_matching(cost_graph)
        to = np.full(n, -1)
        to[row] = column
    return np.flatnonzero(to[r] == c)
