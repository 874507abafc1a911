"""The requests and responses of each blueprint; an unknown name is refused, never ignored."""
