#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# Copyright The Driveline authors
"""Runs each libFuzzer target of a build for a given time, from its corpus; ends with 1 on a finding.

New inputs go to BUILD/found/NAME, never into the tree: a finding becomes a test by copying its file to
tests/fuzz/corpus/NAME under a name that says what it is.
"""
import argparse
import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent


def fuzz(binary, seconds, build):
    name = binary.name.removeprefix("fuzz_")
    found = build / "found" / name
    found.mkdir(parents=True, exist_ok=True)
    corpus = HERE / "corpus" / name
    argv = [str(binary), f"-max_total_time={seconds}", "-timeout=10", "-rss_limit_mb=1024", "-print_final_stats=1",
            "-verbosity=1", f"-artifact_prefix={found}/crash-", str(found), str(corpus)]
    result = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    runs = next((line.split()[-1] for line in result.stderr.splitlines()
                 if line.startswith("stat::number_of_executed_units")), "?")
    print(f"{name:20} {runs:>10} runs  {'ok' if result.returncode == 0 else 'FOUND SOMETHING'}", flush=True)
    if result.returncode != 0:
        print("\n".join(result.stderr.splitlines()[-40:]))
    return result.returncode == 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=pathlib.Path, required=True)
    parser.add_argument("--seconds", type=int, default=60, help="for each target")
    parser.add_argument("name", nargs="*", help="only these targets")
    arguments = parser.parse_args()
    build = arguments.build.resolve()
    binaries = sorted(p for p in (build / "tests" / "fuzz").glob("fuzz_*") if p.is_file() and p.suffix == "")
    if arguments.name:
        binaries = [b for b in binaries if b.name.removeprefix("fuzz_") in arguments.name]
    if not binaries:
        print("no fuzz targets; `make fuzz` builds them", file=sys.stderr)
        return 2
    return 0 if all([fuzz(b, arguments.seconds, build) for b in binaries]) else 1


if __name__ == "__main__":
    sys.exit(main())
