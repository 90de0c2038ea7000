"""How a run that ended badly is said: a process that was killed, a folder that cannot be written."""

import errno
import os
import signal
from pathlib import Path

_OUT_OF_MEMORY = (
    "most often because memory ran out; run fewer notebooks at a time (--workers 1), "
    "or make sizes smaller with -p"
)
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def how_it_ended(what: str, status: int | None) -> str:
    """Return in words how a process ended.

    Parameters
    ----------
    what
        The process, such as ``the kernel``.
    status
        As ``subprocess`` gives it: below 0 for a signal; None where it is not known.
    """
    if status is None or status >= 0:
        return f"{what} ended by itself" + (f" with status {status}" if status else "")
    try:
        name = signal.Signals(-status).name
    except ValueError:
        name = f"signal {-status}"
    if name == "SIGKILL":
        return f"{what} was killed (SIGKILL), {_OUT_OF_MEMORY}"
    return f"{what} was ended by {name}"


def cannot_write(error: OSError, place: Path) -> str:
    """Return in words what kept something from being written, and what to do.

    Parameters
    ----------
    place
        Where it was to go, named where the error names no file.
    """
    next_step = "give another --out, or the right to write there"
    if error.errno in _FULL:
        next_step = "make room, then go on with --resume"
    elif error.errno in (errno.ENOTDIR, errno.EEXIST):
        next_step = "a file is where a folder should be: give another --out"
    return f"{error.filename or place}: {error.strerror or error}; {next_step}"


def need_room(folder: Path) -> None:
    """Make ``folder`` and try to write there, so that no hour of work ends at its last step.

    Raises
    ------
    ValueError
        If it cannot be written.
    """
    probe = folder / f".room-{os.getpid()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            probe.write_bytes(b"room")
        finally:
            probe.unlink(missing_ok=True)
    except OSError as error:
        error.filename = str(folder)
        raise ValueError(f"cannot write to {cannot_write(error, folder)}") from error
