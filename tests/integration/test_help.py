# SPDX-License-Identifier: Apache-2.0
# Copyright The Driveline authors
"""The programs explain themselves, the manual pages know every command and option, and what the README says to
type works as it stands."""
import functools
import os
import re
import shlex
import shutil
import socket
import subprocess

import pytest

from conftest import BUILD, DRIVELINE, ROOT, SLOW, TCU, Cloud, Program, free_ports, http_json, wait_until

MAN = ROOT / "man/driveline.1"


@functools.lru_cache(None)
def run(*words):
    return subprocess.run([str(DRIVELINE), "--data", "/nonexistent", *words], capture_output=True, text=True,
                          timeout=30 * SLOW, check=False, stdin=subprocess.DEVNULL)


def listed(text):
    """The commands of a list of commands: {name: summary}."""
    return dict(re.findall(r"^  ([a-z]+) +(\S.*)$", text.partition("Commands:\n")[2].partition("\n\n")[0], re.M))


@functools.lru_cache(None)
def commands():
    """Every command with its subcommands: ("thing", "create"), ("up",)…"""
    found = []
    for verb in listed(run("--help").stdout):
        parts = listed(run(verb, "--help").stdout)
        found += [(verb, part) for part in parts] or [(verb,)]
    return found


@functools.lru_cache(None)
def options(command):
    """The options that a command's help lists: [(letter or "", name, argument or "")]."""
    text = run(*command, "--help").stdout.partition("Options:\n")[2]
    return re.findall(r"^  (?:-(\w), |    )--([a-z-]+)(?: (\S+))?", text, re.M)


# The commands are read from the program when tests are collected; without a program there are none.
COMMANDS = commands() if DRIVELINE.exists() else []
each_command = pytest.mark.parametrize("command", COMMANDS, ids=[" ".join(c) for c in COMMANDS])


# ---- --help ------------------------------------------------------------------------------------------


def test_help_lists_the_commands():
    for words in (["--help"], ["-h"], ["help"]):
        done = run(*words)
        assert done.returncode == 0 and not done.stderr
        assert {"up", "serve", "demo", "thing", "policy", "rule", "stream", "query", "pipeline", "rollout", "target",
                "action", "logs", "why", "config", "version"} <= set(listed(done.stdout))
    assert len(COMMANDS) > 30


def test_no_command_at_all_is_misuse():
    done = run()
    assert done.returncode == 2 and "Commands:" in done.stderr and not done.stdout


@each_command
def test_each_command_has_help(command):
    for flag in ("--help", "-h"):
        done = run(*command, flag)
        assert done.returncode == 0 and not done.stderr, done
        usage, _, rest = done.stdout.partition("\n")
        # Commands that take the same may share their help: "driveline rollout start|pause|…".
        assert usage.startswith("Usage: driveline " + command[0]), usage
        assert set(command) <= set(re.split(r"[ |]", usage)), usage
        assert "Options:" in rest and len(rest.partition("Options:")[0].strip()) > 20, "it should say what it does"
        assert max(map(len, done.stdout.splitlines())) <= 110


@each_command
def test_each_option_of_the_help_is_known(command):
    for letter, name, argument in options(command):
        if name == "help":
            continue
        value = ["1"] if argument else []
        done = run(*command, f"--{name}", *value, "--help")
        assert done.returncode == 0, f"--{name}: {done.stderr}"
        if letter:
            assert run(*command, f"-{letter}", *value, "--help").returncode == 0, letter
        if argument:
            assert run(*command, f"--{name}=1", "--help").returncode == 0, name
            assert run(*command, f"--{name}").returncode == 2, name
    assert run(*command, "--no-such-option").returncode == 2


@each_command
def test_the_data_folder_may_be_named_before_and_after_the_command(command):
    if "data" in [name for _, name, _ in options(command)]:
        assert run(*command, "--data", "/nonexistent", "--help").returncode == 0


def test_the_version_is_told():
    assert re.fullmatch(r"driveline \d+\.\d+\.\d+.*\n(.*\n)*", run("version").stdout)
    assert run("--version").stdout == run("version").stdout
    done = subprocess.run([TCU, "--version"], capture_output=True, text=True, check=True, timeout=20)
    assert re.fullmatch(r"driveline-tcu \d+\.\d+\.\d+\n", done.stdout)


