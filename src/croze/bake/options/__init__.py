"""Options of a target that are more than a text: read from flags and values, shown as values."""
