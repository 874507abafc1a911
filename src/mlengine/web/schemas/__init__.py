"""What each blueprint takes and gives; unknown names are refused, never ignored."""
