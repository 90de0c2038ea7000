"""Open a network that was handed on as ONNX, with one clear line where that does not work."""

from pathlib import Path
from typing import Any

from her2kit.errors import WeightsError


def open_network(path: Path, *, threads: int = 0) -> tuple[Any, Any]:
    """Return the onnxruntime session of a file, on the CPU, and how many channels its first output has.

    Parameters
    ----------
    threads
        Cores that one call takes; 0 takes all.

    Raises
    ------
    WeightsError
        If onnxruntime cannot run the file.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        return session, session.get_outputs()[0].shape[1]
    except Exception as error:  # onnxruntime's own classes share no useful parent
        words = " ".join(str(error).split())
        raise WeightsError(f"{path}: onnxruntime cannot run it ({words}); export the model again") from error
