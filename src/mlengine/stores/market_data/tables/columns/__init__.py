"""What the columns of a table are, by the names that exporters give them."""
