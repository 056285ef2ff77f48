# SPDX-License-Identifier: Apache-2.0
# Copyright The Driveline authors
"""A call of every route that succeeds: for each operation of the OpenAPI document its path parameters, query and body.

A row is a function of a World; it makes what the call needs. Rows that are missing are calls without any of
these. `FILE` stands for an upload.
"""
from hawkbit import feedback

FILE = object()


def target(w):
    return w.target()["controllerId"]


def type_of(w, kind):
    return w.create(kind, key=w.name("k"), name=w.name("t"), maxAssignments=1)["id"]


def tagged(w, kind):
    return w.create(kind, name=w.name("tag"))["id"]


def acting(w, **members):
    """(target, action) of an open action."""
    device, action = w.deployed(**members)
    return device.id, action


def canceling(w):
    device, action = w.deployed()
    w.cancel(device, action)
    return device.id, action


def installed(w):
    device, action = w.deployed()
    device.report(action)
    return device.id, action


def waiting(w):
    w.configure("user.confirmation.flow.enabled", True)
    return acting(w)


def reported(w):
    """An action whose success is still to be proved."""
    w.configure("driveline.action.proof", "01:00:00")
    w.configure("driveline.action.proof.within", "02:00:00")
    return installed(w)[1]


# Nobody listens there.
HOOK = {"url": "http://127.0.0.1:9/hook", "secret": "sixteen characters", "types": ["rollout.status"]}


def hook_url(w):
    w.configure("driveline.events.enabled", True)
    return f"http://127.0.0.1:9/{w.name()}"


def hook(w):
    hook_url(w)
    return w.keep("webhooks", w.expect(201, "POST", "/webhooks", HOOK)["id"])


def with_metadata(w, path):
    w.expect(201, "POST", f"{path}/metadata", [{"key": "k", "value": "v"}])
    return path.rsplit("/", 1)[1]


def artifact(w):
    module = w.module()
    return module, w.upload(module)["id"]


def filter_of(w):
    return w.target_filter("name==nobody")["id"]


def ready(w):
    rollout = w.rollout(f"id=={target(w)}")
    w.rollout_is(rollout, "ready", "waiting_for_approval")
    return rollout


def running(w, groups=1):
    start, _ = w.targets(groups)
    return w.running(f"id=={start}*", amountGroups=groups)


def paused(w):
    rollout = running(w)
    w.expect(204, "POST", f"/rollouts/{rollout}/pause")
    w.rollout_is(rollout, "paused")
    return rollout


def failed(w):
    start, ids = w.targets(1)
    rollout = w.running(f"id=={start}*")
    w.finish(ids[0], "failure")
    w.rollout_is(rollout, "finished")
    return rollout


def for_approval(w):
    w.configure("rollout.approval.enabled", True)
    return ready(w)


def group(w):
    rollout = ready(w)
    return rollout, w.groups(rollout)[0]["id"]


def set_type_with(w, which):
    os_type = w.found("softwaremoduletypes", "key==os")[0]["id"]
    made = type_of(w, "distributionsettypes")
    w.expect(204, "POST", f"/distributionsettypes/{made}/{which}moduletypes", {"id": os_type})
    return made, os_type


def downloadable(w):
    ds, module = w.ds_with_file()
    return acting(w, ds=ds)[0], module


def at(w, *path, query=None, body=None):
    return list(path), query or {}, body


ENTRY = [{"key": "k", "value": "v"}]
PLAIN = {  # what a POST of a collection needs
    "users": lambda w: [{"name": w.name("user"), "permissions": ["READ_TARGET"]}],
    "tokens": lambda w: [{"name": w.name("token"), "permissions": ["READ_TARGET"]}],
    "targets": lambda w: [{"controllerId": w.keep("targets", w.name())}],
    "softwaremodules": lambda w: [{"name": w.name(), "version": "1", "type": "os"}],
    "distributionsets": lambda w: [{"name": w.name(), "version": "1"}],
    **{kind: lambda w: [{"name": w.name("t"), "key": w.name("k"), "maxAssignments": 1}] for kind in (
        "targettags", "distributionsettags", "targettypes", "softwaremoduletypes", "distributionsettypes")},
}

