"""How papermill runs a notebook here: it tells of each cell done, and a kernel that dies is said in its cell.

With papermill's own engine a kernel that dies leaves no notebook and no cell to look at.
"""

from collections.abc import Callable
from typing import Any

from her2kit.course.endings import how_it_ended

ENGINE = "her2kit"
START_SECONDS = 120
"""How long a kernel may take to start: a busy computer needs a while."""


def register(say: Callable[[int], None]) -> str:
    """Make the engine known to papermill and return its name; ``say`` is told how many cells are done."""
    from papermill.engines import NBClientEngine, papermill_engines

    client = _client()

    class Telling(NBClientEngine):
        @classmethod
        def execute_managed_notebook(cls, nb_man: Any, kernel_name: str, **options: Any) -> Any:
            complete = nb_man.cell_complete

            def tell(cell: Any, cell_index: int | None = None, **more: Any) -> None:
                complete(cell, cell_index=cell_index, **more)
                say((cell_index or 0) + 1)

            nb_man.cell_complete = tell
            return client(nb_man, kernel_name=kernel_name, startup_timeout=START_SECONDS).execute()

    papermill_engines.register(ENGINE, Telling)
    return ENGINE


def _client() -> Any:
    """Return the class of a client that writes into the cell how its kernel died, and ends as after any
    error.
    """
    from nbclient.exceptions import CellExecutionError, DeadKernelError
    from nbformat.v4 import new_output
    from papermill.clientwrap import PapermillNotebookClient

    class Client(PapermillNotebookClient):
        died = False

        def execute_cell(self, cell: Any, cell_index: int, **options: Any) -> Any:
            try:
                return super().execute_cell(cell, cell_index, **options)
            except DeadKernelError:
                self.died = True
                name, words = "KernelDied", how_it_ended("the kernel", self.km.provisioner.process.poll())
                cell.outputs.append(
                    new_output("error", ename=name, evalue=words, traceback=[f"{name}: {words}"])
                )
                raise CellExecutionError(words, name, words) from None

        def execute(self, **options: Any) -> Any:
            try:
                return super().execute(**options)
            except (
                DeadKernelError
            ):  # raised again once the cells are done, as the kernel is asked its language
                if not self.died:
                    raise
                return self.nb

    return Client
