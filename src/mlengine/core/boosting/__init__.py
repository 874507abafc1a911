"""LightGBM: fitting a booster, its bins, and scoring with it.

LightGBM imports pandas and scikit-learn wherever they are installed, at twice the start time and
35 MB a process. No frame of pandas' is passed to it here, and no model is one of scikit-learn's,
so both are hidden while LightGBM is imported.
"""

import sys

_HIDDEN = {"pandas", "sklearn"} - sys.modules.keys()

if "lightgbm" not in sys.modules:
    # None is import's own sign for "not there".
    sys.modules.update(dict.fromkeys(_HIDDEN))  # type: ignore[arg-type]
    import lightgbm  # noqa: F401

    for _name in _HIDDEN:
        del sys.modules[_name]
