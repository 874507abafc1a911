"""A prediction on its way to a client, written as gunicorn and the framework write it."""

from dataclasses import dataclass
from typing import NamedTuple

from mlengine.stores.audit.entries import AuditedPrediction
from mlengine.web.http import hooks, request_ids
from mlengine.web.http.rate_limit_headers import Headers
from mlengine.web.serving.raw_http import encode_response


class Client(NamedTuple):
    """Whose limit a request counts against, and what its browser has to be told, if it is one."""

    address: str
    cors_headers: Headers


@dataclass(slots=True)
class PendingResponse:
    """An answer that is neither counted nor audited yet; `started` by `perf_counter`.

    `rate_headers` are those that its counting gave.
    """

    answer: AuditedPrediction
    body: bytes
    path: str
    client: Client
    started: float
    rate_headers: Headers | None = None

    def encode(self, date: str) -> bytes:
        """The whole response, with its headers in the order of gunicorn and the framework."""
        headers = [
            ("Server", "gunicorn"),
            ("Date", date),
            ("Connection", "keep-alive"),
            ("Content-Type", "application/json"),
            ("Content-Length", str(len(self.body))),
            *(self.rate_headers or ()),
            *self.client.cors_headers,
            (request_ids.HEADER, self.answer.prediction.request_id),
            *hooks.ALWAYS,
        ]
        return encode_response(200, headers, self.body)

    def log_line(self) -> dict[str, object]:
        """The facts of its request, with the ids."""
        prediction = self.answer.prediction
        request_id = prediction.request_id
        ids = {
            "request_id": request_id,
            "trace_id": self.answer.trace_id or request_id,
            "model_version": prediction.model_version,
        }
        facts = hooks.request_facts(
            "GET", self.path, 200, self.started, address=self.client.address
        )
        return {**ids, **facts}
