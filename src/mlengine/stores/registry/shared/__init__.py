"""A registry on object storage, which any number of hosts share."""
