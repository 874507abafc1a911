"""What each blueprint takes, an unknown name refused, and the answers that no service gives so."""
