"""Images, as clients of a Docker engine list, pull, push, load, save and remove them.

`names`, `views` and `usage` are how images of the store look in Docker's eyes, `platforms` and
`filters` which of them a request is about; `transfers` draws layers that come and go.
"""
