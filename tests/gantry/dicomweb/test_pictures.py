"""Rendered frames and thumbnails against what the pixels are; metadata; documents; who may see what."""

from __future__ import annotations

import gzip
import io
import json
import re
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.data import get_testdata_file
from tests.gantry.accounts.people import bearer
from tests.gantry.dicomweb.placed import address, place, place_bytes
from tests.support import part10_files

from gantry.dataset.part10 import read_part10

pytestmark = pytest.mark.django_db


def packed(name: str) -> Path:
    found = get_testdata_file(name, download=False)
    assert found is not None
    return Path(str(found))


def picture(answer: Any) -> Any:
    assert answer.status_code == 200, answer.content
    return np.asarray(Image.open(io.BytesIO(answer.content))).astype(int)


def series_of(version: Any) -> str:
    return address(version).partition("/instances/")[0]


class TestPictures:
    def test_a_window_is_that_of_the_standard(self) -> None:
        data = pydicom.dcmread(packed("CT_small.dcm"))
        got = picture(bearer().get(address(place(packed("CT_small.dcm"))) + "/rendered?accept=image/png&window=40,400,linear"))
        values = data.pixel_array * float(data.RescaleSlope) + float(data.RescaleIntercept)
        wanted = np.clip(((values - 39.5) / 399 + 0.5) * 255, 0, 255)
        assert np.abs(got - wanted).max() <= 1

    @pytest.mark.parametrize("name", [
        "MR_small_implicit.dcm", "MR_small_bigendian.dcm", "MR_small_RLE.dcm", "MR_small_jp2klossless.dcm",
        "MR_small_jpeg_ls_lossless.dcm",
    ])  # fmt: skip
    def test_the_same_pixels_look_the_same_in_any_transfer_syntax(self, name: str) -> None:
        client = bearer()
        plain = picture(client.get(address(place(packed("MR_small.dcm"), instance="2.25.1")) + "/rendered?accept=image/png"))
        assert plain.std() > 20
        got = picture(client.get(address(place(packed(name), instance="2.25.2")) + "/rendered?accept=image/png"))
        assert np.array_equal(plain, got)

    @pytest.mark.parametrize("name", [
        "SC_rgb_jpeg_dcmtk.dcm", "SC_rgb_rle_16bit.dcm", "SC_ybr_full_422_uncompressed.dcm", "SC_rgb_small_odd.dcm",
        "SC_rgb_dcmtk_+eb+cy+np.dcm", "GDCMJ2K_TextGBR.dcm", "SC_jpeg_no_color_transform.dcm",
    ])  # fmt: skip
    def test_colours_are_colours(self, name: str) -> None:
        got = picture(bearer().get(address(place(packed(name))) + "/rendered?accept=image/png"))
        assert got.shape[2] == 3
        assert np.ptp(got.reshape(-1, 3), axis=0).min() > 50

    def test_a_palette_is_followed(self) -> None:
        from pydicom.pixels import apply_color_lut

        data = pydicom.dcmread(packed("examples_palette.dcm"))
        wanted = apply_color_lut(data.pixel_array, data) >> 8
        got = picture(bearer().get(address(place(packed("examples_palette.dcm"))) + "/rendered?accept=image/png"))
        assert np.array_equal(got, wanted)

    def test_monochrome1_is_turned_round_and_a_region_is_cut_and_sized(self) -> None:
        content = packed("CT_small.dcm").read_bytes()
        client = bearer()
        usual = picture(client.get(address(place_bytes(content, instance="2.25.1")) + "/rendered?accept=image/png"))
        other = place_bytes(content.replace(b"MONOCHROME2 ", b"MONOCHROME1 "), instance="2.25.2")
        assert np.abs(usual + picture(client.get(address(other) + "/rendered?accept=image/png")) - 255).max() <= 1
        part = picture(client.get(address(other) + "/frames/1/rendered?accept=image/png&viewport=64,64,0,0,32,32"))
        assert part.shape == (64, 64)

    @pytest.mark.parametrize("syntax", ["", "1.2.840.10008.1.2.5", "1.2.840.10008.1.2.8.1"])
    def test_single_bits_are_painted(self, syntax: str) -> None:
        data = pydicom.dcmread(packed("liver_1frame.dcm"))
        wanted = data.pixel_array > 0
        if syntax:  # the same bits in one segment of RLE (PS3.5 annex G), or deflated (PS3.5 A.4.14)
            bits = data.PixelData
            runs = b"".join(bytes([len(bits[at : at + 100]) - 1]) + bits[at : at + 100] for at in range(0, len(bits), 100))
            rle = struct.pack("<16I", 1, 64, *[0] * 14) + b"\x80" + runs
            deflated = zlib.compressobj(wbits=-15)
            frame = rle if syntax.endswith(".5") else deflated.compress(bits) + deflated.flush()
            data.PixelData = pydicom.encaps.encapsulate([frame + bytes(len(frame) % 2)])
            data["PixelData"].VR = "OB"
            data["PixelData"].is_undefined_length = True
            data.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.5"
        saved = io.BytesIO()
        data.save_as(saved)
        body = saved.getvalue()[read_part10(memoryview(saved.getvalue()), total=len(saved.getvalue())).dataset_offset :]
        content = part10_files.part10(
            body, sop_class=data.SOPClassUID, instance=data.SOPInstanceUID, syntax=syntax or data.file_meta.TransferSyntaxUID
        )
        got = picture(bearer().get(address(place_bytes(content)) + "/rendered?accept=image/png"))
        assert np.array_equal(got > 127, wanted)

    def test_jpeg_of_twelve_bits_is_decoded_as_dcmtk_does(self) -> None:
        version, client = place(packed("JPEG-lossy.dcm")), bearer()
        plain = client.get(address(version) + "/frames/1", headers={"accept": "application/octet-stream"})
        samples = np.frombuffer(plain.content, dtype="<u2")
        assert (samples.size, int(samples.min()), int(samples.max()), int(samples.sum())) == (1024 * 256, 0, 264, 3767007)
        assert picture(client.get(address(version) + "/rendered?accept=image/png")).shape == (1024, 256)

    def test_overlays_are_painted_for_those_who_may_know_the_patient(self) -> None:
        data = pydicom.dcmread(packed("examples_overlay.dcm"))
        version = place(packed("examples_overlay.dcm"))
        drawn = data.overlay_array(0x6000) > 0
        dark = "/rendered?accept=image/png&window=65000,10,linear"
        seen = picture(bearer().get(address(version) + dark))
        assert drawn.sum() == 222
        assert np.array_equal(seen == 255, drawn)
        assert not picture(bearer("viewer").get(address(version) + dark)).any()

    def test_an_overlay_in_the_bits_beside_the_samples_is_taken_out_of_them(self) -> None:
        data = pydicom.dcmread(packed("MR_small.dcm"))
        samples = data.pixel_array.astype("<u2") & 0x0FFF
        drawn = np.zeros_like(samples)
        drawn[5:9, 3:20] = 1
        data.BitsStored, data.HighBit, data.PixelRepresentation = 12, 11, 0
        data.PixelData = (samples | drawn << 13).tobytes()
        for tag, vr, value in (
            (0x60020010, "US", data.Rows), (0x60020011, "US", data.Columns), (0x60020040, "CS", "G"),
            (0x60020050, "SS", [1, 1]), (0x60020100, "US", 16), (0x60020102, "US", 13),
        ):  # fmt: skip
            data.add_new(tag, vr, value)
        saved = io.BytesIO()
        data.save_as(saved)
        version, client = place_bytes(saved.getvalue()), bearer()
        bits = f"/api/v1/instances/{version.instance.sop_instance_uid}/frames/1/overlays/"
        got = np.unpackbits(np.frombuffer(client.get(bits + "6002").content, np.uint8), bitorder="little")
        assert np.array_equal(got[: drawn.size].reshape(drawn.shape), drawn)
        assert client.get(bits + "6000").status_code == 404
        assert client.get(bits + "5FFF").status_code == 422
        for one in (client, bearer("viewer")):
            for accept in ("application/octet-stream", "application/octet-stream; transfer-syntax=*"):
                plain = one.get(address(version) + "/frames/1", headers={"accept": accept})
                assert np.array_equal(np.frombuffer(plain.content, "<u2").reshape(samples.shape), samples)
        hidden = bearer("viewer")
        assert hidden.get(bits + "6002").status_code == 403
        assert hidden.get(address(version) + "/bulkdata/7FE00010").status_code == 403

    def test_the_first_image_is_the_middle_of_a_stack_and_the_first_of_a_few(self) -> None:
        client = bearer()
        for count, wanted in ((9, 5), (3, 1)):
            study = f"2.25.77{count}"
            for number in reversed(range(1, count + 1)):
                data = part10_files.ct_dataset(number=number, fill=100, study=study, series=f"{study}.1", side=32)
                place_bytes(
                    part10_files.part10(data, sop_class=part10_files.CT_IMAGE_STORAGE, instance=f"{study}.1.{number}"),
                    study=study, series=f"{study}.1", instance=f"{study}.1.{number}",
                )  # fmt: skip
            for query in ("", f"?series={study}.1"):
                got = client.get(f"/api/v1/studies/{study}/first-image{query}")
                assert picture(got).shape == (32, 32)
                uid = f"{study}.1.{wanted}"
                assert got["Content-Location"] == f"/dicomweb/studies/{study}/series/{study}.1/instances/{uid}/frames/1"
            assert client.get(f"/api/v1/studies/{study}/first-image?series=1.2.3").status_code == 404
        assert client.get("/api/v1/studies/1.2.3/first-image").status_code == 404

    def test_thumbnails_of_instance_series_study_and_frame(self) -> None:
        version, client = place(packed("examples_ybr_color.dcm")), bearer()
        series, study = series_of(version), series_of(version).partition("/series/")[0]
        for path in (address(version), address(version) + "/frames/3", series, study):
            got = client.get(path + "/thumbnail")
            assert max(picture(got).shape[:2]) == 160, path
            assert client.get(path + "/thumbnail", headers={"if-none-match": got["ETag"]}).status_code == 304

    def test_what_has_no_pixels_says_so(self) -> None:
        version, client = place(packed("rtplan.dcm")), bearer()
        for path in ("/rendered", "/thumbnail", "/frames/1"):
            answer = client.get(address(version) + path)
            assert (answer.status_code, answer.json()["error"]["code"]) == (404, "nothing_to_show"), path

    def test_damaged_pixels_are_named(self) -> None:
        content = packed("JPEG2000.dcm").read_bytes()
        at = content.index(b"\xff\x4f\xff\x51") + 8
        version = place_bytes(content[:at] + bytes(300) + content[at + 300 :])
        answer = bearer().get(address(version) + "/rendered")
        assert (answer.status_code, answer.json()["error"]["code"]) == (422, "cannot_show")
        assert "decoded" in answer.json()["error"]["message"]


