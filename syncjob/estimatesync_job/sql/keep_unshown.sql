-- What is not shown stays as it is stored. A new estimate has nothing stored, so it keeps what was staged for it.
UPDATE staging
SET unshown = coalesce(unshown, '{}') || %(hidden)s::text[]
WHERE cardinality(%(hidden)s::text[]) > 0;

UPDATE staging
SET
    name = CASE WHEN 'name' = ANY(staging.unshown) THEN estimate.name ELSE staging.name END,
    customer_name = CASE WHEN 'customer_name' = ANY(staging.unshown) THEN estimate.customer_name ELSE staging.customer_name END,
    customer_email = CASE WHEN 'customer_email' = ANY(staging.unshown) THEN estimate.customer_email ELSE staging.customer_email END,
    customer_phone = CASE WHEN 'customer_phone' = ANY(staging.unshown) THEN estimate.customer_phone ELSE staging.customer_phone END,
    customer_address = CASE WHEN 'customer_address' = ANY(staging.unshown) THEN estimate.customer_address ELSE staging.customer_address END,
    price = CASE WHEN 'price' = ANY(staging.unshown) THEN estimate.price ELSE staging.price END,
    retail_cost = CASE WHEN 'retail_cost' = ANY(staging.unshown) THEN estimate.retail_cost ELSE staging.retail_cost END,
    final_price = CASE WHEN 'final_price' = ANY(staging.unshown) THEN estimate.final_price ELSE staging.final_price END,
    sub_service_retail_cost = CASE WHEN 'sub_service_retail_cost' = ANY(staging.unshown) THEN estimate.sub_service_retail_cost ELSE staging.sub_service_retail_cost END,
    discount = CASE WHEN 'discount' = ANY(staging.unshown) THEN estimate.discount ELSE staging.discount END,
    final_price_after_taxes = CASE WHEN 'final_price_after_taxes' = ANY(staging.unshown) THEN estimate.final_price_after_taxes ELSE staging.final_price_after_taxes END,
    attic_tech_hours = CASE WHEN 'attic_tech_hours' = ANY(staging.unshown) THEN estimate.attic_tech_hours ELSE staging.attic_tech_hours END,
    crew_notes = CASE WHEN 'crew_notes' = ANY(staging.unshown) THEN estimate.crew_notes ELSE staging.crew_notes END,
    payment_method = CASE WHEN 'payment_method' = ANY(staging.unshown) THEN estimate.payment_method ELSE staging.payment_method END,
    at_created_date = CASE WHEN 'at_created_date' = ANY(staging.unshown) THEN estimate.at_created_date ELSE staging.at_created_date END,
    at_updated_date = CASE WHEN 'at_updated_date' = ANY(staging.unshown) THEN estimate.at_updated_date ELSE staging.at_updated_date END,
    branch_name = CASE WHEN 'branch_name' = ANY(staging.unshown) THEN branch.name ELSE staging.branch_name END,
    sales_person_name = CASE WHEN 'sales_person_name' = ANY(staging.unshown) THEN sales_person.name ELSE staging.sales_person_name END,
    status_name = CASE WHEN 'status_name' = ANY(staging.unshown) THEN estimate_status.name ELSE staging.status_name END
FROM estimate
LEFT JOIN branch ON branch.id = estimate.branch_id
LEFT JOIN sales_person ON sales_person.id = estimate.sales_person_id
LEFT JOIN estimate_status ON estimate_status.id = estimate.status_id
WHERE staging.attic_tech_estimate_id = estimate.attic_tech_estimate_id AND staging.unshown IS NOT NULL
