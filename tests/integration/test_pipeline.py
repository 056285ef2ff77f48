# SPDX-License-Identifier: Apache-2.0
# Copyright The Driveline authors
"""Pipelines with real pushes and the real sandbox; the update server is a recorder (hawkbit_recorder.py) whose
timing the tests decide. The last test uses the update server itself."""
import hashlib
import io
import json
import os
import pathlib
import shutil
import signal
import subprocess
import zipfile

import pytest

from conftest import DRIVELINE, ROOT, SLOW, Program, child_pids, copy_for_everybody, http_json, run_verb, wait_until
from hawkbit_recorder import Recorder

GIT = {"GIT_AUTHOR_NAME": "Ada", "GIT_AUTHOR_EMAIL": "ada@example.org", "GIT_COMMITTER_NAME": "Ada",
       "GIT_COMMITTER_EMAIL": "ada@example.org", "GIT_CONFIG_GLOBAL": "/dev/null"}
C_MAIN = 'int puts(const char *);\nint main(void) { return puts("hello") < 0; }\n'


def manifest(version="1.0.0", language="c", build="gcc -O2 -o car main.c", name="car"):
    return (f"<project><name>{name}</name><version>{version}</version><language>{language}</language>"
            f"<compiler>gcc</compiler><build_command>{build}</build_command>"
            f"<run_command>./car</run_command></project>\n")


def buildspec(*commands, files=None, phase="build"):
    text = f"version: 1\nphases:\n  {phase}:\n    commands:\n"
    text += "".join(f"      - {json.dumps(c)}\n" for c in commands)
    if files:
        text += "artifacts:\n  files:\n" + "".join(f"    - {json.dumps(f)}\n" for f in files)
    return text


def python_line(code):
    """A command for a buildspec that runs Python code; newlines become statements of an exec()."""
    return "python3 -c '" + code.replace("\n", "; ") + "'"


