"""The worker, in BuildKit's sense: the machine as a place where steps run. What it says of itself
(`record`), what runs steps (`executor`) and on which networks, and what keeps its cache within
limits (`gc`). Processes that work for the daemon are `croze.workers`."""
