import polars as pl
from tests.factories import panel

from mlengine.core.features import ALPHA158, compute
from mlengine.core.features.pieces import symbol_pieces


def test_features_of_pieces_are_those_of_the_whole_bit_for_bit():
    bars = panel(5, rows=90)
    whole = compute(bars, ALPHA158)
    found = [compute(piece, ALPHA158) for piece in symbol_pieces(bars, rows=200)]
    assert [piece["symbol"].n_unique() for piece in found] == [2, 2, 1]
    assert pl.concat(found).equals(whole)


def test_a_piece_has_a_whole_symbol_however_long_it_is():
    assert [piece.height for piece in symbol_pieces(panel(3, rows=50), rows=10)] == [50, 50, 50]


def test_symbols_that_stand_apart_are_put_together():
    bars = panel(3, rows=20)
    for mixed in (bars.sample(fraction=1.0, shuffle=True, seed=1), bars.reverse()):
        pieces = list(symbol_pieces(mixed, rows=40))
        assert [piece["symbol"].unique().sort().to_list() for piece in pieces] == [
            ["S00", "S01"],
            ["S02"],
        ]
        assert pl.concat(pieces).sort("symbol", "timestamp").equals(bars)


def test_no_bars_give_no_piece():
    assert list(symbol_pieces(panel(1, rows=5).clear(), rows=10)) == []