class Repository:
    """A pipeline, and a clone of its repository."""

    def __init__(self, server, name, language="c", *options):
        self.server, self.name = server, name
        server.verb("pipeline", "create", name, "--language", language, *options)
        self.bare = server.data / f"pipeline/repos/{name}.git"
        self.clone = server.folder / f"clone-{name}"
        self.git("clone", "-q", self.bare, self.clone, cwd=server.folder)

    def git(self, *words, cwd=None):
        done = subprocess.run(["git", *map(str, words)], cwd=cwd or self.clone, env={**os.environ, **GIT},
                              capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"git {words}: {done.stderr}"
        return done.stdout + done.stderr

    def push(self, files, message="Change it", branch="main"):
        """Commits and pushes; what git said, with the hook's lines."""
        for name, text in files.items():
            path = self.clone / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", message)
        return self.git("push", "origin", f"HEAD:{branch}")


class Server:
    """`driveline serve pipeline` in a data folder of its own."""

    def __init__(self, folder, recorder, **config):
        self.folder = pathlib.Path(folder)
        self.data = self.folder / "data folder"  # a blank, as any folder may have one
        self.recorder = recorder
        (self.data / "secrets").mkdir(parents=True)
        (self.data / "secrets/admin.password").write_text("secret\n")
        config = {"http_listen": recorder.url.removeprefix("http://"), **config}
        (self.data / "driveline.conf").write_text("".join(f"{k} = {v}\n" for k, v in config.items()))
        self.program = None

    def start(self, wrapper=(), driveline=DRIVELINE):
        self.program = Program([*wrapper, driveline, "serve", "pipeline", "--data", self.data],
                               self.folder / "pipeline.log")
        self.program.wait_for_text("ready: repositories")
        return self

    def verb(self, *words, **options):
        return run_verb(self.data, *words, **options)

    def runs(self):
        return json.loads(self.verb("pipeline", "list", "--output", "json").stdout)["runs"]

    def run(self, number):
        return json.loads(self.verb("pipeline", "show", number, "--output", "json").stdout)

    def stage(self, number, name):
        return next(s for s in self.run(number)["stages"] if s["name"] == name)

    def wait_run(self, number, timeout=60):
        def ended():
            assert self.program.is_running(), self.program.text()
            run = self.run(number)
            return run if run["state"] not in ("queued", "running") else None
        return wait_until(ended, timeout, f"the end of run {number}", every=0.05)

    def wait_succeeded(self, number, timeout=60):
        run = self.wait_run(number, timeout)
        assert run["state"] == "succeeded", run["cause"]
        return run

    def wait_failed(self, number, timeout=60):
        run = self.wait_run(number, timeout)
        assert run["state"] == "failed", run
        return run["cause"]

    def why(self, number):
        return self.verb("pipeline", "why", number).stdout

    def log(self, number, stage):
        return self.verb("pipeline", "log", number, stage).stdout


@pytest.fixture
def recorder():
    r = Recorder()
    yield r
    r.stop()


@pytest.fixture
def make_server(tmp_path, recorder):
    servers = []

    def make(**config):
        servers.append(Server(tmp_path / f"s{len(servers)}", recorder, **config))
        return servers[-1]
    yield make
    for server in servers:
        if server.program and server.program.is_running():
            assert server.program.stop() == 0, server.program.text()
        print(server.program.text() if server.program else "")


@pytest.fixture
def server(make_server):
    return make_server().start()


def package(recorder, index=0):
    module = recorder.modules[index]["id"]
    return zipfile.ZipFile(io.BytesIO(recorder.artifacts[module][0]["data"]))


def processes_with(text):
    found = []
    for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if text.encode() in path.read_bytes():
                found.append(int(path.parent.name))
        except OSError:
            pass
    return found


# ---- what works --------------------------------------------------------------------------------------


def test_a_push_of_c_becomes_a_rollout(server, recorder):
    repository = Repository(server, "car-c", "c", "--groups", 2, "--target-filter", "controllerid==car*",
                            "--success-threshold", 60, "--error-threshold", 20)
    said = repository.push({"manifest.xml": manifest(), "main.c": C_MAIN}, "Say hello")
    assert "driveline: run 1 started, follow it with: driveline pipeline show 1" in said
    run = server.wait_succeeded(1)
    assert [(s["name"], s["state"]) for s in run["stages"]] == [
        ("source", "succeeded"), ("build", "succeeded"), ("deploy", "succeeded"), ("rollout", "succeeded")]
    assert all(s["ended_at"] >= s["started_at"] for s in run["stages"])
    assert (run["author"], run["message"], run["origin"]) == ("Ada <ada@example.org>", "Say hello", "push")
    zipped = package(recorder)
    assert zipped.namelist()[0] == "manifest.xml" and {"car", "main.c"} <= set(zipped.namelist())
    assert zipped.getinfo("car").external_attr >> 16 & 0o777 == 0o755
    assert zipped.read("car").startswith(b"\x7fELF")
    assert run["artifacts"][0]["sha256"] == recorder.artifacts[101][0]["hashes"]["sha256"]
    assert recorder.modules[0]["type"] == "application" and recorder.sets[0]["type"] == "app"
    assert recorder.sets[0]["modules"] == [{"id": 101}]
    rollout = recorder.rollouts[0]
    assert (rollout["amountGroups"], rollout["targetFilterQuery"]) == (2, "controllerid==car*")
    assert rollout["successCondition"]["expression"] == "60" and rollout["errorCondition"]["expression"] == "20"
    assert run["deployment"]["rollout_id"] == 1


def test_the_rollout_is_started_only_when_it_is_ready(server, recorder):
    recorder.polls_until_ready = 8
    Repository(server, "car").push({"manifest.xml": manifest(), "main.c": C_MAIN})
    server.wait_succeeded(1)
    assert recorder.started_while == ["ready"]
    assert len(recorder.seen("GET", r"/rollouts/1$")) >= 8


def test_a_rollout_that_waits_for_approval_says_so_and_then_starts(server, recorder):
    recorder.wait_for_approval = True
    Repository(server, "car").push({"manifest.xml": manifest(), "main.c": C_MAIN})
    wait_until(lambda: (server.run(1)["deployment"] or {}).get("state") == "waiting_for_approval", 30, "approval")
    assert recorder.started_while == []
    assert "rollout 1 waits for an approval\ndriveline rollout approve 1" in server.why(1)
    with recorder.lock:
        recorder.rollouts[0]["status"] = "ready"
    server.wait_succeeded(1)


def test_the_outcome_of_the_rollout_is_recorded(server, recorder):
    Repository(server, "car").push({"manifest.xml": manifest(), "main.c": C_MAIN})
    server.wait_succeeded(1)
    with recorder.lock:
        recorder.rollouts[0].update(status="paused", totalTargetsPerStatus={"running": 0, "finished": 1, "error": 1})
    wait_until(lambda: server.run(1)["deployment"]["state"] == "paused", 20, "paused")
    deployment = server.run(1)["deployment"]
    assert (deployment["targets"], deployment["finished"], deployment["failed"]) == (2, 1, 1)
    assert "driveline rollout resume 1" in server.why(1)
    with recorder.lock:
        recorder.rollouts[0].update(status="finished")
    wait_until(lambda: server.run(1)["deployment"]["state"] == "finished", 20, "finished")
    assert server.run(1)["deployment"]["open"] == 0


def test_python_is_tested_and_assigned(server, recorder):
    recorder.cars = [f"car-{i}" for i in range(1203)]
    repository = Repository(server, "py", "python", "--deploy", "assignment")
    repository.push({"manifest.xml": manifest(language="python"), "main.py": "def double(x):\n    return 2 * x\n",
                     "tests/test_main.py": "import main\n\n\ndef test_double():\n    assert main.double(2) == 4\n",
                     "conftest.py": ""})
    run = server.wait_succeeded(1)
    assert [s["name"] for s in run["stages"]] == ["source", "test", "deploy", "assignment"]
    assert "1 passed" in server.log(1, "test")
    assert recorder.assigned[201] == set(recorder.cars)
    assert recorder.rollouts == []
    assert not [n for n in package(recorder).namelist() if "__pycache__" in n]


def test_buildspec_runs_its_phases_and_chooses_the_files(server, recorder):
    spec = ("version: 0.2\nphases:\n  post_build:\n    commands: [\"sh -c 'echo three >> order.txt'\"]\n"
            "  install:\n    commands: [\"sh -c 'echo one >> order.txt'\"]\n"
            "  build:\n    commands: [\"sh -c 'echo two >> order.txt'\", gcc -o car main.c]\n"
            "artifacts:\n  files: [car, 'data/**', order.txt]\n")
    Repository(server, "car").push({"manifest.xml": manifest(), "main.c": C_MAIN, "buildspec.yml": spec,
                                    "data/a/b.txt": "b", "data/c.txt": "c", "notes.txt": "n"})
    server.wait_succeeded(1)
    zipped = package(recorder)
    assert sorted(zipped.namelist()) == ["car", "data/a/b.txt", "data/c.txt", "manifest.xml", "order.txt"]
    assert zipped.read("order.txt") == b"one\ntwo\nthree\n"


@pytest.mark.skipif(not shutil.which("aarch64-linux-gnu-gcc"), reason="no cross compiler")
def test_the_same_manifest_builds_for_arm(server, recorder):
    Repository(server, "arm", "c", "--environment", "gcc-aarch64").push(
        {"manifest.xml": manifest(build="gcc -o car main.c"), "main.c": '#include <stdio.h>\n' + C_MAIN.split("\n", 1)[1]})
    server.wait_succeeded(1)
    assert package(recorder).read("car")[18] == 183  # EM_AARCH64


def test_the_seed_starts_no_run_and_the_same_commit_gives_the_same_bytes(server, recorder, tmp_path):
    seed = tmp_path / "seed"
    shutil.copytree(ROOT / "apps/car-c", seed)
    first = Repository(server, "one", "c", "--seed-from", seed)
    assert server.runs() == []
    server.verb("pipeline", "run", "one")
    server.wait_succeeded(1)
    server.verb("pipeline", "run", "one")
    server.wait_succeeded(2)  # the same commit and bytes: module and set are used again
    assert server.run(1)["artifacts"] == server.run(2)["artifacts"]
    assert len(recorder.modules) == 1 and len(recorder.rollouts) == 2
    assert "Initial version" in first.git("log", "--format=%s")


def test_other_branches_start_no_run(server):
    repository = Repository(server, "car")
    said = repository.push({"main.c": C_MAIN}, branch="try/this")
    assert "is not watched" in said
    assert server.runs() == []


def test_runs_of_one_pipeline_go_in_order_and_pipelines_in_parallel(server, recorder):
    slow = Repository(server, "slow", "c")
    spec = buildspec(python_line(f"import time\ntime.sleep({1.5 * SLOW})"), "gcc -o car main.c")
    slow.push({"manifest.xml": manifest(name="slow"), "main.c": C_MAIN, "buildspec.yml": spec})
    slow.push({"manifest.xml": manifest("1.0.1", name="slow"), "main.c": C_MAIN})
    Repository(server, "quick").push({"manifest.xml": manifest(name="quick"), "main.c": C_MAIN})
    server.wait_succeeded(3)
    assert server.run(1)["state"] == "running" and server.run(2)["state"] == "queued"
    assert "waits for run 1 of the same pipeline, which is running" in server.why(2)
    assert "is in stage 'build'" in server.why(1)
    server.wait_succeeded(2)
    assert server.run(1)["ended_at"] <= server.run(2)["started_at"]


# ---- what fails says why -----------------------------------------------------------------------------


def test_a_failing_build_names_phase_command_status_and_last_lines(server, recorder):
    Repository(server, "car").push({"manifest.xml": manifest(), "main.c": "int main(void) { return x; }\n"})
    cause = server.wait_failed(1)
    assert cause.startswith("phase build: 'gcc -O2 -o car main.c' exited with status 1")
    assert "undeclared" in cause and "driveline" not in cause
    assert "undeclared" in server.log(1, "build")
    assert server.stage(1, "deploy")["state"] == "waiting" and recorder.modules == []
    assert "driveline pipeline retry 1" in server.why(1)


def test_a_failing_test_stops_the_run(server, recorder):
    Repository(server, "py", "python").push({
        "manifest.xml": manifest(language="python"), "test_it.py": "def test_it():\n    assert 1 + 1 == 3\n"})
    cause = server.wait_failed(1)
    assert "python3 -m pytest" in cause and "exited with status 1" in cause and "1 failed" in cause
    assert recorder.modules == []


@pytest.mark.parametrize("files, words", [
    ({"main.c": C_MAIN}, ["no manifest.xml"]),
    ({"manifest.xml": "<project><name>car</name>"}, ["manifest"]),
    ({"manifest.xml": manifest(version="")}, ["<version>"]),
    ({"manifest.xml": manifest(name="../car")}, ["<name>"]),
    ({"manifest.xml": manifest(language="python")}, ["python", "'c'"]),
    ({"manifest.xml": manifest(build="gcc main.c &amp;&amp; rm -rf /")}, ["build_command", "shell"]),
    ({"manifest.xml": manifest(), "buildspec.yml": "version: 1\nphases:\n  bild:\n    commands: [x]\n"},
     ["buildspec.yml", "line 3", "bild"]),
    ({"manifest.xml": manifest(), "buildspec.yml": "version: 1\nenvironment: rust\n"}, ["rust", "gcc-x86_64"]),
    ({"manifest.xml": manifest(), "buildspec.yml": buildspec("true", files=["nothing/*"])}, ["nothing/*"]),
    ({"manifest.xml": manifest(), "buildspec.yml": buildspec("ln -s /etc/passwd leak")}, ["'leak'", "link"]),
    ({"manifest.xml": manifest(), "buildspec.yml": buildspec("no-such-tool --help")}, ["no-such-tool", "not found"]),
], ids=["no manifest", "broken manifest", "no version", "bad name", "other language", "shell", "unknown key",
        "unknown environment", "no such file", "link", "no such tool"])
def test_a_bad_repository_gets_a_clear_cause(server, files, words):
    Repository(server, "car").push(files)
    cause = server.wait_failed(1)
    for word in words:
        assert word in cause, cause


def test_a_version_that_exists_must_be_raised(server, recorder):
    repository = Repository(server, "car")
    repository.push({"manifest.xml": manifest("1.1.0"), "main.c": C_MAIN})
    server.wait_succeeded(1)
    repository.push({"main.c": C_MAIN.replace("hello", "bye")})
    assert server.wait_failed(2) == "version 1.1.0 of 'car' exists already: raise <version> in manifest.xml"
    repository.push({"manifest.xml": manifest("1.1.1")})
    server.wait_succeeded(3)


def test_without_a_car_the_run_says_so_and_its_retry_goes_on(server, recorder):
    recorder.cars = []
    Repository(server, "car").push({"manifest.xml": manifest(), "main.c": C_MAIN})
    assert "no car matches 'controllerid==*'" in server.wait_failed(1)
    recorder.cars = ["car-1"]
    server.verb("pipeline", "retry", 1)
    run = server.wait_succeeded(2)
    assert run["origin"] == "retry of 1"
    assert len(recorder.modules) == len(recorder.sets) == 1


def test_a_refused_password_and_a_server_that_is_away_are_told(server, recorder):
    (server.data / "secrets/admin.password").write_text("wrong\n")
    repository = Repository(server, "car")
    repository.push({"manifest.xml": manifest(), "main.c": C_MAIN})
    assert "refuses our user and password" in server.wait_failed(1)
    (server.data / "secrets/admin.password").write_text("secret\n")
    recorder.fail = {"POST /rest/v1/softwaremodules": [503, 503], "POST /rest/v1/distributionsets": [502],
                     "GET /rest/v1/rollouts/": [503]}
    server.verb("pipeline", "retry", 1)
    server.wait_succeeded(2)


def test_a_link_in_a_repository_leads_nowhere(server):
    repository = Repository(server, "car")
    (repository.clone / "buildspec.yml").symlink_to("/etc/passwd")
    repository.push({"manifest.xml": manifest(), "main.c": C_MAIN})
    assert server.wait_failed(1) == "buildspec.yml is no plain file"


def test_what_a_build_prints_cannot_move_the_terminal(server):
    repository = Repository(server, "car")
    repository.push({"manifest.xml": manifest(), "main.c": C_MAIN, "buildspec.yml": buildspec(
        python_line("import os\nos.write(1, bytes([27, 91, 50, 74, 255, 120, 10]))\nraise SystemExit(1)"))}, "T\x1b[2Jest")
    cause = server.wait_failed(1)
    assert "\x1b" not in cause and "?[2J" in cause and "x" in cause
    assert "\x1b" not in server.run(1)["message"]


@pytest.mark.parametrize("tools, cause", [(["git"], "builds need bubblewrap: apt-get install bubblewrap"),
                                          (["bwrap"], "pipelines need git: apt-get install git")])
def test_a_missing_program_is_named_with_its_package(make_server, tools, cause):
    server = make_server()
    Repository(server, "car").push({"manifest.xml": manifest(), "main.c": C_MAIN})
    bin_folder = server.folder / "bin"
    bin_folder.mkdir()
    for tool in tools:
        (bin_folder / tool).symlink_to(shutil.which(tool))
    server.start(wrapper=["env", f"PATH={bin_folder}"])
    assert server.wait_failed(1) == cause


# ---- the sandbox -------------------------------------------------------------------------------------


def sandboxed(server, *commands, **kinds):
    """The outcome of a run whose build is these commands."""
    repository = Repository(server, f"p{len(server.runs())}")
    repository.push({"manifest.xml": manifest(), "main.c": C_MAIN, "buildspec.yml": buildspec(*commands)})
    number = server.runs()[0]["id"]
    return number, server.wait_failed(number, **kinds)


def test_a_build_has_no_network(server):
    number, cause = sandboxed(server, python_line(
        f"import socket\nsocket.create_connection((\"127.0.0.1\", {server.recorder.server.server_port}), 2)"))
    assert "exited with status 1" in cause and ("refused" in cause or "unreachable" in cause)
    number, cause = sandboxed(server, python_line("import os\nprint(sorted(os.listdir(\"/sys/class/net\")))"))
    assert "No such file" in cause
    assert server.log(number, "build")


def test_a_build_writes_only_its_own_folder(server, tmp_path):
    outside = tmp_path / "outside.txt"
    outside.write_text("mine")
    for path in ("/usr/x", "/etc/x", "/x", "/proc/sys/kernel/hostname", str(outside), str(server.data / "x"), "/dev/x"):
        _, cause = sandboxed(server, python_line(f"open(\"{path}\", \"w\")"))
        assert "Read-only" in cause or "No such file" in cause or "denied" in cause, (path, cause)
    assert outside.read_text() == "mine"


def test_a_build_sees_no_secrets_and_no_environment(server, monkeypatch):
    code = ("import os\nprint(sorted(os.environ))\nprint(os.path.exists(\"/root\"), os.path.exists(\"/home\"))\n"
            "print(os.listdir(\"/etc\"))\nprint([p for p in os.listdir(\"/proc\") if p.isdigit()].__len__() < 8)\nraise SystemExit(3)")
    number, cause = sandboxed(server, python_line(code))
    log = server.log(number, "build")
    assert "exited with status 3" in cause
    assert "False False" in log and "shadow" not in log and "passwd" not in log and "\nTrue\n" in log
    assert "DRIVELINE_DATA" not in log and "SOURCE_DATE_EPOCH" in log


def test_a_fork_bomb_is_stopped_and_hurts_nobody(make_server):
    server = make_server(build_processes=40).start()
    number, cause = sandboxed(server, python_line(
        "import os, signal\n[os.fork() or signal.pause() for i in range(60)]"))
    assert "Resource temporarily unavailable" in server.log(number, "build") and "exited with status 1" in cause


def test_memory_is_limited_for_one_process_and_for_all_together(make_server):
    server = make_server(build_memory="200M").start()
    _, cause = sandboxed(server, python_line("x = bytearray(400 << 20)"))
    assert "MemoryError" in cause
    hungry = "import os, signal\n[os.fork() for i in range(3)]\nx = bytearray(100 << 20)\nx[::4096] = bytes(len(x[::4096]))\nsignal.pause()"
    _, cause = sandboxed(server, python_line(hungry))
    assert "was stopped: it used more than 200 MiB of memory" in cause


def test_time_is_limited_and_nothing_is_left(make_server):
    server = make_server(build_timeout="1s").start()
    marker = f"pipeline-marker-{os.getpid()}"
    _, cause = sandboxed(server, f"python3 -c 'import os, signal; os.fork(); os.setsid; signal.pause()' {marker}")
    assert "was stopped: it took more than" in cause
    wait_until(lambda: not processes_with(marker), 5, "the end of the build's processes")


def test_output_without_end_is_cut(server):
    number, cause = sandboxed(server, python_line("[print(\"x\" * 1000) for i in range(9000)]\nprint(\"the end\")\nraise SystemExit(1)"))
    path = server.data / f"pipeline/runs/{number}/build.log"
    assert path.stat().st_size < (4 << 20) + 4096
    assert "bytes left out" in path.read_text() and "the end" in path.read_text() and "the end" in cause


def test_a_build_cannot_gain_rights(server):
    number, cause = sandboxed(server, python_line(
        "import os\nprint(open(\"/proc/self/status\").read())\nprint(\"uid\", os.getuid())\nos.setuid(0)"))
    log = server.log(number, "build")
    assert "CapEff:\t0000000000000000" in log and "CapBnd:\t0000000000000000" in log or os.getuid() != 0
    assert "NoNewPrivs:\t1" in log
    assert "Operation not permitted" in cause or "Invalid argument" in cause


@pytest.mark.skipif(os.getuid() != 0, reason="needs root to become somebody else")
def test_it_works_for_an_ordinary_user(tmp_path_factory, recorder):
    folder = pathlib.Path("/tmp") / f"driveline-user-{os.getpid()}"
    folder.mkdir(mode=0o755)
    try:
        server = Server(folder / "s", recorder)
        driveline = copy_for_everybody(DRIVELINE, folder)
        subprocess.run(["chown", "-R", "nobody:nogroup", folder], check=True)
        as_nobody = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "env", f"HOME={folder}"]

        def verb(*words):
            done = subprocess.run([*as_nobody, driveline, *map(str, words), "--data", server.data],
                                  capture_output=True, text=True, check=False, cwd="/")
            assert done.returncode == 0, done.stderr
            return done.stdout
        seed = folder / "seed"
        seed.mkdir()
        (seed / "manifest.xml").write_text(manifest())
        (seed / "main.c").write_text(C_MAIN)
        subprocess.run(["chown", "-R", "nobody:nogroup", folder], check=True)
        server.start(wrapper=as_nobody, driveline=driveline)
        verb("pipeline", "create", "car", "--language", "c", "--seed-from", seed)
        verb("pipeline", "run", "car")
        server.wait_succeeded(1)
        assert server.program.stop() == 0
    finally:
        if server.program and server.program.is_running():
            server.program.kill()
        shutil.rmtree(folder)


