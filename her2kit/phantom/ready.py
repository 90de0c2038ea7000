"""Ready-made cases: what each score looks like, and what fools the eye. Data only."""

from her2kit.errors import PlanError

NONE = ("none", "none")


def _mix(none=0.0, **shares) -> dict:
    """Return fractions from words such as ``incomplete_faint=0.2``."""
    return {NONE: none} | {tuple(name.split("_")): share for name, share in shares.items()}


READY: dict[str, dict] = {
    "0-null": {"fractions": _mix(1.0)},
    "ultralow": {"fractions": _mix(0.945, incomplete_faint=0.055), "clustering": 0.5},
    "1+": {
        "fractions": _mix(
            0.42, incomplete_faint=0.44, incomplete_weak=0.10, complete_faint=0.03, complete_weak=0.01
        )
    },
    "2+": {
        "fractions": _mix(
            0.10,
            incomplete_faint=0.16,
            complete_faint=0.06,
            incomplete_weak=0.12,
            complete_weak=0.36,
            incomplete_moderate=0.04,
            complete_moderate=0.15,
            complete_intense=0.01,
        )
    },
    "3+": {
        "fractions": _mix(
            0.01,
            incomplete_faint=0.02,
            complete_weak=0.07,
            incomplete_moderate=0.02,
            complete_moderate=0.13,
            incomplete_intense=0.05,
            complete_intense=0.70,
        )
    },
    "borderline-8": {
        "fractions": _mix(
            0.42, incomplete_faint=0.38, incomplete_weak=0.12, complete_weak=0.05, complete_moderate=0.03
        )
    },
    "borderline-9": {
        "fractions": _mix(
            0.46, incomplete_faint=0.35, incomplete_weak=0.10, complete_weak=0.06, complete_moderate=0.03
        )
    },
    "borderline-11": {
        "fractions": _mix(
            0.44, incomplete_faint=0.35, incomplete_weak=0.10, complete_weak=0.07, complete_moderate=0.04
        )
    },
    "borderline-12": {
        "fractions": _mix(
            0.43, incomplete_faint=0.33, incomplete_weak=0.12, complete_weak=0.08, complete_moderate=0.04
        )
    },
    "borderline-3+": {
        "fractions": _mix(
            0.10, incomplete_faint=0.15, complete_weak=0.33, complete_moderate=0.30, complete_intense=0.12
        )
    },
    "borderline-1+": {"fractions": _mix(0.88, incomplete_faint=0.12)},
    "hot-spot": {
        "fractions": _mix(
            0.45, incomplete_faint=0.28, complete_weak=0.06, complete_moderate=0.03, complete_intense=0.18
        ),
        "hot_spot": True,
        "clustering": 0.92,
    },
    "basolateral": {
        "fractions": _mix(
            0.12,
            incomplete_faint=0.18,
            incomplete_weak=0.20,
            incomplete_moderate=0.35,
            incomplete_intense=0.15,
        ),
        "basolateral": True,
        "patterns": ("glands", "ducts"),
    },
    "cytoplasmic": {"fractions": _mix(1.0), "cytoplasm_dab": 0.16},
    "overstained": {
        "fractions": _mix(0.0, incomplete_moderate=0.05, complete_moderate=0.15, complete_intense=0.80),
        "dab_gain": 1.5,
        "hematoxylin_gain": 0.8,
    },
    "pale": {
        "fractions": _mix(0.10, incomplete_faint=0.20, complete_weak=0.35, complete_moderate=0.35),
        "hematoxylin_gain": 0.45,
    },
    "nearly-empty": {"fractions": _mix(0.5, incomplete_faint=0.5), "mix": "empty"},
    "gastric-0": {"fractions": _mix(0.97, incomplete_faint=0.03), "gastric": True},
    "gastric-1+": {"fractions": _mix(0.45, incomplete_faint=0.52, incomplete_weak=0.03), "gastric": True},
    "gastric-2+": {
        "fractions": _mix(
            0.15,
            incomplete_faint=0.25,
            incomplete_weak=0.22,
            complete_weak=0.15,
            incomplete_moderate=0.15,
            complete_moderate=0.05,
            complete_intense=0.03,
        ),
        "gastric": True,
    },
    "gastric-3+": {
        "fractions": _mix(
            0.03,
            incomplete_faint=0.03,
            incomplete_weak=0.06,
            incomplete_moderate=0.12,
            complete_moderate=0.08,
            incomplete_intense=0.38,
            complete_intense=0.30,
        ),
        "gastric": True,
    },
}
"""Case name to what differs from ``Plan``'s defaults."""

COHORT = (
    "3+",
    "0-null",
    "2+",
    "1+",
    "ultralow",
    "hot-spot",
    "borderline-9",
    "borderline-11",
    "basolateral",
    "cytoplasmic",
    "gastric-3+",
    "gastric-0",
    "gastric-2+",
    "gastric-1+",
    "borderline-8",
    "borderline-12",
    "pale",
    "overstained",
    "borderline-3+",
    "borderline-1+",
)
"""The order in which a cohort takes its cases; then it begins again."""


def ready_case(name: str) -> dict:
    """Return what differs from ``Plan``'s defaults for a ready-made case."""
    from her2kit.phantom.plan import Mix

    if name not in READY:
        raise PlanError(f"case {name!r} is unknown; use one of {', '.join(READY)}")
    case = {"name": name, **READY[name]}
    if case.get("mix") == "empty":
        case["mix"] = Mix(invasive=0.02, in_situ=0, normal=0.02, immune=0.01, necrosis=0, fat=0.3)
    if case.pop("gastric", False):
        case |= {"guideline": "gastric-resection", "basolateral": True, "patterns": ("papillary", "glands")}
        case["normal_fractions"] = _mix(0.9, incomplete_faint=0.1)
        case["mix"] = Mix(invasive=0.88, in_situ=0.0, normal=0.02, immune=0.02, necrosis=0.01, fat=0.0)
    return case
