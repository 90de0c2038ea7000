"""The figure of a reader's training: kappa as it grew beside published readers, both halves with intervals.

As in ``plots``; nothing is computed here.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from her2kit.report.plots import ACCENT, INK, SOFT, tidy
from her2kit.scoring.published import PUBLISHED, Published
from her2kit.statistics import Interval

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def training_figure(
    kappas: Sequence[float | None],
    halves: Mapping[str, Interval],
    *,
    published: Sequence[Published] = PUBLISHED,
) -> "Figure":
    """Draw the running kappa, and the kappa of the first and of the second half.

    Parameters
    ----------
    kappas
        After each answer; None where there is none yet.
    halves
        ``first half``, ``second half`` and ``change``.
    published
        Studies; those of people with a kappa are drawn as grey bands.
    """
    import matplotlib.pyplot as plt

    figure, (run, half) = plt.subplots(
        1, 2, figsize=(9.4, 3.0), layout="constrained", sharey=True, width_ratios=(2, 1)
    )
    for study in published:
        if study.kind != "people" or study.kappa is None:
            continue
        low, high = study.kappa
        for ax in (run, half):
            ax.axhspan(low - 0.006, high + 0.006, color="#7b8694", alpha=0.3, linewidth=0)
        words = f"{study.who.split(',')[0]}\n({study.kappa_words})"
        half.annotate(words, (1.03, (low + high) / 2), xycoords=("axes fraction", "data"), va="center",
                      fontsize=8, color=SOFT)  # fmt: skip
    known = [(n, v) for n, v in enumerate(kappas, 1) if v is not None]
    if known:
        run.plot(*zip(*known, strict=True), "-", color=ACCENT, linewidth=2.2)
        run.plot(*known[-1], "o", color=ACCENT, markersize=6)
    lowest = min([0.0, *(v for _, v in known), *(halves[k].low for k in ("first half", "second half"))])
    run.set(xlim=(0, len(kappas) + 1), ylim=(lowest - 0.03, 1.03), xlabel="answers")
    run.set_ylabel("quadratic kappa against the truth")
    tidy(run, "As it grew")
    for place, name in enumerate(("first half", "second half")):
        value = halves[name]
        half.plot([place] * 2, [value.low, value.high], color=ACCENT, linewidth=2)
        half.plot(place, value.estimate, "o", color=ACCENT, markersize=8)
        half.annotate(f"{value.estimate:.2f}", (place, value.estimate), xytext=(9, 0), va="center",
                      textcoords="offset points", fontsize=10, color=INK)  # fmt: skip
    change = halves["change"]
    half.set(xlim=(-0.5, 1.7), xticks=(0, 1), xticklabels=("first half", "second half"))
    tidy(half, f"Change {change.estimate:+.2f} ({change.low:+.2f} to {change.high:+.2f})")
    for ax in (run, half):
        ax.grid(axis="x", visible=False)
        ax.grid(axis="y", color="#e3e6ea", linewidth=0.8)
    return figure
