// kafkajs against a cluster. Its consumers are always in groups.
const { execFileSync, spawn } = require('child_process')
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

const grouped = `${topic}-groups`
const total = (numbers) => numbers.reduce((a, b) => a + b, 0)
const until = async (fits) => {
  const end = Date.now() + 30000
  while (!fits()) {
    if (Date.now() > end) throw new Error('it does not come to that')
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
}
// A member of a group, and the partitions that it has. It looks for another coordinator when it begins anew, which it
// does after some tries that fail: few, so that it does so soon.
const member = async (groupId, of = grouped) => {
  const it = { consumer: kafka.consumer({ groupId, sessionTimeout: 6000, heartbeatInterval: 500, retry: { retries: 2 } }), has: [] }
  it.consumer.on(it.consumer.events.GROUP_JOIN, (event) => { it.has = event.payload.memberAssignment[of] ?? [] })
  await it.consumer.connect()
  await it.consumer.subscribe({ topic: of, fromBeginning: true })
  return it
}
// Reads as a member of a group, and commits just that; `told` hears of each after its commit. Who dies between reading
// and committing reads it again, and is not told so.
const take = async (groupId, count, told = () => {}) => {
  const { consumer } = await member(groupId)
  const values = []
  const eachMessage = async ({ partition, message }) => {
    const value = message.value.toString()
    if (!values.includes(value)) {
      if (values.length >= count) return
      values.push(value)
    }
    const offset = String(Number(message.offset) + 1)
    await consumer.commitOffsets([{ topic: grouped, partition, offset }])
    await told(partition, Number(offset), values.length)
  }
  await consumer.run({ autoCommit: false, eachMessage })
  await until(() => values.length >= count)
  // This waits for the commit that is under way.
  await consumer.disconnect()
  return values
}
const committed = async (groupId) => {
  const [{ partitions }] = await admin.fetchOffsets({ groupId, topics: [grouped] })
  return partitions.sort((a, b) => a.partition - b.partition).map((it) => Math.max(0, Number(it.offset)))
}

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
  // The offsets that a consumer sees of a partition, from where it is told to begin if it is.
  const offsets = async (name, count, from) => {
    const { consumer } = await member(`${name} ${topic}`, topic)
    const seen = []
    await consumer.run({
      autoCommit: false,
      eachMessage: async ({ partition, message }) => { if (partition === 0) seen.push(Number(message.offset)) },
    })
    if (from) consumer.seek({ topic, partition: 0, offset: String(from) })
    await until(() => seen.length >= count)
    await consumer.disconnect()
    return seen
  }
  await tries('from the beginning', async () => {
    expect((await offsets('beginning', 100)).slice(0, 100), [...Array(100).keys()])
  })
  await tries('from an offset', async () => expect((await offsets('offset', 1, 77))[0], 77))
  await tries('from a time', async () => {
    await send([{ partition: 2, value: 'later', timestamp: '1700000000000' }])
    const offsets = await admin.fetchTopicOffsetsByTimestamp(topic, 1650000000000)
    expect(offsets.find((it) => it.partition === 2).offset, '1')
  })
  await tries('900 kB message', () => send([{ partition: 0, value: Buffer.alloc(900000, 1) }]))
  await tries('unknown topic', () => fails(() => send([{ value: 'x' }], { to: topic + '-unknown' })))
  await tries('topic created by asking', async () => {
    const producer = new Kafka({ brokers: [process.env.CREATES], logLevel: logLevel.NOTHING }).producer()
    await producer.connect()
    const [{ baseOffset }] = await producer.send({ topic, messages: [{ value: 'x' }] })
    await producer.disconnect()
    expect(baseOffset, '0')
  })
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
  await tries('group goes on where it was', async () => {
    await admin.createTopics({ topics: [{ topic: grouped, numPartitions: 3, replicationFactor: 3 }] })
    await send([...Array(90).keys()].map((n) => ({ partition: n % 3, value: `${n}` })), { to: grouped })
    const values = await take(`goes on ${topic}`, 40)
    expect(total(await committed(`goes on ${topic}`)), 40)
    values.push(...(await take(`goes on ${topic}`, 50)))
    expect(values.map(Number).sort((a, b) => a - b), [...Array(90).keys()])
    expect(await committed(`goes on ${topic}`), [30, 30, 30])
  })
  await tries('two members share', async () => {
    const groupId = `share ${topic}`
    const both = [await member(groupId), await member(groupId)]
    for (const it of both) await it.consumer.run({ eachMessage: async () => {} })
    await until(() => both.every((it) => it.has.length) && total(both.map((it) => it.has.length)) === 3)
    expect(both.flatMap((it) => it.has).sort(), [0, 1, 2])
    const { groups } = await admin.describeGroups([groupId])
    expect([groups[0].state, groups[0].members.length], ['Stable', 2])
    await both[0].consumer.disconnect()
    await until(() => both[1].has.length === 3)
    await both[1].consumer.disconnect()
  })
  // It has no such things.
  for (const feature of ['cooperative rebalance', 'static members']) console.log(`${feature}|-`)
  for (const what of ['groups', 'static members', 'regular expressions', 'coordinator killed', 'from classic and back']) {
    console.log(`KIP-848 ${what}|-`)
  }
  await tries('groups described and deleted', async () => {
    const groupId = `goes on ${topic}`
    const listed = async () => (await admin.listGroups()).groups.some((it) => it.groupId === groupId)
    expect(await listed(), true)
    expect((await admin.describeGroups([groupId])).groups[0].state, 'Empty')
    await admin.deleteGroups([groupId])
    expect(await listed(), false)
  })
  await tries('coordinator killed', async () => {
    const groupId = `survives ${topic}`
    const acknowledged = [0, 0, 0]
    let killed
    const values = await take(groupId, 90, async (partition, offset, count) => {
      acknowledged[partition] = offset
      if (count === 30 && !killed) {
        // It does not say itself which broker that is.
        const asked = execFileSync('python3', [path.join(__dirname, 'asking.py'), 'coordinator', groupId])
        killed = spawn(path.join(__dirname, 'node'), ['kill', `broker-${asked.toString().trim()}`])
      }
      if (count % 10 === 0) {
        const found = await committed(groupId)
        expect(found.map((it, nth) => it >= acknowledged[nth]), [true, true, true])
      }
    })
    expect(values.map(Number).sort((a, b) => a - b), [...Array(90).keys()])
    expect(await committed(groupId), [30, 30, 30])
    expect(killed.exitCode ?? (await new Promise((resolve) => killed.on('close', resolve))), 0)
  })
  await tries('configurations', async () => {
    const described = async () => {
      const { resources } = await admin.describeConfigs({ resources: [{ type: 2, name: topic }] })
      return resources[0].configEntries.find((it) => it.configName === 'retention.ms').configValue
    }
    expect(await described(), '604800000')
    const configEntries = [{ name: 'retention.ms', value: '86400000' }]
    await admin.alterConfigs({ validateOnly: false, resources: [{ type: 2, name: topic, configEntries }] })
    await new Promise((resolve) => setTimeout(resolve, 500))
    expect(await described(), '86400000')
  })
  await tries('delete topic', () => admin.deleteTopics({ topics: [topic] }))
  await admin.disconnect()
}
// Consumers that began anew may leave something open behind them.
main().then(() => process.exit(0), (error) => { console.error(error); process.exit(1) })
