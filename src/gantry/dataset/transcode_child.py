"""The process that decodes pixels: `python -m gantry.dataset.transcode_child DESCRIPTOR`. Only here pydicom is imported.

From the socket come jobs as JSON, each with two open files: encapsulated pixels, and where the plain ones go. It has
limits of memory, size of files and open files; how long it may take is decided, and enforced, by who asks.
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
from collections.abc import Iterator
from typing import Any, BinaryIO

from gantry.dataset.jpeg_twelve import is_twelve_bits, twelve_bits
from gantry.dataset.transcode_pieces import write_all

_MEMORY_BYTES = 6 << 30
_FILE_BYTES = 5 << 30
_MAX_JOB = 4096
_MAX_REASON = 300


def main(descriptor: int) -> None:
    """Serve until the other end closes."""
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_FSIZE, (_FILE_BYTES, _FILE_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the one who asks decides when we end
    logging.disable()
    warnings.simplefilter("ignore")
    with socket.socket(fileno=descriptor) as line:
        while True:
            job, files, _, _ = socket.recv_fds(line, _MAX_JOB, 2)
            if not job:
                return
            try:
                answer = _decode(json.loads(job), *files)
            except ModuleNotFoundError as error:
                answer = {"missing": str(error.name)}
            except Exception as error:  # decoders raise everything; all of it is an answer
                answer = {"error": _reason(error)}
            finally:
                for file in files:
                    os.close(file)
            line.sendall(json.dumps(answer).encode())


def _decode(job: dict[str, Any], source: int, target: int) -> dict[str, Any]:
    from pydicom.pixels.decoders.base import get_decoder
    from pydicom.uid import UID

    syntax = job.pop("transfer_syntax_uid")
    if is_twelve_bits(syntax, job["bits_stored"]):
        with open(source, "rb", closefd=False) as encapsulated:
            return _written(_frames_of_twelve(encapsulated, job), job, target)
    decoder = get_decoder(UID(syntax))
    if not decoder.is_available:
        return {"missing": ", ".join(decoder.missing_dependencies)[:_MAX_REASON]}
    raw = bool(job.pop("raw"))
    # What GDCM gives is read-only, and pydicom corrects the sign of some JPEG 2000 in place.
    plugin = "pylibjpeg" if "pylibjpeg" in decoder.available_plugins else ""
    with open(source, "rb", closefd=False) as encapsulated:
        encapsulated.seek(0)
        frames = decoder.iter_array(encapsulated, raw=raw, decoding_plugin=plugin, allow_excess_frames=False, **job)
        return _written(frames, job, target)


def _frames_of_twelve(encapsulated: BinaryIO, job: dict[str, Any]) -> Iterator[tuple[Any, dict[str, Any]]]:
    """Frames of JPEG of twelve bits, which pydicom has no decoder for."""
    from pydicom.encaps import generate_frames

    encapsulated.seek(0)
    for data in generate_frames(encapsulated, number_of_frames=job["number_of_frames"]):
        yield twelve_bits(job, data), job


def _written(given: Iterator[tuple[Any, dict[str, Any]]], job: dict[str, Any], target: int) -> dict[str, Any]:
    """Write the frames one at a time, so that memory does not grow with their number; what has become of the pixels."""
    import numpy as np

    frames, total = 0, 0
    told: dict[str, Any] = {}
    for frame, told in given:
        plain = np.ascontiguousarray(frame, dtype=frame.dtype.newbyteorder("<"))
        total += write_all(target, plain.data.cast("B"))
        told["bits_allocated"] = 8 * plain.dtype.itemsize
        frames += 1
        del frame, plain
    if frames != job["number_of_frames"]:
        return {"error": f"{frames} frames instead of {job['number_of_frames']}"}
    if told["photometric_interpretation"] == "YBR_FULL_422":  # the samples are all there now
        told["photometric_interpretation"] = "YBR_FULL"
    return {**told, "bytes": total}


def _reason(error: Exception) -> str:
    """Decoders name no values of a data set, but long lists of plugins: the first line is enough."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:_MAX_REASON]


if __name__ == "__main__":
    main(int(sys.argv[1]))
