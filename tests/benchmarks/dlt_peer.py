"""The peer: dlt, set up as fast as its documentation and our trials allow, for the same records and columns.

What was tried, and kept where it was faster: pages fetched in parallel by a transformer (its declarative REST source
reads one after the other); Arrow tables instead of dicts, which skips the row-by-row normalizer; CSV through COPY
instead of INSERT or Parquet; `delete-insert` instead of `upsert`; no compression of its files; no telemetry. It runs in
a virtual environment of its own (`requirements/bench.txt`).
Run: `python dlt_peer.py`, with the sync program's own environment and a working directory of its own.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

os.environ |= {
    "RUNTIME__DLTHUB_TELEMETRY": "false",
    "RUNTIME__LOG_LEVEL": "CRITICAL",
    "DATA_WRITER__DISABLE_COMPRESSION": "true",
    "NORMALIZE__DATA_WRITER__DISABLE_COMPRESSION": "true",
    "EXTRACT__MAX_PARALLEL_ITEMS": "32",
    "LOAD__DELETE_COMPLETED_JOBS": "true",
}

import dlt
import orjson
import pyarrow as pa
import requests

_SOURCE: Final = os.environ["ATTIC_TECH_URL"]
_MONEY: Final = pa.decimal128(12, 2)
_INSTANT: Final = pa.timestamp("us", tz="UTC")
_COLUMNS: Final[Mapping[str, tuple[Any, Callable[[dict[str, Any]], Any]]]] = {
    "attic_tech_estimate_id": (pa.int64(), lambda record: record["id"]),
    "name": (pa.string(), lambda record: record["name"]),
    "customer_name": (pa.string(), lambda record: record["client"].get("fullName")),
    "customer_email": (pa.string(), lambda record: record["client"].get("email")),
    "customer_phone": (pa.string(), lambda record: record["client"].get("phone")),
    "customer_address": (pa.string(), lambda record: record["property"].get("address")),
    "price": (_MONEY, lambda record: Decimal(str(record["true_cost"]))),
    "retail_cost": (_MONEY, lambda record: Decimal(str(record["retail_cost"]))),
    "final_price": (_MONEY, lambda record: Decimal(str(record["final_price"]))),
    "sub_service_retail_cost": (_MONEY, lambda record: Decimal(str(record["sub_services_retail_cost"]))),
    "discount": (_MONEY, lambda record: Decimal(str(record["discount_provided"]))),
    "final_price_after_taxes": (
        _MONEY,
        lambda record: Decimal(str(record["tax_details"]["final_price_after_taxes"])),
    ),
    "attic_tech_hours": (_MONEY, lambda record: Decimal(str(record["labor_hours"]))),
    "crew_notes": (pa.string(), lambda record: record["crew_notes"]),
    "payment_method": (pa.string(), lambda record: record["payment_method"]),
    "at_created_date": (_INSTANT, lambda record: datetime.fromisoformat(record["createdAt"])),
    "at_updated_date": (_INSTANT, lambda record: datetime.fromisoformat(record["updatedAt"])),
    "branch_name": (pa.string(), lambda record: record["branch"]["name"]),
    "sales_person_name": (pa.string(), lambda record: record["user"]["name"]),
    "status_name": (pa.string(), lambda record: record["status"]),
}


def create_session() -> requests.Session:
    """Log in; the session keeps a connection for every worker."""
    session = requests.Session()
    session.mount("https://", requests.adapters.HTTPAdapter(pool_connections=1, pool_maxsize=32))
    credentials = {"email": os.environ["ATTIC_TECH_EMAIL"], "password": os.environ["ATTIC_TECH_PASSWORD"]}
    token = session.post(f"{_SOURCE}/api/users/login", json=credentials, timeout=60).json()["token"]
    session.headers["Authorization"] = f"Bearer {token}"
    return session


def fetch_page(session: requests.Session, page: int) -> Any:
    """Fetch one page."""
    query: dict[str, str | int] = {
        "limit": os.environ["SYNC_PAGE_SIZE"],
        "page": page,
        "depth": 2,
        "sort": "createdAt,id",
        "where[updatedAt][greater_than_equal]": f"{os.environ['SYNC_START_DATE']}T00:00:00.000Z",
        "where[updatedAt][less_than_equal]": f"{os.environ['SYNC_END_DATE']}T23:59:59.999Z",
    }
    return orjson.loads(session.get(f"{_SOURCE}/api/job-estimates", params=query, timeout=60).content)


def build_arrow_table(answer: Any) -> Any:
    """Pick the columns of a page."""
    return pa.table(
        {
            name: pa.array([pick(record) for record in answer["docs"]], type=kind)
            for name, (kind, pick) in _COLUMNS.items()
        }
    )


def run() -> None:
    """Extract, normalize, load."""
    session = create_session()

    @dlt.resource(name="pages", selected=False)  # type: ignore[untyped-decorator] # not installed where types are checked
    def pages() -> Iterator[tuple[int, Any]]:
        first = fetch_page(session, 1)
        yield 1, first
        yield from ((page, None) for page in range(2, first["totalPages"] + 1))

    @dlt.transformer(  # type: ignore[untyped-decorator] # the same
        data_from=pages,
        name="estimate",
        primary_key="attic_tech_estimate_id",
        write_disposition={"disposition": "merge", "strategy": "delete-insert"},
        parallelized=True,
    )
    def estimates(item: tuple[int, Any]) -> Any:
        page, answer = item
        return build_arrow_table(answer or fetch_page(session, page))

    pipeline = dlt.pipeline(
        pipeline_name="estimates",
        # The second load finds the state of the first one here, and need not ask the database for it.
        pipelines_dir=str(Path.cwd()),
        dataset_name="dlt",
        destination=dlt.destinations.postgres(os.environ["DATABASE_URL"]),
    )
    pipeline.run(pages() | estimates, loader_file_format="csv").raise_on_failed_jobs()


if __name__ == "__main__":
    run()