class TestMetadata:
    def test_a_series_is_dicom_json_in_the_order_of_its_numbers(self) -> None:
        for number in (3, 1, 2):
            version = place_bytes(ct(number))
        answer = bearer().get(series_of(version) + "/metadata", headers={"accept": "application/dicom+json"})
        found = answer.json()
        assert [one["00200013"]["Value"] for one in found] == [[1], [2], [3]]
        assert found[0]["00100010"] == {"vr": "PN", "Value": [{"Alphabetic": "Test^Anna"}]}
        assert found[0]["7FE00010"]["BulkDataURI"].startswith("http://testserver/dicomweb/studies/")
        pixels = bearer().get(found[0]["7FE00010"]["BulkDataURI"].removeprefix("http://testserver"))
        assert len(pixels.content) == 16 * 16 * 2

    def test_what_is_kept_is_packed_and_follows_each_change(self) -> None:
        version, client = place_bytes(ct(1)), bearer()
        path = series_of(version) + "/metadata"
        first = client.get(path, headers={"accept-encoding": "gzip"})
        assert len(json.loads(gzip.decompress(first.content))) == 1
        assert client.get(path, headers={"if-none-match": first["ETag"]}).status_code == 304
        place_bytes(ct(2))
        second = client.get(path, headers={"if-none-match": first["ETag"]})
        assert second.status_code == 200
        assert len(second.json()) == 2
        version.current = False
        version.save()
        assert len(client.get(path).json()) == 1

    def test_against_pydicom(self) -> None:
        for name in ("CT_small.dcm", "MR_small_bigendian.dcm", "test-SR.dcm", "image_dfl.dcm", "rtdose.dcm"):
            found = bearer().get(address(place(packed(name))) + "/metadata").json()[0]
            for key, wanted in pydicom.dcmread(packed(name), stop_before_pixels=True).to_json_dict().items():
                got = found.get(key, {})
                if key[4:] == "0000" or key.startswith("0002") or "BulkDataURI" in got or wanted["vr"] in {"SQ", "UN"}:
                    continue
                assert got.get("Value", []) == [value if value != "" else None for value in wanted.get("Value", [])], (name, key)


