"""Public datasets as tables: one loader a dataset, each of which knows its layout and its traps."""
