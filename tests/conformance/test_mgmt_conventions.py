# SPDX-License-Identifier: Apache-2.0
# Copyright The Driveline authors
"""Management: what all resources have in common: paging, sorting, q, representation, content types, ETag, errors.

Documents: hawkBit "Management API" (paging and sorting, RSQL/FIQL, error handling), hawkBit "Feature: RSQL".
"""
import json

import pytest

from hawkbit import escape

LISTS = ("targets", "actions", "targettags", "distributionsettags", "targettypes", "softwaremoduletypes", "distributionsettypes",
         "targetfilters", "softwaremodules", "distributionsets", "rollouts")


# ---- paging (Management paging) -------------------------------------------------------------------------


@pytest.mark.parametrize("kind", LISTS)
def test_every_list_is_paged(hb, kind):
    """Management paging: content, total and size."""
    page = hb.get(f"/{kind}?limit=1")
    assert set(page) == {"content", "total", "size"} and page["size"] == len(page["content"]) <= 1 and page["total"] >= page["size"]


@pytest.mark.parametrize("kind", LISTS)
@pytest.mark.parametrize("parameter, status, code", [
    ("limit=abc", 400, "rest.body.notReadable"), ("offset=1.5", 400, "rest.body.notReadable"),
    ("sort=nothing:ASC", 400, "rest.param.invalidField"), ("sort=id", 400, "rest.param.sortParamSyntax"),
    ("sort=id:UP", 400, "rest.param.invalidDirection"), ("q=nothing==1", 400, "rest.param.rsqlInvalidField"),
    ("q=id==", 400, "rest.param.rsqlParamSyntax")])
def test_a_bad_parameter_of_a_list(hb, kind, parameter, status, code):
    """Management paging, sorting and RSQL: what cannot be read is refused with its own code."""
    hb.refuse(status, code, "GET", f"/{kind}?{parameter}")


@pytest.fixture(scope="module")
def five(server):
    """Five targets that all tests of this file may read: (a filter that finds them, their ids in order)."""
    from hawkbit import World
    world = World(server)
    start, ids = world.targets(5, "page")
    yield f"controllerId=={start}*", ids
    world.clean()


@pytest.mark.parametrize("parameters, wanted", [
    ("", [0, 1, 2, 3, 4]), ("offset=0&limit=2", [0, 1]), ("offset=1&limit=2", [1, 2]), ("offset=4&limit=2", [4]), ("offset=5", []),
    ("offset=99&limit=1", []), ("offset=-3&limit=1", [0]), ("limit=0", [0, 1, 2, 3, 4]), ("limit=-1", [0, 1, 2, 3, 4]),
    ("limit=100000", [0, 1, 2, 3, 4]), ("limit=&offset=", [0, 1, 2, 3, 4]), ("limit=2&limit=4", [0, 1]), ("unknown=1&limit=1", [0]),
    ("sort=controllerid:DESC", [4, 3, 2, 1, 0]), ("sort=CONTROLLERID:desc&limit=1", [4]), ("sort=name:ASC,id:DESC&limit=2", [0, 1]),
    ("sort=createdat:DESC,controllerid:DESC&limit=1", [4]), ("sort=id:ASC,&limit=1", [0])])
def test_pages_of_targets(hb, five, parameters, wanted):
    """Management paging: offset (default 0), limit (default 50, at most 500) and sort."""
    query, ids = five
    page = hb.get(f"/targets?q={escape(query)}&{parameters}")
    assert [t["controllerId"] for t in page["content"]] == [ids[i] for i in wanted]
    assert page["total"] == 5 and page["size"] == len(wanted)


@pytest.mark.parametrize("sort", ["controllerid:ASC:x", "controllerid;ASC", "type.key:ASC", "assignedds.name:ASC", "tag:ASC"])
def test_a_sort_that_cannot_be(hb, sort):
    """Management sorting: fields of the entity itself only."""
    answer = hb.call("GET", f"/targets?sort={escape(sort)}")
    assert answer.status == 400 and answer.code in ("rest.param.sortParamSyntax", "rest.param.invalidField")


def test_a_bad_sort_is_told_before_a_bad_filter(hb):
    """Management: the order of checks."""
    hb.refuse(400, "rest.param.invalidField", "GET", "/targets?q=nothing==1&sort=nothing:ASC")


def test_several_filters_are_joined_by_or(hb, five):
    """Management RSQL: q may be repeated."""
    _, ids = five
    page = hb.get(f"/targets?q=controllerId=={ids[0]}&q=controllerId=={ids[3]}")
    assert [t["controllerId"] for t in page["content"]] == [ids[0], ids[3]]


