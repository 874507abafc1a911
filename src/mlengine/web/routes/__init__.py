"""The routes, a blueprint a noun."""
