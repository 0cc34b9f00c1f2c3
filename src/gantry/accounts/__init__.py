"""People, tokens, sign-in, and the one answer to may they?."""
