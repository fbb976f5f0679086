"""Builds, prunes and kills at random for as long as one likes: `python -m tests.soak`."""
