"""The evidence about the skill of versions, kept date by date."""

from dataclasses import dataclass, replace

import orjson
from sqlalchemy import Engine, UpdateBase, select, update

from mlengine.core.line_names import MODEL_LINE, version_key
from mlengine.core.monitoring.event import Event
from mlengine.core.monitoring.skill.report import SkillRecord
from mlengine.core.serialization import from_plain, to_plain
from mlengine.errors import DamagedRow
from mlengine.stores.database.engine import insert_or_ignore, parse_column, reading, writing
from mlengine.stores.database.events import insert_event
from mlengine.stores.database.tables import skill_states


@dataclass(frozen=True)
class SkillStore:
    """The table `skill_states` for a line; every method raises DatabaseUnavailable."""

    engine: Engine
    line: str = MODEL_LINE

    def read(self, version: str) -> tuple[int, SkillRecord] | None:
        """The last day (since 1970) that is counted, and the evidence; None before the first."""
        key = version_key(self.line, version)
        query = select(skill_states).where(skill_states.c.model_version == key)
        with reading(self.engine) as connection:
            row = connection.execute(query).first()
        if row is None:
            return None
        try:
            return row.through_day, from_plain(SkillRecord, _in_todays_form(row.document))
        except ValueError:
            raise DamagedRow from None

    def write(
        self,
        version: str,
        record: SkillRecord,
        *,
        counted: int | None,
        through: int,
        event: Event | None,
    ) -> bool:
        """Count days up to `through`, where those up to `counted` are; with an event of the change.

        False, and nothing is written, where somebody else has counted meanwhile.
        """
        key = version_key(self.line, version)
        document = orjson.dumps(to_plain(record)).decode()
        values = {"through_day": through, "document": document}
        with writing(self.engine) as connection:
            row = skill_states.c
            query: UpdateBase = (
                insert_or_ignore(connection, skill_states).values(model_version=key, **values)
                if counted is None
                else update(skill_states)
                .where(row.model_version == key, row.through_day == counted)
                .values(values)
            )
            if connection.scalar(query.returning(row.through_day)) is None:
                return False
            if event is not None:
                insert_event(connection, replace(event, model=self.line))
        return True


def _in_todays_form(document: str) -> object:
    """What was counted stays; evidence of the former kind, by bets on both samples, goes."""
    kept = parse_column(document)
    state = kept.get("state") if isinstance(kept, dict) else None
    if isinstance(state, dict) and "against" in state:
        return {**kept, "terms": None, "state": None}
    return kept
