"""The errors that her2kit raises about data. Wrong arguments raise ``ValueError``.

Every message names the file or argument, the value found and the next step, in one line.
"""


class Her2Error(Exception):
    """Something in the data stops the work; the message says what and what to do."""


class SlideError(Her2Error):
    """A slide or picture cannot be opened or read."""


class MppError(SlideError):
    """A slide holds no micrometres per pixel (mpp), or one that cannot be true."""


class ManifestError(Her2Error):
    """A manifest, table or readers' file lacks a column or holds a value that is not allowed."""


class RegionError(Her2Error):
    """A region file (GeoJSON) cannot be read or holds no usable polygon."""


class StainError(Her2Error):
    """A picture holds too little stain to fit its colours, or one stain only."""


class PlanError(Her2Error):
    """A phantom plan asks for something that cannot be drawn."""


class WeightsError(Her2Error):
    """Weights and their card, or weights and the network they are meant for, do not fit together."""


class TrainingError(Her2Error):
    """A training cannot go on, and there is nothing good to give back."""


class LabelError(Her2Error):
    """A file of cell labels (COCO, YOLO, ASAP, R1's JSON) cannot be read or holds what is not allowed."""


class ReviewError(Her2Error):
    """A round of review or a reader's log does not exist, is closed, or belongs to something else."""


class DatasetError(Her2Error):
    """A dataset's folder is not laid out as its loader knows it, or a file in it is unusable."""


class FetchError(Her2Error):
    """A public dataset cannot be fetched or unpacked, or is not what was published."""


class ClusterError(Her2Error):
    """Workers that were asked for are not there, or cannot do the work."""


class WorkersLost(ClusterError):
    """The connection to workers broke in the middle of the work; what was done is kept."""


class LeakageError(ManifestError):
    """A slide, patient or picture stands in two parts of a split; ``leaks`` is the table of all that do."""

    def __init__(self, message: str, leaks: object = None) -> None:
        super().__init__(message)
        self.leaks = leaks
