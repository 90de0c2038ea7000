"""her2kit: from a HER2 slide to a score with its reasons. Research and teaching only, never for diagnosis.

Importing this package loads nothing heavy. Open the room that you need: ``her2kit.slides``,
``her2kit.stain``, ``her2kit.cells``, ``her2kit.scoring``, ``her2kit.report``, or the whole way at once:
``her2kit.pipeline.score_slide``.
"""

__version__ = "0.1.0"