def ct(number: int) -> bytes:
    data = part10_files.ct_dataset(number=number)
    return part10_files.part10(data, sop_class=part10_files.CT_IMAGE_STORAGE, instance=f"1.2.{number}")


class TestWhoSees:
    def test_a_viewer_sees_no_patient_and_no_burnt_in_name(self) -> None:
        clear, burnt = place(packed("CT_small.dcm")), place(packed("examples_rgb_color.dcm"))
        report = place(packed("test-SR.dcm"))
        client = bearer("viewer")
        name = str(pydicom.dcmread(packed("CT_small.dcm")).PatientName)
        metadata = client.get(address(clear) + "/metadata")
        assert metadata.status_code == 200
        assert metadata.json()[0]["00280010"]["Value"] == [128]
        assert not {"00100010", "00100020", "00080090", "00104000"} & set(metadata.json()[0])
        attributes = client.get(f"/api/v1/instances/{clear.instance.sop_instance_uid}/attributes")
        assert attributes.json()["masked"] is True
        for answer in (metadata, attributes):
            assert name.encode() not in answer.content
        assert client.get(address(clear) + "/rendered").status_code == 200
        refused = [
            address(burnt) + "/rendered", address(burnt) + "/thumbnail", address(burnt) + "/frames/1", address(report) + "/rendered",
            address(clear) + "/bulkdata/00100010", address(clear), f"/api/v1/instances/{report.instance.sop_instance_uid}/report",
            f"/api/v1/studies/{clear.instance.series.study.study_instance_uid}/archive",
        ]  # fmt: skip
        for path in refused:
            assert client.get(path, headers={"accept": "*/*"}).status_code == 403, path
        assert bearer().get(address(burnt) + "/thumbnail").status_code == 200
        assert client.get(address(burnt) + "/thumbnail").status_code == 403  # not from what is kept for others

    @pytest.mark.parametrize(("modality", "extra", "status"), [
        ("CT", b"", 200), ("US", b"", 403), ("XC", b"", 403), ("US", part10_files.element(0x28, 0x301, "CS", b"NO"), 200),
        ("CT", part10_files.element(0x28, 0x301, "CS", b"YES "), 403), ("CT", part10_files.element(8, 0x64, "CS", b"WSD"), 403),
        ("CT", part10_files.element(8, 8, "CS", b"DERIVED\\SECONDARY\\SCREEN SAVE"), 403),
        ("CT", part10_files.element(8, 8, "CS", b"ORIGINAL\\PRIMARY\\AXIAL"), 200),
    ])  # fmt: skip
    def test_where_names_are_often_burnt_in_a_viewer_sees_no_pixels(self, modality: str, extra: bytes, status: int) -> None:
        data = part10_files.ct_dataset(modality=modality)
        if extra[:4] == b"\x08\0\x08\0":
            data = data.replace(part10_files.element(8, 8, "CS", b"ORIGINAL\\PRIMARY\\AXIAL"), extra)
        else:
            behind = b"\x08\0\x70\0" if extra[:2] == b"\x08\0" else b"\xe0\x7f\x10\0"
            data = data.replace(behind, extra + behind, 1)
        content = part10_files.part10(data, sop_class=part10_files.CT_IMAGE_STORAGE, instance="1.2.1")
        version = place_bytes(content, instance="1.2.1")
        for path in ("/rendered", "/thumbnail", "/frames/1", "/bulkdata/7FE00010"):
            assert bearer("viewer").get(address(version) + path, headers={"accept": "*/*"}).status_code == status, path
            assert bearer().get(address(version) + path, headers={"accept": "*/*"}).status_code == 200, path

    def test_nobody_sees_studies_of_others(self) -> None:
        from tests.gantry.accounts.people import person

        from gantry.accounts.models import Institute, Membership

        version = place(packed("CT_small.dcm"))
        member = person("none", username="elsewhere")
        Membership.objects.create(user=member, institute=Institute.objects.create(name="Elsewhere"), role="clinician")
        from django.test import Client

        from gantry.accounts import tokens

        client = Client(headers={"authorization": f"Bearer {tokens.create(member, 'test')[1]}"})
        series = series_of(version)
        for path in (address(version) + "/metadata", address(version) + "/frames/1", series + "/metadata", series + "/thumbnail"):
            assert client.get(path).status_code == 404, path

    def test_looking_is_written_down_once(self) -> None:
        from gantry.audit.models import Entry

        version, client = place(packed("CT_small.dcm")), bearer()
        for _ in range(3):
            client.get(address(version) + "/frames/1", headers={"accept": "application/octet-stream"})
        entries = Entry.objects.filter(act="study.view", study_uid=version.instance.series.study.study_instance_uid)
        assert entries.count() == 1


