// kafkajs against a cluster. Its consumers are always in groups.
const { spawn } = require('child_process')
const path = require('path')
const { Kafka, CompressionTypes, logLevel } = require('kafkajs')

const brokers = process.env.BOOTSTRAP.split(',')
const kafka = new Kafka({ clientId: 'conformance', brokers, logLevel: logLevel.NOTHING, retry: { retries: 3 } })
const topic = `kafkajs-${process.pid}-${Date.now()}`
const admin = kafka.admin()

const tries = async (feature, what) => {
  try {
    await what()
    console.log(`${feature}|ok`)
  } catch (error) {
    console.error(feature, error)
    console.log(`${feature}|${error.name}: ${String(error.message).slice(0, 200)}`)
  }
}
const expect = (what, wanted) => {
  const [a, b] = [JSON.stringify(what), JSON.stringify(wanted)]
  if (a !== b) throw new Error(`${a} instead of ${b}`)
}
const send = async (messages, { acks = -1, compression, idempotent = false, to = topic } = {}) => {
  const producer = kafka.producer({ idempotent, allowAutoTopicCreation: false })
  await producer.connect()
  try {
    return await producer.send({ topic: to, acks, compression, messages })
  } finally {
    await producer.disconnect()
  }
}
const fails = async (what, type) => {
  try {
    await what()
  } catch (error) {
    if (!type || error.type === type || (error.cause && error.cause.type === type)) return
    throw error
  }
  throw new Error('it was taken')
}
const many = (text) => [...Array(50).keys()].map((n) => ({ partition: 0, value: `${text} ${n}` }))

const main = async () => {
  console.log(`version|${require('kafkajs/package.json').version}`)
  await tries('metadata', async () => {
    await admin.connect()
    expect((await admin.describeCluster()).brokers.length, 3)
  })
  await tries('create topic', async () => {
    expect(await admin.createTopics({ topics: [{ topic, numPartitions: 3, replicationFactor: 3 }] }), true)
  })
  for (const [name, acks] of [['0', 0], ['1', 1], ['all', -1]]) {
    await tries(`acks ${name}`, () => send(many('acks'), { acks }))
  }
  await tries('gzip', () => send(many('gzip'), { compression: CompressionTypes.GZIP }))
  // Other codecs are packages of their own, which the client does not bring along.
  for (const codec of ['snappy', 'lz4', 'zstd']) console.log(`${codec}|-`)
  await tries('keys, headers, timestamps', async () => {
    const headers = { one: 'a', two: ['b', 'c'] }
    await send([{ partition: 2, key: 'key', value: 'value', headers, timestamp: '1600000000000' }])
  })
  await tries('idempotent producer', () => send(many('idempotent'), { idempotent: true }))
  for (const feature of ['from the beginning', 'from an offset']) console.log(`${feature}|-`)
  await tries('from a time', async () => {
    await send([{ partition: 2, value: 'later', timestamp: '1700000000000' }])
    const offsets = await admin.fetchTopicOffsetsByTimestamp(topic, 1650000000000)
    expect(offsets.find((it) => it.partition === 2).offset, '1')
  })
  await tries('900 kB message', () => send([{ partition: 0, value: Buffer.alloc(900000, 1) }]))
  await tries('unknown topic', () => fails(() => send([{ value: 'x' }], { to: topic + '-unknown' })))
  await tries('message too large', () =>
    fails(() => send([{ partition: 0, value: Buffer.alloc(2000000, 1) }]), 'MESSAGE_TOO_LARGE'))
  await tries('leader killed: exactly once', async () => {
    const end = async () => Number((await admin.fetchTopicOffsets(topic)).find((it) => it.partition === 1).high)
    const before = await end()
    const { topics } = await admin.fetchTopicMetadata({ topics: [topic] })
    const { leader } = topics[0].partitions.find((it) => it.partitionId === 1)
    const producer = kafka.producer({ idempotent: true, maxInFlightRequests: 1, retry: { retries: 20 } })
    await producer.connect()
    let killed
    for (let n = 0; n < 300; n++) {
      if (n === 100) killed = spawn(path.join(__dirname, 'node'), ['kill', `broker-${leader}`])
      await producer.send({ topic, acks: -1, messages: [{ partition: 1, value: `survivor ${n}` }] })
    }
    await producer.disconnect()
    expect((await end()) - before, 300)
    expect(killed.exitCode ?? (await new Promise((resolve) => killed.on('close', resolve))), 0)
  })
  await tries('delete topic', () => admin.deleteTopics({ topics: [topic] }))
  await admin.disconnect()
}
main().catch((error) => { console.error(error); process.exit(1) })
