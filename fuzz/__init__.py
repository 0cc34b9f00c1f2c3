"""Coverage-guided fuzzing of everything that reads foreign bytes; see docs/howto/fuzz.md."""