@pytest.mark.parametrize("word, is_full", [("full", True), ("FULL", True), ("compact", False), ("", False), ("other", False)])
def test_representation(hb, word, is_full):
    """Management: representation=full on rollouts and others; compact by default and for unknown words."""
    start, _ = hb.targets(1)
    rollout = hb.rollout(f"controllerId=={start}*")
    one, = hb.get(f"/rollouts?q=id=={rollout}&representation={word}")["content"]
    assert ("totalTargetsPerStatus" in one) is is_full


# ---- RSQL (Management RSQL/FIQL) ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def garden(server):
    """Three targets with everything a filter can ask for. (their common beginning, what belongs to them)"""
    from hawkbit import World
    world = World(server)
    start = world.name("rsql")
    app, = world.found("distributionsettypes", "key==app")
    kind = world.create("targettypes", name=start + "-type", key=start + "-key", compatibledistributionsettypes=[{"id": app["id"]}])
    tag = world.create("targettags", name=start + "-tag")
    other_tag = world.create("targettags", name=start + "-tag2")
    ds = world.ds(name=start + "-ds", version="2.5")
    a = world.create("targets", controllerId=start + "-a", name="Alpha one", description="has all", targetType=kind["id"],
                     address="http://10.1.2.3", group=start + "/north")
    b = world.create("targets", controllerId=start + "-b", name="beta", description="star*and%percent")
    world.create("targets", controllerId=start + "-c", name="gamma_c", group=start + "/south")
    world.as_device(a).configure({"hw": "10", "dotted.key": "Yes", "empty": ""})
    world.as_device(b).configure({"hw": "9"})
    world.as_device(a).poll()
    world.expect(201, "POST", f"/targets/{start}-a/metadata", [{"key": "cost.center", "value": "77"}])
    for target, t in (("a", tag), ("a", other_tag), ("b", tag)):
        world.expect(204, "POST", f"/targettags/{t['id']}/assigned/{start}-{target}")
    world.assign(start + "-a", ds)
    world.assign(start + "-b", ds, offline=True)
    yield start, {"type": kind, "tag": tag, "ds": ds}
    world.clean()


@pytest.mark.parametrize("query, wanted", [
    # comparisons of text
    ("name==beta", "b"), ("name==BETA", "b"), ("name!=beta", "ac"), ("name=='Alpha one'", "a"), ('name=="alpha one"', "a"),
    ("name==*a*", "abc"), ("name==al*", "a"), ("name==*one", "a"), ("name!=*a", "ac"), ("name==gamma_c", "c"), ("name==gammaxc", ""),
    ("name=in=(beta,gamma_c)", "bc"), ("name=out=(beta,gamma_c)", "a"), ("name=in=(b*)", ""), ("name=eq=beta", "b"),
    ("name=ne=beta", "ac"), ("name=is=beta", "b"), ("name=not=beta", "ac"),
    # null and empty
    ("description=is=null", "c"), ("description=not=null", "ab"), ("description==''", "c"), ("description!=''", "ab"), ("description!=has*", "bc"),
    ("description==*percent", "b"), (r"description==*\**", "b"),
    # joining
    ("name==beta or name==gamma_c", "bc"), ("name==beta,name==gamma_c", "bc"), ("name==*a;name!=beta", ""), ("name==*a and name==beta", "b"),
    ("name==beta,name==gamma_c;description=is=null", "bc"), ("(name==beta,name==gamma_c);description=is=null", "c"),
    ("( name == beta or name == gamma_c ) and description =is= null", "c"), ("NAME==beta", "b"),
    # targets' own fields
    ("controllerid=={start}-a", "a"), ("id=={start}-b", "b"), ("updatestatus==pending", "a"), ("updatestatus==IN_SYNC", "b"),
    ("updatestatus=in=(pending,unknown)", "ac"), ("updatestatus!=pending", "bc"), ("ipaddress==http://*", "a"), ("createdat=gt=1000", "abc"),
    ("createdat=lt=1000", ""), ("createdat=le=${NOW_TS}", "abc"), ("lastcontrollerrequestat=gt=0", "a"), ("lastcontrollerrequestat==*", "a"),
    ("lastcontrollerrequestat=le=${OVERDUE_TS}", ""), ("lastmodifiedat>=1", "abc"),
    # maps
    ("attribute.hw==10", "a"), ("attribute.hw!=10", "b"), ("attribute.hw==*", "ab"), ("attribute.hw=lt=9", "a"), ("attribute.hw=ge=9", "b"),
    ("attribute.dotted.key==yes", "a"), ("attribute.hw=is=null", "c"), ("attribute.hw=not=null", "ab"), ("attribute.empty==''", "abc"),
    ("attribute.hw!=''", "ab"), ("attribute.hw=in=(9,11)", "b"), ("metadata.cost.center==77", "a"), ("metadata.cost.center=is=null", "bc"),
    # relations
    ("tag=={start}-tag", "ab"), ("tag!={start}-tag", "c"), ("tag=={start}-tag;tag=={start}-tag2", "a"), ("tag==''", "c"), ("tag!=''", "ab"),
    ("tag.name=={start}-tag2", "a"), ("tag=in=({start}-tag2,x)", "a"), ("tag=out=({start}-tag2)", "bc"),
    ("targettype.key=={start}-key", "a"), ("type.name=={start}-type", "a"), ("type=={start}-key", "a"), ("type.id==*", "a"), ("type.key!={start}-key", "bc"),
    ("assignedds.name=={start}-ds", "ab"), ("assignedds.version==2.5", "ab"), ("installedds.name=={start}-ds", "b"), ("installedds.name!={start}-ds", "ac"),
    ("group=={start}/north", "a"), ("group=={start}/*", "ac"), ("group!={start}/north", "bc"), ("group==''", "b"), ("autoconfirm==false", "abc"),
    ("autoconfirm==true", ""),
])
def test_which_targets_a_filter_finds(hb, garden, query, wanted):
    """RSQL on targets: operators, wildcards, null, joining, and every field."""
    start, _ = garden
    page = hb.get(f"/targets?q={escape(f'controllerid=={start}-*;({query})'.replace('{start}', start))}")
    assert "".join(t["controllerId"][-1] for t in page["content"]) == wanted and page["total"] == len(wanted)


