"""tag: the spans of a text, each with its label."""
