"""SPDX 2.3 in JSON (spdx.github.io/spdx-spec/v2.3)."""

from __future__ import annotations

import hashlib
import re
import uuid
from datetime import UTC, datetime

import msgspec

from croze.gotypes.strings import shown
from croze.sbom.package import Package
from croze.sbom.scan import Evidence, Inventory, scan
from croze.version import VERSION

CREATOR = f"Tool: croze-sbom-{VERSION}"
EVIDENT = "evident-by: indicates the package's existence is evident by the given file"
_NAMESPACE = "https://spdx.org/spdxdocs/croze"
_UNKNOWN = "NOASSERTION"
_ROOT = "SPDXRef-DocumentRoot"


def describe(root: str, name: str, created: datetime) -> bytes:
    """The document of what is below `root`. Runs in a worker process."""
    return document(name, scan(root), created)


def document(name: str, inventory: Inventory, created: datetime) -> bytes:
    """About what `name` holds. The same inventory at the same time gives the same bytes."""
    packages = [(_id("Package", p.purl, p.evidence), p) for p in inventory.packages]
    files = {each.path: _id("File", each.path) for each in inventory.files}
    seen = hashlib.sha256("".join(id for id, _ in packages).encode()).hexdigest()
    unique = uuid.uuid5(uuid.NAMESPACE_URL, f"{created}{seen}")
    relations = [_relation("SPDXRef-DOCUMENT", "DESCRIBES", _ROOT)]
    relations += [_relation(_ROOT, "CONTAINS", id) for id, _ in packages]
    relations += [
        _relation(id, "OTHER", files[package.evidence]) | {"comment": EVIDENT}
        for id, package in packages
        if package.evidence in files
    ]
    return msgspec.json.encode(
        {
            "spdxVersion": "SPDX-2.3",
            "dataLicense": "CC0-1.0",
            "SPDXID": "SPDXRef-DOCUMENT",
            "name": name,
            "documentNamespace": f"{_NAMESPACE}/{name}-{unique}",
            "creationInfo": {
                "creators": [CREATOR],
                "created": created.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            },
            "packages": [_root(name), *(_package(id, package) for id, package in packages)],
            "files": [_file(files[each.path], each) for each in inventory.files],
            "relationships": relations,
        }
    )


def _id(kind: str, *what: str) -> str:
    readable = re.sub(r"[^A-Za-z0-9.]+", "-", what[0])[:60].strip("-")
    digest = hashlib.sha256("\0".join(what).encode("utf-8", "surrogateescape")).hexdigest()[:16]
    return f"SPDXRef-{kind}-{readable}-{digest}"


def _relation(one: str, type: str, other: str) -> dict[str, str]:
    return {"spdxElementId": one, "relationshipType": type, "relatedSpdxElement": other}


def _root(name: str) -> dict[str, object]:
    return {
        "SPDXID": _ROOT,
        "name": name,
        "downloadLocation": _UNKNOWN,
        "filesAnalyzed": False,
        "primaryPackagePurpose": "CONTAINER",
    }


def _package(id: str, package: Package) -> dict[str, object]:
    members: dict[str, object] = {
        "SPDXID": id,
        "name": package.name,
        "downloadLocation": _UNKNOWN,
        "filesAnalyzed": False,
        "licenseConcluded": _UNKNOWN,
        "licenseDeclared": _UNKNOWN,
        "copyrightText": _UNKNOWN,
        "sourceInfo": f"found in /{shown(package.source)}",
        "externalRefs": [
            {
                "referenceCategory": "PACKAGE-MANAGER",
                "referenceType": "purl",
                "referenceLocator": package.purl,
            }
        ],
    }
    if package.version:
        members["versionInfo"] = package.version
    if package.license:
        members["licenseComments"] = f"The package declares: {package.license}"
    if package.supplier:
        members["supplier"] = _supplier(package.supplier)
    return members


def _supplier(text: str) -> str:
    """`Name <mail>` as SPDX has it."""
    name, _, mail = (part.strip(" >") for part in text.partition("<"))
    if not name:
        return f"Organization: {mail}"
    return f"Organization: {name}" + (f" ({mail})" if mail else "")


def _file(id: str, file: Evidence) -> dict[str, object]:
    return {
        "SPDXID": id,
        "fileName": f"./{shown(file.path)}",
        "checksums": [
            {"algorithm": "SHA1", "checksumValue": file.sha1},
            {"algorithm": "SHA256", "checksumValue": file.sha256},
        ],
        "licenseConcluded": _UNKNOWN,
        "licenseInfoInFiles": [_UNKNOWN],
        "copyrightText": _UNKNOWN,
    }
