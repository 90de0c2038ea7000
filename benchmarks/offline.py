"""Run a command that reaches this computer alone, and count what it tried to reach beyond.

Two walls. A `sitecustomize` module makes Python's sockets refuse every address but those of this computer, in
the command and in all that it starts (Jupyter needs the loopback), and writes down what was tried. Where the
system allows it without rights of an administrator (`unshare`, Linux), the command also gets a network of its
own with nothing in it, which holds for code below Python, too.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.claims import ROOT

GUARD = """
import os, socket

def _beyond(host):
    host = host.decode() if isinstance(host, bytes) else host
    if host in (None, "", "localhost", "::1", socket.gethostname()) or str(host).startswith("127."):
        return
    with open(os.environ["HER2KIT_TRIED"], "a") as file:
        file.write(f"{host}\\n")
    raise PermissionError(f"{host} is beyond this computer, and this run is offline")

def _guarded(work):
    def call(self, *words):
        if isinstance(words[-1], tuple):
            _beyond(words[-1][0])
        return work(self, *words)
    return call

def _found(host, *words, **more):
    _beyond(host)
    return _getaddrinfo(host, *words, **more)

for _name in ("connect", "connect_ex", "sendto"):
    setattr(socket.socket, _name, _guarded(getattr(socket.socket, _name)))
_getaddrinfo, socket.getaddrinfo = socket.getaddrinfo, _found
"""
ALONE = """
import fcntl, os, socket, struct, sys
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
    flags = struct.pack("16sh14x", b"lo", 0x1 | 0x40)
    fcntl.ioctl(any_socket, 0x8914, flags)
os.execvp(sys.argv[1], sys.argv[1:])
"""
"""Brings up the loopback of a network that was just made (SIOCSIFFLAGS: up, running), then runs the rest."""
PROBE = """
import json, socket, subprocess, sys, urllib.request
def refused(work):
    try:
        work()
    except OSError as error:
        return isinstance(error, PermissionError) or error.errno in (101, 1, 13) or "beyond" in str(error)
    return False
bare = "import socket; s = socket.socket(); s.settimeout(3); sys = __import__('sys'); " \\
       "sys.exit(0 if s.connect_ex(('192.0.2.1', 80)) == 101 else 1)"
with socket.create_server(("127.0.0.1", 0)) as server:
    socket.create_connection(server.getsockname(), timeout=5).close()
print(json.dumps({
    "address": refused(lambda: socket.create_connection(("192.0.2.1", 80), timeout=3)),
    "name": refused(lambda: socket.getaddrinfo("example.org", 80)),
    "page": refused(lambda: urllib.request.urlopen("http://example.org", timeout=3)),
    "below_python": subprocess.run([sys.executable, "-S", "-E", "-c", bare]).returncode == 0,
}))
"""
"""Tries to get out in four ways, the last without the guard, and to reach this computer, which must work."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended."""

    status: int
    said: str
    """What it wrote to stdout."""
    tried: list[str]
    """Hosts beyond this computer that Python code tried to reach, in order."""


def run_offline(command: Sequence[str], *, cwd: Path | None = None) -> Ended:
    """Run a command without a network; its stderr stays visible."""
    with tempfile.TemporaryDirectory() as scratch:
        Path(scratch, "sitecustomize.py").write_text(GUARD, encoding="utf-8")
        tried = Path(scratch, "tried")
        paths = [scratch, str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "HER2KIT_TRIED": str(tried)}
        ended = subprocess.run(
            [*_apart(), *command], cwd=cwd, env=environment, stdout=subprocess.PIPE, text=True, check=False
        )
        hosts = tried.read_text(encoding="utf-8").splitlines() if tried.is_file() else []
    return Ended(ended.returncode, ended.stdout, hosts)


def probe() -> dict[str, bool]:
    """Return which ways out are refused: an address, a name, a page, and an address below Python.

    Raises
    ------
    RuntimeError
        If this computer cannot reach itself, which Jupyter needs.
    """
    ended = run_offline([sys.executable, "-c", PROBE])
    if ended.status:
        raise RuntimeError(f"an offline command cannot reach its own computer: status {ended.status}")
    return json.loads(ended.said)


def _apart() -> list[str]:
    """Return the words that give a command a network of its own, or none where that is not allowed."""
    words = ["unshare", "--map-root-user", "--net", sys.executable, "-S", "-E", "-c", ALONE]
    if shutil.which("unshare") is None:
        return []
    allowed = subprocess.run([*words, "true"], capture_output=True, check=False).returncode == 0
    return words if allowed else []
