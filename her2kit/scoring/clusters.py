"""Groups of cells that lie together: each within a given distance of another one of the group.

What the guidelines call a contiguous population or cluster. Centres of nuclei stand for the cells; whether
their membranes truly touch is not looked at.
"""

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import KDTree


def largest_cluster(xy_um: np.ndarray, *, neighbour_um: float) -> int:
    """Count the cells of the largest group; 0 for no cells. Takes the arguments of `cluster_sizes`."""
    return int(cluster_sizes(xy_um, neighbour_um=neighbour_um).max(initial=0))


def cluster_sizes(xy_um: np.ndarray, *, neighbour_um: float) -> np.ndarray:
    """Count the cells of each group whose members are neighbours of neighbours.

    Parameters
    ----------
    xy_um
        float (n, 2), centres in micrometres, finite.
    neighbour_um
        Largest distance of two neighbours, inclusive, > 0.

    Returns
    -------
    int64 (groups,)
        Which sizes there are does not depend on the order of the cells.

    Raises
    ------
    ValueError
        If `xy_um` is not (n, 2) and finite, or `neighbour_um` is not > 0.
    """
    points = np.asarray(xy_um, dtype=np.float64).reshape(-1, 2) if np.size(xy_um) == 0 else np.asarray(xy_um)
    if points.ndim != 2 or points.shape[1] != 2 or not np.all(np.isfinite(points)):
        raise ValueError(f"xy_um has shape {points.shape}; pass (n, 2) finite centres in micrometres")
    if not neighbour_um > 0:
        raise ValueError(f"neighbour_um={neighbour_um!r}; pass a distance > 0")
    n = len(points)
    if n == 0:
        return np.zeros(0, np.int64)
    pairs = KDTree(points).query_pairs(neighbour_um, output_type="ndarray")
    graph = coo_array((np.ones(len(pairs), np.int8), (pairs[:, 0], pairs[:, 1])), shape=(n, n))
    _, group = connected_components(graph, directed=False)
    return np.bincount(group)
