"""README and notebooks agree on the minutes; after a rendering: python -m her2kit.course.readme_minutes."""

from pathlib import Path

from her2kit.course.readme_minutes import with_minutes

ROOT = Path(__file__).parents[1]


def test_the_readme_gives_the_minutes_that_the_notebooks_say():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert with_minutes(text, ROOT) == text, "python -m her2kit.course.readme_minutes"
