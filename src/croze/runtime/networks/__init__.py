"""Networks of containers: `provider` is what makes one and takes it back, `cni` has plugins do it
(`cni_config`), in namespaces that files keep (`netns`); `slirp` is an ordinary user's.
"""
