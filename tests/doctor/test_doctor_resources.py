"""Findings on cores and memory, on machines that are not there."""

from sftframe.doctor.hardware import Cores, Memory, check_cores, check_memory, container_memory, look_at_memory

GIB = 2**30


def cores(**facts):
    return list(check_cores(Cores(**{"logical": 16, "allowed": 8, "quota": None, "threads": 8, **facts})))


def test_free_cores_are_in_order():
    [finding] = cores(foreign=0.0)
    assert (finding.status, finding.found) == ("ok", "8 threads on 8 physical cores (16 logical)")


def test_a_containers_quota_is_told_and_noted_where_it_is_less_than_a_core():
    [told] = cores(quota=2.0, threads=2)
    assert (told.status, told.found[-42:]) == ("ok", "logical); a container's quota allows 2 cores"[-42:])
    [noted] = cores(quota=0.5, threads=1)
    assert noted.status == "note"
    assert "--cpus" in noted.advice


def test_others_who_hold_the_cores_are_noted():
    [_, note] = cores(foreign=5.0)
    assert note.found == "other processes use about 5.0 of 8 cores: training will be slower"


def test_enough_memory_is_in_order_and_says_for_how_large_a_model():
    [finding] = check_memory(Memory(total=32 * GIB, available=16 * GIB))
    # 16 bytes a parameter: 2**30 of them
    assert finding.status == "ok"
    assert finding.found == "16.0 GiB of 32.0 GiB free: room to train 1,074M parameters on the CPU, without activations"


def test_too_little_memory_is_a_problem():
    [finding] = check_memory(Memory(total=8 * GIB, available=GIB // 2))
    assert (finding.status, finding.found) == ("problem", "0.5 GiB of 8.0 GiB free")


def test_a_containers_limit_counts_where_it_is_nearer():
    [finding] = check_memory(Memory(total=64 * GIB, available=60 * GIB, limit=2 * GIB, limit_left=GIB // 2))
    assert (finding.status, finding.found) == ("problem", "0.5 GiB of a container's 2.0 GiB free")


def test_a_limit_is_read_from_both_versions_of_control_groups(tmp_path):
    for version, (folder, limit, used) in enumerate(
        [
            ("sys/fs/cgroup", "memory.max", "memory.current"),
            ("sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes"),
        ]
    ):
        root = tmp_path / str(version)
        (root / folder).mkdir(parents=True)
        (root / folder / limit).write_text("4000\n")
        (root / folder / used).write_text("3000\n")
        (root / folder / "memory.stat").write_text("anon 7\ninactive_file 500\n")
        assert container_memory(root) == (4000, 2500)


def test_no_limit_is_no_limit(tmp_path):
    folder = tmp_path / "sys/fs/cgroup"
    folder.mkdir(parents=True)
    (folder / "memory.max").write_text("max\n")
    (folder / "memory.current").write_text("3000\n")
    assert container_memory(tmp_path) == (None, 0)


def test_this_machine_has_memory():
    assert look_at_memory().total > GIB
