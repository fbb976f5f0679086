"""Records of builds, as clients list, replay, pin and delete them. What BuildKit calls history; why
a step of a past build missed the cache is `why`'s."""