CALLS = {
    "configs set-many": lambda w: at(w, body={}),
    "configs show": lambda w: at(w, "pollingTime"),
    "configs set": lambda w: at(w, "maintenanceWindowPollCount", body={"value": w.configure("maintenanceWindowPollCount", 5) or 6}),
    "configs reset": lambda w: at(w, "no.such.key"),
    "targets set-type": lambda w: at(w, target(w), body={"id": type_of(w, "targettypes")}),
    "targets action": lambda w: at(w, *acting(w)),
    "targets delete-actions": lambda w: at(w, target(w), query={"keepLast": 1}),
    "targets force-action": lambda w: at(w, *acting(w, type="soft"), body={"forceType": "forced"}),
    "targets cancel-action": lambda w: at(w, *acting(w)),
    "targets confirm-action": lambda w: at(w, *waiting(w), body={"confirmation": "confirmed"}),
    "targets action-status": lambda w: at(w, *acting(w)),
    "targets assigned-set": lambda w: at(w, acting(w)[0]),
    "targets installed-set": lambda w: at(w, installed(w)[0]),
    "targets assign": lambda w: at(w, target(w), body={"id": w.ds()}),
    "targets metadata-entry": lambda w: at(w, with_metadata(w, f"/targets/{target(w)}"), "k"),
    "targets set-metadata": lambda w: at(w, target(w), "k", body={"value": "v"}),
    "targets delete-metadata": lambda w: at(w, with_metadata(w, f"/targets/{target(w)}"), "k"),
    "targets add-metadata": lambda w: at(w, target(w), body=ENTRY),
    "targetgroups assign-query": lambda w: at(w, query={"group": w.name("g"), "q": f"id=={target(w)}"}),
    "targetgroups unassign-query": lambda w: at(w, query={"q": f"id=={target(w)}"}),
    "targetgroups members": lambda w: at(w, query={"group": w.target(group=w.name("g"))["group"]}),
    "targetgroups assign": lambda w: at(w, query={"group": w.name("g")}, body=[target(w)]),
    "targetgroups unassign": lambda w: at(w, body=[target(w)]),
    "targetgroups assign-query-to": lambda w: at(w, w.name("g"), query={"q": f"id=={target(w)}"}),
    "targetgroups members-of": lambda w: at(w, w.target(group=w.name("g"))["group"]),
    "targetgroups assign-to": lambda w: at(w, w.name("g"), body=[target(w)]),
    **{f"{kind} {verb}": (lambda kind, member, verb: lambda w: at(w, tagged(w, kind), *([] if body_of(verb) else [member(w)]),
                                                                 body=[member(w)] if body_of(verb) else None))(kind, member, verb)
       for kind, member in (("targettags", target), ("distributionsettags", lambda w: w.ds())) for verb in ("assign", "unassign", "assign-one", "unassign-one")},
    "targettypes add-set-types": lambda w: at(w, type_of(w, "targettypes"), body=[{"id": type_of(w, "distributionsettypes")}]),
    "targettypes remove-set-type": lambda w: at(w, type_of(w, "targettypes"), type_of(w, "distributionsettypes")),
    **{f"distributionsettypes {verb}": (lambda which, verb: lambda w: (lambda made, module_type: at(
        w, made, *([] if verb.startswith("add") else [module_type]), body={"id": module_type} if verb.startswith("add") else None))(*set_type_with(w, which)))(which, verb)
       for which in ("mandatory", "optional") for verb in (f"add-{which}", f"{which}-one", f"remove-{which}")},
    "targetfilters create": lambda w: at(w, body={"name": w.name(), "query": "name==x"}),
    "targetfilters auto-assigned-set": lambda w: (lambda f: (w.expect(200, "POST", f"/targetfilters/{f}/autoAssignDS", {"id": w.ds()}), at(w, f))[1])(filter_of(w)),
    "targetfilters auto-assign": lambda w: at(w, filter_of(w), body={"id": w.ds()}),
    "softwaremodules artifacts": lambda w: at(w, artifact(w)[0]),
    "softwaremodules upload": lambda w: at(w, w.module(), body=FILE),
    "softwaremodules artifact": lambda w: at(w, *artifact(w)),
    "softwaremodules delete-artifact": lambda w: at(w, *artifact(w)),
    "softwaremodules download": lambda w: at(w, *artifact(w)),
    "softwaremodules metadata-entry": lambda w: at(w, with_metadata(w, f"/softwaremodules/{w.module()}"), "k"),
    "softwaremodules set-metadata": lambda w: at(w, w.module(), "k", body={"value": "v", "targetVisible": True}),
    "softwaremodules delete-metadata": lambda w: at(w, with_metadata(w, f"/softwaremodules/{w.module()}"), "k"),
    "softwaremodules add-metadata": lambda w: at(w, w.module(), body=ENTRY),
    "distributionsets add-modules": lambda w: at(w, w.ds([]), body=[{"id": w.module()}]),
    "distributionsets remove-module": lambda w: at(w, w.ds(), w.module()),
    "distributionsets assign": lambda w: at(w, w.ds(), body=[{"id": target(w)}]),
    "distributionsets invalidate": lambda w: at(w, w.ds(), body={"actionCancelationType": "none"}),
    "distributionsets metadata-entry": lambda w: at(w, with_metadata(w, f"/distributionsets/{w.ds()}"), "k"),
    "distributionsets set-metadata": lambda w: at(w, w.ds(), "k", body={"value": "v"}),
    "distributionsets delete-metadata": lambda w: at(w, with_metadata(w, f"/distributionsets/{w.ds()}"), "k"),
    "distributionsets add-metadata": lambda w: at(w, w.ds(), body=ENTRY),
    "actions delete-many": lambda w: at(w, body=[999999999]),
    "actions show": lambda w: at(w, acting(w)[1]),
    "actions delete": lambda w: at(w, installed(w)[1]),
    "actions prove": lambda w: at(w, reported(w), body={"proved": True, "reason": "its telemetry is fine"}),
    "actions why": lambda w: at(w, acting(w)[1]),
    "rollouts group-why": lambda w: at(w, *group(w)),
    "webhooks create": lambda w: at(w, body={**HOOK, "url": hook_url(w)}),
    "rollouts create": lambda w: at(w, body={"name": w.name(), "targetFilterQuery": f"id=={target(w)}", "distributionSetId": w.ds()}),
    "rollouts pause": lambda w: at(w, running(w)),
    "rollouts resume": lambda w: at(w, paused(w)),
    "rollouts next-group": lambda w: at(w, running(w, 2)),
    "rollouts approve": lambda w: at(w, for_approval(w), query={"remark": "fine"}),
    "rollouts deny": lambda w: at(w, for_approval(w)),
    "rollouts retry": lambda w: at(w, failed(w)),
    "rollouts group": lambda w: at(w, *group(w)),
    "rollouts group-targets": lambda w: at(w, *group(w)),
    "device deployment": lambda w: at(w, *acting(w), query={"actionHistory": 5}),
    "device feedback": lambda w: at(w, *acting(w), body=feedback()),
    "device attributes": lambda w: at(w, target(w), body={"data": {"k": "v"}}),
    "device cancel-action": lambda w: at(w, *canceling(w)),
    "device cancel-feedback": lambda w: at(w, *canceling(w), body=feedback()),
    "device report-installed": lambda w: (lambda ds: at(w, target(w), body={"name": ds["name"], "version": ds["version"]}))(w.get(f"/distributionsets/{w.ds()}")),
    "device installed": lambda w: at(w, *installed(w)),
    "device confirmation-action": lambda w: at(w, *waiting(w)),
    "device confirm": lambda w: at(w, *waiting(w), body={"confirmation": "confirmed"}),
    "device activate-auto-confirm": lambda w: at(w, target(w), body={}),
    "device artifacts": lambda w: at(w, *downloadable(w)),
    "device download": lambda w: at(w, *downloadable(w), "fw.bin"),
    "device md5sum": lambda w: at(w, *downloadable(w), "fw.bin"),
}


