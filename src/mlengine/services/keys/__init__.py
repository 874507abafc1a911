"""Who holds a key, and what each may do."""
