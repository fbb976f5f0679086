"""OpenPGP keys with what their owners say of them: self-signatures, checked as they are read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from msgspec import Struct, field

from croze.errors import CrozeError, InvalidRequest, Unsupported
from croze.signatures import armor
from croze.signatures.packets import (
    PUBLIC_KEY,
    PUBLIC_SUBKEY,
    SECRET_KEY,
    SECRET_SUBKEY,
    SIGNATURE,
    USER_ID,
    MalformedPacket,
    Packet,
    PublicKey,
    SignaturePacket,
    packets,
    parse_key,
    parse_signature,
)
from croze.signatures.public import verify

_CERTIFICATIONS = frozenset({0x10, 0x11, 0x12, 0x13})
_BINDING, _KEY_REVOKED, _SUBKEY_REVOKED, _USER_REVOKED = 0x18, 0x20, 0x28, 0x30
_MAY_SIGN = 0x02
_COMPROMISED = 2
_TRUST = 12


class Bound(Struct, kw_only=True):
    """A subkey or user name, and what binds it to the primary key."""

    newest: SignaturePacket | None = None
    revocations: list[SignaturePacket] = field(default_factory=list)

    def add(self, signature: SignaturePacket) -> None:
        if self.newest is None or signature.created > self.newest.created:
            self.newest = signature


class UserId(Bound):
    """A name of the owner's, and what binds it."""

    name: bytes


class Subkey(Bound):
    """A key beside the primary one, and what binds it."""

    key: PublicKey


Owner = Bound | None
"""What a signature is about: None is the primary key."""


class Entity(Struct):
    """A primary key and all that hangs from it."""

    primary: PublicKey
    users: list[UserId] = field(default_factory=list)
    subkeys: list[Subkey] = field(default_factory=list)
    revocations: list[SignaturePacket] = field(default_factory=list)

    def main_user(self) -> UserId | None:
        """The user whose self-signature speaks for the primary key."""
        named = [user for user in self.users if user.newest is not None]
        return max(named, key=_rank, default=None)

    def self_signature(self) -> SignaturePacket | None:
        user = self.main_user()
        return user.newest if user else None


def _rank(user: UserId) -> tuple[int, bool, int]:
    signature = user.newest
    if signature is None:
        return -len(user.revocations), False, 0
    return -len(user.revocations), signature.primary_user, signature.created


class SigningKey(Struct, frozen=True):
    """A key that may sign. `binding` is the self-signature that says so."""

    entity: Entity
    key: PublicKey
    binding: SignaturePacket
    revocations: Sequence[SignaturePacket]

    @property
    def is_subkey(self) -> bool:
        return self.key is not self.entity.primary


def signing_keys(entities: Sequence[Entity], id: int) -> Iterator[SigningKey]:
    """The keys with the id of which their owner says that they sign."""
    for entity in entities:
        own = entity.self_signature()
        candidates = [
            (entity.primary, own, entity.revocations),
            *((s.key, s.newest, s.revocations) for s in entity.subkeys),
        ]
        for key, binding, revocations in candidates:
            if key.id == id and binding and binding.flags and binding.flags & _MAY_SIGN:
                yield SigningKey(entity, key, binding, revocations)


def revoked(revocations: Sequence[SignaturePacket], now: float) -> bool:
    """Whether revocations hold at the time `now`: a compromised key never was good; others were
    until they were revoked."""
    return any(r.revocation_reason == _COMPROMISED or not r.expired(now) for r in revocations)


def read_keys(text: bytes) -> list[Entity]:
    """The keys of one or more armoured blocks. Raises `InvalidRequest`."""
    entities: list[Entity] = []
    for block in _blocks(text):
        if block.kind not in ("PGP PUBLIC KEY BLOCK", "PGP PRIVATE KEY BLOCK"):
            raise InvalidRequest(f"expected public or private key block, got: {block.kind}")
        try:
            entities += _entities(block.data)
        except CrozeError as err:
            raise err.wrap("failed to read armored public key") from None
    if not entities:
        raise InvalidRequest("failed to read armored public key: no armored data found")
    return entities


