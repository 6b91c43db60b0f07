"""Plain data becomes pages that people read."""
