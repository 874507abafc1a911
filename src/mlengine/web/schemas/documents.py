"""What `/` answers."""

from typing import TypedDict

# Where to go on, below the prefix of the routes.
LINKS = {
    "docs": "/docs",
    "openapi": "/openapi.json",
    "health": "/health",
    "ready": "/ready",
    "models": "/models",
}


class Links(TypedDict):
    docs: str
    openapi: str
    health: str
    ready: str
    models: str


class Home(TypedDict):
    name: str
    version: str
    links: Links
