from __future__ import annotations

from pathlib import Path

from benchmarks.trial_log import Result, TrialLog


def test_a_run_goes_on_where_another_was_cut_off(tmp_path: Path) -> None:
    path, drawn = tmp_path / "trials.jsonl", list[int]()

    def trial(seed: int) -> Result:
        drawn.append(seed)
        return {"found": seed % 2 == 1}

    TrialLog.at(path).results("cell", range(1, 4), trial)
    with path.open("a") as file:
        file.write('{"cell": "cell", "seed": 4, "res')
    found = TrialLog.at(path).results("cell", range(2, 6), trial)
    assert [each["found"] for each in found] == [False, True, False, True]
    assert drawn == [1, 2, 3, 4, 5]
    assert TrialLog.at(path).results("cell", range(1, 6), trial) == [
        {"found": True},
        *found,
    ]
    assert drawn == [1, 2, 3, 4, 5]
    TrialLog.at(path).results("another", [1], trial)
    assert drawn[-1] == 1
