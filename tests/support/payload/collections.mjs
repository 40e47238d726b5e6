// Attic Tech's collections as the sync program knows them: the fields that it reads, and the relations between them.

import { tokenSeconds } from './settings.mjs'

const text = (name) => ({ name, type: 'text' })
const number = (name) => ({ name, type: 'number' })
const relation = (name, relationTo) => ({ name, type: 'relationship', relationTo })

const users = {
  slug: 'users',
  // All else is Payload's own: five wrong passwords lock an account for ten minutes.
  auth: { tokenExpiration: tokenSeconds },
  fields: [text('name')],
}

const branches = { slug: 'branches', fields: [text('name'), text('phone')] }

const clients = {
  slug: 'clients',
  fields: [
    ...['fullName', 'firstName', 'lastName', 'phone', 'phoneNumber'].map(text),
    // Not Payload's own kind of field: what is stored there need not be an address.
    text('email'),
  ],
}

const properties = { slug: 'properties', fields: [text('address'), relation('client', 'clients')] }

const jobEstimates = {
  slug: 'job-estimates',
  fields: [
    ...['name', 'status'].map(text),
    ...['true_cost', 'retail_cost', 'final_price', 'sub_services_retail_cost', 'discount_provided'].map(number),
    number('labor_hours'),
    { name: 'crew_notes', type: 'textarea' },
    text('payment_method'),
    { name: 'tax_details', type: 'group', fields: ['tax_rate', 'final_price_after_taxes'].map(number) },
    relation('branch', 'branches'),
    relation('user', 'users'),
    relation('client', 'clients'),
    relation('property', 'properties'),
  ],
}

export const collections = [users, branches, clients, properties, jobEstimates]
