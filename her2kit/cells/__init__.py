"""Cells: where they are, how their membrane is stained, and the class that follows."""