# ---- it survives -------------------------------------------------------------------------------------


def test_a_push_while_the_server_is_away_is_run_later(make_server):
    server = make_server()
    said = Repository(server, "car").push({"manifest.xml": manifest(), "main.c": C_MAIN})
    assert "run 1 waits for the cloud" in said
    assert "driveline up" in server.why(1)
    server.start()
    server.wait_succeeded(1)


def test_a_push_that_met_no_hook_is_found_at_the_next_start(make_server):
    server = make_server()
    repository = Repository(server, "car")
    (repository.bare / "hooks/post-receive").unlink()
    repository.push({"manifest.xml": manifest(), "main.c": C_MAIN})
    assert server.runs() == []
    server.start()
    server.wait_succeeded(1)
    assert (repository.bare / "hooks/post-receive").is_symlink()


def test_a_kill_in_the_middle_of_a_build_repeats_it(server, recorder):
    marker = f"pipeline-marker-{os.getpid()}"
    spec = buildspec(f"python3 -c 'import os, time; os.path.exists(\"half\") or open(\"half\", \"w\"); time.sleep(2)' {marker}",
                     "gcc -o car main.c")
    Repository(server, "car").push({"manifest.xml": manifest(), "main.c": C_MAIN, "buildspec.yml": spec})
    wait_until(lambda: processes_with(marker), 20, "the build")
    server.program.kill()
    wait_until(lambda: not processes_with(marker), 5, "the build to die with its server")
    assert server.run(1)["state"] == "running"
    server.start()
    server.wait_succeeded(1)
    assert len(recorder.modules) == 1


