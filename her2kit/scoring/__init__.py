"""From cells to a score: gates that refuse, guideline rules on integer counts, a trace in words."""
