"""Rounds of reading on the command line: ``her2kit review open | status | export | import | close`` and more.

Thin. Exit status as everywhere: 0 done, 1 something failed, 2 the call is wrong or the data cannot be used.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from her2kit.errors import Her2Error

if TYPE_CHECKING:
    from her2kit.labels.rounds import Review

Folder = Annotated[Path, typer.Argument(help="The review's folder.", show_default=False)]

review_app = typer.Typer(
    help="People read cells in rounds: open a round, follow it, bring it through QuPath, close it.",
    no_args_is_help=True,
)


def register(app: typer.Typer) -> None:
    """Add the commands of this room to ``app``."""
    app.add_typer(review_app, name="review")


@review_app.command("open")
def open_(
    out: Folder,
    readers: Annotated[str, typer.Option(help="Their ids, with commas: A,B.")],
    cells: Annotated[
        Path | None, typer.Option(help="First round: a cell table, such as a scored slide's cells.parquet.")
    ] = None,
    round_: Annotated[str, typer.Option("--round", help="first, second or final.")] = "first",
    overlap: Annotated[float, typer.Option(help="Share of the cells that every reader gets, 0 to 1.")] = 0.0,
    by: Annotated[str, typer.Option(help="Deal single cells, or whole tiles: cell or tile.")] = "cell",
    seed: Annotated[int, typer.Option(help="The same seed deals the same cells to the same readers.")] = 0,
    order: Annotated[
        str | None, typer.Option(help="Column of numbers: highest first. Default: by chance.")
    ] = None,
    label: Annotated[str, typer.Option(help="Column of the labels that the cells come with.")] = "cell_class",
    blind: Annotated[bool, typer.Option("--blind", help="Hide the label that a cell comes with.")] = False,
    only: Annotated[
        str | None, typer.Option(help="all or disputed; default: all, in the final round disputed.")
    ] = None,
    most: Annotated[
        int | None, typer.Option(help="First round: at most so many cells, drawn by chance.")
    ] = None,
    mpp: Annotated[
        float | None, typer.Option(help="Micrometres per level-0 pixel, if not in score.json.")
    ] = None,
) -> None:
    """Open a round, and with the first one the review."""
    from her2kit.exchange.parquet import read_table
    from her2kit.labels.rounds import open_round

    with _one_line():
        table = None if cells is None else read_table(cells)
        if table is not None and most is not None and most < len(table):
            table = table.sample(n=most, random_state=seed).sort_index()
        known = (
            {}
            if table is None or "slide_id" not in table
            else _mpp_of(cells, table["slide_id"].unique(), mpp)
        )
        review = open_round(
            out, [r for r in readers.split(",") if r.strip()], cells=table, name=round_, overlap=overlap,
            unit=by, seed=seed, order=order, label=label, blind=blind, only=only, mpp=known,
        )  # fmt: skip
        _tell(review)


@review_app.command()
def status(out: Folder) -> None:
    """Say how far each reader is, and how well readers and rounds agree."""
    from her2kit.labels.rounds import load_review

    with _one_line():
        _tell(load_review(out), agreement=True)


@review_app.command()
def export(
    out: Folder,
    to: Annotated[Path | None, typer.Option(help="Folder of the files; default: below OUT.")] = None,
    reader: Annotated[
        str | None, typer.Option(help="This reader's part of the open round, to edit in QuPath.")
    ] = None,
    formats: Annotated[
        str, typer.Option(help="Of the agreed labels: geojson,asap,yolo,coco,r1.")
    ] = "geojson,asap",
    rule: Annotated[
        str, typer.Option(help="adjudicated (the final round's word stands) or majority.")
    ] = "adjudicated",
    tile_px: Annotated[int, typer.Option(help="Side of a tile of yolo, coco and r1.")] = 1024,
    tile_mpp: Annotated[
        float | None, typer.Option(help="Its micrometres per pixel; default: the slide's.")
    ] = None,
    mpp: Annotated[
        float | None, typer.Option(help="The slides' micrometres per pixel, if not known yet.")
    ] = None,
) -> None:
    """Write the agreed labels, or with --reader what one reader is to edit in QuPath."""
    from her2kit.labels.agreed import export_labels
    from her2kit.labels.qupath import export_reading
    from her2kit.labels.reading import Reading
    from her2kit.labels.rounds import load_review

    with _one_line():
        if reader is not None:
            with Reading(out, reader) as reading:
                paths = export_reading(reading, to or out / "qupath")
        else:
            review = load_review(out)
            table = review.cells()
            known = {s: mpp for s in table["slide_id"].unique()} if mpp else review.mpp
            paths = export_labels(
                to or out / "labels", table, review.labels(rule=rule),
                formats=[f.strip() for f in formats.split(",") if f.strip()],
                mpp=known, tile_px=tile_px, tile_mpp=tile_mpp,
            )  # fmt: skip
        for path in paths:
            typer.echo(path)


@review_app.command("import")
def import_(
    out: Folder,
    edited: Annotated[Path, typer.Argument(help="The GeoJSON as edited in QuPath.")],
    by: Annotated[str, typer.Option(help="Whose reading it is.")],
    rest_is_right: Annotated[
        bool, typer.Option("--rest-is-right", help="Log the unchanged cells of the file as decided, too.")
    ] = False,
) -> None:
    """Take what a reader changed in QuPath into that reader's log."""
    from her2kit.labels.qupath import import_reading
    from her2kit.labels.reading import Reading

    with _one_line(), Reading(out, by) as reading:
        done = import_reading(reading, edited, rest_is_right=rest_is_right)
        words = f"{by}: {done.changed:,} changed, {done.confirmed:,} confirmed; "
        typer.echo(words + f"{len(reading.labels):,} of {len(reading.keys):,} cells decided")
        if done.regions:
            typer.echo(f"her2kit: {done.regions} regions in it were not read: a round holds cells", err=True)


