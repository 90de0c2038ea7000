"""Phantom: synthetic HER2 slides with a known answer. Shares nothing with the measurement."""
