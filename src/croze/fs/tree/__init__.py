"""Trees on disk as they stand: walked, compared, measured, and changed one entry at a time."""
