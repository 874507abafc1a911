"""The routes that say whether the platform lives, which wait for no other request."""

from concurrent.futures import Executor, ThreadPoolExecutor

from flask import Blueprint, Flask

_VIEWS = "mlengine.probes"


def init_app(app: Flask, blueprint: Blueprint) -> None:
    """Let the server give each view of `blueprint` a thread of its own; after it is registered."""
    views: dict[str, list[str]] = {}
    for rule in app.url_map.iter_rules():
        view = app.view_functions[rule.endpoint]
        if view.__module__ == blueprint.import_name:
            views.setdefault(view.__name__, []).append(rule.rule)
    app.extensions[_VIEWS] = list(views.values())


def probe_executors(app: object) -> dict[str, Executor]:
    """By path, the thread for requests of a platform's application there."""
    views: list[list[str]] = getattr(app, "extensions", {}).get(_VIEWS, [])
    return {
        path: executor
        for paths in views
        for executor in [ThreadPoolExecutor(1, thread_name_prefix="probe")]
        for path in paths
    }
