"""Gantry moves medical images: receives, keeps, indexes, routes and forwards DICOM, byte for byte, with proof."""

__version__ = "0.1.0"
