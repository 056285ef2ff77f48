# SPDX-License-Identifier: Apache-2.0
# Copyright The Driveline authors
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "integration"))
# One file of helpers and fixtures for all suites; loaded by path because both files are called conftest.
import importlib.util  # noqa: E402

spec = importlib.util.spec_from_file_location(
    "driveline_fixtures", pathlib.Path(__file__).resolve().parents[1] / "integration/conftest.py")
fixtures = importlib.util.module_from_spec(spec)
sys.modules["driveline_fixtures"] = fixtures
spec.loader.exec_module(fixtures)
driveline, make_cloud, pytest_runtest_makereport = (
    fixtures.driveline, fixtures.make_cloud, fixtures.pytest_runtest_makereport)
