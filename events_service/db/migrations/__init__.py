"""Alembic's migrations. `events db upgrade` runs them; nothing imports them."""