@pytest.mark.parametrize("where", ["softwaremodules$", "artifacts", "distributionsets$", "rollouts$", r"rollouts/1$"])
def test_a_kill_while_deploying_creates_nothing_twice(server, recorder, where):
    recorder.polls_until_ready = 10
    Repository(server, "car").push({"manifest.xml": manifest(), "main.c": C_MAIN})
    method = "GET" if where.endswith("1$") else "POST"
    wait_until(lambda: recorder.seen(method, where.replace("artifacts", r"artifacts\?")), 20, where, every=0.001)
    server.program.kill()
    server.start()
    server.wait_succeeded(1)
    assert len(recorder.modules) == len(recorder.sets) == len(recorder.rollouts) == 1
    assert recorder.started_while == ["ready"]
    assert len(recorder.artifacts[101]) == 1


def test_stopping_the_server_keeps_the_run(server):
    spec = buildspec(python_line("import time\ntime.sleep(1)"), "gcc -o car main.c")
    Repository(server, "car").push({"manifest.xml": manifest(), "main.c": C_MAIN, "buildspec.yml": spec})
    wait_until(lambda: server.runs()[0]["state"] == "running", 20, "the run")
    assert server.program.stop() == 0
    assert server.run(1)["state"] == "running"
    server.start()
    server.wait_succeeded(1)


