"""Read and write the files that other programs open: each format with an exact round trip."""
