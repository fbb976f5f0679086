"""What clients ask about containers, and the streams that they join: HTTP on `containers`."""