def test_a_run_is_cancelled_and_deleted(server):
    marker = f"pipeline-marker-{os.getpid()}"
    repository = Repository(server, "car")
    repository.push({"manifest.xml": manifest(), "main.c": C_MAIN,
                     "buildspec.yml": buildspec(f"python3 -c 'import signal; signal.pause()' {marker}")})
    wait_until(lambda: processes_with(marker), 20, "the build")
    repository.push({"main.c": C_MAIN + "\n"})
    assert server.verb("pipeline", "delete", "--force", "car", check=False).returncode == 1
    server.verb("pipeline", "cancel", 2)
    server.verb("pipeline", "cancel", 1)
    assert server.wait_run(1)["state"] == server.wait_run(2)["state"] == "canceled"
    wait_until(lambda: not processes_with(marker), 5, "the end of the build")
    server.verb("pipeline", "delete", "--force", "car")
    assert not repository.bare.exists() and server.runs() == []


def test_two_servers_on_one_folder_are_refused(server):
    second = Program([DRIVELINE, "serve", "pipeline", "--data", server.data], server.folder / "second.log")
    assert second.wait() == 1
    assert "another pipeline server" in second.text()


def test_a_hook_leaves_nothing_in_the_inbox(server):
    Repository(server, "car").push({"manifest.xml": manifest(), "main.c": C_MAIN})
    server.wait_succeeded(1)
    wait_until(lambda: not list((server.data / "pipeline/inbox").iterdir()), 5, "an empty inbox")
    assert not (server.data / "pipeline/runs/1/source").exists()
    assert child_pids(server.program.pid) == []


