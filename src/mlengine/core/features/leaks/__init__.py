"""Whether a feature set looks into the future."""
