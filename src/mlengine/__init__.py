"""The ML engine platform: bars in, features, models, predictions out."""

__version__ = "0.1.0"