# ---- with the update server itself -------------------------------------------------------------------


class Device:
    """What a car does, by hand: polls, downloads, reports."""

    def __init__(self, cloud, name):
        self.cloud, self.name = cloud, name
        status, answer = cloud.api("POST", "/rest/v1/targets", [{"controllerId": name, "name": name}])
        assert status == 201, answer
        status, answer = cloud.api("PUT", "/rest/v1/system/configs/authentication.targettoken.enabled", {"value": True})
        assert status in (200, 204), answer
        self.headers = {"Authorization": f"TargetToken {cloud.api('GET', f'/rest/v1/targets/{name}')[1]['securityToken']}"}

    def get(self, url):
        status, answer = http_json("GET", url, headers=self.headers)
        assert status == 200, (url, status, answer)
        return answer

    def poll(self):
        return self.get(f"http://127.0.0.1:{self.cloud.http_port}/DEFAULT/controller/v1/{self.name}")["_links"].get("deploymentBase")

    def update(self, result):
        """Takes the update that waits; its artifact's bytes."""
        link = wait_until(self.poll, 20, f"an update for {self.name}")["href"]
        base = self.get(link)
        artifact = base["deployment"]["chunks"][0]["artifacts"][0]
        links = artifact["_links"]
        data = self.get((links.get("download-http") or links["download"])["href"])
        status, answer = http_json("POST", f"{link.split('?')[0]}/feedback", {
            "id": base["id"], "status": {"execution": "closed", "result": {"finished": result}}}, self.headers)
        assert status in (200, 204), answer
        return base["deployment"]["chunks"][0], data