class TestDocuments:
    def test_a_report_is_a_tree_and_a_page(self) -> None:
        version, client = place(packed("test-SR.dcm")), bearer()
        tree = client.get(f"/api/v1/instances/{version.instance.sop_instance_uid}/report").json()
        assert tree["title"]
        assert any(one["items"] or one["value"] for one in tree["content"])
        page = client.get(address(version) + "/rendered")
        assert page["Content-Type"].startswith("text/html")
        assert tree["title"].encode() in page.content

    def test_an_encapsulated_document_in_parts(self) -> None:
        pdf = b"%PDF-1.4\n" + bytes(range(256)) * 8
        body = part10_files.ct_dataset(sop_class="1.2.840.10008.5.1.4.1.1.104.1", modality="DOC")
        body = body[: body.index(b"\xe0\x7f\x10\x00")]
        body = body[: body.index(b"\x28\x00\x02\x00")] + part10_files.element(0x42, 0x11, "OB", pdf)
        body += part10_files.element(0x42, 0x12, "LO", b"application/pdf")
        content = part10_files.part10(body, sop_class="1.2.840.10008.5.1.4.1.1.104.1", instance="1.2.3")
        version, client = place_bytes(content), bearer()
        whole = client.get(address(version) + "/rendered")
        assert (whole["Content-Type"], whole.content[: len(pdf)]) == ("application/pdf", pdf)
        part = client.get(address(version) + "/rendered", headers={"range": "bytes=5-9"})
        assert (part.status_code, part.content) == (206, pdf[5:10])
        assert re.fullmatch(r"bytes 5-9/\d+", part["Content-Range"])

    def test_all_attributes_can_be_searched(self) -> None:
        version, client = place(packed("test-SR.dcm")), bearer()
        path = f"/api/v1/instances/{version.instance.sop_instance_uid}/attributes"
        everything = client.get(path).json()["items"]
        assert max(one["depth"] for one in everything) > 2
        for words, tag in (
            ("patient name", "00100010"),
            ("PatientName", "00100010"),
            ("(0010,0010)", "00100010"),
            ("0010,0010", "00100010"),
        ):
            assert tag in {one["tag"] for one in client.get(path, {"q": words}).json()["items"]}, words
        assert client.get(path, {"q": "no such thing at all"}).json()["items"] == []

    def test_an_archive_is_byte_exact_and_names_nobody(self) -> None:
        first, second = place(packed("CT_small.dcm")), place(packed("MR_small.dcm"))
        uid = first.instance.series.study.study_instance_uid
        place_bytes(packed("MR_small.dcm").read_bytes(), study=uid, series="2.25.7", instance="2.25.7.1")
        import asyncio

        answer = bearer().get(f"/api/v1/studies/{uid}/archive")

        async def taken() -> bytes:
            return b"".join([chunk async for chunk in answer.streaming_content])

        content = asyncio.run(taken())
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            names = archive.namelist()
            assert archive.testzip() is None
            stored = {archive.read(name) for name in names}
        assert stored == {packed("CT_small.dcm").read_bytes(), packed("MR_small.dcm").read_bytes()}
        assert sorted(name[4:] for name in names) == ["CT/00001.dcm", "MR/00001.dcm"]
        assert second.instance.series.study.study_instance_uid not in answer["Content-Disposition"]
