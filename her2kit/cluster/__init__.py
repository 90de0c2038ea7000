"""Slides and notebooks spread over many processes or computers by Dask."""
