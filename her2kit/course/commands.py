"""The course on the command line: ``her2kit run | render | check | doctor``. Thin, like all of ``cli``."""

import os
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from her2kit.errors import Her2Error, WorkersLost

Notebooks = Annotated[
    list[str] | None,
    typer.Argument(help="Numbers (10), names or paths; all numbered notebooks if none.", show_default=False),
]


class PairCommand(TyperCommand):
    """A command whose ``-p NAME VALUE`` takes two words; they are joined by ``=``, since typer takes one."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Join the two words after each ``-p``, then parse as usual."""
        joined: list[str] = []
        words = iter(args)
        for word in words:
            joined.append(word)
            if word == "-p":
                name = next(words, None)
                value = None if name is None or "=" in name else next(words, None)
                joined += [] if name is None else [name if value is None else f"{name}={value}"]
        return super().parse_args(ctx, joined)


def register(app: typer.Typer) -> None:
    """Add the commands of this room to ``app``."""
    app.command(cls=PairCommand)(run)
    app.command()(render)
    app.command()(check)
    app.command()(doctor)


def run(
    notebooks: Notebooks = None,
    parameters: Annotated[
        list[str] | None,
        typer.Option("-p", metavar="NAME VALUE", help="Set a parameter; VALUE is YAML. Repeat for more."),
    ] = None,
    tier: Annotated[
        str, typer.Option(help="smoke (seconds), fast (the notebooks' defaults) or full.")
    ] = "fast",
    sweep: Annotated[
        Path | None, typer.Option(help="YAML of 'name: [values]': runs every combination, draws the effects.")
    ] = None,
    workers: Annotated[int | None, typer.Option(help="Notebooks at a time; default: half the cores.")] = None,
    scheduler: Annotated[
        str | None, typer.Option(help="Address of a running Dask cluster that does the work instead.")
    ] = None,
    resume: Annotated[
        bool, typer.Option(help="Keep runs that are done with the same code and values.")
    ] = False,
    out: Annotated[Path, typer.Option(help="Folder of the runs, one folder a notebook.")] = Path(
        "reports/runs"
    ),
) -> None:
    """Run notebooks headless: results.json and one HTML page each, runs.csv for all."""
    _need_course()

    def plan() -> list[Any]:
        from her2kit.course.notebooks import select_notebooks
        from her2kit.course.plan import plan_runs

        given = [_pair(word) for word in parameters or []]
        return plan_runs(select_notebooks(notebooks or []), out=out, tier=tier, given=given, sweep=sweep)

    runs = _or_wrong_call(plan)
    try:
        outcomes = _or_wrong_call(lambda: _run(runs, workers, resume, out, scheduler))
    except typer.Exit as end:
        if end.exit_code != 2:
            _summarise(runs, out)
        raise
    _summarise(runs, out)
    if sweep is not None:
        _write_effects(runs, sweep)
    for outcome in outcomes:
        shown = outcome.page if outcome.page.is_file() else outcome.run.folder
        typer.echo(f"{outcome.run.name}: {outcome.status}  {_near(shown)}")
    failed = [o.run.name for o in outcomes if o.status != "done"]
    if failed:
        typer.echo(f"her2kit: {len(failed)} of {len(outcomes)} runs failed: {', '.join(failed)}", err=True)
        raise typer.Exit(1)


def render(notebooks: Notebooks = None) -> None:
    """Run notebooks with their defaults and write the cleaned outputs into them."""
    _need_course()
    from her2kit.course.notebooks import select_notebooks
    from her2kit.course.render import render_notebooks

    paths = _or_wrong_call(lambda: select_notebooks(notebooks or []))
    failed = _or_wrong_call(lambda: render_notebooks(paths, tell=lambda line: typer.echo(line, err=True)))
    if failed:
        names = ", ".join(path.stem for path in failed)
        typer.echo(f"her2kit: {len(failed)} of {len(paths)} notebooks stay as they were: {names}", err=True)
        raise typer.Exit(1)


