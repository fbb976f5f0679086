"""What solver and stores agree on about cache keys: the records, their names, the contract."""
