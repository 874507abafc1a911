"""The commands: thin click shells over the platform."""