def check(
    run_dir: Annotated[
        Path | None,
        typer.Argument(help="Folder of a run; without it notebooks run first.", show_default=False),
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option(help="Run this notebook alone; repeat for more.", metavar="NOTEBOOK")
    ] = None,
    workers: Annotated[int | None, typer.Option(help="Notebooks at a time; default: half the cores.")] = None,
    resume: Annotated[
        bool, typer.Option(help="Keep runs that are done with the same code and values.")
    ] = False,
    every: Annotated[
        bool, typer.Option("--every", help="Show the metrics that nothing is expected of, too.")
    ] = False,
    out: Annotated[Path, typer.Option(help="Where notebooks run without RUN_DIR.")] = Path("reports/check"),
) -> None:
    """Compare what notebooks found with notebooks/expected.yaml."""
    _need_course()
    from her2kit.course.notebooks import notebooks_folder, select_notebooks
    from her2kit.course.plan import plan_runs
    from her2kit.course.regression import compare_runs, read_expected, run_folders
    from her2kit.course.verdicts import all_good, summary_of, table_of

    expected = _or_wrong_call(lambda: read_expected(notebooks_folder() / "expected.yaml"))
    if run_dir is None:
        runs = _or_wrong_call(lambda: plan_runs(select_notebooks(only or []), out=out))
        folders = [o.run.folder for o in _or_wrong_call(lambda: _run(runs, workers, resume))]
    else:
        folders = _or_wrong_call(lambda: run_folders(run_dir))
    verdicts = compare_runs(folders, expected)
    typer.echo(table_of(verdicts, every=every, paint=_paint if _coloured() else None))
    typer.echo(f"her2kit: {summary_of(verdicts)}", err=True)
    if not all_good(verdicts):
        raise typer.Exit(1)


def doctor() -> None:
    """Say what this computer has, what is missing, and the command that brings it."""
    from her2kit.doctor import examine, report

    findings = examine()
    typer.echo(report(findings))
    if any(f.stops for f in findings):
        raise typer.Exit(1)


def _summarise(runs: list[Any], out: Path) -> None:
    """Write ``runs.csv`` where anything ran; a folder that cannot be written is said, not raised."""
    from her2kit.course.endings import cannot_write
    from her2kit.course.records import RECORD
    from her2kit.course.summary import write_summary

    if any((run.folder / RECORD).is_file() for run in runs):
        try:
            write_summary(out)
        except OSError as error:
            typer.echo(f"her2kit: no runs.csv: {cannot_write(error, out)}", err=True)


def _coloured() -> bool:
    """Return whether results go to a terminal that wants colours (https://no-color.org)."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR")


def _paint(text: str, colour: str) -> str:
    return typer.style(text, fg=colour, bold=colour == "red")


def _write_effects(runs: list[Any], sweep: Path) -> None:
    """Write and name the table and the figure of what each factor of a sweep changed."""
    from her2kit.course.effects import write_effects
    from her2kit.course.notebooks import read_notebook
    from her2kit.course.parameters import read_parameters
    from her2kit.course.sweep import read_sweep

    factors = read_sweep(sweep).factors
    for folder, notebook in dict.fromkeys((run.folder.parent, run.notebook) for run in runs):
        known = read_parameters(read_notebook(notebook), where=notebook.stem)
        defaults = {name: parameter.default for name, parameter in known.items()}
        if write_effects(folder, factors, defaults) is not None:
            typer.echo(f"{notebook.stem}: effects  {_near(folder / 'effects.png')}")


def _run(
    runs: list[Any],
    workers: int | None,
    resume: bool,
    out: Path | None = None,
    scheduler: str | None = None,
) -> list[Any]:
    from her2kit.course.processes import cores
    from her2kit.course.progress import Progress
    from her2kit.course.runner import run_notebooks

    if workers is not None and scheduler is not None:
        raise ValueError("--workers is for this computer, --scheduler for another: leave one out")
    workers = max(1, cores() // 2) if workers is None else workers
    try:
        return run_notebooks(
            runs,
            workers=min(workers, len(runs)),
            resume=resume,
            progress=Progress(),
            log_folder=out,
            scheduler=scheduler,
        )
    except KeyboardInterrupt:
        typer.echo("her2kit: stopped; what is done is kept, and --resume goes on from there", err=True)
        raise typer.Exit(130) from None


def _need_course() -> None:
    """End the call where what runs notebooks is not installed."""
    missing = [
        name
        for name in ("nbformat", "papermill", "nbconvert", "ipykernel", "yaml")
        if find_spec(name) is None
    ]
    if missing:
        typer.echo(
            f"her2kit: {missing[0]} is not installed; pip install -c constraints.txt '.[course]'", err=True
        )
        raise typer.Exit(2)


def _pair(word: str) -> tuple[str, str]:
    name, sign, value = word.partition("=")
    if not sign:
        raise ValueError(f"-p {word} lacks its value; write -p NAME VALUE")
    return name, value


def _or_wrong_call(work: Callable[[], Any]) -> Any:
    """Return what ``work`` returns; one line and status 2 where its input is wrong, 1 where it was cut."""
    try:
        return work()
    except (ValueError, Her2Error) as error:
        typer.echo(f"her2kit: {error}", err=True)
        raise typer.Exit(1 if isinstance(error, WorkersLost) else 2) from error


def _near(path: Path) -> str:
    """Return ``path`` as seen from here, where it lies below."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)
