"""Our columns, as an old table can fill them: what each holds, and under which names it is likely to be found.

The names are compared without case and underscores. They only make a proposal, which a person reads and corrects. A
column that merely might be meant (`updatedAt`, which may be when the old program wrote the row) is left out on purpose:
a wrong guess would be believed.
"""

from enum import StrEnum
from typing import Final

import msgspec
from estimatesync_job.rows import Row


class Kind(StrEnum):
    """What a column holds, and so how its values are read."""

    ID = "id"
    TEXT = "text"
    MONEY = "money"
    NUMBER = "number"
    INSTANT = "instant"


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """One of our columns.

    Attributes:
        name: as in the staging table.
        kind: what it holds.
        names: the likely names of the old column, the likeliest first, in lower case and without underscores.
        relations: the same for a foreign key to a table whose rows have names.
    """

    name: str
    kind: Kind
    names: tuple[str, ...]
    relations: tuple[str, ...] = ()


IDENTITY: Final = "attic_tech_estimate_id"
UPDATED: Final = "at_updated_date"

TARGETS: Final = (
    Target(
        name=IDENTITY,
        kind=Kind.ID,
        names=("attictechestimateid", "attictechid", "atestimateid", "externalid", "externalestimateid", "payloadid"),
    ),
    Target(name="name", kind=Kind.TEXT, names=("name", "estimatename", "title")),
    Target(
        name="customer_name",
        kind=Kind.TEXT,
        names=("customername", "clientname", "customerfullname", "clientfullname", "customer", "client"),
    ),
    Target(name="customer_email", kind=Kind.TEXT, names=("customeremail", "clientemail", "email")),
    Target(
        name="customer_phone",
        kind=Kind.TEXT,
        names=("customerphone", "clientphone", "customerphonenumber", "clientphonenumber", "phone", "phonenumber"),
    ),
    Target(
        name="customer_address",
        kind=Kind.TEXT,
        names=("customeraddress", "clientaddress", "propertyaddress", "address"),
    ),
    Target(name="price", kind=Kind.MONEY, names=("price", "truecost")),
    Target(name="retail_cost", kind=Kind.MONEY, names=("retailcost",)),
    Target(name="final_price", kind=Kind.MONEY, names=("finalprice",)),
    Target(
        name="sub_service_retail_cost",
        kind=Kind.MONEY,
        names=("subserviceretailcost", "subservicesretailcost", "subservicecost"),
    ),
    Target(name="discount", kind=Kind.MONEY, names=("discount", "discountprovided")),
    Target(
        name="final_price_after_taxes",
        kind=Kind.MONEY,
        names=("finalpriceaftertaxes", "priceaftertaxes", "finalpricewithtaxes", "pricewithtaxes"),
    ),
    Target(name="attic_tech_hours", kind=Kind.NUMBER, names=("attictechhours", "laborhours", "hours")),
    Target(name="crew_notes", kind=Kind.TEXT, names=("crewnotes", "crewnote", "notes")),
    Target(
        name="payment_method", kind=Kind.TEXT, names=("paymentmethod",), relations=("paymentmethodid", "paymentmethod")
    ),
    Target(
        name="at_created_date",
        kind=Kind.INSTANT,
        names=("atcreateddate", "atcreatedat", "attictechcreatedat", "attictechcreateddate", "sourcecreatedat"),
    ),
    Target(
        name=UPDATED,
        kind=Kind.INSTANT,
        names=("atupdateddate", "atupdatedat", "attictechupdatedat", "attictechupdateddate", "sourceupdatedat"),
    ),
    Target(
        name="branch_name",
        kind=Kind.TEXT,
        names=("branchname", "branch"),
        relations=("branchid", "branch"),
    ),
    Target(
        name="sales_person_name",
        kind=Kind.TEXT,
        names=("salespersonname", "salesperson", "salesrepname", "salesrep"),
        relations=("salespersonid", "salesperson", "salesrepid", "userid", "user"),
    ),
    Target(
        name="status_name",
        kind=Kind.TEXT,
        names=("statusname", "status", "estimatestatus"),
        relations=("statusid", "estimatestatusid", "status"),
    ),
)
"""In the order of a Row."""

TARGET_NAMES: Final = Row._fields
KINDS: Final = {target.name: target.kind for target in TARGETS}


def map_name(name: str) -> str:
    """Bring a column's or a table's name into the form in which names are compared."""
    return name.replace("_", "").lower()
