"""What a sign-in costs the store, as `benchmarks.request` counts it. Its times are the benchmark's to judge."""

from __future__ import annotations

from benchmarks.request import work_of_sign_ins


def test_a_sign_in_is_ten_statements_and_waits_for_the_disk_once_with_a_code_too(tmp_path):
    work = work_of_sign_ins(tmp_path)
    assert list(work) == ["sign-in", "sign-in with a code"]
    for name, most in {"sign-in": (10, 2, 1), "sign-in with a code": (19, 4, 1)}.items():
        assert all(count <= limit for count, limit in zip(work[name], most, strict=True)), (name, work[name])
