"""LightGBM: fitting a booster, its bins, and scoring with it.

LightGBM imports pandas wherever that is installed, at twice the start time and 35 MB a process. No
frame of pandas' is passed to it here, so pandas is hidden while LightGBM is imported.
"""

import sys

if not sys.modules.keys() & {"lightgbm", "pandas"}:
    sys.modules["pandas"] = None  # type: ignore[assignment] # import's own sign for "not there"
    import lightgbm  # noqa: F401

    del sys.modules["pandas"]