def _blocks(text: bytes) -> Iterator[armor.ArmoredBlock]:
    try:
        yield from armor.blocks(text)
    except InvalidRequest as err:
        raise err.wrap("failed to decode armored public key") from None


def _entities(data: bytes) -> list[Entity]:
    """Keys of kinds that we don't know are left out, if there are others."""
    entities: list[Entity] = []
    error: CrozeError | None = None
    for group in _groups(data):
        try:
            entities.append(_entity(group))
        except Unsupported as err:
            error = err
    if not entities and error is not None:
        raise error
    return entities


def _groups(data: bytes) -> Iterator[list[Packet]]:
    """A primary key and what follows it."""
    group: list[Packet] = []
    for packet in packets(data):
        if packet.tag in (PUBLIC_KEY, SECRET_KEY):
            if group:
                yield group
            group = [packet]
        elif group:
            group.append(packet)
    if group:
        yield group


def _entity(group: Sequence[Packet]) -> Entity:
    entity = Entity(parse_key(group[0].body))
    owner: Owner = None
    for packet in group[1:]:
        if packet.tag in (PUBLIC_SUBKEY, SECRET_SUBKEY):
            owner = _subkey(entity, packet)
        elif packet.tag == USER_ID:
            owner = UserId(packet.body)
            entity.users.append(owner)
        elif packet.tag == SIGNATURE:
            _attach(entity, owner, packet)
        elif packet.tag != _TRUST:
            owner = Bound()  # of something that we don't know
    if not any(user.newest for user in entity.users):
        raise MalformedPacket("v4 entity without any identities")
    if any(subkey.newest is None for subkey in entity.subkeys):
        raise MalformedPacket("subkey packet not followed by signature")
    return entity


def _subkey(entity: Entity, packet: Packet) -> Bound:
    try:
        subkey = Subkey(parse_key(packet.body))
    except Unsupported:
        return Bound()
    entity.subkeys.append(subkey)
    return subkey


def _attach(entity: Entity, owner: Owner, packet: Packet) -> None:
    try:
        signature = parse_signature(packet.body)
    except Unsupported:
        return
    primary = entity.primary
    if isinstance(owner, UserId):
        if signature.issuer == primary.id:
            _attach_user(primary, owner, signature)
    elif isinstance(owner, Subkey):
        _attach_subkey(primary, owner, signature)
    elif owner is None and signature.kind == _KEY_REVOKED:
        if not verify(primary, signature, signature.digest(primary.hashed)):
            raise MalformedPacket("revocation signature signed by alternate key")
        entity.revocations.append(signature)


def _attach_user(primary: PublicKey, user: UserId, signature: SignaturePacket) -> None:
    if signature.kind not in (*_CERTIFICATIONS, _USER_REVOKED):
        raise MalformedPacket("user ID signature with wrong type")
    named = b"\xb4" + len(user.name).to_bytes(4, "big") + user.name
    if not verify(primary, signature, signature.digest(primary.hashed, named)):
        raise MalformedPacket("user ID self-signature invalid")
    if signature.kind == _USER_REVOKED:
        user.revocations.append(signature)
    else:
        user.add(signature)


def _attach_subkey(primary: PublicKey, subkey: Subkey, signature: SignaturePacket) -> None:
    key = subkey.key
    if signature.kind not in (_BINDING, _SUBKEY_REVOKED):
        raise MalformedPacket("subkey signature with wrong type")
    if not verify(primary, signature, signature.digest(primary.hashed, key.hashed)):
        raise MalformedPacket("subkey signature invalid")
    if signature.kind == _SUBKEY_REVOKED:
        subkey.revocations.append(signature)
        return
    if (signature.flags or 0) & _MAY_SIGN:
        _check_consent(primary, key, signature)
    subkey.add(signature)


def _check_consent(primary: PublicKey, key: PublicKey, binding: SignaturePacket) -> None:
    """A key that signs must agree to be bound, or anybody could claim what it signed."""
    if not binding.embedded:
        raise MalformedPacket("subkey signature invalid: signing subkey is missing cross-signature")
    consent = parse_signature(binding.embedded)
    if consent.kind != 0x19 or not verify(key, consent, consent.digest(primary.hashed, key.hashed)):
        raise MalformedPacket("subkey signature invalid: error while verifying cross-signature")