def body_of(verb):
    return not verb.endswith("-one")


# What the first path parameter of an operation without a row of its own is.
ONE = {
    "targets": target, "targettags": lambda w: tagged(w, "targettags"), "distributionsettags": lambda w: tagged(w, "distributionsettags"),
    "targettypes": lambda w: type_of(w, "targettypes"), "softwaremoduletypes": lambda w: type_of(w, "softwaremoduletypes"),
    "distributionsettypes": lambda w: type_of(w, "distributionsettypes"), "targetfilters": filter_of, "softwaremodules": lambda w: w.module(),
    "distributionsets": lambda w: w.ds(), "rollouts": ready, "webhooks": hook,
    **{kind: (lambda kind: lambda w: w.keep(kind, w.expect(201, "POST", f"/{kind}", PLAIN[kind](w))[0]["id"]))(kind) for kind in ("users", "tokens")},
    "device": target,
}


def call_of(world, method, path, operation):
    """(path parameters after tenant, query, body) of a call that succeeds."""
    name = operation["operationId"]
    if name in CALLS:
        return CALLS[name](world)
    kind = name.split()[0]
    if name.endswith(" create"):
        return at(world, body=PLAIN[kind](world))
    has_parameter = "{" in path.replace("{tenant}", "")
    return at(world, *([ONE[kind](world)] if has_parameter else []), body={} if method == "PUT" else None)
