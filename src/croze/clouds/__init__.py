"""AWS and Azure, as far as object storage needs them: how requests are signed, and whose keys sign
them. Both sides of Croze use it; no requests are sent here but those of the vendors' own libraries,
which look for identities (`aws`, `azure`)."""
