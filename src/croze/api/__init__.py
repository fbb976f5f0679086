"""The wire: `.proto` files and what `make proto` generates from them.

Nothing here is written by hand but `attrs` and `detached`, small conventions on top of messages.
"""
