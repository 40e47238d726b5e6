-- Names are compared by hash constraints, because a B-tree refuses a value of more than a third of a page
-- and no name is too long to be stored.
CREATE TABLE IF NOT EXISTS branch (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL,
    CONSTRAINT branch_name_unique EXCLUDE USING hash (name WITH =)
);

CREATE TABLE IF NOT EXISTS sales_person (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL,
    CONSTRAINT sales_person_name_unique EXCLUDE USING hash (name WITH =)
);

CREATE TABLE IF NOT EXISTS estimate_status (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL,
    CONSTRAINT estimate_status_name_unique EXCLUDE USING hash (name WITH =)
);

CREATE TABLE IF NOT EXISTS sync_run (
    uid text PRIMARY KEY,
    sync_name text NOT NULL,
    start_date date NOT NULL,
    end_date date NOT NULL,
    total_fetched bigint NOT NULL,
    new_estimates bigint NOT NULL,
    updated_estimates bigint NOT NULL,
    unchanged_estimates bigint NOT NULL,
    total_processed bigint NOT NULL,
    committed_at timestamptz NOT NULL
);

CREATE TABLE IF NOT EXISTS estimate (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    attic_tech_estimate_id bigint NOT NULL UNIQUE,
    name text NOT NULL,
    customer_name text,
    customer_email text,
    customer_phone text,
    customer_address text,
    price numeric(12, 2),
    retail_cost numeric(12, 2),
    final_price numeric(12, 2),
    sub_service_retail_cost numeric(12, 2),
    discount numeric(12, 2),
    final_price_after_taxes numeric(12, 2),
    attic_tech_hours numeric,
    crew_notes text,
    payment_method text,
    at_created_date timestamptz,
    at_updated_date timestamptz,
    branch_id bigint REFERENCES branch,
    sales_person_id bigint REFERENCES sales_person,
    status_id bigint NOT NULL REFERENCES estimate_status,
    first_synced_at timestamptz NOT NULL,
    last_synced_at timestamptz NOT NULL,
    first_sync_uid text NOT NULL,
    last_sync_uid text NOT NULL
);

COMMENT ON COLUMN estimate.price IS 'Attic Tech''s true_cost';
COMMENT ON COLUMN estimate.last_synced_at IS 'when a sync last changed this row; an unchanged row is left alone';
