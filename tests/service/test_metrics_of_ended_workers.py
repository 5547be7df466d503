"""A service that renews its workers again and again: its counts stay, its files do not."""

import subprocess
import sys
from pathlib import Path

from tests.support.process import CHECKOUT

WORKERS = 30
ANSWERS = 7

SERVICE = f"""
import os, sys
from pathlib import Path
from swagger_server.metrics import Metrics
from swagger_server.runtime import Folder

folder = Folder(Path(sys.argv[1]))

def serve():
    mine = Folder(folder.path)
    metrics = Metrics(mine, lambda: [])
    metrics.start(mine)
    (mine.path / f"pool-{{os.getpid()}}").touch()
    for _ in range({ANSWERS}):
        metrics.observe("read", "GET", 200, 0.003)
    page = metrics._render() if os.environ.get("LOOKS") else b""
    os._exit(0 if page is not None else 1)

for number in range({WORKERS}):
    if number % 4 == 3:
        os.environ["LOOKS"] = "yes"
    worker = os.fork()
    if not worker:
        serve()
    assert os.waitpid(worker, 0)[1] == 0
    os.environ.pop("LOOKS", None)

metrics = Metrics(folder, lambda: [])
metrics.start(folder)
print(metrics._render().decode())
"""


def test_counts_of_ended_workers_are_kept_in_few_files(tmp_path: Path):
    folder = tmp_path / "shared"
    told = subprocess.run(
        [sys.executable, "-c", SERVICE, str(folder)], capture_output=True, text=True, cwd=CHECKOUT, check=True
    ).stdout
    labels = '{method="GET",operation="read",status="200"}'
    assert f"swagger_server_request_duration_seconds_count{labels} {WORKERS * ANSWERS:.1f}" in told
    bucket = labels.replace("{", '{le="0.005",')
    assert f"swagger_server_request_duration_seconds_bucket{bucket} {WORKERS * ANSWERS:.1f}" in told
    assert 'swagger_server_workers{version="' in told
    assert sum(1 for line in told.splitlines() if line.startswith("swagger_server_workers{")) == 1
    assert len(list(folder.glob("histogram_*.db"))) <= 10
    assert len(list(folder.glob("gauge_livesum_*.db"))) == 1
    # Of what else they had nothing is left.
    [mine] = folder.glob("process-*")
    assert not list(folder.glob("pool-*"))
    assert (folder / f"gauge_livesum_{mine.name.removeprefix('process-')}.db").exists()


def test_a_process_that_died_while_it_gathered_them_changes_no_count(tmp_path: Path):
    """The sum is in its place, and what it is of is still there, too."""
    from prometheus_client.mmap_dict import MmapedDict, mmap_key

    from swagger_server.metrics.ended import merge_ended

    def write(name: str, value: float) -> None:
        store = MmapedDict(str(tmp_path / name))
        store.write_value(mmap_key("orders", "orders_total", [], [], "Orders"), value, 0.0)
        store.close()

    write("counter_1.db", 3)
    write("counter_2.db", 4)
    write("counter_ended-1.db", 7)
    (tmp_path / "counter-1.parts").write_text('["counter_1.db", "counter_2.db"]')
    write("counter_3.db", 5)
    merge_ended(tmp_path, living=())
    assert sorted(file.name for file in tmp_path.iterdir()) == ["counter_3.db", "counter_ended-1.db"]
