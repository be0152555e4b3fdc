"""The application: the only place where chat meets fleet."""
