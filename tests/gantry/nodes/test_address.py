"""DimseAddress: what is read, what is printed, what is refused and how."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gantry.nodes.address import DimseAddress
from gantry.nodes.errors import BadAddress


@pytest.mark.parametrize(
    ("text", "aet", "host", "port"),
    [
        ("ARCHIVE@10.0.0.5:104", "ARCHIVE", "10.0.0.5", 104),
        ("  ARCHIVE@pacs.example.org:11112 ", "ARCHIVE", "pacs.example.org", 11112),
        ("MY PACS@localhost:1", "MY PACS", "localhost", 1),
        ("A@[::1]:65535", "A", "::1", 65535),
        ("A@[fe80::1%eth0]:104", "A", "fe80::1%eth0", 104),
        ("a.b-c_1@host_name:104", "a.b-c_1", "host_name", 104),
    ],
)
def test_reads_and_prints(text: str, aet: str, host: str, port: int) -> None:
    address = DimseAddress.parse(text)
    assert (address.aet, address.host, address.port) == (aet, host, port)
    assert DimseAddress.parse(str(address)) == address


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no DICOM address"),
        ("host:104", "no DICOM address"),
        ("A@host", "no DICOM address"),
        ("@host:104", "AE title is empty"),
        ("   @host:104", "AE title is empty"),
        ("A@:104", "host is empty"),
        ("SEVENTEEN_LETTERS@h:104", "16 are allowed"),
        ("A\\B@h:104", "not allowed"),
        ("Ä@h:104", "not allowed"),
        ("A@h:0", "1 to 65535"),
        ("A@h:65536", "1 to 65535"),
        ("A@h:\uff11\uff10\uff14", "1 to 65535"),
        ("A@h:", "1 to 65535"),
        ("A@h:-1", "1 to 65535"),
        ("A@::1:104", "needs brackets"),
        ("A@[host]:104", "brackets are for IPv6"),
        ("A@[zz::1]:104", "no IPv6 address"),
        ("A@999.1.1.1:104", "no IPv4 address"),
        ("A@bad host:104", "no host name"),
        ("A@-x.org:104", "no host name"),
        ("A@B@host:104", "no DICOM address"),
        ("A@h;rm -rf:104", "no host name"),
    ],
)
def test_refuses_with_a_reason(text: str, message: str) -> None:
    with pytest.raises(BadAddress, match=message):
        DimseAddress.parse(text)


@given(st.text(max_size=300))
def test_any_text_gives_an_address_or_the_named_error(text: str) -> None:
    try:
        address = DimseAddress.parse(text)
    except BadAddress:
        return
    assert DimseAddress.parse(str(address)) == address
