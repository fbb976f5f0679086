"""Exporters by the type that a client asks for."""

from __future__ import annotations

from collections.abc import Mapping

from croze.errors import NotFound
from croze.export.contract import Exporter, ExportServices


def open_exporter(kind: str, attrs: Mapping[str, str], services: ExportServices) -> Exporter:
    """The exporter of a type, for these attributes. Raises `InvalidRequest` for bad attributes and
    `NotFound` for an unknown type."""
    from croze.export import archive, files, image  # slow to import

    match kind:
        case "image":
            return image.ImageExporter(image.parse_options(attrs), services)
        case "moby":
            return image.ImageExporter(image.parse_engine_options(attrs), services)
        case "oci":
            return archive.ArchiveExporter(archive.parse_options("oci", attrs), services)
        case "docker":
            return archive.ArchiveExporter(archive.parse_options("docker", attrs), services)
        case "local":
            return files.LocalExporter(files.parse_options(attrs), services)
        case "tar":
            return files.TarExporter(files.parse_options(attrs), services)
    raise NotFound(f'exporter "{kind}" could not be found')
