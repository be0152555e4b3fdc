"""Matrix: our own sync loop and our own reading of events, on matrix-nio's client."""
