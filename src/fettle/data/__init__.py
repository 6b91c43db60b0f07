"""Files become checked records, and records become versions."""
