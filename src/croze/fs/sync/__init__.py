"""Directories made equal to others: on one machine, or over the file-transfer protocol."""