@review_app.command()
def collect(
    out: Folder,
    logs: Annotated[list[Path], typer.Argument(help="Readers' .sqlite files, from other computers.")],
) -> None:
    """Bring in logs of readers who worked on a copy of the review elsewhere."""
    from her2kit.labels.collect import collect_logs
    from her2kit.labels.rounds import load_review

    with _one_line():
        for path in collect_logs(load_review(out), logs):
            typer.echo(path)


@review_app.command()
def close(
    out: Folder,
    incomplete: Annotated[
        bool, typer.Option("--incomplete", help="Close although cells are undecided; they stay unread.")
    ] = False,
) -> None:
    """Close the open round: no log takes further entries of it, its labels are written."""
    from her2kit.labels.rounds import close_round, load_review

    with _one_line():
        labels = close_round(out, incomplete=incomplete)
        counts = labels["status"].value_counts()
        typer.echo(", ".join(f"{counts[s]:,} {s}" for s in counts.index))
        _tell(load_review(out), agreement=True)


def _tell(review: "Review", *, agreement: bool = False) -> None:
    """Print what is known of the rounds."""
    from her2kit.labels.agreement import reader_agreement, round_agreement
    from her2kit.labels.merge import readings_of
    from her2kit.labels.rounds import progress

    for held in review.rounds:
        state = "closed" if held["closed"] else "open"
        typer.echo(
            f"{held['name']} round, {state}: {held['cells']:,} cells, every reader gets {held['overlap']:.0%}"
        )
        for row in progress(review, held["name"]).itertuples():
            typer.echo(f"  {row.reader}: {row.decided:,} of {row.cells:,} decided")
    if agreement:
        readings, cells = readings_of(review.entries()), review.cells()
        for table in (reader_agreement(readings, cells), round_agreement(readings, cells)):
            for row in table[table["n"] > 0].itertuples():
                words = f"{row.first} and {row.second} ({row.round} round)"
                words += f": {row.agreement:.0%} of {row.n:,} cells alike, kappa {row.kappa:.2f}"
                if row.n_graded:
                    words += f"; graded by both {row.n_graded:,}, linear kappa {row.kappa_linear:.2f}"
                    words += f" ({row.kappa_low:.2f} to {row.kappa_high:.2f})"
                typer.echo(words)


def _mpp_of(cells: Path | None, slides: object, mpp: float | None) -> dict[str, float]:
    """Return the slides' mpp: as given, else from the score.json beside the cells, else nothing."""
    import json

    names = [str(s) for s in slides]  # type: ignore[attr-defined]
    if mpp is not None:
        if not 0 < mpp < 20:
            raise ValueError(f"--mpp {mpp:g} is not micrometres per pixel; 0.25 is usual at 40x")
        return dict.fromkeys(names, mpp)
    try:
        record = json.loads((Path(cells or "").parent / "score.json").read_text(encoding="utf-8"))
        return {record["slide_id"]: float(record["slide"]["mpp"])} if record["slide_id"] in names else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


@contextlib.contextmanager
def _one_line() -> Iterator[None]:
    """End in one line where something cannot be done."""
    try:
        yield
    except (Her2Error, ValueError) as error:
        typer.echo(f"her2kit: {error}", err=True)
        raise typer.Exit(2) from None
    except BrokenPipeError:
        raise
    except OSError as error:
        typer.echo(f"her2kit: {error.filename or 'stdout'}: {error.strerror}; write elsewhere", err=True)
        raise typer.Exit(1) from None
