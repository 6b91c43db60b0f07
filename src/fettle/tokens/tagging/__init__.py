"""Texts whose words get a tag each: words, where the model is read for them, tags, windows of long texts."""
