"""`kubernetes`: daemons in the pods of a Deployment or StatefulSet, dialled by `buildctl
dial-stdio` run in one of them.

The few calls that it takes are made over `http/` itself: of the kept asynchronous clients,
kubernetes_asyncio takes 0.8 s to import (and 48 MB), kr8s 0.5 s, lightkube 0.3 s and can't run
commands in pods; the calls here are eight, and of their answers a dozen members are read. What is
read is typed in `api.py`; what is sent is made in `manifest.py`.
"""