@pytest.mark.parametrize("query, code", [
    ("nothing==1", "rest.param.rsqlInvalidField"), ("attribute==1", "rest.param.rsqlInvalidField"), ("assignedds.nothing==1", "rest.param.rsqlInvalidField"),
    ("updatestatus==sleeping", "rest.param.rsqlInvalidField"), ("updatestatus==p*", "rest.param.rsqlInvalidField"),
    ("name", "rest.param.rsqlParamSyntax"), ("name=like=x", "rest.param.rsqlParamSyntax"), ("name=in=()", "rest.param.rsqlParamSyntax"),
    ("name==(a,b)", "rest.param.rsqlParamSyntax"), ("name==a;", "rest.param.rsqlParamSyntax"), (";name==a", "rest.param.rsqlParamSyntax"),
    ("(name==a", "rest.param.rsqlParamSyntax"), ("name==a)", "rest.param.rsqlParamSyntax"), ("name=='a", "rest.param.rsqlParamSyntax"),
    ("name==a b", "rest.param.rsqlParamSyntax"), ("", "rest.param.rsqlParamSyntax"), ("updatestatus=lt=pending", "rest.param.rsqlParamSyntax"),
    ("autoconfirm==maybe", "rest.param.rsqlParamSyntax"), ("createdat==yesterday", "rest.body.notReadable"), ("lastcontrollerrequestat==''", "rest.body.notReadable")])
def test_a_filter_that_cannot_be_read(hb, query, code):
    """RSQL: syntax, fields and values have their own codes."""
    hb.refuse(400, code, "GET", f"/targets?q={escape(query)}")


