"""What the market did after each live prediction."""
