"""Training, promotion, reproduction and export."""
