"""Rules of URLs, each compiled once in a process: a test makes an application of a hundred."""

from collections.abc import Callable
from typing import Any

from flask import Flask
from werkzeug.routing import Rule

Builder = Callable[..., tuple[str, str]]

_builders: dict[tuple[object, ...], Builder] = {}


class CompiledRule(Rule):
    """What it compiles to depends on the text alone, and is most of what an application costs."""

    def _compile_builder(self, *arguments: Any, **named: Any) -> Builder:
        if self.defaults:
            return super()._compile_builder(*arguments, **named)
        key = (self.rule, tuple(self._trace), arguments, *named.items())
        if key not in _builders:
            _builders[key] = super()._compile_builder(*arguments, **named)
        return _builders[key]


def compile_rules_once() -> None:
    """For all applications of this process."""
    Flask.url_rule_class = CompiledRule
