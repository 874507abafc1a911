"""The feature sets that come with the platform."""