def test_the_update_server_itself_takes_the_updates(driveline):
    driveline.recorder = None
    car = Device(driveline, "car-1")
    repository = Repository(driveline, "demo", "c", "--target-filter", "controllerid==car*")
    show = lambda n: json.loads(driveline.verb("pipeline", "show", n, "--output", "json").stdout)

    def ended(number):
        wait_until(lambda: show(number)["state"] not in ("queued", "running"), 60, f"run {number}")
        return show(number)

    repository.push({"manifest.xml": manifest("1.0.0"), "main.c": C_MAIN})
    run = ended(1)
    assert run["state"] == "succeeded", run["cause"]
    chunk, data = car.update("success")
    assert (chunk["name"], chunk["version"]) == ("car", "1.0.0")
    assert hashlib.sha256(data).hexdigest() == run["artifacts"][0]["sha256"]
    wait_until(lambda: show(1)["deployment"]["state"] == "finished", 30, "the rollout's end")
    assert (show(1)["deployment"]["finished"], show(1)["deployment"]["failed"]) == (1, 0)

    repository.push({"main.c": C_MAIN + "\n\n"})
    assert "version 1.0.0 of 'car' exists already" in ended(2)["cause"]
    repository.push({"manifest.xml": manifest("1.1.0"), "main.c": C_MAIN.replace("hello", "bye")})
    assert ended(3)["state"] == "succeeded", ended(3)["cause"]
    car.update("failure")
    wait_until(lambda: show(3)["deployment"]["failed"] == 1, 30, "the failure in the deployment")

    driveline.verb("pipeline", "retry", 3)  # the same commit: same module, same set, another rollout
    assert ended(4)["state"] == "succeeded", ended(4)["cause"]
    assert ended(4)["deployment"]["set_id"] == ended(3)["deployment"]["set_id"]
    car.update("success")


def test_the_update_server_itself_takes_an_assignment(driveline):
    driveline.recorder = None
    car = Device(driveline, "car-7")
    repository = Repository(driveline, "py", "python", "--deploy", "assignment", "--target-filter", "controllerid==car-7")
    repository.push({"manifest.xml": manifest(language="python"), "main.py": "print(1)\n"})
    show = lambda: json.loads(driveline.verb("pipeline", "show", 1, "--output", "json").stdout)
    wait_until(lambda: show()["state"] not in ("queued", "running"), 60, "run 1")
    assert show()["state"] == "succeeded", show()["cause"]
    car.update("success")
    wait_until(lambda: show()["deployment"]["state"] == "finished", 30, "the assignment's end")


def test_any_route_of_the_local_update_server_is_a_command(driveline):
    """`driveline api` knows where the cloud is and the admin's password."""
    done = run_verb(driveline.data, "api", "userinfo", "--output", "json")
    assert json.loads(done.stdout)["username"] == "admin"
    assert "name" in run_verb(driveline.data, "api", "softwaremoduletypes", "list").stdout.splitlines()[0]
