# SPDX-License-Identifier: Apache-2.0
# Copyright The Driveline authors
"""DDI: artifact lists, downloads, ranges, conditions, HEAD and MD5SUM.

Documents: hawkBit "Direct Device Integration API" (software module artifacts), RFC 9110 (conditions and ranges).
"""
import email.utils
import hashlib
import time

import pytest

from hawkbit import path_of

CONTENT = bytes(range(256)) * 40
SHA1 = hashlib.sha1(CONTENT).hexdigest()
SIZE = len(CONTENT)


class Case:
    """A device with one file to download."""

    def __init__(self, hb, filename="fw.bin", **assignment):
        self.hb = hb
        self.ds, self.module = hb.ds_with_file(CONTENT, filename)
        self.device, self.action = hb.deployed(ds=self.ds, **assignment)
        self.list = f"/softwaremodules/{self.module}/artifacts"
        self.path = f"{self.list}/{filename}"

    def get(self, path=None, **headers):
        return self.device.call("GET", path or self.path, headers={k.replace("_", "-"): v for k, v in headers.items()})

    def downloads(self):
        return sum(row["type"] == "download" for row in self.hb.history(self.device, self.action))


@pytest.fixture
def case(hb):
    return Case(hb)


def test_a_file_is_downloaded(case):
    """DDI download: the bytes and their headers."""
    answer = case.get()
    assert answer.status == 200 and answer.body == CONTENT and answer.type == "application/octet-stream"
    assert answer.headers["accept-ranges"] == "bytes" and answer.headers["etag"] == f'"{SHA1}"'
    assert answer.headers["content-disposition"] == "attachment;filename=fw.bin"
    assert abs(email.utils.parsedate_to_datetime(answer.headers["last-modified"]).timestamp() - time.time()) < 24 * 3600


def test_the_list_is_what_the_deployment_says(case):
    """DDI artifact list: the same objects as in deploymentBase."""
    listed = case.get(case.list).json
    assert listed == case.device.follow("deploymentBase")["deployment"]["chunks"][0]["artifacts"]


def test_a_module_without_files(hb):
    """DDI artifact list: an empty array."""
    module = hb.module()
    device, _ = hb.deployed(ds=hb.ds([module]))
    assert device.get(f"/softwaremodules/{module}/artifacts") == []


def test_the_links_lead_to_the_file(case):
    """DDI deploymentBase: download-http and md5sum-http."""
    file, = case.get(case.list).json
    for name, wanted in (("download-http", CONTENT), ("md5sum-http", f"{hashlib.md5(CONTENT).hexdigest()}  fw.bin".encode())):
        href = path_of(file["_links"][name]["href"])[len(case.hb.server.prefix):]
        answer = case.hb.server.raw("GET", href, None, case.device.headers)
        assert answer.status == 200 and answer.body == wanted


@pytest.mark.strict("hawkBit answers 404 to its own link when the name has a blank")
def test_the_link_of_a_name_with_a_blank_leads_to_the_file(hb):
    """DDI deploymentBase: a link must lead somewhere."""
    ds, _ = hb.ds_with_file(CONTENT, "with blank.bin")
    device, _ = hb.deployed(ds=ds)
    href = device.follow("deploymentBase")["deployment"]["chunks"][0]["artifacts"][0]["_links"]["download-http"]["href"]
    assert hb.server.raw("GET", path_of(href)[len(hb.server.prefix):], None, device.headers).body == CONTENT


def test_a_name_is_found_in_any_case(case):
    """DDI download: file names match without case; Content-Disposition has the stored one."""
    answer = case.get(f"{case.list}/FW.BIN")
    assert answer.status == 200 and answer.headers["content-disposition"].endswith("fw.bin")


def test_an_unknown_file(case):
    """DDI download: 404 without a body."""
    answer = case.get(f"{case.list}/other.bin")
    assert answer.status == 404 and answer.body == b""


@pytest.mark.parametrize("tail", ["", "/fw.bin", "/fw.bin.MD5SUM"])
def test_an_unassigned_module_is_not_served(hb, tail):
    """DDI download: the module must belong to an open action of this target."""
    _, module = hb.ds_with_file()
    answer = hb.device().call("GET", f"/softwaremodules/{module}/artifacts{tail}")
    assert (answer.status, answer.code) == (404, "repo.entityNotFound")


