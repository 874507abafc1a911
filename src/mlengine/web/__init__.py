"""Door 1, HTTP: one blueprint a domain."""
