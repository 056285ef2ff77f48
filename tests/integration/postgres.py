# SPDX-License-Identifier: Apache-2.0
# Copyright The Driveline authors
"""Debian's PostgreSQL for the tests: a cluster of its own in a temporary folder, on a loopback port, for one user who
needs no password and one who needs it. It refuses root, so root starts it as somebody else."""
import os
import pathlib
import pwd
import shutil
import signal
import subprocess
import tempfile

from conftest import accepts, free_port, wait_until

BIN = next(iter(sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin"))), None)
OWNER = next((name for name in ("postgres", "nobody") if name in {u.pw_name for u in pwd.getpwall()}), None)


class Postgres:
    def __init__(self):
        self.user = OWNER if os.geteuid() == 0 else None
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="driveline-pg-"))
        self.data = self.folder / "data"
        self.port = free_port()
        self.process = None
        if self.user:
            shutil.chown(self.folder, self.user)
        self.run("initdb", "-D", str(self.data), "-U", "driveline", "--auth=trust", "--encoding=UTF8", "--no-sync",
                 "--locale=C.UTF-8")
        hba = "host all locked 127.0.0.1/32 scram-sha-256\nhost all all 127.0.0.1/32 trust\n"
        (self.data / "pg_hba.conf").write_text(hba, encoding="utf-8")
        self.log = open(self.folder / "log", "wb")  # noqa: SIM115

    def run(self, program, *words, check=True):
        done = subprocess.run([str(BIN / program), *words], cwd=self.folder, user=self.user, capture_output=True, text=True,
                              timeout=120, check=False, env={**os.environ, "HOME": str(self.folder)})
        assert not check or done.returncode == 0, (program, words, done.stdout, done.stderr)
        return done

    def start(self):
        # fsync off: these data end with the test
        self.process = subprocess.Popen(
            [str(BIN / "postgres"), "-D", str(self.data), "-p", str(self.port), "-h", "127.0.0.1", "-k", "", "-F"],
            cwd=self.folder, user=self.user, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        wait_until(lambda: accepts(self.port) and self.run("pg_isready", "-h", "127.0.0.1", "-p", str(self.port),
                                                           check=False).returncode == 0, 60, "PostgreSQL")
        return self

    def stop(self, how=signal.SIGINT):
        """SIGINT: breaks connections off and ends in order; SIGQUIT: at once, to be recovered at the next start."""
        if self.process:
            self.process.send_signal(how)
            self.process.wait(timeout=60)
        self.process = None

    def close(self):
        self.stop()
        self.log.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def url(self, name, user="driveline", more=""):
        return f"postgresql://{user}@127.0.0.1:{self.port}/{name}{more}"

    def create(self, name, owner="driveline"):
        self.sql("postgres", f'CREATE DATABASE "{name}" OWNER {owner}')
        return self.url(name)

    def sql(self, database, text):
        """What a SELECT answers, a list of lists of texts."""
        done = self.run("psql", "-XAtq", "-F", "\t", "-v", "ON_ERROR_STOP=1", "-d", self.url(database), "-c", text)
        return [line.split("\t") for line in done.stdout.splitlines()]
