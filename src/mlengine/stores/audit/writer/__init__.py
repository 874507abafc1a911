"""The short way into the audit: rows whose vectors are stored already, past SQLAlchemy."""
