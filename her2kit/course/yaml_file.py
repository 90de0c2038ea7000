"""Read a YAML file of the course: parameters, sweeps, expected results."""

from pathlib import Path
from typing import Any

import yaml

from her2kit.errors import Her2Error


def read_yaml(path: Path) -> Any:
    """Return what a YAML file holds.

    Raises
    ------
    Her2Error
        If it cannot be read.
    """
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise Her2Error(f"{path} cannot be read: {error.strerror}; check the path") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise Her2Error(f"{path} is not YAML: {str(error).splitlines()[0]}") from error
