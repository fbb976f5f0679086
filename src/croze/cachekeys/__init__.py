"""What solver and stores agree on about cache keys: the records, their names, the contract.

Values and protocols, and the one store that needs nothing but memory.
"""
