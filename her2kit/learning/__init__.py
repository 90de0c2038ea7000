"""Training, on public data or on phantoms. Scoring never imports this room: it is handed models as files."""
