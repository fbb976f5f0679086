"""`crozed`: wiring, configuration, the gRPC services, lifecycle.

Everything is put together here, visibly.
"""
