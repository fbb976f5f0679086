"""One solve: `solve` sends a plan's request, lends what the plan lends (`lending`) and follows the
status. Steps of the client's own are added (`auth_log`), what was told before is not told again
(`repeats`).
"""
