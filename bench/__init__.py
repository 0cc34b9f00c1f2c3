"""Gantry measured against its peers: same data, same run, in turns. See README.md."""
