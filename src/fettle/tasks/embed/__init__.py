"""embed: vectors that lie near each other where texts belong together; ranked by matches, or by scores."""
