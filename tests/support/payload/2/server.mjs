// The last of Payload 2, as its own middleware for Express.
import { fileURLToPath } from 'node:url'

import postgres from '@payloadcms/db-postgres'
import express from 'express'
import payload from 'payload'
import payloadConfig from 'payload/config.js'

import { collections } from '../collections.mjs'
import { createFirstUsers, databaseUrl, listen, secret } from '../settings.mjs'

const config = await payloadConfig.buildConfig({
  // Only the REST API is served: nothing is bundled, and no text is edited.
  admin: { disable: true },
  editor: { validate: () => true },
  collections,
  db: postgres.postgresAdapter({ pool: { connectionString: databaseUrl }, push: true }),
  // Its own limit, 500 requests in a quarter of an hour, is less than the tests send.
  rateLimit: { max: 1_000_000 },
  telemetry: false,
})
// Without a transport it asks a service on the internet for one.
const transport = { sendMail: async () => ({}), verify: async () => true }
const email = { transport, fromName: 'Payload', fromAddress: 'payload@example.com' }

// It insists on a file to read the configuration from, though it has been given one.
process.env.PAYLOAD_CONFIG_PATH = fileURLToPath(import.meta.url)

const server = express()
await payload.init({ config, secret, express: server, email })
await createFirstUsers(payload)
listen(server)
