"""The database: engine, tables, migrations, events."""
