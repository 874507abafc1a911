"""LightGBM: fitting a booster, its bins, and scoring with it."""
