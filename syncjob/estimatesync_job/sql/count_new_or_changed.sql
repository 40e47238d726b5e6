-- Of the rows staged after the first so many, the estimates that no row before is equal to in every column.
SELECT count(DISTINCT attic_tech_estimate_id) FROM (
    SELECT
        attic_tech_estimate_id, name, customer_name, customer_email, customer_phone, customer_address,
        price, retail_cost, final_price, sub_service_retail_cost, discount, final_price_after_taxes,
        attic_tech_hours, crew_notes, payment_method, at_created_date, at_updated_date, branch_name,
        sales_person_name, status_name
    FROM staging
    WHERE arrival > %(known)s
    EXCEPT
    SELECT
        attic_tech_estimate_id, name, customer_name, customer_email, customer_phone, customer_address,
        price, retail_cost, final_price, sub_service_retail_cost, discount, final_price_after_taxes,
        attic_tech_hours, crew_notes, payment_method, at_created_date, at_updated_date, branch_name,
        sales_person_name, status_name
    FROM staging
    WHERE
        arrival <= %(known)s
        AND attic_tech_estimate_id IN (SELECT attic_tech_estimate_id FROM staging WHERE arrival > %(known)s)
) AS new_or_changed
