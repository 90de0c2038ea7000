"""Regions of a slide: where the invasive tumour is, and which compartment a cell lies in."""
