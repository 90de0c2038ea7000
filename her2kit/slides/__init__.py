"""Slides: open them, find the tissue, cut tiles, write pyramids."""
