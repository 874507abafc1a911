import pytest

from mlengine.bootstrap import training
from mlengine.bootstrap.training import build_cluster, engine_refusals
from mlengine.config import Settings

NOWHERE = Settings.from_env({})
ADDRESS = "tcp://127.0.0.1:8786"
SOMEWHERE = Settings.from_env({"DASK_SCHEDULER_ADDRESS": ADDRESS})


def test_a_cluster_needs_an_address_and_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    assert engine_refusals(SOMEWHERE) == {}
    cluster = build_cluster(SOMEWHERE)
    assert cluster is not None
    assert cluster.address == ADDRESS
    assert "DASK_SCHEDULER_ADDRESS" in engine_refusals(NOWHERE)["dask"]
    assert build_cluster(NOWHERE) is None
    monkeypatch.setattr(training, "find_spec", lambda name: None if name == "sklearn" else name)
    assert engine_refusals(SOMEWHERE) == {"dask": "needs sklearn: pip install 'mlengine[dask]'"}
    assert build_cluster(SOMEWHERE) is None