@pytest.fixture(scope="module")
def software(server):
    """Entities whose names begin alike, of every kind that has a list."""
    from hawkbit import World
    world = World(server)
    start = world.name("soft")
    made = {
        "softwaremoduletypes": [world.create("softwaremoduletypes", name=f"{start}-{i}", key=f"{start}-k{i}", maxAssignments=i, description=f"d{i}")["id"]
                                for i in (1, 2)],
        "targettypes": [world.create("targettypes", name=f"{start}-{i}", key=f"{start}-k{i}", description=f"d{i}")["id"] for i in (1, 2)],
        "targettags": [world.create("targettags", name=f"{start}-{i}", description=f"d{i}", colour="#00000" + str(i))["id"] for i in (1, 2)],
        "distributionsettags": [world.create("distributionsettags", name=f"{start}-{i}", description=f"d{i}", colour="#00000" + str(i))["id"] for i in (1, 2)],
        "softwaremodules": [world.create("softwaremodules", name=f"{start}-{i}", version=f"{i}.0", type="os", description=f"d{i}")["id"] for i in (1, 2)],
    }
    made["distributionsettypes"] = [world.create("distributionsettypes", name=f"{start}-{i}", key=f"{start}-k{i}", description=f"d{i}")["id"] for i in (1, 2)]
    made["distributionsets"] = [world.create("distributionsets", name=f"{start}-{i}", version=f"{i}.0", type="os", description=f"d{i}",
                                             modules=[{"id": made["softwaremodules"][i - 1]}] if i == 1 else [])["id"] for i in (1, 2)]
    made["targetfilters"] = [world.target_filter(f"name=={start}", name=f"{start}-{i}")["id"] for i in (1, 2)]
    world.expect(204, "POST", f"/distributionsettags/{made['distributionsettags'][0]}/assigned/{made['distributionsets'][0]}")
    world.expect(201, "POST", f"/distributionsets/{made['distributionsets'][0]}/metadata", [{"key": "m", "value": "v"}])
    world.expect(201, "POST", f"/softwaremodules/{made['softwaremodules'][0]}/metadata", [{"key": "m", "value": "v"}])
    yield start, made
    world.clean()


@pytest.mark.parametrize("kind, query, wanted", [
    *((kind, query, wanted) for kind in ("softwaremoduletypes", "targettypes", "targettags", "distributionsettags", "distributionsettypes",
                                         "softwaremodules", "distributionsets")
      for query, wanted in (("name=={start}-1", "1"), ("name!={start}-1", "2"), ("description==d2", "2"), ("id=={id2}", "2"), ("id=in=({id1},{id2})", "12"),
                            ("id=out=({id1})", "2"), ("id=ge={id2}", "2"), ("createdby==*", "12"))),
    *((kind, query, wanted) for kind in ("softwaremoduletypes", "targettypes", "distributionsettypes")
      for query, wanted in (("key=={start}-k1", "1"), ("key==*k2", "2"))),
    ("softwaremoduletypes", "maxassignments=gt=1", "2"), ("softwaremoduletypes", "maxassignments==1", "1"),
    ("targettags", "colour==#000001", "1"), ("distributionsettags", "colour==#000002", "2"),
    ("softwaremodules", "version==1.0", "1"), ("softwaremodules", "type==os", "12"), ("softwaremodules", "type.name==OS", "12"),
    ("softwaremodules", "type==application", ""), ("softwaremodules", "metadata.m==v", "1"), ("softwaremodules", "metadata.m=is=null", "2"),
    ("distributionsets", "version==2*", "2"), ("distributionsets", "type==os", "12"), ("distributionsets", "type.name=='OS only'", "12"),
    ("distributionsets", "module.name=={start}-1", "1"), ("distributionsets", "module.id=={module1}", "1"), ("distributionsets", "tag=={start}-1", "1"),
    ("distributionsets", "tag==''", "2"), ("distributionsets", "metadata.m==v", "1"), ("distributionsets", "valid==true", "12"),
    ("distributionsets", "valid==false", ""),
    ("targetfilters", "name=={start}-1", "1"), ("targetfilters", "id=={id2}", "2"), ("targetfilters", "createdat=gt=0", "12"),
    ("targetfilters", "autoassigndistributionset.name=is=null", "12"),
])
def test_which_entities_a_filter_finds(hb, software, kind, query, wanted):
    """RSQL on modules, sets, types, tags and filters."""
    start, made = software
    query = query.format(start=start, id1=made[kind][0], id2=made[kind][1], module1=made["softwaremodules"][0])
    found = [one["id"] for one in hb.found(kind, f"name=={start}-*;({query})", sort="id:ASC")]
    assert found == [made[kind][int(i) - 1] for i in wanted]


@pytest.mark.parametrize("kind, field", [
    ("softwaremodules", "vendor"), ("distributionsets", "locked"), ("targettypes", "colour"), ("rollouts", "weight"), ("rollouts", "deleted"),
    ("rollouts", "startat"), ("targetfilters", "query"), ("actions", "type"), ("targets", "securitytoken"), ("targets", "distributionset.name")])
def test_what_no_filter_may_name(hb, kind, field):
    """RSQL: fields that exist in the document, but not for filters."""
    hb.refuse(400, "rest.param.rsqlInvalidField", "GET", f"/{kind}?q={field}==x")


