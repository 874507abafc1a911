"""What the cells of a column say: numbers, and moments in every way to write them."""
