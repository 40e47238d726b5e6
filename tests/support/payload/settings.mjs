// What a server is told by whoever starts it.
const { PAYLOAD_DATABASE_URL, PAYLOAD_SECRET, PAYLOAD_TOKEN_SECONDS, PAYLOAD_FIRST_USERS } = process.env

export const databaseUrl = PAYLOAD_DATABASE_URL
export const secret = PAYLOAD_SECRET
export const tokenSeconds = Number(PAYLOAD_TOKEN_SECONDS)

// Through REST only someone who is logged in may create a user.
export const createFirstUsers = async (payload) => {
  for (const data of JSON.parse(PAYLOAD_FIRST_USERS)) {
    const known = await payload.find({ collection: 'users', where: { email: { equals: data.email } }, depth: 0 })
    if (known.docs.length === 0) await payload.create({ collection: 'users', data })
  }
}

// The one line that says where it listens.
export const listen = (server) => {
  const listening = server.listen(0, '127.0.0.1', () => {
    console.log(JSON.stringify({ url: `http://127.0.0.1:${listening.address().port}` }))
  })
  // On a busy machine, Node's five seconds end a connection just as the next request is sent on it.
  listening.keepAliveTimeout = 0
}