@pytest.mark.parametrize("end, listed, file", [("success", 200, 404), ("failure", 404, 404), ("canceling", 404, 404)])
def test_after_the_action_files_are_gone(case, end, listed, file):
    """DDI download: only the list is served for what is installed."""
    if end == "canceling":
        case.hb.cancel(case.device, case.action)
    else:
        case.device.report(case.action, finished=end)
    assert (case.get(case.list).status, case.get().status) == (listed, file)


def test_while_it_waits_for_confirmation_a_file_is_served(hb):
    """DDI download: waiting for confirmation counts as open."""
    hb.configure("user.confirmation.flow.enabled", True)
    case = Case(hb)
    assert case.get().body == CONTENT


# ---- ranges (RFC 9110 section 14) -----------------------------------------------------------------------


@pytest.mark.parametrize("text, first, last", [
    ("0-0", 0, 0), ("0-9", 0, 9), ("5-", 5, SIZE - 1), ("-1", SIZE - 1, SIZE - 1), ("-100", SIZE - 100, SIZE - 1),
    (f"-{SIZE}", 0, SIZE - 1), (f"100-{SIZE + 5}", 100, SIZE - 1), (f"{SIZE - 1}-{SIZE - 1}", SIZE - 1, SIZE - 1),
    (f"0-{SIZE - 1}", 0, SIZE - 1), ("0-", 0, SIZE - 1)])
def test_a_single_range(case, text, first, last):
    """DDI download: 206 with Content-Range."""
    answer = case.get(Range=f"bytes={text}")
    assert answer.status == 206 and answer.body == CONTENT[first:last + 1]
    assert answer.headers["content-range"].lower() == f"bytes {first}-{last}/{SIZE}"
    assert answer.headers["content-length"] == str(last - first + 1)


def parts_of(answer):
    boundary = answer.headers["content-type"].split("boundary=")[1].encode()
    found = []
    for part in answer.body.split(b"--" + boundary)[1:-1]:
        head, _, data = part.lstrip(b"\r\n").partition(b"\r\n\r\n")
        headers = {k.strip().lower(): v.strip() for k, v in (line.split(":", 1) for line in head.decode().splitlines())}
        found.append((headers["content-range"], data.removesuffix(b"\r\n")))
    return found


@pytest.mark.parametrize("text, wanted", [
    ("0-1,4-5", [(0, 1), (4, 5)]), ("4-5,0-1", [(0, 1), (4, 5)]), ("0-9,-5", [(0, 9), (SIZE - 5, SIZE - 1)]),
    ("0-1,2-3", [(0, 1), (2, 3)]), (f"10-19,30-39,{SIZE - 1}-", [(10, 19), (30, 39), (SIZE - 1, SIZE - 1)])])
def test_several_ranges(case, text, wanted):
    """DDI download: multipart/byteranges, sorted by their start."""
    answer = case.get(Range=f"bytes={text}")
    assert answer.status == 206 and answer.type == "multipart/byteranges"
    assert [(r.lower(), d) for r, d in parts_of(answer)] == [(f"bytes {a}-{b}/{SIZE}", CONTENT[a:b + 1]) for a, b in wanted]


@pytest.mark.parametrize("text", ["bytes=", "bytes=-", "bytes=9-0", "bytes=-0", f"bytes={SIZE}-", f"bytes=-{SIZE + 1}", "items=0-1", "Bytes=0-1",
                                  "bytes=0-1, 4-5", "bytes=a-b", "bytes=0-5,3-9", f"bytes=0-1,{SIZE}-", "bytes 0-1", "0-1"])
def test_a_range_that_cannot_be_satisfied(case, text):
    """DDI download: 416 with the file's size, without a body."""
    answer = case.get(Range=text)
    assert answer.status == 416 and answer.body == b""
    assert answer.headers["content-range"].lower() == f"bytes */{SIZE}"


@pytest.mark.parametrize("condition, status", [("etag", 206), ("bare", 200), ("other", 200), ("future", 206), ("past", 200)])
def test_if_range(case, condition, status):
    """DDI download: If-Range with the ETag or a date, else the whole file."""
    value = {"etag": f'"{SHA1}"', "bare": SHA1, "other": '"x"', "future": email.utils.formatdate(time.time() + 86400, usegmt=True),
             "past": email.utils.formatdate(0, usegmt=True)}[condition]
    answer = case.get(Range="bytes=0-9", If_Range=value)
    assert answer.status == status and len(answer.body) == (10 if status == 206 else SIZE)


