"""How many cores there are, and what keeps a process to its share of them.

Threads of two processes that wait for each other cost several-fold, so whatever runs in parallel bounds its
own: cores / workers each.
"""

import os

THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "POLARS_MAX_THREADS",
    "OPENCV_FOR_THREADS_NUM",
)
"""What bounds the threads of BLAS, OpenMP (torch too), numba, polars and OpenCV in a new process."""


def cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def thread_limits(threads: int) -> dict[str, str]:
    """Return the environment that keeps a new process to so many threads a library."""
    return dict.fromkeys(THREAD_VARIABLES, str(max(1, threads)))
