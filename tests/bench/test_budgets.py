"""What tf.data takes for its own, and what it would take: our figures beside what TensorFlow itself logs."""

# mypy: disable-error-code="operator"

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from harness.bench.loaders.budgets import compute_budgets

PROBE = """
import sys
import tensorflow as tf
from harness.bench.loaders.budgets import compute_budgets
for mode in ("container", "default"):
    print("mode", mode, file=sys.stderr, flush=True)
    budgets = compute_budgets(mode, limit_bytes=10**9, anon_bytes=2 * 10**8, cache_bytes=0)
    options = tf.data.Options()
    if budgets.ram_budget_bytes is not None:
        options.autotune.ram_budget = budgets.ram_budget_bytes
    data = tf.data.Dataset.range(50).map(lambda x: x + 1, num_parallel_calls=tf.data.AUTOTUNE)
    print("ours", budgets.as_fields()["took_ram_bytes"], file=sys.stderr, flush=True)
    for _ in data.prefetch(tf.data.AUTOTUNE).with_options(options):
        pass
"""


def test_what_was_set_is_what_is_taken_and_else_what_is_assumed() -> None:
    told = compute_budgets("container", limit_bytes=10**9, anon_bytes=2 * 10**8, cache_bytes=0).as_fields()
    left = compute_budgets("default", limit_bytes=10**9, anon_bytes=2 * 10**8, cache_bytes=0).as_fields()
    assert told["took_ram_bytes"] == told["ram_budget_bytes"] == 4 * 10**8
    assert left["ram_budget_bytes"] is None
    assert left["took_ram_bytes"] == left["assumed_ram_bytes"] > 0
    cpus = len(os.sched_getaffinity(0))
    for fields in (told, left):
        assert [fields[f"took_{name}"] for name in ("cpus", "threads")] == [cpus, cpus]


@pytest.mark.tensorflow
def test_tensorflow_logs_the_budget_that_we_record() -> None:
    variables = {**os.environ, "TF_CPP_VMODULE": "model=2", "TF_CPP_MIN_LOG_LEVEL": "0", "CUDA_VISIBLE_DEVICES": "-1"}
    done = subprocess.run([sys.executable, "-c", PROBE], env=variables, capture_output=True, text=True, check=True)
    _, container, default = re.split("^mode ", done.stderr, flags=re.M)
    for mode, text in (("container", container), ("default", default)):
        ours = int(re.findall(r"^ours (\d+)", text, re.M)[0])
        logged = [int(number) for number in re.findall(r"ram budget to (\d+)", text)]
        if not logged:
            pytest.skip("this TensorFlow does not log its budget")
        if mode == "container":
            assert set(logged) == {ours}
        else:
            assert logged[-1] == pytest.approx(ours, rel=0.25)  # others take and give memory meanwhile
