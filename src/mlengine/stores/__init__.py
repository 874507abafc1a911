"""All I/O and all state: each store holds one path, connection or client."""
