"""Records of past builds: `history` asks a daemon for them, `provenance` reads off them how a build
came to be, `bundles` puts them in `.dockerbuild` files.
"""
