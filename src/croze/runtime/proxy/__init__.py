"""A network with nothing in it but a proxy of ours: what a step asks of the web is checked, noted,
and answered by way of the daemon (BuildKit `util/network/proxyprovider`).

`proxied` beside this folder is what is known of one container's requests; `server` answers them;
`authority` makes the certificates by which HTTPS is answered, and `trust` has the container believe
in them.
"""