@pytest.mark.parametrize("query", ["id=={action}", "target.controllerid=={device};active==true", "status==running;target.controllerid=={device}",
                                   "distributionset.name=={ds};target.controllerid=={device}", "weight==77;target.controllerid=={device}",
                                   "target.name=={device}", "distributionset.id=={dsid};target.updatestatus==pending", "id=={action};rollout.name=is=null",
                                   "id=={action};createdby==*", "id=={action};externalref=is=null", "id=={action};laststatuscode==5"])
def test_which_actions_a_filter_finds(hb, query):
    """RSQL on actions."""
    ds = hb.ds()
    device, action = hb.deployed(ds=ds, weight=77)
    device.report(action, "proceeding", "none", code=5)
    query = query.format(action=action, device=device.id, ds=hb.get(f"/distributionsets/{ds}")["name"], dsid=ds)
    assert [a["id"] for a in hb.found("actions", query)] == [action]


# ---- content types and methods (Management content types) -----------------------------------------------


@pytest.mark.parametrize("accept, wanted", [
    (None, "application/hal+json"), ("*/*", "application/hal+json"), ("application/json", "application/json"), ("application/hal+json", "application/hal+json"),
    ("application/json;q=0.9,application/hal+json;q=0.1", "application/json"), ("text/html,application/json;q=0.1", "application/json")])
@pytest.mark.parametrize("path", ["/targets", "/userinfo"])
def test_an_answer_has_the_type_that_accept_asks_for(hb, path, accept, wanted):
    """Management content types: hal+json by default."""
    answer = hb.call("GET", path, headers={"Accept": accept})
    assert answer.status == 200 and answer.type == wanted and "utf-8" in answer.headers["content-type"].lower()


@pytest.mark.parametrize("accept", ["application/cbor", "text/plain", "application/xml", "garbage"])
def test_a_type_that_is_not_served_is_refused(hb, accept):
    """Management content types: 406."""
    assert hb.call("GET", "/targets", headers={"Accept": accept}).status == 406


@pytest.mark.parametrize("content_type, status", [
    ("application/json", 201), ("application/hal+json", 201), ("application/json; charset=utf-8", 201), ("text/plain", 415), ("application/cbor", 415),
    ("application/xml", 415), ("application/x-www-form-urlencoded", 415), ("text/json", 415), (None, 415)])
def test_which_types_a_request_may_have(hb, content_type, status):
    """Management content types: JSON in, else 415."""
    controller_id = hb.keep("targets", hb.name("type"))
    answer = hb.call("POST", "/targets", json.dumps([{"controllerId": controller_id}]).encode(), headers={"Content-Type": content_type})
    assert answer.status == status


@pytest.mark.parametrize("method, path, allow", [
    ("DELETE", "/targets", {"GET", "POST"}), ("PATCH", "/targets", {"GET", "POST"}), ("POST", "/userinfo", {"GET"}), ("PUT", "/rollouts", {"GET", "POST"}),
    ("GET", "/rollouts/1/start", {"POST"}), ("DELETE", "/targets/x/attributes", {"GET"})])
def test_a_wrong_method_names_the_right_ones(hb, method, path, allow):
    """Management methods: 405 with Allow and the framework's document."""
    answer = hb.call(method, path)
    assert answer.status == 405 and set(answer.headers["allow"].replace(" ", "").split(",")) == allow
    assert answer.json["status"] == 405 and answer.json["error"] == "Method Not Allowed"


@pytest.mark.parametrize("path", ["/nothing", "/targets/", "/Targets", "/targets/a/b/c/d", ""])
def test_an_unknown_path(hb, path):
    """Management routing: 404 with the framework's document."""
    answer = hb.call("GET", path)
    assert answer.status == 404 and answer.json["error"] == "Not Found" and "errorCode" not in answer.json


@pytest.mark.parametrize("path", ["/targets", "/userinfo", "/system/configs/pollingTime"])
def test_an_unchanged_document_is_answered_304(hb, path):
    """Management ETag: If-None-Match."""
    tag = hb.call("GET", path + "?limit=1").headers["etag"]
    for form in (tag, "W/" + tag, f'"x", {tag}'):
        answer = hb.call("GET", path + "?limit=1", headers={"If-None-Match": form})
        assert answer.status == 304 and answer.body == b""
    assert hb.call("GET", path + "?limit=1", headers={"If-None-Match": "*"}).status == 200


@pytest.mark.parametrize("path, status", [("/targets", 200), ("/targets/none-such", 404), ("/userinfo", 200)])
def test_head(hb, path, status):
    """Management: HEAD answers as GET, without a body."""
    answer = hb.call("HEAD", path)
    assert answer.status == status and answer.body == b"" and int(answer.headers["content-length"]) > 0


