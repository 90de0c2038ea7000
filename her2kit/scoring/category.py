"""From a score and an ISH result to the therapeutic category. Never changes the score.

Breast: trastuzumab needs HER2-positive; DESTINY-Breast04 defined low, DESTINY-Breast06 ultralow. ASCO/CAP
2023 does not make low and ultralow interpretive categories, so the report names the vocabulary that it uses.

References
----------
Wolff AC et al. J Clin Oncol 2018;36:2105-2122 (ISH groups 1 to 5, table 3 and figures 3 to 5) and
2023;41:3867. Modi S et al. N Engl J Med 2022;387:9-20 (low). Bardia A et al. N Engl J Med 2024;391:2110-2122
(ultralow). Rakha EA et al. Mod Pathol 2026;39:100925 (terms). Bang YJ et al. Lancet 2010;376:687-697
(gastric: positive is 3+, or 2+ with amplification).
"""

ISH = ("amplified", "not_amplified", "group1", "group2", "group3", "group4", "group5", "unknown")
"""ISH results that are understood. Group 1 is amplified, group 5 is not; 2 to 4 need review beside the
IHC."""

VOCABULARY = {
    "breast": "positive, low, ultralow, null, pending: terms of DESTINY-Breast04 and 06, low and "
    "ultralow not being interpretive categories of ASCO/CAP 2023",
    "gastric": "positive, negative, pending: as in the ToGA trial; gastric cancer has no low and no ultralow",
}
"""What the report says about the words, by organ."""


def therapeutic_category(
    score: str, ish: str, *, organ: str, zero_kind: str | None = None
) -> tuple[str, list[str]]:
    """Return the category and the flags that ISH raises.

    Parameters
    ----------
    score
        "0", "1+", "2+" or "3+".
    ish
        One of `ISH`.
    organ
        ``breast`` or ``gastric``.
    zero_kind
        In breast, what a score of 0 is called (``null``, ``ultralow`` or not resolved).

    Returns
    -------
    tuple of str and list of str
        Category in words, and flags among ``discordant``, ``review``, ``ish_review``.

    Raises
    ------
    ValueError
        If `ish` is not known.
    """
    if ish not in ISH:
        raise ValueError(f"ish={ish!r} is not known; use one of {', '.join(ISH)}")
    amplified, not_amplified = ish in ("amplified", "group1"), ish in ("not_amplified", "group5")
    flags = ["ish_review"] if ish in ("group2", "group3", "group4") else []
    if score == "3+":
        return "positive", flags + (["discordant"] if not_amplified else [])
    if score == "2+":
        if amplified:
            return "positive", flags
        if not_amplified:
            return ("low" if organ == "breast" else "negative"), flags
        return "pending", flags
    if amplified:
        # Gastric: ToGA found no benefit in 0 or 1+ with amplification, so the category stays negative.
        return ("positive" if organ == "breast" else "negative"), [*flags, "discordant", "review"]
    if organ == "gastric":
        return "negative", flags
    return ("low" if score == "1+" else zero_kind or "ultralow or null not resolved"), flags
