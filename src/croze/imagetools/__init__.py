"""Images where they lie, in registries and OCI layouts: resolved, put together, copied, read.

`location` names a place, `contract.Place` is what one can do (`registry_place`, `layout_place`),
`combine` decides what an image is made of, `copying` moves what is missing, `contents` reads what
belongs to an image. No daemon takes part.
"""
