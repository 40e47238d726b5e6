"""The Job of `docs/moving.md` on a real API server: in a restricted namespace, with its Secret and its mapping."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
from estimatesync_cluster.cluster import Cluster

MANIFEST = Path(__file__).parents[3] / "deploy" / "moving" / "import-job.yaml"


def test_the_import_runs_as_a_job_from_proposal_to_rows(
    cluster: Cluster,
    restricted_namespace: str,
    database_url: str,
    apply: Callable[[dict[str, Any]], None],
) -> None:
    at = f"--namespace={restricted_namespace}"
    secret = {"kind": "Secret", "metadata": {"name": "estimatesync-credentials"}}
    apply({"apiVersion": "v1", **secret, "stringData": {"DATABASE_URL": database_url}})
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("CREATE TABLE estimates (id int PRIMARY KEY, attic_tech_id int, name text)")
        connection.execute("INSERT INTO estimates SELECT n, n + 100, 'Estimate ' || n FROM generate_series(1, 7) AS n")

    def write_mapping(text: str) -> None:
        data = {"mapping.toml": text}
        apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "estimatesync-import"}, "data": data})

    def run(arguments: str) -> str:
        manifest = re.sub(r"args: .*", f"args: {arguments}", MANIFEST.read_text())
        created = cluster.kubectl("create", at, "--filename=-", "--output=json", stdin=manifest).stdout
        name = json.loads(created)["metadata"]["name"]
        cluster.kubectl("wait", f"job/{name}", at, "--for=condition=Complete", "--timeout=90s")
        return cluster.kubectl("logs", f"job/{name}", at).stdout

    # The test kubelet does not know that the volume is optional.
    write_mapping("")
    mapping = run("[inspect]")
    write_mapping(mapping)
    plan = run("[plan, --mapping, $(MAPPING)]")
    imported = run("[run, --mapping, $(MAPPING), --keep-ids]")
    compared = run("[compare, --mapping, $(MAPPING), --ids-only]")

    assert 'attic_tech_estimate_id = { column = "attic_tech_id" }' in mapping
    assert plan.splitlines()[-1] == "A plan: nothing was imported."
    assert imported.splitlines()[-1] == "Imported. Each has the id of its old row."
    assert compared.startswith("public.estimates and ours: 7 equal, 0 different")
    with psycopg.connect(database_url) as connection:
        stored = connection.execute(
            "SELECT id, attic_tech_estimate_id FROM estimatesync.estimate ORDER BY 1"
        ).fetchall()
    assert stored == [(number, number + 100) for number in range(1, 8)]