# ---- bodies and errors (Management error handling) ------------------------------------------------------

COLLECTIONS = ("targets", "targettags", "distributionsettags", "targettypes", "softwaremoduletypes", "distributionsettypes", "softwaremodules",
               "distributionsets")


@pytest.mark.parametrize("kind", COLLECTIONS)
@pytest.mark.parametrize("body", [b"", b"{", b"{}", b"5", b"[5]", b"['x']", b"[{]}"])
def test_a_body_that_cannot_be_read(hb, kind, body):
    """Management errors: 400 rest.body.notReadable."""
    answer = hb.call("POST", f"/{kind}", body, headers={"Content-Type": "application/json"})
    assert (answer.status, answer.code) == (400, "rest.body.notReadable")
    assert answer.json["exceptionClass"] == "org.eclipse.hawkbit.rest.exception.MessageNotReadableException" and answer.json["message"]


@pytest.mark.parametrize("kind", COLLECTIONS)
def test_creating_nothing(hb, kind):
    """Management: an empty array creates nothing."""
    assert hb.expect(201, "POST", f"/{kind}", []) == []


@pytest.mark.parametrize("kind", COLLECTIONS)
def test_a_creation_is_all_or_nothing(hb, kind):
    """Management: one bad element of an array and nothing is stored."""
    name = hb.name("batch")
    good = {"controllerId": name} if kind == "targets" else {"name": name, "key": name, "version": "1", "type": "os", "maxAssignments": 1}
    answer = hb.call("POST", f"/{kind}", [good, {**good, "name": "x" * 129, "controllerId": "y" * 300, "key": name + "2"}])
    assert (answer.status, answer.code) == (400, "repo.constraintViolation")
    assert hb.found(kind, f"name=={name}") == []


@pytest.mark.parametrize("kind", [k for k in LISTS if k not in ("actions", "targets")])
def test_an_entity_that_does_not_exist(hb, kind):
    """Management errors: 404 with type and id, and 400 for an id that is no number."""
    answer = hb.call("GET", f"/{kind}/999999999")
    assert (answer.status, answer.code) == (404, "repo.entityNotFound") and answer.json["info"]["entityId"] in (999999999, "999999999")
    assert answer.json["exceptionClass"].endswith(".EntityNotFoundException")
    hb.refuse(400, "rest.body.notReadable", "GET", f"/{kind}/abc")
    assert hb.call("DELETE", f"/{kind}/999999999").status == 404


def test_a_target_that_does_not_exist(hb):
    """Management errors: the id that was asked for."""
    document = hb.refuse(404, "repo.entityNotFound", "GET", "/targets/none-such")
    assert document["info"] == {"entityId": "none-such", "type": "Target"}


def test_numbers_and_text_are_converted(hb):
    """Management bodies: numbers given for text become text; text of digits may stand for a number."""
    controller_id = str(int(hb.server.run[2:], 16)) + hb.name().rpartition("-")[2]
    kind = hb.create("targettypes", name=hb.name())
    target = hb.expect(201, "POST", "/targets", [{"controllerId": int(controller_id), "name": 5, "targetType": str(kind["id"])}])[0]
    hb.keep("targets", target["controllerId"])
    assert (target["controllerId"], target["name"], target["targetType"]) == (str(int(controller_id)), "5", kind["id"])


def test_links_have_the_host_of_the_request(hb):
    """Management links: absolute, X-Forwarded-Host ignored by default."""
    target = hb.target()
    shown = hb.get(f"/targets/{target['controllerId']}", headers={"X-Forwarded-Host": "elsewhere:1"})
    assert shown["_links"]["self"]["href"] == f"{hb.server.base}/rest/v1/targets/{target['controllerId']}"


@pytest.mark.parametrize("name, value", [("x-content-type-options", "nosniff"), ("x-frame-options", "DENY"), ("pragma", "no-cache"),
                                         ("cache-control", "no-cache, no-store, max-age=0, must-revalidate")])
def test_headers_against_sniffing_and_caching(hb, name, value):
    """Management security headers."""
    assert hb.call("GET", "/userinfo").headers[name] == value


def test_options_names_the_methods(hb):
    """Management methods: OPTIONS."""
    answer = hb.call("OPTIONS", "/targets")
    assert answer.status == 200 and {"GET", "POST", "HEAD", "OPTIONS"} == set(answer.headers["allow"].replace(" ", "").split(","))
