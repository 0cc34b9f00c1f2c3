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
from struct import pack
from typing import Any

_MEMORY_BYTES = 4 << 30
_FILE_BYTES = 1 << 30
_MAX_SOURCE = 2 << 30
_MAX_JOB = 64 << 10
_MAX_REASON = 300
_NATIVE = "1.2.840.10008.1.2.1"
#: What the samples are in explicit VR big endian: turned round while they are read.
_BIG_ENDIAN = "1.2.840.10008.1.2.2"


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
    if job["task"] == "plain":
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
    decoder = get_decoder(UID(syntax))
    plugin = "pylibjpeg" if job["encapsulated"] and "pylibjpeg" in decoder.available_plugins else ""
    plain = job["task"] == "plain"
    frame, told = decoder.as_array(stream, raw=plain and not job["encapsulated"], decoding_plugin=plugin, **module)
    return frame, str(told["photometric_interpretation"])


def _bits(job: dict[str, Any], data: memoryview) -> Any:
    """Frames of single bits follow each other without padding (PS3.5 8.1.1): the first bit may be inside of a byte."""
    import numpy as np

    count = job["rows"] * job["columns"] * job["samples_per_pixel"]
    skip = (count * int(job.get("frame_index", 0))) % 8
    bits = np.unpackbits(np.frombuffer(data, dtype=np.uint8), bitorder="little")[skip : skip + count]
    return bits.reshape(job["rows"], job["columns"])


def _reason(error: Exception) -> str:
    """Decoders name no values of a data set, but long lists of plugins: the last line says why."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[-1].strip()[:_MAX_REASON]


if __name__ == "__main__":
    main(int(sys.argv[1]))
