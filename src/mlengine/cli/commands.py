"""The `flask` commands: thin click shells over the platform."""

from __future__ import annotations

from flask import Flask

from mlengine.cli import train_runs, versions
from mlengine.cli.audit import audit
from mlengine.cli.bars import bars
from mlengine.cli.database import db
from mlengine.cli.dataset import dataset
from mlengine.cli.doctor import doctor
from mlengine.cli.features import features
from mlengine.cli.models import reload_model
from mlengine.cli.monitor import monitor
from mlengine.cli.predict import predict
from mlengine.cli.reproduce import models
from mlengine.cli.train import train

COMMANDS = (
    audit,
    bars,
    dataset,
    db,
    doctor,
    features,
    models,
    monitor,
    predict,
    reload_model,
    train,
)


def init_app(app: Flask) -> None:
    """Hang every command on the app."""
    for below in train_runs.COMMANDS:
        train.add_command(below)
    for below in versions.COMMANDS:
        models.add_command(below)
    for command in COMMANDS:
        app.cli.add_command(command)
