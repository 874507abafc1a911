"""How far live rows lie from the rows of training, and how far is too far."""
