"""What an answer says of its model."""

from typing import Any

from mlengine.stores.registry.loader import LoadedModel


def facts_of_model(model: LoadedModel) -> dict[str, Any]:
    """The fields of a prediction that are the same in all answers of a model."""
    manifest = model.manifest
    return {
        "interval": manifest.interval,
        "horizon_bars": manifest.horizon_bars,
        "objective": manifest.objective,
        "model_version": manifest.version,
        "model_fingerprint": manifest.fingerprint,
        "feature_set": model.feature_set_ref,
        "trained_through": manifest.trained_through,
        "base_rate": manifest.base_rate,
        "model_verdict": manifest.verdict.verdict,
    }
