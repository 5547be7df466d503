"""`compare` behind PgBouncer, whose sessions stay when their clients go."""

from pathlib import Path

from tests.cli.support import settings_for
from tests.support.pgbouncer import PgBouncer
from tests.support.process import run_cli


def test_a_pooler_is_named_and_its_sessions_are_not_waited_for(bouncer: PgBouncer, tmp_path: Path) -> None:
    (tmp_path / "empty.ini").touch()
    env = {**settings_for(bouncer.database()), "SWAGGER_SERVER_CONFIG": str(tmp_path / "empty.ini")}
    quick = ("--rounds", "2", "--seconds", "0.1", "--clients", "4")
    done = run_cli("compare", "--yes", *quick, env=env)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[0].endswith("; a pooler is in front: its own limits hold")
    assert "users at once before the first failure" in done.stdout
    assert "requests/s, 4 clients" in done.stdout
