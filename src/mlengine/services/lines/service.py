"""Creating, changing, retiring and listing model lines."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from sqlalchemy import Connection

from mlengine.core.line_names import LINE_RULE, MODEL_LINE, is_line_name
from mlengine.core.lines.line import LineDefinition, LineState, ModelLine
from mlengine.core.lines.rules import Refusals, invalid_definition
from mlengine.core.training.spec import TrainSpec
from mlengine.core.versions.layout import ACTIVE_FILE
from mlengine.errors import InvalidRequest, LineNotFound, RefusedLineFiles, RunNotCancellable
from mlengine.services.lines.directory import LineDirectory
from mlengine.services.lines.host_offers import HostOffers
from mlengine.services.runs.service import RunService
from mlengine.stores.lines.folder import LineFile
from mlengine.stores.lines.store import Change, LineStore
from mlengine.stores.registry.active import ActiveFile
from mlengine.stores.registry.folders import published_versions, versions_directory
from mlengine.stores.runs.schedules import ScheduleStore

FILE_ACTOR = "file"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LineSummary:
    """A line as `GET /lines` lists it.

    `recipe` is what a training of it does, `own` the fields that the line itself says; `versions`
    counts those that are published.
    """

    name: str
    state: LineState
    revision: int
    active_version: str | None
    versions: int
    live_run_id: str | None
    interval: str
    recipe: Mapping[str, object]
    own: Mapping[str, object]
    schedule: str | None
    schedule_activate: str | None
    note: str | None
    created_at: datetime | None
    changed_at: datetime | None
    actor: str | None


@dataclass(frozen=True)
class LineService:
    """`main` is what the settings say: its `configured` recipe, in the folder of the others.

    `artifacts_dir` is where this host has its versions, `offers` what its trainings can have.
    """

    store: LineStore
    directory: LineDirectory
    runs: RunService
    schedules: ScheduleStore
    configured: TrainSpec
    artifacts_dir: Path
    offers: HostOffers

    def list(self) -> tuple[LineSummary, ...]:
        """All lines, `main` first and the others by name."""
        return tuple(map(self._summary, (None, *self.store.read_all())))

    def get(self, name: str) -> LineSummary:
        """One line; raises LineNotFound."""
        for line in self.list():
            if line.name == name:
                return line
        raise LineNotFound(name)

    def save(
        self, name: str, definition: LineDefinition, *, actor: str, now: datetime
    ) -> tuple[LineSummary, Change]:
        """Create a line, or give it another definition; a retired one is active again.

        Raises InvalidRequest with all that is refused.
        """
        if refusals := self.refusals(name, definition):
            raise InvalidRequest(refusals)
        line, change = self._save(name, definition, actor, now, None)
        return self._summary(line), change

    def refusals(self, name: str | None, definition: LineDefinition) -> Refusals:
        """All that keeps it from being a line that can train here, by field; without a name too."""
        refused: Refusals = {}
        if name == MODEL_LINE:
            refused["name"] = [f"{MODEL_LINE} is what the settings say"]
        elif name is not None and not is_line_name(name):
            refused["name"] = [f"must be {LINE_RULE}"]
        unmet = self.offers.unmet(definition, self.configured)
        return refused | unmet | invalid_definition(definition, self.configured)

    def copy(
        self, line: str, name: str, changes: Mapping[str, object], *, actor: str, now: datetime
    ) -> LineSummary:
        """Create a line with the recipe that `line` has now, but for `changes`.

        Raises LineNotFound, and InvalidRequest also where `name` is that of a line.
        """
        original = self.get(line)
        if any(each.name == name for each in self.store.read_all()):
            raise InvalidRequest({"name": ["is that of a line already"]})
        recipe = {
            field: value
            for field, value in original.recipe.items()
            if field not in ("interval", "note") and value is not None
        }
        definition = LineDefinition(
            recipe={**recipe, **changes},
            interval=original.interval,
            schedule=original.schedule,
            schedule_activate=original.schedule_activate,
            note=original.note,
        )
        return self.save(name, definition, actor=actor, now=now)[0]

    def retire(self, name: str, *, actor: str, now: datetime) -> LineSummary:
        """Let a line serve and train no more; its live run is cancelled. Raises LineNotFound.

        Its versions, predictions and history stay. Raises InvalidRequest for `main`.
        """
        if name == MODEL_LINE:
            raise InvalidRequest({"name": [f"{MODEL_LINE} can't be retired"]})
        line = self.store.retire(name, actor=actor, now=now)
        self.directory.forget()
        self.schedule_of(name).forget()
        runs = self.runs_of(name)
        newest = runs.status(None, now=now)
        if newest is not None and newest.unfinished:
            try:
                runs.cancel(newest.run_id, actor=actor, now=now)
            except RunNotCancellable as late:  # its version is published, and serves nobody
                log.warning("run of a retired line goes on", extra={"reason": str(late)})
        return self._summary(line)

    def take_files(self, files: Iterable[LineFile], *, now: datetime) -> tuple[str, ...]:
        """Take in the files that say something new; returns the names of their lines.

        What was changed by other ways since a file was taken in stays until the file changes.
        Raises RefusedLineFiles with all that is refused, and then takes in none. A line that was
        taken in before, and could not train any more, is warned of.
        """
        files, known = tuple(files), self.store.read_all()
        refused, doubtful = self.refused_files(files, known)
        if refused:
            raise RefusedLineFiles(refused)
        for reason in doubtful:
            log.warning("model line can't train", extra={"reason": reason})
        return tuple(
            file.name
            for file in files
            if self._save(file.name, file.definition, FILE_ACTOR, now, file.sha256)[1]
            != "unchanged"
        )

    def refused_files(
        self, files: Iterable[LineFile], known: Iterable[ModelLine]
    ) -> tuple[Sequence[str], Sequence[str]]:
        """What is refused of each file, with its field; and what those lack that were taken in.

        A start does not end for what has gone since.
        """
        taken = {(line.name, line.file_sha256) for line in known}
        faults: dict[bool, tuple[str, ...]] = {False: (), True: ()}
        for file in files:
            faults[(file.name, file.sha256) in taken] += tuple(
                f"{file.path} is refused: {name} {' '.join(texts)}"
                for name, texts in self.refusals(file.name, file.definition).items()
            )
        return faults[False], faults[True]

    def runs_of(self, name: str) -> RunService:
        """The trainings of a line, with the recipe of `main`."""
        return replace(self.runs, store=replace(self.runs.store, line=name))

    def schedule_of(self, name: str) -> ScheduleStore:
        """When a line is trained."""
        return replace(self.schedules, line=name)

    def _save(
        self,
        name: str,
        definition: LineDefinition,
        actor: str,
        now: datetime,
        file_sha256: str | None,
    ) -> tuple[ModelLine, Change]:
        saved = self.store.save(
            name,
            definition,
            actor=actor,
            now=now,
            file_sha256=file_sha256,
            within=self._set_schedule,
        )
        self.directory.forget()
        return saved

    def _set_schedule(self, connection: Connection, line: ModelLine) -> None:
        self.schedule_of(line.name).set_within(
            connection, line.definition.schedule, actor=line.actor, now=line.changed_at
        )

    def _summary(self, line: ModelLine | None) -> LineSummary:
        """None is `main`."""
        name = line.name if line else MODEL_LINE
        definition = line.definition if line else LineDefinition()
        spec, stored = definition.spec(self.configured), self.schedule_of(name).read()
        begins_with = None if line and line.is_retired else definition.schedule
        folder = versions_directory(self.artifacts_dir, name)
        active = ActiveFile(folder / ACTIVE_FILE).read_or_none()
        return LineSummary(
            name=name,
            state=line.state if line else "active",
            revision=line.revision if line else 0,
            active_version=active.version if active else None,
            versions=len(published_versions(folder)),
            live_run_id=self.runs.store.live_run_of(name),
            interval=spec.interval,
            recipe=spec.to_dict(),
            own=definition.recipe,
            schedule=stored.expression if stored else begins_with,
            schedule_activate=definition.schedule_activate,
            note=definition.note,
            created_at=line.created_at if line else None,
            changed_at=line.changed_at if line else None,
            actor=line.actor if line else None,
        )
