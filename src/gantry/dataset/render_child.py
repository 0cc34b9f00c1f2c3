"""The process that decodes and paints: `python -m gantry.dataset.render_child DESCRIPTOR`.

From the socket come two open files: a line of JSON with bytes behind it, and where the result goes. It has limits of
memory, size of files and time on the processor; how long a task may take is enforced by who asks.
"""

from __future__ import annotations

import json
import logging
import os
import resource
import signal
import socket
import sys
import warnings
import zlib
from struct import pack, unpack_from
from typing import Any

from gantry.dataset.jpeg_twelve import is_twelve_bits, twelve_bits

_MEMORY_BYTES = 4 << 30
_FILE_BYTES = 1 << 30
_MAX_SOURCE = 2 << 30
_MAX_JOB = 64 << 10
_MAX_REASON = 300
_NATIVE = "1.2.840.10008.1.2.1"
#: What the samples are in explicit VR big endian: turned round while they are read.
_BIG_ENDIAN = "1.2.840.10008.1.2.2"
_RLE = "1.2.840.10008.1.2.5"
#: Each frame is a deflate stream of its own (PS3.5 A.4.14).
_DEFLATED_FRAME = "1.2.840.10008.1.2.8.1"


def main(descriptor: int) -> None:
    """Serve until the other end closes."""
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_FSIZE, (_FILE_BYTES, _FILE_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the one who asks decides when we end
    logging.disable()
    warnings.simplefilter("ignore")
    import pydicom.pixels.decoders.base  # noqa: F401  now, so that the first picture does not wait for it
    from PIL import Image

    Image.MAX_IMAGE_PIXELS = 1 << 30  # the limits are ours: samples before decoding, memory while
    with socket.socket(fileno=descriptor) as line:
        while True:
            wish, files, _, _ = socket.recv_fds(line, 16, 2)
            if not wish:
                return
            try:
                answer = _do(*files)
            except MemoryError:
                answer = {"error": "they need too much memory", "kind": "too-large"}
            except Exception as error:  # decoders raise everything; all of it is an answer
                answer = {"error": _reason(error)}
            finally:
                for file in files:
                    os.close(file)
            line.sendall(json.dumps(answer).encode())


def _do(source: int, target: int) -> dict[str, Any]:
    from gantry.dataset import render_picture

    size = os.fstat(source).st_size
    if size > _MAX_SOURCE:
        return {"error": "too many bytes", "kind": "too-large"}
    whole = memoryview(os.pread(source, size, 0))
    begin = bytes(whole[:_MAX_JOB]).index(b"\n") + 1
    job: dict[str, Any] = json.loads(bytes(whole[:begin]))
    position = begin
    for name in job.pop("tables", ()):
        length = job[name]["bytes"]
        job[name]["data"] = bytes(whole[position : position + length])
        position += length
    frame, photometric = _decoded(job, whole[position:])
    if job["task"] == "bit":
        written = render_picture.bit_plane(frame, job)
    elif job["task"] == "plain":
        frame = render_picture.samples(frame, job) if job["samples_only"] else frame
        written = frame.astype(frame.dtype.newbyteorder("<"), copy=False).tobytes()
    else:
        written = render_picture.picture(frame, photometric, job)
    view = memoryview(written)
    while view:
        view = view[os.write(target, view) :]
    return {"bytes": len(written)}


def _decoded(job: dict[str, Any], data: memoryview) -> tuple[Any, str]:
    """The samples of the frame, colours by pixel and as RGB but for a picture of its plain samples."""
    import numpy as np
    from pydicom.pixels.decoders.base import get_decoder
    from pydicom.uid import UID

    syntax = job["transfer_syntax_uid"]
    module: dict[str, Any] = {
        name: job[name]
        for name in (
            "rows", "columns", "samples_per_pixel", "bits_allocated", "bits_stored", "pixel_representation",
            "photometric_interpretation", "planar_configuration", "pixel_keyword",
        )
    }  # fmt: skip
    module |= {"allow_excess_frames": False, "number_of_frames": 1}
    plain_bytes = (job["rows"] * job["columns"] * job["samples_per_pixel"] * job["bits_allocated"] + 7) // 8
    if syntax == _DEFLATED_FRAME:
        data = memoryview(_inflated(bytes(data), plain_bytes))
        job = {**job, "encapsulated": False, "frame_index": 0}
        syntax = _NATIVE
    elif syntax == _RLE and job["bits_allocated"] == 1:
        data = memoryview(_unpacked(bytes(data), plain_bytes))
        job = {**job, "encapsulated": False, "frame_index": 0}
    if not job["encapsulated"] and job["bits_allocated"] == 1:
        return _bits(job, data), job["photometric_interpretation"]
    if job["encapsulated"]:
        body = bytes(data)
        body += b"\0" * (len(body) & 1)
        stream = pack("<HHI", 0xFFFE, 0xE000, 0) + pack("<HHI", 0xFFFE, 0xE000, len(body)) + body
        stream += pack("<HHI", 0xFFFE, 0xE0DD, 0)
    else:
        stream = bytes(data)
        if syntax == _BIG_ENDIAN and job["bits_allocated"] > 8:
            stream = np.frombuffer(stream, dtype=f">u{job['bits_allocated'] // 8}").byteswap().tobytes()
        syntax = _NATIVE
    if is_twelve_bits(syntax, job["bits_stored"]):
        return twelve_bits(job, bytes(data)), job["photometric_interpretation"]
    decoder = get_decoder(UID(syntax))
    plugin = "pylibjpeg" if job["encapsulated"] and "pylibjpeg" in decoder.available_plugins else ""
    raw = job["task"] == "plain" and not job["encapsulated"]
    # The bits beside the samples may be overlays: they are left here, and taken out or looked at where that is wanted.
    module["correct_unused_bits"] = job["encapsulated"] and job["task"] != "bit" and not job.get("samples_only")
    frame, told = decoder.as_array(stream, raw=raw, decoding_plugin=plugin, **module)
    return frame, str(told["photometric_interpretation"])


def _bits(job: dict[str, Any], data: memoryview) -> Any:
    """Frames of single bits follow each other without padding (PS3.5 8.1.1): the first bit may be inside of a byte."""
    import numpy as np

    count = job["rows"] * job["columns"] * job["samples_per_pixel"]
    skip = (count * int(job.get("frame_index", 0))) % 8
    bits = np.unpackbits(np.frombuffer(data, dtype=np.uint8), bitorder="little")[skip : skip + count]
    return bits.reshape(job["rows"], job["columns"])


def _inflated(data: bytes, wanted: int) -> bytes:
    """A deflated frame, never more than its plain bytes."""
    opened = zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, wanted)
    if len(opened) < wanted:
        raise ValueError("the deflated frame is shorter than the image")
    return opened


def _unpacked(data: bytes, wanted: int) -> bytes:
    """Single bits in RLE: one segment of packed bytes (PS3.5 G.3, G.5). The decoders read whole bytes of samples only."""
    segments, begin = unpack_from("<II", data, 0)
    if segments != 1 or begin < 64:
        raise ValueError("single bits in RLE have one segment")
    out, position = bytearray(), begin
    while len(out) < wanted and position + 1 < len(data):
        count = data[position]
        if count < 128:
            out += data[position + 1 : position + 2 + count]
            position += 2 + count
        else:
            out += data[position + 1 : position + 2] * (257 - count if count > 128 else 0)
            position += 2 if count > 128 else 1
    if len(out) < wanted:
        raise ValueError("the RLE segment is shorter than the image")
    return bytes(out[:wanted])


def _reason(error: Exception) -> str:
    """Decoders name no values of a data set, but long lists of plugins: the last line says why."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[-1].strip()[:_MAX_REASON]


if __name__ == "__main__":
    main(int(sys.argv[1]))