@pytest.mark.parametrize("value, status", [(SHA1, 200), ("*", 200), (f"x, {SHA1}", 200), ("x", 412), ('"x"', 412)])
def test_if_match(case, value, status):
    """DDI download: If-Match with the SHA-1, else 412 without a body."""
    answer = case.get(If_Match=value)
    assert answer.status == status and len(answer.body) == (SIZE if status == 200 else 0)


@pytest.mark.strict("hawkBit compares without the quotes, so its own ETag does not match")
def test_if_match_with_the_etag_itself(case):
    """RFC 9110: an entity tag is quoted."""
    assert case.get(If_Match=case.get().headers["etag"]).status == 200


def test_if_match_comes_before_the_range(case):
    """DDI download: a failed condition wins."""
    assert case.get(If_Match="x", Range="bytes=0-1").status == 412


@pytest.mark.parametrize("name, value", [("If-None-Match", f'"{SHA1}"'), ("If-None-Match", "*"), ("If-Modified-Since", "Fri, 31 Dec 2100 23:59:59 GMT")])
def test_a_file_is_never_not_modified(case, name, value):
    """DDI download: no 304."""
    assert case.device.call("GET", case.path, headers={name: value}).status == 200


@pytest.mark.parametrize("headers", [{}, {"Range": "bytes=0-1"}])
def test_head(case, headers):
    """DDI download: HEAD has the headers of the whole file."""
    answer = case.device.call("HEAD", case.path, headers=headers)
    assert answer.status == 200 and answer.body == b"" and answer.headers["content-length"] == str(SIZE)
    assert answer.headers["etag"] == f'"{SHA1}"'


# ---- what is recorded, and MD5SUM -----------------------------------------------------------------------


def test_a_download_is_recorded(case):
    """DDI download: a status entry 'download'."""
    case.get()
    entry = case.hb.history(case.device, case.action)[0]
    assert entry["type"] == "download" and entry["messages"][0].startswith("Update Server: Target downloads /")


def test_ranges_are_not_recorded(case):
    """DDI download: a resumed download must not eat the status quota (hawkBit issue 1249)."""
    for first in range(0, 50, 10):
        assert case.get(Range=f"bytes={first}-{first + 9}").status == 206
    assert case.downloads() == 0


def test_md5sum(case):
    """DDI MD5SUM: sum, two blanks, name."""
    answer = case.get(case.path + ".MD5SUM")
    assert answer.status == 200 and answer.type == "text/plain"
    assert answer.body == f"{hashlib.md5(CONTENT).hexdigest()}  fw.bin".encode()
    assert answer.headers["content-disposition"] == "attachment;filename=fw.bin.MD5SUM" and case.downloads() == 1


@pytest.mark.parametrize("suffix, accept, status", [(".md5sum", "*/*", 404), (".MD5SUM", "application/json", 404), (".MD5SUM", "text/plain", 200)])
def test_md5sum_is_text_and_upper_case(case, suffix, accept, status):
    """DDI MD5SUM: only with this suffix, and where text is acceptable."""
    assert case.get(case.path + suffix, Accept=accept).status == status


@pytest.mark.parametrize("name, shown", [("a.bin", "a.bin"), ("a b.bin", "a b.bin"), ("a(1).bin", '"a(1).bin"'), ("a,b.bin", '"a,b.bin"')])
def test_names_in_content_disposition(hb, name, shown):
    """DDI download: the name is quoted if it holds a separator."""
    ds, module = hb.ds_with_file(CONTENT, name)
    device, _ = hb.deployed(ds=ds)
    answer = device.call("GET", f"/softwaremodules/{module}/artifacts/{name.replace(' ', '%20')}")
    assert answer.status == 200 and answer.headers["content-disposition"] == f"attachment;filename={shown}"


def test_two_devices_share_a_file(hb):
    """DDI download: the same set for several targets."""
    ds, module = hb.ds_with_file(CONTENT)
    for _ in range(2):
        device, _ = hb.deployed(ds=ds)
        assert device.call("GET", f"/softwaremodules/{module}/artifacts/fw.bin").body == CONTENT
