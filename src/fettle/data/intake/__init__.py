"""Files become rows: found, recognised, read; what is refused is set aside, what repeats is counted."""
