"""The database: tables, sessions and migrations. Knows no business rule."""
