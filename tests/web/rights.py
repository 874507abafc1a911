"""Who may what: the decision of every route, written down a second time."""

from __future__ import annotations

from mlengine.web.http.auth import ACTIVATION, KEY, OPEN_BY_DEFAULT, PUBLIC, Guard

READ, PREDICT = Guard(OPEN_BY_DEFAULT, ("read",)), Guard(OPEN_BY_DEFAULT, ("predict",))
TRAIN, FOLLOW = Guard(KEY, ("train",)), Guard(KEY, ("train", "read"))
ACTIVATE, AUDIT = Guard(KEY, ("activate",)), Guard(KEY, ("audit",))
HOOKS = Guard(KEY, ("hooks",))

RIGHTS = {
    ("GET", "/health"): Guard(PUBLIC),
    ("GET", "/livez"): Guard(PUBLIC),
    ("GET", "/v2/health/live"): Guard(PUBLIC),
    ("GET", "/ready"): Guard(PUBLIC),
    ("GET", "/readyz"): Guard(PUBLIC),
    ("GET", "/v2/health/ready"): Guard(PUBLIC),
    ("GET", "/"): Guard(PUBLIC),
    ("GET", "/docs"): READ,
    ("GET", "/docs/<page_file>"): READ,
    ("GET", "/openapi.json"): READ,
    ("GET", "/bars/quality"): READ,
    ("GET", "/features"): READ,
    ("GET", "/predict"): PREDICT,
    ("POST", "/predict/batch"): PREDICT,
    ("GET", "/predictions/recent"): READ,
    ("GET", "/predictions/<prediction_id>"): READ,
    ("GET", "/signals"): READ,
    ("GET", "/signals/exports/<export_id>"): READ,
    ("GET", "/signals/exports/<export_id>/file"): READ,
    ("GET", "/lines"): READ,
    ("POST", "/admin/lines"): TRAIN,
    ("POST", "/admin/lines/<name>/retire"): ACTIVATE,
    ("GET", "/models"): READ,
    ("GET", "/models/compare"): READ,
    ("GET", "/models/<version:version>"): READ,
    ("GET", "/model/<version:version>"): READ,
    ("GET", "/monitoring"): READ,
    ("GET", "/monitoring/drift"): READ,
    ("GET", "/monitoring/performance"): READ,
    ("GET", "/monitoring/history"): READ,
    ("GET", "/monitoring/freshness"): READ,
    ("GET", "/monitoring/latency"): READ,
    ("GET", "/metrics"): READ,
    ("POST", "/models/activate/<version:version>"): Guard(ACTIVATION, ("activate",)),
    ("POST", "/admin/train"): TRAIN,
    ("GET", "/admin/train/status"): FOLLOW,
    ("GET", "/admin/train/runs"): FOLLOW,
    ("POST", "/admin/train/cancel"): TRAIN,
    ("POST", "/admin/models/<version:version>/reproduce"): TRAIN,
    ("POST", "/admin/activate/<version:version>"): ACTIVATE,
    ("POST", "/admin/rollback"): ACTIVATE,
    ("POST", "/admin/reload"): ACTIVATE,
    ("DELETE", "/admin/audit/clear"): AUDIT,
    ("POST", "/predictions/<prediction_id>/replay"): AUDIT,
    ("GET", "/events"): READ,
    ("GET", "/admin/hooks"): HOOKS,
    ("POST", "/admin/hooks"): HOOKS,
    ("DELETE", "/admin/hooks/<hook_id>"): HOOKS,
    ("POST", "/admin/hooks/<hook_id>/test"): HOOKS,
    ("POST", "/admin/hooks/<hook_id>/redeliver"): HOOKS,
    ("POST", "/admin/hooks/<hook_id>/rotate"): HOOKS,
}
