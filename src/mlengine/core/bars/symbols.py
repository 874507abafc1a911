"""What a symbol may be: one rule for every door, wide enough for the tickers of any market."""

import re
from functools import lru_cache

LONGEST_SYMBOL = 64
SYMBOL_RULE = (
    f"a symbol: 1 to {LONGEST_SYMBOL} printable characters, "
    "no comma, no dash first, no blank at an end"
)

_SEPARATORS = re.compile("[-./_: ]")
# AB.TO is of Toronto, and ABTO may be another share.
_SHORTEST_PART = 3


def is_symbol(text: str) -> bool:
    r"""Whether `text` can be asked for: `^GSPC`, `M&M.NS`, `BRK B`, `BTC/USDT:USDT`, `ÅLFA.ST`.

    >>> is_symbol("NIFTY 50"), is_symbol("A,B"), is_symbol(" A"), is_symbol("A\n")
    (True, False, False, False)
    """
    return 0 < len(text) <= LONGEST_SYMBOL and _is_symbol(text)


@lru_cache(maxsize=4_096)
def is_same_symbol(stated: str, symbol: str) -> bool:
    """Whether a service that calls a symbol so means `symbol`: another case or separator is none.

    One that leaves the separator out does, where no part is so short that it may be of the name.

    >>> [is_same_symbol(each, "BTC/USD") for each in ("btc-usd", "BTCUSD", "BTC", "BTCUSDT")]
    [True, True, False, False]
    >>> is_same_symbol("BRK B", "BRK.B"), is_same_symbol("BRKB", "BRK.B")
    (True, False)
    """
    ours, theirs = (_SEPARATORS.split(each.strip().casefold()) for each in (symbol, stated))
    if ours == theirs:
        return True
    parts = ours if len(ours) > 1 else theirs
    is_plain = min(len(ours), len(theirs)) == 1 and min(map(len, parts)) >= _SHORTEST_PART
    return is_plain and "".join(ours) == "".join(theirs)


@lru_cache(maxsize=4_096)
def _is_symbol(text: str) -> bool:
    return (
        text.isprintable() and text == text.strip() and not text.startswith("-") and "," not in text
    )
