"""The least and the most that each number of a `TrainSpec` may be, whoever sets it."""

LOOKBACK = (0, 10_000_000)
TEST_SIZE = (0.05, 0.5)
SEED = (0, 2**31 - 1)
FOLDS = (0, 50)
TRAIN_WINDOW = (0, 10_000_000)
HORIZON_BARS = (1, 1000)
EMBARGO_BARS = (0, 10_000)
LABEL_DELAY_BARS = (0, 1)
ROUNDS = (1, 100_000)
GATE_MIN_DATES = (30, 1_000_000)
GATE_MARGIN = (0.0, 1e6)
COST_BPS = (0.0, 10_000.0)
