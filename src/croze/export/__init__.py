"""Exporters: a result becomes an image, an archive or files."""
