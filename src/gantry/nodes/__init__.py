"""Places we talk to, behind one interface."""
