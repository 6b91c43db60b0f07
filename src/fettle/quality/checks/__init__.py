"""One file for each family of checks. A check looks at rows and says what it found; it changes nothing."""
