"""What a symbol may be: one rule for every door, wide enough for the tickers of any market."""

from functools import lru_cache

LONGEST_SYMBOL = 64
SYMBOL_RULE = (
    f"a symbol: 1 to {LONGEST_SYMBOL} printable characters, "
    "no comma, no dash first, no blank at an end"
)


def is_symbol(text: str) -> bool:
    r"""Whether `text` can be asked for: `^GSPC`, `M&M.NS`, `BRK B`, `BTC/USDT:USDT`, `ÅLFA.ST`.

    >>> is_symbol("NIFTY 50"), is_symbol("A,B"), is_symbol(" A"), is_symbol("A\n")
    (True, False, False, False)
    """
    return 0 < len(text) <= LONGEST_SYMBOL and _is_symbol(text)


@lru_cache(maxsize=4_096)
def _is_symbol(text: str) -> bool:
    return (
        text.isprintable() and text == text.strip() and not text.startswith("-") and "," not in text
    )
