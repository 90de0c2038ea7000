"""Measurements of her2kit: ``python -m benchmarks`` runs all, ``python -m benchmarks.score`` one."""
