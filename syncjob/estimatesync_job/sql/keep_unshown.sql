-- What is not shown stays as it is stored. A new estimate has nothing stored, so it keeps what was staged for it. Where
-- nothing is stored of what no record shows, there is nothing to keep.
UPDATE staging
SET
    name = CASE WHEN 'name' = ANY (staging.unshown || %(hidden)s::text[]) THEN estimate.name ELSE staging.name END,
    customer_name = CASE WHEN 'customer_name' = ANY (staging.unshown || %(hidden)s::text[]) THEN estimate.customer_name ELSE staging.customer_name END,
    customer_email = CASE WHEN 'customer_email' = ANY (staging.unshown || %(hidden)s::text[]) THEN estimate.customer_email ELSE staging.customer_email END,
    customer_phone = CASE WHEN 'customer_phone' = ANY (staging.unshown || %(hidden)s::text[]) THEN estimate.customer_phone ELSE staging.customer_phone END,
    customer_address = CASE WHEN 'customer_address' = ANY (staging.unshown || %(hidden)s::text[]) THEN estimate.customer_address ELSE staging.customer_address END,
    price = CASE WHEN 'price' = ANY (staging.unshown || %(hidden)s::text[]) THEN estimate.price ELSE staging.price END,
    retail_cost = CASE WHEN 'retail_cost' = ANY (staging.unshown || %(hidden)s::text[]) THEN estimate.retail_cost ELSE staging.retail_cost END,
    final_price = CASE WHEN 'final_price' = ANY (staging.unshown || %(hidden)s::text[]) THEN estimate.final_price ELSE staging.final_price END,
    sub_service_retail_cost = CASE WHEN 'sub_service_retail_cost' = ANY (staging.unshown || %(hidden)s::text[]) THEN estimate.sub_service_retail_cost ELSE staging.sub_service_retail_cost END,
    discount = CASE WHEN 'discount' = ANY (staging.unshown || %(hidden)s::text[]) THEN estimate.discount ELSE staging.discount END,
    final_price_after_taxes = CASE WHEN 'final_price_after_taxes' = ANY (staging.unshown || %(hidden)s::text[]) THEN estimate.final_price_after_taxes ELSE staging.final_price_after_taxes END,
    attic_tech_hours = CASE WHEN 'attic_tech_hours' = ANY (staging.unshown || %(hidden)s::text[]) THEN estimate.attic_tech_hours ELSE staging.attic_tech_hours END,
    crew_notes = CASE WHEN 'crew_notes' = ANY (staging.unshown || %(hidden)s::text[]) THEN estimate.crew_notes ELSE staging.crew_notes END,
    payment_method = CASE WHEN 'payment_method' = ANY (staging.unshown || %(hidden)s::text[]) THEN estimate.payment_method ELSE staging.payment_method END,
    at_created_date = CASE WHEN 'at_created_date' = ANY (staging.unshown || %(hidden)s::text[]) THEN estimate.at_created_date ELSE staging.at_created_date END,
    at_updated_date = CASE WHEN 'at_updated_date' = ANY (staging.unshown || %(hidden)s::text[]) THEN estimate.at_updated_date ELSE staging.at_updated_date END,
    branch_name = CASE WHEN 'branch_name' = ANY (staging.unshown || %(hidden)s::text[]) THEN branch.name ELSE staging.branch_name END,
    sales_person_name = CASE WHEN 'sales_person_name' = ANY (staging.unshown || %(hidden)s::text[]) THEN sales_person.name ELSE staging.sales_person_name END,
    status_name = CASE WHEN 'status_name' = ANY (staging.unshown || %(hidden)s::text[]) THEN estimate_status.name ELSE staging.status_name END
FROM estimate
LEFT JOIN branch ON branch.id = estimate.branch_id
LEFT JOIN sales_person ON sales_person.id = estimate.sales_person_id
LEFT JOIN estimate_status ON estimate_status.id = estimate.status_id
WHERE
    staging.attic_tech_estimate_id = estimate.attic_tech_estimate_id
    AND (
        staging.unshown IS NOT NULL
        OR ('name' = ANY (%(hidden)s::text[]) AND estimate.name IS NOT NULL)
        OR ('customer_name' = ANY (%(hidden)s::text[]) AND estimate.customer_name IS NOT NULL)
        OR ('customer_email' = ANY (%(hidden)s::text[]) AND estimate.customer_email IS NOT NULL)
        OR ('customer_phone' = ANY (%(hidden)s::text[]) AND estimate.customer_phone IS NOT NULL)
        OR ('customer_address' = ANY (%(hidden)s::text[]) AND estimate.customer_address IS NOT NULL)
        OR ('price' = ANY (%(hidden)s::text[]) AND estimate.price IS NOT NULL)
        OR ('retail_cost' = ANY (%(hidden)s::text[]) AND estimate.retail_cost IS NOT NULL)
        OR ('final_price' = ANY (%(hidden)s::text[]) AND estimate.final_price IS NOT NULL)
        OR ('sub_service_retail_cost' = ANY (%(hidden)s::text[]) AND estimate.sub_service_retail_cost IS NOT NULL)
        OR ('discount' = ANY (%(hidden)s::text[]) AND estimate.discount IS NOT NULL)
        OR ('final_price_after_taxes' = ANY (%(hidden)s::text[]) AND estimate.final_price_after_taxes IS NOT NULL)
        OR ('attic_tech_hours' = ANY (%(hidden)s::text[]) AND estimate.attic_tech_hours IS NOT NULL)
        OR ('crew_notes' = ANY (%(hidden)s::text[]) AND estimate.crew_notes IS NOT NULL)
        OR ('payment_method' = ANY (%(hidden)s::text[]) AND estimate.payment_method IS NOT NULL)
        OR ('at_created_date' = ANY (%(hidden)s::text[]) AND estimate.at_created_date IS NOT NULL)
        OR ('at_updated_date' = ANY (%(hidden)s::text[]) AND estimate.at_updated_date IS NOT NULL)
        OR ('branch_name' = ANY (%(hidden)s::text[]) AND estimate.branch_id IS NOT NULL)
        OR ('sales_person_name' = ANY (%(hidden)s::text[]) AND estimate.sales_person_id IS NOT NULL)
        OR ('status_name' = ANY (%(hidden)s::text[]) AND estimate.status_id IS NOT NULL)
    )
