# SPDX-License-Identifier: Apache-2.0
# Copyright The Driveline authors
"""Our update server against recorded answers of hawkBit 1.0.4, where the recordings are at hand."""
import sys

import pytest

from conftest import BUILD, ROOT

sys.path.insert(0, str(ROOT / "tests"))
import oracle  # noqa: E402


@pytest.fixture(scope="module")
def results():
    if not oracle.is_there():
        pytest.skip(f"no recordings of hawkBit in {oracle.FOLDER}; set DRIVELINE_SHARED")
    return oracle.replay_all(BUILD, list(oracle.LEAST))


@pytest.mark.parametrize("name", oracle.LEAST)
def test_answers_agree_with_hawkbit(results, name):
    agreed, steps, text = results[name]
    print(text)
    assert agreed >= oracle.LEAST[name] * steps, f"{name}: {agreed} of {steps} steps agree"
