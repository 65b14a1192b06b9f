"""The `trueup` command: the same verbs from a terminal."""
