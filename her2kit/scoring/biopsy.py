"""Gastric biopsies: a cluster of stained cells decides, whatever its share of all cells.

The highest class L with a contiguous cluster of at least 5 tumour cells of class L or more is the score.

References
----------
Ruschoff J et al. Mod Pathol 2012;25:637-650. World J Gastroenterol 2014;20:4526, table 1.
"""

from typing import TYPE_CHECKING

import numpy as np

from her2kit.cells.table import CLASSES
from her2kit.scoring.clusters import largest_cluster
from her2kit.scoring.rules import Verdict, entry

if TYPE_CHECKING:
    from her2kit.scoring.guideline import Policies


def decide_biopsy(classes: np.ndarray, xy_um: np.ndarray, policies: "Policies") -> Verdict:
    """Try the classes from the highest down.

    Parameters
    ----------
    classes
        (n,), the class of each cell as a word, n >= 1.
    xy_um
        float (n, 2), centres in um.
    policies
        Gives the distance of neighbours and the size of a cluster.

    Returns
    -------
    Verdict
        With an entry of the trace for each class tried.
    """
    n, trace = len(classes), []
    rank = np.array([CLASSES.index(c) for c in classes])
    for level in (3, 2, 1):
        at_least = rank >= level
        size = largest_cluster(xy_um[at_least], neighbour_um=policies.neighbour_um)
        fired = size >= policies.biopsy_cluster
        name = CLASSES[level]
        words = (
            f"{int(at_least.sum()):,} of {n:,} cells are {name}{'' if level == 3 else ' or more'}; at most "
            f"{size:,} of "
            f"them lie together (neighbours within {policies.neighbour_um:g} um). A cluster of "
            f"{policies.biopsy_cluster} or more makes a biopsy {name}: "
            f"{f'reached, so the score is {name}' if fired else 'not reached'}."
        )
        trace.append(entry(f"cluster of {name}", size, n, policies.biopsy_cluster, fired, words))
        if fired:
            return Verdict(name, None, None, trace)
    trace.append(
        entry("otherwise 0", int((rank > 0).sum()), n, 0, True, "No class has a cluster: the score is 0.")
    )
    return Verdict("0", None, None, trace)
