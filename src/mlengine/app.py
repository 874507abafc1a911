"""The web application: what it is made of, in the order in which it takes effect."""

from __future__ import annotations

from flask import Flask

from mlengine import cli, logs
from mlengine.bootstrap import Engine, build_engine
from mlengine.config import Settings
from mlengine.errors import QueueUnavailable
from mlengine.stores import queue_server
from mlengine.web import (
    admin,
    errors,
    features,
    health,
    hooks,
    limits,
    models,
    monitoring,
    predict,
    predictions,
    quick,
)
from mlengine.web.requests import ENGINE, SETTINGS, VersionPath
from mlengine.web.responses import OrjsonProvider

PREFIXES = {"": "", "v1_": "/api/v1"}
BLUEPRINTS = tuple(
    room.blueprint for room in (health, features, predict, predictions, models, monitoring, admin)
)


def create_app(settings: Settings, engine: Engine | None = None) -> Flask:
    """The application over `engine`, by default the one that `settings` describe.

    Raises BadSetting or CannotStart.
    """
    logs.configure(settings.log_level, json=settings.json_logs)
    app = Flask("mlengine", static_folder=None)
    app.json = OrjsonProvider(app)
    app.url_map.merge_slashes = False  # a redirect would not be a problem document
    engine = engine or build_engine(settings)
    app.extensions |= {ENGINE: engine, SETTINGS: settings}
    hooks.init_app(app)
    errors.init_app(app)
    admit = limits.init_app(
        app,
        requests=settings.rate_limit_requests,
        window_seconds=settings.rate_limit_window_seconds,
        storage_url=_limits_url(settings),
        record=engine.checks.record,
        exempt=(health.blueprint,),
    )
    hooks.refuse_large_bodies(app)
    quick.init_app(app, paths=[f"{prefix}/predict" for prefix in PREFIXES.values()], admit=admit)
    limits.trust_proxies(app, settings.trusted_proxy_count)
    app.url_map.converters["version"] = VersionPath
    _register_on_both_prefixes(app)
    cli.init_app(app)
    return app


def _register_on_both_prefixes(app: Flask) -> None:
    for name, prefix in PREFIXES.items():
        for blueprint in BLUEPRINTS:
            app.register_blueprint(
                blueprint,
                name=f"{name}{blueprint.name}",
                url_prefix=f"{prefix}{blueprint.url_prefix or ''}" or None,
            )


def _limits_url(settings: Settings) -> str | None:
    try:
        url = queue_server.resolve_url(settings.redis_url, settings.artifacts_dir)
    except QueueUnavailable:
        return None
    return queue_server.limits_url(url)
