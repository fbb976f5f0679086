"""Registries that ask for a login which nobody has sent: Docker's words for them.

Source: containerd `core/remotes/docker` (`ErrInvalidAuthorization`), as dockerd wraps it.
"""

from __future__ import annotations

from croze.errors import CrozeError
from croze.registry.credentials import Login
from croze.registry.failures import AccessRefused, UnexpectedStatus


def pull_denied(error: CrozeError, ref: str, login: Login) -> CrozeError:
    """What a pull of a reference says instead; the error itself if it is another."""
    if not _lacks_login(error, login):
        return error
    return _denied("pull").wrap(f'failed to resolve reference "{ref}"')


def push_denied(error: CrozeError, login: Login) -> CrozeError:
    """What a push says instead; the error itself if it is another."""
    return _denied("push") if _lacks_login(error, login) else error


def _lacks_login(error: CrozeError, login: Login) -> bool:
    return isinstance(error, UnexpectedStatus) and error.status == 401 and login == Login()


def _denied(what: str) -> AccessRefused:
    return AccessRefused(
        f"{what} access denied, repository does not exist or may require authorization: "
        "authorization failed: no basic auth credentials"
    )
