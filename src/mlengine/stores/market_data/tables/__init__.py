"""Tables of bars as the world writes them: text, Parquet and Arrow files."""
