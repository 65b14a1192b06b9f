"""API and console over HTTP: they parse, ask who it is, submit commands and show what is; they decide nothing."""
