"""What was done, said in in-toto predicates: SLSA provenance and SBOMs.

`capture` gathers what a result was made of, `requests` who asked for it, and `predicate` says both
as provenance; `scanner` has an SBOM made by an image.
"""
