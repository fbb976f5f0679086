"""Static types: what a policy can be told to get wrong before it is evaluated, as OPA tells it."""
