"""Whether a run is past its last point of return, which stood in its progress alone before."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    publishing = sa.Column("publishing", sa.Boolean, nullable=False, server_default=sa.false())
    op.add_column("runs", publishing)
    runs = sa.table("runs", sa.column("publishing"), sa.column("state"), sa.column("progress"))
    is_publishing = runs.c.progress.like('%"stage":"publishing"%')
    op.execute(
        runs.update().where(runs.c.state == "running", is_publishing).values(publishing=sa.true())
    )
