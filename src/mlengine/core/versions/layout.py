"""Where a model line keeps what: the names of its folder and of the files in it."""

MODEL_LINE = "main"

ACTIVE_FILE = "ACTIVE"
PINS_FILE = "PINNED.json"
IDENTITY_FILE = "registry-id"

MANIFEST_FILE = "manifest.json"
MODEL_FILE = "model.txt"
CANDIDATE_FILE = "candidate.txt"
BARS_FILE = "bars.parquet"
HOLDOUT_FILE = "holdout.parquet"
REFERENCE_FILE = "reference.parquet"
DRIFT_FILE = "drift.npz"
NOVELTY_FILE = "novelty.npz"
UNIVERSE_FILE = "universe.csv"
