"""Labels of cells: made from patch labels, doubted, read by people in rounds, merged."""
