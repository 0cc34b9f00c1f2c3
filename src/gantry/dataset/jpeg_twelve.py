"""Frames of JPEG with loss of more than eight bits (process 2 and 4, PS3.5 A.4.1). Only in the processes that decode."""

from __future__ import annotations

from typing import Any

#: JPEG extended: of eight bits, which every decoder reads, or of twelve.
JPEG_EXTENDED = "1.2.840.10008.1.2.4.51"
Array = Any


def is_twelve_bits(transfer_syntax_uid: str, bits_stored: int) -> bool:
    """Whether its frames are for this decoder."""
    return transfer_syntax_uid == JPEG_EXTENDED and bits_stored > 8


def twelve_bits(job: dict[str, Any], data: bytes) -> Array:
    """The samples of one frame as rows of columns. GDCM has the decoder, which pydicom does not ask for.

    Raises ValueError for what it does not read, ModuleNotFoundError without GDCM.
    """
    import gdcm  # type: ignore[import-untyped]
    import numpy as np

    if job["samples_per_pixel"] != 1 or job["bits_allocated"] != 16:
        raise ValueError("JPEG of more than eight bits is read for one sample of 16 bits in a pixel only")
    fragment = gdcm.Fragment()
    fragment.SetByteStringValue(data)
    fragments = gdcm.SequenceOfFragments.New()
    fragments.AddFragment(fragment)
    element = gdcm.DataElement(gdcm.Tag(0x7FE0, 0x0010))
    element.SetValue(fragments.__ref__())
    image = gdcm.Image()
    image.SetNumberOfDimensions(2)
    image.SetDimensions((job["columns"], job["rows"], 1))
    image.SetDataElement(element)
    image.SetPhotometricInterpretation(gdcm.PhotometricInterpretation(gdcm.PhotometricInterpretation.MONOCHROME2))
    image.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.JPEGExtendedProcess2_4))
    stored = job["bits_stored"]
    image.SetPixelFormat(gdcm.PixelFormat(1, 16, stored, stored - 1, job["pixel_representation"]))
    raw = image.GetBuffer().encode("utf-8", "surrogateescape")  # it gives bytes as text
    if len(raw) != 2 * job["rows"] * job["columns"]:
        raise ValueError("the JPEG has another size than the image")
    return np.frombuffer(raw, dtype="<i2" if job["pixel_representation"] else "<u2").reshape(job["rows"], job["columns"])
