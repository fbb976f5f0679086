"""What asyncio leaves to everybody: one place for each need that comes up again. Work in threads
that ends before its awaiter does (`threads`). Knows no other room."""
