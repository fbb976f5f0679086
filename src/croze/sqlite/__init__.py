"""SQLite files: opened in one way, brought to the newest schema, written in transactions."""
