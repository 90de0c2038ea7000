"""Public datasets on the command line: ``her2kit data list | fetch | verify | clear``. Thin."""

import sys
import time
from functools import partial
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from her2kit.errors import Her2Error
from her2kit.learning.registry import DATASETS, Dataset, find

Folder = Annotated[Path, typer.Option("--data", file_okay=False, help="The folder that all notebooks share.")]
Key = Annotated[str | None, typer.Argument(help="A dataset; see her2kit data list.", show_default=False)]

data_app = typer.Typer(help="Public datasets: list, fetch, verify, clear.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the commands of this room to ``app``."""
    app.add_typer(data_app, name="data")


@data_app.command("list")
def list_datasets(key: Key = None, data: Folder = Path("data")) -> None:
    """List the datasets, or say all that is known of one."""
    from her2kit.learning.fetch import in_words
    from her2kit.learning.store import STATES, Store

    if key is not None:
        _describe(_named(key), data)
        return
    for dataset in DATASETS.values():
        size = in_words(dataset.size) if dataset.size else "size unknown"
        state = STATES[Store(dataset, data).state]
        typer.echo(f"{dataset.key:20} {state:14} {size:13} {dataset.title}; {dataset.licence}")


@data_app.command()
def fetch(
    key: Annotated[str, typer.Argument(help="A dataset; see her2kit data list.")],
    accept_licence: Annotated[
        bool, typer.Option("--accept-licence", help="The licence was read and is accepted.")
    ] = False,
    data: Folder = Path("data"),
) -> None:
    """Fetch a dataset, check its hashes and unpack it; goes on where a broken download stopped."""
    _need("pooch")
    from her2kit.learning.fetch import CannotFetch, in_words
    from her2kit.learning.fetch import fetch as bring
    from her2kit.learning.store import Store

    dataset = _named(key)
    if Store(dataset, data).state in ("absent", "partly"):
        _say(_words(dataset))
        if not accept_licence and not Store(dataset, data).accepted() and sys.stdin.isatty():
            accept_licence = typer.confirm("Do you accept the licence?", err=True)
    meter = _Meter()
    try:
        typer.echo(bring(dataset, data, accept_licence=accept_licence, tell=meter.tell, progress=meter))
    except ValueError as error:
        _end(str(error), 2)
    except CannotFetch as error:
        meter.close()
        _say(f"her2kit: {error}")
        for file in error.files:
            size = file.size or file.about
            _say(f"  place {file.name}{f' ({in_words(size)})' if size else ''} in {error.folder}")
        raise typer.Exit(1) from None
    except Her2Error as error:
        _end(str(error), 1)
    except OSError as error:
        _end(f"{error.filename or data}: {error.strerror}; what has arrived is kept, run this again", 1)
    except KeyboardInterrupt:
        _end("stopped; what has arrived is kept, run this again to go on", 130)
    finally:
        meter.close()


@data_app.command()
def verify(key: Key = None, data: Folder = Path("data")) -> None:
    """Hash every file of a dataset again, or of all that are here, and name what is missing or changed."""
    from her2kit.learning.store import STATES, Store

    stores = [Store(d, data) for d in ([_named(key)] if key else DATASETS.values())]
    here = [s for s in stores if s.state == "fetched"]
    if not here:
        if key is None:
            _say(f"her2kit: nothing was fetched into {data}")
            return
        _end(f"{key}: {STATES[stores[0].state]}, nothing to verify; her2kit data fetch {key}", 1)
    bad = 0
    for store in here:
        meter = _Meter()
        try:
            wrong = store.verify(progress=partial(meter, store.dataset.key))
        except (Her2Error, OSError) as error:
            wrong = [str(error)]
        meter.close()
        for line in wrong:
            typer.echo(line)
        bad += bool(wrong)
        n = len(store.contents())
        words = f"{len(wrong)} files are not as they came" if wrong else f"{n:,} files are as they came"
        typer.echo(f"{store.dataset.key}: {words}")
    if bad:
        _end("remove what is wrong: her2kit data clear KEY, then fetch again", 1)


@data_app.command()
def clear(
    key: Annotated[str, typer.Argument(help="A dataset; see her2kit data list.")],
    data: Folder = Path("data"),
) -> None:
    """Remove what was fetched of one dataset; files of your own stay."""
    from her2kit.learning.fetch import in_words
    from her2kit.learning.store import Store

    try:
        done = Store(_named(key), data).clear()
    except Her2Error as error:
        _end(str(error), 1)
    except OSError as error:
        _end(f"{error.filename or data}: {error.strerror}; remove it by hand", 1)
    typer.echo(f"{key}: {done.files:,} files removed, {in_words(done.size)}")
    for folder in done.left:
        _say(f"her2kit: {folder} stays: it holds files that did not come with {key}")


def _describe(dataset: Dataset, data: Path) -> None:
    from her2kit.learning.fetch import in_words
    from her2kit.learning.store import STATES, Store

    store = Store(dataset, data)
    typer.echo(f"{_words(dataset)}\nhere:     {STATES[store.state]} ({store.home})")
    for file in dataset.files:
        size = in_words(file.size or file.about) if file.size or file.about else "size unknown"
        sha256 = file.sha256 or store.remembered(file.name)
        words = f"sha256 {sha256}" if sha256 else "hash recorded at the first download"
        typer.echo(f"  {file.name}  {size}  {words}")


def _words(dataset: Dataset) -> str:
    return (
        f"{dataset.key}: {dataset.title}\nlicence:  {dataset.licence}\ncite:     {dataset.citation}\n"
        f"page:     {dataset.page}"
    )


def _named(key: str) -> Dataset:
    try:
        return find(key)
    except ValueError as error:
        _end(str(error), 2)


def _need(name: str) -> None:
    from importlib.util import find_spec

    if find_spec(name) is None:
        _end(f"{name} is not installed; pip install -c constraints.txt '.[train]'", 2)


def _say(words: str) -> None:
    typer.echo(words, err=True)


def _end(words: str, status: int) -> NoReturn:
    typer.echo(f"her2kit: {words}", err=True)
    raise typer.Exit(status)


class _Meter:
    """A bar on a terminal; elsewhere a plain line now and then. On stderr, so that stdout holds results."""

    def __init__(self) -> None:
        self._bar: Any = None
        self._name = ""
        self._last = time.monotonic()

    def __call__(self, name: str, done: int, total: int | None) -> None:
        """Show how far a file is."""
        from her2kit.learning.fetch import in_words

        if sys.stderr.isatty():
            from tqdm import tqdm

            if name != self._name:
                self.close()
                self._bar = tqdm(total=total, unit="B", unit_scale=True, desc=name, leave=False)
                self._name = name
            self._bar.update(done - self._bar.n)
        elif time.monotonic() - self._last > 15:
            self._last = time.monotonic()
            _say(f"{name}: {in_words(done)}" + (f" of {in_words(total)}" if total else ""))

    def tell(self, words: str) -> None:
        """Say a line, the bar out of the way."""
        self.close()
        _say(f"her2kit: {words}")

    def close(self) -> None:
        """Remove the bar."""
        if self._bar is not None:
            self._bar.close()
        self._bar, self._name = None, ""