@pytest.mark.parametrize("program", ["driveline-tcu", "driveline-unpack"])
def test_the_other_programs_have_help(program):
    done = subprocess.run([BUILD / "src/tool" / program, "--help"], capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 0 and done.stdout.startswith(f"Usage: {program}") and not done.stderr


# ---- manual pages ------------------------------------------------------------------------------------


def plain(page):
    """A manual page's source without its escapes."""
    return re.sub(r"\\f[BIRP]", "", page.read_text().replace("\\-", "-").replace("\\&", ""))


def section(text, command):
    """What the page says under a command's own heading."""
    parts = re.split(r"^\.SS ", text, flags=re.M)
    heading = "driveline " + " ".join(command)
    found = [p for p in parts if re.match(re.escape(heading) + r"(?=[\s\"]|$)", p.strip().strip('"'))]
    assert found, f"{MAN.name} has no heading '.SS {heading}'"
    return "".join(found)


@each_command
def test_each_command_and_option_is_in_the_manual_page(command):
    text = section(plain(MAN), command)
    for letter, name, argument in options(command):
        if name in ("help", "data"):
            continue  # said once for all
        assert re.search(rf"--{name}(?![a-z-])", text), f"--{name} is not under 'driveline {' '.join(command)}'"
        assert not argument or argument in text, f"--{name} takes {argument}"
        assert not letter or f"-{letter}," in text, f"-{letter}"


def test_the_manual_page_invents_nothing():
    """Whatever looks like an option there is one of some command."""
    known = {name for command in [*COMMANDS, ("serve", "ota")] for _, name, _ in options(command)} | {"data", "help", "version"}
    text = plain(MAN).partition(".SH EXAMPLES")[0]
    assert set(re.findall(r"(?<![\w-])--([a-z][a-z-]+)", text)) <= known
    headings = re.findall(r'^\.SS "?driveline ([a-z ]+?)(?= [A-Z\[-]|"|$)', text, re.M)
    assert {tuple(h.split()) for h in headings} == set(COMMANDS)


@pytest.mark.parametrize("page", ["driveline.1", "driveline-tcu.1"])
def test_manual_pages_are_well_formed(page):
    text = (ROOT / "man" / page).read_text()
    assert re.search(r'^\.TH "?DRIVELINE', text, re.M)
    for heading in ("NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS"):
        assert re.search(rf"^\.SH {heading}", text, re.M), heading
    if groff := shutil.which("groff"):
        done = subprocess.run([groff, "-man", "-Tutf8", "-ww", ROOT / "man" / page], capture_output=True, text=True,
                              timeout=60, check=False)
        assert done.returncode == 0 and not done.stderr, done.stderr


def test_each_key_of_the_configuration_is_in_the_manual_page():
    text = plain(MAN)
    keys = re.findall(r"^#(\w+) = (\S+)", run("config").stdout, re.M)
    assert len(keys) > 10
    for key, default in keys:
        assert key in text and default in text, key


# ---- README ------------------------------------------------------------------------------------------


def readme_commands():
    """Every line of README.md's code blocks, one after the other."""
    blocks = re.findall(r"^```\w*\n(.*?)^```", (ROOT / "README.md").read_text(), re.M | re.S)
    return [line for block in blocks for line in block.splitlines() if line.strip() and not line.startswith("#")]


class Reader:
    """Somebody who types what the README says, in one folder, one line after the other."""

    def __init__(self, folder):
        self.folder = folder
        # Its ports and its configuration; the README starts it, where it would be without a word about it.
        self.cloud = Cloud(folder)
        default = folder / ".local/state/driveline"
        default.parent.mkdir(parents=True)
        self.cloud.data.rename(default)
        self.cloud.data = default
        self.programs = []
        (folder / "apps").symlink_to(ROOT / "apps")
        self.env = {**os.environ, "PATH": f"{BUILD}/src/tool:/usr/bin:/bin:/usr/sbin:/sbin", "HOME": str(folder),
                    "GIT_CONFIG_GLOBAL": "/dev/null",
                    **{f"GIT_{who}_{what}": value for who in ("AUTHOR", "COMMITTER")
                       for what, value in (("NAME", "Ada"), ("EMAIL", "ada@example.org"))}}
        for name in ("DRIVELINE_DATA", "XDG_STATE_HOME"):
            self.env.pop(name, None)

    def words(self, line):
        ports = {"8883": self.cloud.mqtt_port, "8443": self.cloud.https_port, "8080": self.cloud.http_port,
                 "8088": self.cloud.viewer_port}
        line = re.sub(r"127\.0\.0\.1:(\d+)", lambda m: f"127.0.0.1:{ports[m[1]]}", line)
        return [word.replace("~/", f"{self.env['HOME']}/") for word in shlex.split(line)]

    def type(self, line):
        words = self.words(line)
        print("$", shlex.join(words))
        # These two go on until Ctrl-C, so each has a terminal of its own.
        if words[:2] == ["driveline", "up"]:
            self.start(words)
            self.cloud.program = self.programs[-1]
            self.cloud.wait_ready()
        elif words[0] == "driveline-tcu":
            self.start(words)
            wait_until(lambda: len(self.cloud.rows("Battery")) >= 3, 30, "telemetry", every=0.1)
        else:
            done = subprocess.run(words, cwd=self.folder, env=self.env, capture_output=True, text=True,
                                  timeout=120 * SLOW, check=False, stdin=subprocess.DEVNULL)
            print(done.stdout + done.stderr)
            assert done.returncode == 0, f"{line}: {done.returncode}\n{done.stdout}{done.stderr}"

    def start(self, words):
        program = shutil.which(words[0], path=self.env["PATH"])
        self.programs.append(Program([program, *words[1:]], self.folder / f"{words[0]}.log", env=self.env, cwd=self.folder))

    def stop(self):
        for program in reversed(self.programs):
            assert program.stop() == 0, program.text()[-2000:]


def test_what_the_readme_says_to_type_works(tmp_path):
    """All of it in order but the demo (below), by somebody at home; only the ports are others."""
    lines = [line for line in readme_commands() if not line.startswith("./demo")]
    assert any(line.startswith("driveline up") for line in lines) and len(lines) >= 8
    reader = Reader(tmp_path)
    try:
        for line in lines:
            reader.type(line)
        page = f"http://127.0.0.1:{reader.cloud.viewer_port}"
        assert http_json("GET", f"{page}/api/fleet")[1]["rows"][0]["device"] == "VIN1"
        wait_until(lambda: reader.cloud.rows("Battery", "SoftwareVersion = '1.1.0'"), 60, "the update", every=0.2)
        reader.stop()
    finally:
        for program in reader.programs:
            if program.is_running():
                program.kill()
            print(f"---- {program.argv[0]}\n{program.text()[-3000:]}")


def test_the_readmes_demo_verifies_every_step(tmp_path):
    """What `./demo --once` hands over to after it has installed and built; the cars drive faster here."""
    assert "./demo --once" in readme_commands()
    last = free_ports(1)[0]
    first = next(p for p in range(last - 4, 20000, -4) if all(map(is_free, range(p, p + 4))))
    done = subprocess.run([DRIVELINE, "demo", "--once", "--ports", str(first), "--time-scale", "39", "--apps",
                           ROOT / "apps"], capture_output=True, text=True,
                          timeout=200 * SLOW, check=False, stdin=subprocess.DEVNULL,
                          env={**os.environ, "TMPDIR": str(tmp_path)})
    print(done.stdout)
    assert done.returncode == 0, done.stderr
    assert done.stdout.rstrip().endswith("every step was verified")
    assert not list(tmp_path.iterdir()), "it leaves nothing behind"


def is_free(port):
    with socket.socket() as s:
        try:
            s.bind(("127.0.0.1", port))
            return True
        except OSError:
            return False


def test_every_file_that_the_documents_name_is_there():
    missing = []
    for page in [ROOT / "README.md", ROOT / "ARCHITECTURE.md", *(ROOT / "docs").rglob("*.md")]:
        for link in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text()):
            if "://" not in link and not (page.parent / link).exists():
                missing.append(f"{page.relative_to(ROOT)}: {link}")
    assert not missing
