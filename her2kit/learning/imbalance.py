"""Classes of unlike size, evened out: fewer samples of the common ones, or rare ones several times.

Class weights and weight decay, the two other ways of the reference system, change no sample:
`her2kit.learning.classification.balanced_weights` and ``TrainSettings.weight_decay``.
"""

from collections.abc import Sequence

import numpy as np

IMBALANCE = ("none", "undersample", "oversample", "class_weights")


def resampled_rows(labels: np.ndarray, how: str, *, seed: int = 0) -> np.ndarray:
    """Return the numbers of the samples to train on, int64, in ascending order; some more than once.

    Parameters
    ----------
    labels
        int (n,), class numbers. Classes without samples stay so.
    how
        One of `IMBALANCE`. ``undersample`` draws from each class as many as the rarest has, ``oversample``
        as many as the commonest has, each sample about equally often.
    """
    if how not in IMBALANCE:
        raise ValueError(f"imbalance={how!r}; use one of {', '.join(IMBALANCE)}")
    if how in ("none", "class_weights") or not len(labels):
        return np.arange(len(labels))
    rng = np.random.default_rng(seed)
    rows = [np.flatnonzero(labels == k) for k in np.unique(labels)]
    sizes = [len(r) for r in rows]
    n = min(sizes) if how == "undersample" else max(sizes)
    drawn = [np.resize(rng.permutation(r), n) for r in rows]
    return np.sort(np.concatenate(drawn))


def need_every_class(labels: np.ndarray, class_names: Sequence[str]) -> None:
    """Check that each class has a sample.

    Raises
    ------
    ValueError
        If one has none; the message names all such classes.
    """
    absent = [name for k, name in enumerate(class_names) if not (labels == k).any()]
    if absent:
        raise ValueError(
            f"no training sample of class {', '.join(absent)}; give some, or leave it out of class_names"
        )
