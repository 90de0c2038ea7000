"""Where numba keeps the compiled kernels. Compiles nothing.

numba looks beside the module, then in the user's cache folder, and fails where it can write to neither: a
container with a read-only installation and no home. There the kernels go to a folder for this run alone.
"""

import atexit
import os
import shutil
import tempfile
from pathlib import Path

_VARIABLE = "NUMBA_CACHE_DIR"


def keep_kernels() -> str | None:
    """Set ``NUMBA_CACHE_DIR`` where numba would find no folder to write to, and return what to tell the user.

    Call it before numba is imported.
    """
    if os.environ.get(_VARIABLE):
        return None
    package = Path(__file__).parent
    user = Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"))
    if os.access(package, os.W_OK) or _can_be_made(user):
        return None
    folder = tempfile.mkdtemp(prefix="her2kit-kernels-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    os.environ[_VARIABLE] = folder
    return f"no folder to keep compiled code in; set {_VARIABLE} to one, and starts are faster"


def _can_be_made(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(folder, os.W_OK)
