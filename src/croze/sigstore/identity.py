"""Who a certificate is of: its name, and what Fulcio wrote into its extensions.

Extensions: https://github.com/sigstore/fulcio/blob/main/docs/oid-info.md
"""

from __future__ import annotations

from cryptography import x509
from cryptography.x509.oid import NameOID

from croze.sigstore.errors import NotVerified

_FULCIO = "1.3.6.1.4.1.57264.1."
_OTHER_NAME = f"{_FULCIO}7"
_RAW = {
    "1": "issuer",
    "2": "githubWorkflowTrigger",
    "3": "githubWorkflowSHA",
    "4": "githubWorkflowName",
    "5": "githubWorkflowRepository",
    "6": "githubWorkflowRef",
}
"""Old ones, whose bytes are the text."""
_DER = {
    "8": "issuer",
    "9": "buildSignerURI",
    "10": "buildSignerDigest",
    "11": "runnerEnvironment",
    "12": "sourceRepositoryURI",
    "13": "sourceRepositoryDigest",
    "14": "sourceRepositoryRef",
    "15": "sourceRepositoryIdentifier",
    "16": "sourceRepositoryOwnerURI",
    "17": "sourceRepositoryOwnerIdentifier",
    "18": "buildConfigURI",
    "19": "buildConfigDigest",
    "20": "buildTrigger",
    "21": "runInvocationURI",
    "22": "sourceRepositoryVisibilityAtSigning",
}
ISSUER, NAME = "certificateIssuer", "subjectAlternativeName"
OLD_FIELDS = tuple(name for number, name in _RAW.items() if number != "1")
FIELDS = (ISSUER, NAME, *_DER.values())
"""What is known of a signer, by the names that policies use."""
_PARTS = (
    ("SERIALNUMBER", NameOID.SERIAL_NUMBER),
    ("CN", NameOID.COMMON_NAME),
    ("OU", NameOID.ORGANIZATIONAL_UNIT_NAME),
    ("O", NameOID.ORGANIZATION_NAME),
    ("POSTALCODE", NameOID.POSTAL_CODE),
    ("STREET", NameOID.STREET_ADDRESS),
    ("L", NameOID.LOCALITY_NAME),
    ("ST", NameOID.STATE_OR_PROVINCE_NAME),
    ("C", NameOID.COUNTRY_NAME),
)
"""In the order in which Go prints a name."""


def signer(certificate: x509.Certificate) -> dict[str, str]:
    """The fields of a signer's certificate by name; those that are not there are left out. Raises
    `NotVerified`."""
    extensions = certificate.extensions
    fields = {ISSUER: _distinguished(certificate.issuer), NAME: _name(extensions)}
    for each in extensions:
        number = each.oid.dotted_string.removeprefix(_FULCIO)
        if number == each.oid.dotted_string or not isinstance(
            each.value, x509.UnrecognizedExtension
        ):
            continue
        if number in _RAW:
            fields[_RAW[number]] = each.value.value.decode(errors="replace")
        elif number in _DER:
            fields[_DER[number]] = _text(each.value.value)
    return {name: value for name, value in fields.items() if value or name in (ISSUER, NAME)}


def _name(extensions: x509.Extensions) -> str:
    try:
        names = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        raise NotVerified("no Subject Alternative Name found") from None
    others = (
        _text(each.value)
        for each in names.get_values_for_type(x509.OtherName)
        if each.type_id.dotted_string == _OTHER_NAME
    )
    uris = names.get_values_for_type(x509.UniformResourceIdentifier)
    for name in (*uris, *names.get_values_for_type(x509.RFC822Name), *others):
        if name:
            return name
    raise NotVerified("no Subject Alternative Name found")


def _text(data: bytes) -> str:
    """A text in DER: UTF8String, PrintableString or IA5String."""
    if len(data) < 2 or data[0] not in (0x0C, 0x13, 0x16):
        raise NotVerified("certificate extension is no DER-encoded string")
    length, start = data[1], 2
    if length & 0x80:
        start += length & 0x7F
        length = int.from_bytes(data[2:start], "big")
    if start + length != len(data):
        raise NotVerified("unexpected trailing bytes in DER-encoded string")
    return data[start:].decode(errors="replace")


def _distinguished(name: x509.Name) -> str:
    """A name as Go prints it, near to RFC 2253."""
    parts = []
    for short, oid in _PARTS:
        values = [_escaped(str(each.value)) for each in name.get_attributes_for_oid(oid)]
        if values:
            parts.append("+".join(f"{short}={value}" for value in values))
    part_oids = {oid for _, oid in _PARTS}
    others = [each for each in name if each.oid not in part_oids]
    parts += [f"{each.oid.dotted_string}=#{_hex(each.value)}" for each in reversed(others)]
    return ",".join(parts)


def _hex(value: str | bytes) -> str:
    """A UTF8String in DER."""
    data = value.encode() if isinstance(value, str) else value
    size = len(data)
    head = bytes([size]) if size < 0x80 else b"\x82" + size.to_bytes(2, "big")
    return (b"\x0c" + head + data).hex()


def _escaped(value: str) -> str:
    escaped = "".join(f"\\{char}" if char in ',+"\\<>;' else char for char in value)
    if escaped[:1] in (" ", "#"):
        escaped = f"\\{escaped}"
    return f"{escaped[:-1]}\\ " if len(escaped) > 1 and escaped.endswith(" ") else escaped
