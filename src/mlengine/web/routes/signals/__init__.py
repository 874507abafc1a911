"""Signals: the panel of what models said, and the files of long ones."""

from mlengine.web.routes.signals import exports, panel

blueprint = panel.blueprint

__all__ = ["blueprint", "exports"]
