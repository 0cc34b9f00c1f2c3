"""One file: the whole set-up of an instance as YAML, to read, keep under version control, and apply.

`text` reads YAML with the line of every value; `schema` says what may stand there; each section (`nodes`, `rules`,
`people`, ...) knows how to read what is there and to bring it to what the file says, by the verbs of its room;
`plan` compares; `apply` and `export` do it.
"""
