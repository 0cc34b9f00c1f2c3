"""Our DIMSE face: C-ECHO and C-STORE as provider."""
