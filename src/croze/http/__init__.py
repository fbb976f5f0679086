"""HTTP clients, one for each side: `daemon` (asyncio, streams) and `client` (the user's own
process, small answers). Both speak http and https only, follow redirects by one set of rules
(`redirects`), take proxies from the environment (`proxies`) and nothing else: no `~/.netrc`, no
cookies."""
