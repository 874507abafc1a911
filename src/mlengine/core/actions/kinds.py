"""Kinds of corporate actions, and which of them each setting of MARKET_DATA_ADJUST adjusts for."""

from typing import Final

SPLIT, DIVIDEND, SYMBOL_CHANGE = "split", "dividend", "symbol_change"
KINDS = (SPLIT, DIVIDEND, SYMBOL_CHANGE)
ADJUSTMENTS: Final = {"none": (), "splits": (SPLIT,), "all": (SPLIT, DIVIDEND)}
