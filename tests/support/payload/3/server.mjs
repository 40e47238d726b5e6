// Payload 3: its REST API behind a plain HTTP server, without Next.js.
import { createServer } from 'node:http'
import { Readable } from 'node:stream'

import { postgresAdapter } from '@payloadcms/db-postgres'
import { buildConfig, getPayload, handleEndpoints } from 'payload'

import { collections } from '../collections.mjs'
import { createFirstUsers, databaseUrl, listen, secret } from '../settings.mjs'

const config = await buildConfig({
  secret,
  collections,
  // `push` makes the tables.
  db: postgresAdapter({ pool: { connectionString: databaseUrl }, push: true }),
  telemetry: false,
  typescript: { autoGenerate: false },
})
await createFirstUsers(await getPayload({ config }))

const buildRequest = (incoming) =>
  new Request(new URL(incoming.url, `http://${incoming.headers.host}`), {
    method: incoming.method,
    headers: Object.entries(incoming.headersDistinct).flatMap(([name, values]) => values.map((value) => [name, value])),
    ...(['GET', 'HEAD'].includes(incoming.method) ? {} : { body: Readable.toWeb(incoming), duplex: 'half' }),
  })

const answer = async (incoming, outgoing) => {
  try {
    const response = await handleEndpoints({ config, request: buildRequest(incoming) })
    const body = Buffer.from(await response.arrayBuffer())
    outgoing.writeHead(response.status, { ...Object.fromEntries(response.headers), 'content-length': body.length })
    outgoing.end(body)
  } catch (error) {
    console.error(error)
    outgoing.destroy()
  }
}

listen(createServer(answer))
