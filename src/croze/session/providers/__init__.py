"""What a client lends: one module a service, a table of calls (`session.lent_service`).

The daemon's end of each is beside this folder, named for the service.
"""
