"""Chat protocols behind one small protocol (`connectors.protocol`). They know nothing of fleets."""
