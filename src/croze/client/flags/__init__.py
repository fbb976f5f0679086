"""Values of flags and of the files they name, parsed: a module for each group of buildx's flags,
and the source policies of buildctl's.
"""
