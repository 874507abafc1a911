"""Model versions on disk, and the loaded ones."""
