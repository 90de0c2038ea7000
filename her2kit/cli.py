"""The command line: ``her2kit ...``. Thin: reads arguments, calls the room that does the work, prints.

Results go to stdout, messages to stderr. Exit status: 0 all done (a refused slide is done), 1 something
failed and is listed while the rest is done, 2 the call itself is wrong.
"""

import contextlib
import io
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from her2kit.course import commands as course_commands
from her2kit.errors import ClusterError, Her2Error, WorkersLost
from her2kit.kernels import keep_kernels
from her2kit.labels import commands as label_commands
from her2kit.learning import commands as learning_commands

app = typer.Typer(
    help="From a HER2 slide to a score with its reasons. Research and teaching only, never for diagnosis.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


Workers = Annotated[
    int | None,
    typer.Option(min=1, help="Slides at a time, each in its own process; default: half the cores."),
]
Threads = Annotated[
    int | None,
    typer.Option(min=1, help="Tiles of a slide at a time; default: the cores, shared by the workers."),
]
Scheduler = Annotated[
    str | None, typer.Option(help="Address of a running Dask cluster that does the work instead.")
]


def _wrong_call(message: str) -> NoReturn:
    typer.echo(f"her2kit: {message}", err=True)
    raise typer.Exit(2)


def _need_folder(out: Path) -> None:
    """Make the folder of results, or end the call where it cannot be written to."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out):
            pass
    except OSError as error:
        _wrong_call(f"--out {out} cannot be a folder ({error.strerror}); name another")


@contextlib.contextmanager
def _room_to_write(remedy: str) -> Iterator[None]:
    """End the call in one line where the disk is full or the place is gone."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        place = error.filename or "stdout"
        words = f"stopped: {place}: {error.strerror}; make room or choose another folder, {remedy}"
        typer.echo(f"her2kit: {words}", err=True)
        raise typer.Exit(1) from None


@contextlib.contextmanager
def _workers_at_hand() -> Iterator[None]:
    """End the call in one line where workers are not there, or are gone in the middle."""
    try:
        yield
    except ClusterError as error:
        typer.echo(f"her2kit: {error}", err=True)
        raise typer.Exit(1 if isinstance(error, WorkersLost) else 2) from None


def _one_place(workers: int | None, scheduler: str | None) -> None:
    if workers is not None and scheduler is not None:
        _wrong_call("--workers is for this computer, --scheduler for another: leave one out")


@app.command()
def score(
    slides: Annotated[
        list[Path] | None, typer.Argument(help="Slides or pictures.", show_default=False)
    ] = None,
    manifest: Annotated[Path | None, typer.Option(help="CSV with a column path, one slide a row.")] = None,
    out: Annotated[Path, typer.Option(help="Folder for the results, one folder a slide.")] = Path(
        "reports/scores"
    ),
    mpp: Annotated[float | None, typer.Option(help="Micrometres per pixel; 0.25 is usual at 40x.")] = None,
    guideline: Annotated[
        str | None, typer.Option(help="breast-asco-cap-2018 (default), gastric-resection or gastric-biopsy.")
    ] = None,
    tumour: Annotated[
        str | None,
        typer.Option(help="none (default), auto, or a GeoJSON of the regions that hold invasive tumour."),
    ] = None,
    tumour_map: Annotated[
        str | None,
        typer.Option(help="A tumour map (.npz), or a folder of <slide_id>.npz, to show in the report."),
    ] = None,
    ish: Annotated[
        str | None, typer.Option(help="amplified, not_amplified, group1 to group5, unknown.")
    ] = None,
    control: Annotated[str | None, typer.Option(help="Control tissue: valid, failed or unknown.")] = None,
    stain: Annotated[
        str | None, typer.Option(help="What the slides are stained for, if the manifest is wrong: her2.")
    ] = None,
    detector: Annotated[str, typer.Option(help="auto, classical, network, or an .onnx file.")] = "auto",
    limit_of_detection: Annotated[
        list[str] | None,
        typer.Option(
            help="Share of cells that look stained without HER2, or folders of scored negative slides."
        ),
    ] = None,
    workers: Workers = None,
    threads: Threads = None,
    scheduler: Scheduler = None,
    resume: Annotated[bool, typer.Option(help="Skip slides that are whole and unchanged.")] = False,
) -> None:
    """Score slides: score.json, cells.parquet, cells.geojson and report.html for each, cohort.csv for all."""
    from her2kit.cluster.slides import score_slides
    from her2kit.cohort import jobs_of
    from her2kit.negatives import limit_of_detection as measured_limit
    from her2kit.scoring.guideline import Policies

    if not slides and manifest is None:
        _wrong_call("no slide given; name slides or pass --manifest FILE.csv")
    _one_place(workers, scheduler)
    given: dict[str, Any] = {
        "mpp": mpp, "guideline": guideline, "tumour": tumour, "tumour_map": tumour_map, "ish": ish,
        "control": control, "stain": stain, "detector": detector, "workers": threads,
    }  # fmt: skip
    try:
        if limit_of_detection:
            given["policies"] = Policies(limit_of_detection=measured_limit(limit_of_detection))
        jobs = jobs_of(slides or [], manifest, {k: v for k, v in given.items() if v is not None})
    except (Her2Error, ValueError) as error:
        _wrong_call(str(error))
    _need_folder(out)
    with _room_to_write("then go on with --resume"), _workers_at_hand():
        failed = score_slides(jobs, out, resume=resume, workers=workers, threads=threads, scheduler=scheduler)
    raise typer.Exit(1 if failed else 0)


@app.command()
def pdl1(
    slides: Annotated[list[Path], typer.Argument(help="Slides stained for PD-L1.", show_default=False)],
    out: Annotated[Path, typer.Option(help="Folder for the results, one folder a slide.")] = Path(
        "reports/pdl1"
    ),
    mpp: Annotated[float | None, typer.Option(help="Micrometres per pixel; 0.25 is usual at 40x.")] = None,
    threads: Threads = None,
) -> None:
    """Score slides stained for PD-L1: TPS, CPS and TAP in pdl1.json, with the cells and the tissue map."""
    from her2kit.pdl1 import score_pdl1

    _need_folder(out)
    failed = False
    for slide in slides:
        try:
            with _room_to_write("then run this again"):
                record = score_pdl1(slide, mpp=mpp, workers=threads, out=out / slide.stem).record
        except Her2Error as error:
            typer.echo(f"{slide.stem}: failed: {error}", err=True)
            failed = True
            continue
        except ValueError as error:
            _wrong_call(str(error))
        if record["status"] == "scored":
            shares = (f"{n.upper()} {record[n]:.1f}" for n in ("tps", "cps", "tap") if record[n] is not None)
            typer.echo(f"{slide.stem}: {', '.join(shares)}; {record['n_tumour']:,} tumour cells")
        else:
            typer.echo(f"{slide.stem}: not evaluable ({' '.join(record['words'])})")
    raise typer.Exit(1 if failed else 0)


@app.command()
def rescore(
    folder: Annotated[Path, typer.Argument(help="The folder of one scored slide, OUT/<slide_id>.")],
    corrections: Annotated[Path, typer.Option(help="Its cells.geojson as edited in QuPath.")],
    by: Annotated[str, typer.Option(help="Who corrected.")],
    slide: Annotated[
        Path | None, typer.Option(help="The slide's file, if it moved since it was scored.")
    ] = None,
) -> None:
    """Contest a score: apply corrected cells and regions, keep the old score beside the new one."""
    from her2kit.rescore import rescore as apply

    try:
        with _room_to_write("then run this again"):
            record = apply(folder, corrections, by=by, slide=slide)
    except (Her2Error, ValueError) as error:
        _wrong_call(str(error))
    old, new = record["correction"]["original"], record
    typer.echo(
        f"{record['slide_id']}: the program {old['score'] or old['status']}, corrected by "
        f"{record['correction']['by']} {new['score'] or new['status']} ({record['correction']['words']})"
    )


@app.command()
def validate(
    manifest: Annotated[Path, typer.Argument(help="CSV of your slides: path, and label or --readers.")],
    readers: Annotated[
        Path | None, typer.Option(help="CSV of readings: slide_id, reader, score; or a column a reader.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder of the report and of the slides' results.")] = Path(
        "reports/validation"
    ),
    mpp: Annotated[float | None, typer.Option(help="Micrometres per pixel; 0.25 is usual at 40x.")] = None,
    guideline: Annotated[
        str | None, typer.Option(help="breast-asco-cap-2018 (default), gastric-resection or gastric-biopsy.")
    ] = None,
    control: Annotated[str | None, typer.Option(help="Control tissue: valid, failed or unknown.")] = None,
    workers: Workers = None,
    threads: Threads = None,
    scheduler: Scheduler = None,
) -> None:
    """Score your own cases, compare with your own readings: validation.html. Scored slides are not redone."""
    from her2kit.validation import REPORT, plan_validation, run_validation

    _one_place(workers, scheduler)
    given = {"mpp": mpp, "guideline": guideline, "control": control, "workers": threads}
    try:
        plan = plan_validation(manifest, readers, {k: v for k, v in given.items() if v is not None})
    except (Her2Error, ValueError) as error:
        _wrong_call(str(error))
    _need_folder(out)
    with _room_to_write("then run this again"), _workers_at_hand():
        failed = run_validation(plan, out, workers=workers, scheduler=scheduler)
    typer.echo(out / REPORT)
    raise typer.Exit(1 if failed else 0)


@app.command()
def phantom(
    out: Annotated[Path, typer.Argument(help="Folder to make.")],
    slides: Annotated[int, typer.Option(help="How many slides.")] = 8,
    seed: Annotated[int, typer.Option(help="The same seed gives the same bytes.")] = 0,
    size_px: Annotated[int, typer.Option(help="Side of a slide in pixels.")] = 4096,
    mpp: Annotated[float | None, typer.Option(help="Default: each site's own, 0.25 and 0.389.")] = None,
    sites: Annotated[int, typer.Option(help="How many laboratories with scanners of their own.")] = 2,
    stain: Annotated[str, typer.Option(help="her2, pdl1 or he.")] = "her2",
    with_he: Annotated[bool, typer.Option(help="Also the H&E partner of each slide.")] = False,
    degrade: Annotated[str | None, typer.Option(help="A fault to add, such as blur, pen or fold.")] = None,
    workers: Annotated[int, typer.Option(help="Processes.")] = 1,
    overwrite: Annotated[bool, typer.Option(help="Replace OUT if it exists.")] = False,
) -> None:
    """Make synthetic slides with a known answer."""
    from tqdm import tqdm

    from her2kit.phantom.cohort import make_cohort

    form = "{desc}: {percentage:.0f}% |{bar}| {elapsed}, {remaining} to go"
    try:
        with (
            _room_to_write("then type this again"),
            tqdm(total=1.0, desc="phantom", bar_format=form, disable=None, leave=False) as bar,
        ):
            path = make_cohort(
                out, slides=slides, seed=seed, size_px=size_px, mpp=mpp, sites=sites, stain=stain,
                with_he=with_he, degrade=degrade, workers=workers, overwrite=overwrite,
                progress=lambda share: bar.update(share - bar.n),
            )  # fmt: skip
    except (Her2Error, ValueError) as error:
        _wrong_call(str(error))
    typer.echo(path)


course_commands.register(app)
learning_commands.register(app)
label_commands.register(app)


def main() -> None:
    """Run the command line; the console script ``her2kit`` calls this."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # any slide can be named on any terminal
    signal.signal(signal.SIGTERM, _end)
    words = keep_kernels()
    if words:
        typer.echo(f"her2kit: {words}", err=True)
    try:
        app()
    except ImportError as error:
        if (error.name or "").startswith("her2kit"):
            raise
        typer.echo(f"her2kit: a library cannot be loaded: {error}; her2kit doctor says what helps", err=True)
        sys.exit(1)


def _end(number: int, frame: object) -> None:
    """End like Ctrl-C does, so that temporary files are removed."""
    raise KeyboardInterrupt


if __name__ == "__main__":
    main()
