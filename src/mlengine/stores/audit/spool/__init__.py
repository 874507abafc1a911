"""Where audit rows wait while the database is away."""
