"""The one place where concrete parts meet."""

# Installed packages name modules with feature sets in it.
ENTRY_POINT_GROUP = "mlengine.feature_sets"
