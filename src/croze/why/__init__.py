"""Why a step missed the cache: small records of past builds' steps, and how they differ.

What the solver tells (`solver.observe`) becomes `Step`s; a step is compared with the nearest
earlier record of the same line. The plan of a build that has not run yet is told the same way.
"""
