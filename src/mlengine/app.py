"""The web application: what it is made of, in the order in which it takes effect."""

from contextlib import suppress

from flask import Flask

from mlengine import cli
from mlengine.bootstrap.platform import Platform, build_platform
from mlengine.bootstrap.traces import record_spans
from mlengine.config import Settings
from mlengine.config.logging import configure_logs
from mlengine.errors import QueueUnavailable
from mlengine.stores.queue import server
from mlengine.web.http import errors, failed_keys, hooks, limits
from mlengine.web.http.intermediaries import compression, cors
from mlengine.web.http.intermediaries.forwarding import take_prefix, trust_proxies
from mlengine.web.http.requests import PLATFORM, SETTINGS, VersionPath
from mlengine.web.http.responses import OrjsonProvider
from mlengine.web.routes import (
    admin,
    bars,
    documents,
    events,
    features,
    health,
    lines,
    metrics,
    models,
    monitoring,
    predict,
    predictions,
    signals,
    training,
    webhooks,
)
from mlengine.web.serving import fast_path, probes
from mlengine.web.serving.streams import places

PREFIXES = {"": "", "v1_": "/api/v1"}
BLUEPRINTS = tuple(
    routes.blueprint
    for routes in (
        health,
        bars,
        features,
        predict,
        predictions,
        signals,
        models,
        lines,
        monitoring,
        metrics,
        training,
        admin,
        webhooks,
        events,
        documents,
    )
)


def create_app(settings: Settings, platform: Platform | None = None) -> Flask:
    """The application over `platform`, by default the one that `settings` describe.

    Raises BadSetting or CannotStart.
    """
    configure_logs(settings)
    record_spans(settings)
    app = Flask("mlengine", static_folder=None)
    app.json = OrjsonProvider(app)
    app.url_map.merge_slashes = False  # a redirect would not be a problem document
    platform = platform or build_platform(settings)
    app.extensions |= {PLATFORM: platform, SETTINGS: settings}
    platform.control.clock()  # its first reading, which no request is to wait for
    hooks.init_app(app, probes=health.blueprint)
    policy = cors.CorsPolicy(settings.cors_origins)
    cors.init_app(app, policy)
    compression.init_app(app)
    errors.init_app(app)
    rate_limit = limits.init_app(
        app,
        requests=settings.rate_limit_requests,
        window_seconds=settings.rate_limit_window_seconds,
        storage_url=_limits_url(settings),
        record=platform.states.record,
        exempt=(health.blueprint,),
    )
    failed_keys.init_app(
        app, per_minute=settings.access.failed_keys_per_minute, storage_url=_limits_url(settings)
    )
    app.before_request(hooks.refuse_large_body)
    if not settings.access.require_key_everywhere:
        fast_path.init_app(
            app,
            paths=[f"{prefix}/predict" for prefix in PREFIXES.values()],
            rate_limit=rate_limit,
            trusted_proxies=settings.trusted_proxy_count,
            cors=policy,
        )
    hops = settings.trusted_proxy_count
    app.wsgi_app = trust_proxies(take_prefix(app.wsgi_app, hops), hops)  # type: ignore[method-assign]
    _register_on_both_prefixes(app)
    places.init_app(app, platform.control.outbox)
    probes.init_app(app, health.blueprint)
    cli.init_app(app)
    return app


def openapi_document() -> bytes:
    """The contract of the routes, which takes no platform to know."""
    from mlengine.web.openapi.document import build_document  # noqa: PLC0415 - apispec

    app = Flask("mlengine", static_folder=None)
    _register_on_both_prefixes(app)
    return build_document(app)


def _register_on_both_prefixes(app: Flask) -> None:
    app.url_map.converters["version"] = VersionPath
    for name, prefix in PREFIXES.items():
        for blueprint in BLUEPRINTS:
            app.register_blueprint(
                blueprint,
                name=f"{name}{blueprint.name}",
                url_prefix=f"{prefix}{blueprint.url_prefix or ''}" or None,
            )


def _limits_url(settings: Settings) -> str | None:
    with suppress(QueueUnavailable):
        return server.to_limits_uri(server.resolve_url(settings.redis_url, settings.artifacts_dir))
    return None
