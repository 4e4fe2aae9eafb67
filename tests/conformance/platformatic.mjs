// @platformatic/kafka against a cluster. Its consumers are always in groups.
import { spawn } from 'node:child_process'
import path from 'node:path'
import { pathToFileURL } from 'node:url'

// It lies with the other clients, where this file's own directory does not lead to.
const installed = path.resolve(process.env.WORK, 'platformatic/node_modules/@platformatic/kafka/dist/index.js')
const {
  Admin, CompressionAlgorithms, ConfigResourceTypes, ConfigSources, Consumer, FindCoordinatorKeyTypes, IncrementalAlterConfigOperationTypes,
  ProduceAcks, Producer, clientSoftwareVersion, compressionsAlgorithms, findErrorBy
} = await import(pathToFileURL(installed))

// It asks a fixed number of times, whatever is to be waited for: often, then, so that a broker may be away for a while.
const common = {
  clientId: 'conformance', bootstrapBrokers: process.env.BOOTSTRAP.split(','), strict: true, retries: 50, retryDelay: 100, metadataMaxAge: 500
}
const topic = `platformatic-${process.pid}-${Date.now()}`
const grouped = `${topic}-groups`
const admin = new Admin(common)

const sleep = (time) => new Promise((resolve) => setTimeout(resolve, time))
// What a feature has opened, which is closed after it.
const opened = new Set()
const close = async (it) => {
  if (opened.delete(it)) await it.close(true)
}
const tries = async (feature, what) => {
  const began = Date.now()
  try {
    const late = sleep(60000).then(() => { throw new Error('it does not end') })
    late.catch(() => {})
    await Promise.race([what(), late])
    console.log(`${feature}|ok`)
  } catch (error) {
    console.error(feature, error)
    console.log(`${feature}|${error.name}: ${String(error.message).replaceAll('\n', ' ').slice(0, 200)}`)
  }
  for (const it of [...opened]) await close(it).catch((error) => console.error('close:', error))
  console.error(((Date.now() - began) / 1000).toFixed(1).padStart(6), 's', feature)
}
const text = (what) => JSON.stringify(what, (_, it) => (typeof it === 'bigint' ? `${it}` : it))
const expect = (what, wanted) => {
  const [a, b] = [text(what), text(wanted)]
  if (a !== b) throw new Error(`${a} instead of ${b}`.slice(0, 300))
}
// Fails as it should: with an error that has such a property.
const fails = async (what, property, wanted) => {
  try {
    await what()
  } catch (error) {
    if (findErrorBy(error, property, wanted)) return
    throw error
  }
  throw new Error('it was taken')
}
const until = async (fits) => {
  const end = Date.now() + 30000
  while (!(await fits())) {
    if (Date.now() > end) throw new Error(`it does not come to that: ${fits}`)
    await sleep(20)
  }
}

const create = async (name) => {
  await admin.createTopics({ topics: [name], partitions: 3, replicas: 3 })
  // Until its leaders know that they lead.
  await until(() => ends(name).then(() => true, () => false))
}
const offsets = async (name, timestamp) => {
  const partitions = [0, 1, 2].map((partitionIndex) => ({ partitionIndex, timestamp }))
  const [found] = await admin.listOffsets({ topics: [{ name, partitions }] })
  return found.partitions.sort((a, b) => a.partitionIndex - b.partitionIndex).map((it) => it.offset)
}
const ends = (name) => offsets(name, -1n)
const many = (text, count, partition = 0) => [...Array(count).keys()].map((n) => ({ topic, partition, value: Buffer.from(`${text}${n}`) }))
const values = (messages) => messages.map((it) => it.value.toString())

// Sends in one batch; gives back the offset of the first where it is told.
const send = async (messages, options = {}, { to = common.bootstrapBrokers, ...more } = {}) => {
  const producer = new Producer({ ...common, bootstrapBrokers: to, ...more })
  opened.add(producer)
  const { offsets } = await producer.send({ messages, acks: ProduceAcks.ALL, ...options })
  await close(producer)
  return offsets?.[0].offset
}

// Everything that comes to a consumer, and what it has.
const join = async (groupId, consumes, options = {}) => {
  const consumer = new Consumer({ ...common, groupId, sessionTimeout: 6000, rebalanceTimeout: 10000, heartbeatInterval: 500, maxWaitTime: 200, autocommit: false, ...options })
  opened.add(consumer)
  const of = consumes.topics[0]
  const it = {
    consumer,
    messages: [],
    next: [0n, 0n, 0n],
    lost: [],
    had: [],
    joins: 0,
    has: () => [...(consumer.assignments?.find((it) => it.topic === of)?.partitions ?? [])].sort(),
    leave: () => close(consumer)
  }
  const look = () => {
    const has = it.has()
    it.lost.push(...it.had.filter((partition) => !has.includes(partition)))
    it.had = has
  }
  consumer.on('consumer:group:rebalance', look)
  consumer.on('consumer:group:join', () => { it.joins++; look() })
  consumer.on('error', (error) => console.error('consumer:', error.message))
  it.consumes = async () => {
    it.error = undefined
    const stream = await consumer.consume({ ...consumes })
    stream.on('data', (message) => it.messages.push(message))
    stream.on('error', (error) => { it.error = error })
  }
  await it.consumes()
  return it
}
// What a member has read of what is its own by now. What it gives up it may have read ahead, and what it keeps it may
// read again from where it has committed: the client leaves both to whoever uses it.
const look = (it) => {
  if (it.error) throw it.error
  const has = it.has()
  it.messages = it.messages.filter((message) => has.includes(message.partition) && message.offset >= it.next[message.partition])
  return it.messages
}
const take = async (it, count, mends = false) => {
  const taken = []
  await until(async () => {
    if (it.error && mends) {
      console.error('stream:', it.error)
      await it.consumes()
    }
    while (taken.length < count && look(it).length) {
      const message = it.messages.shift()
      it.next[message.partition] = message.offset + 1n
      taken.push(message)
    }
    return taken.length === count
  })
  return taken
}
// Reads a partition of a group's own from somewhere on.
const read = async (partition, consumes, count) => {
  const it = await join(`read ${Math.random()} ${topic}`.replaceAll(' ', '-'), { topics: [topic], ...consumes })
  const found = () => it.messages.filter((message) => message.partition === partition)
  await until(() => {
    if (it.error) throw it.error
    return found().length >= count
  })
  await it.leave()
  return found().slice(0, count)
}
const at = (partition, offset) => ({ mode: 'manual', offsets: [{ topic, partition, offset }] })

// Kills a broker with kill -9, and starts it again a second later. What is given back waits until all answer again.
const kill = (broker) => {
  const killed = spawn(path.join(import.meta.dirname, 'node'), ['kill', `broker-${broker}`])
  const ended = new Promise((resolve) => killed.on('close', resolve))
  return async () => {
    expect(await ended, 0)
    await until(async () => {
      const { brokers } = await admin.metadata({ forceUpdate: true })
      // This asks every one of them.
      return brokers.size === 3 && await admin.listGroups().then(() => true, () => false)
    })
  }
}

// What of it is committed, nothing where nothing is.
const committed = async (groupId) => {
  const [{ topics }] = await admin.listConsumerGroupOffsets({ groups: [groupId] })
  const found = [0, 0, 0]
  for (const it of topics) for (const { partitionIndex, committedOffset } of it.partitions) found[partitionIndex] = Number(committedOffset)
  return found
}
const total = (numbers) => numbers.reduce((a, b) => a + b, 0)
const numbers = (messages) => values(messages).map(Number).sort((a, b) => a - b)
const ninety = [...Array(90).keys()]
const grouping = { topics: [grouped], mode: 'committed', fallbackMode: 'earliest' }
const classic = (groupId, options) => join(groupId, grouping, options)
const modern = (groupId, options) => join(groupId, grouping, { groupProtocol: 'consumer', ...options })
// Commits where a member is, which is asked again: an epoch that it has not heard of yet it tells whoever commits.
const commit = async (it) => {
  const offsets = it.has().map((partition) => ({ topic: grouped, partition, offset: it.next[partition], leaderEpoch: -1 })).filter((it) => it.offset)
  if (offsets.length) await until(() => it.consumer.commit({ offsets }).then(() => true, (error) => {
    if (!findErrorBy(error, 'apiId', 'STALE_MEMBER_EPOCH')) throw error
  }))
}
// Waits until it is assigned so.
const settle = async (members, fits) => {
  let have
  await until(() => {
    for (const it of members) look(it)
    have = members.map((it) => it.has())
    return fits(have)
  })
  return have
}
const shared = (have) => have.every((it) => it.length) && text(have.flat().sort()) === text([0, 1, 2])
const everything = ([have]) => have.length === 3
// It has read everything that it was given to read, and nothing comes any more.
const nothing = async (it) => {
  await sleep(1000)
  expect(values(look(it)), [])
}
const described = async (groupId) => (await admin.describeGroups({ groups: [groupId] })).get(groupId)
const listed = async (groupId) => (await admin.listGroups({ types: [] })).get(groupId)
const name = (what) => `${what}-${topic}`

// Commits after every record while the coordinator is killed. What was acknowledged never goes back.
const coordinatorDies = async (groupId, made) => {
  const it = await made(groupId)
  const [seen, acknowledged] = [[], [0, 0, 0]]
  let killed
  while (seen.length < 90) {
    // When a broker dies whose partitions come to several others, a stream ends, as no broker has all of what it asked for.
    const [message] = await take(it, 1, true)
    seen.push(message)
    if (seen.length === 30) {
      const [{ nodeId }] = await admin.findCoordinator({ keyType: FindCoordinatorKeyTypes.GROUP, keys: [groupId] })
      killed = kill(nodeId)
    }
    try {
      await message.commit()
      acknowledged[message.partition] = Number(message.offset) + 1
    } catch (error) {
      // It commits with the next of the partition, or at the end.
      console.error('commit:', error.message)
    }
    if (seen.length % 10 === 0) {
      const found = await committed(groupId)
      expect(found.map((it, nth) => it >= acknowledged[nth]), [true, true, true])
    }
  }
  expect(numbers(seen), ninety)
  await until(async () => {
    await commit(it).catch((error) => console.error('commit:', error.message))
    return text(await committed(groupId)) === text([30, 30, 30])
  })
  await it.leave()
  await killed()
  const again = await made(groupId)
  await settle([again], everything)
  await nothing(again)
  expect(await committed(groupId), [30, 30, 30])
}

const main = async () => {
  console.log(`version|${clientSoftwareVersion}`)
  await tries('metadata', async () => expect([...(await admin.metadata({})).brokers.keys()].sort(), [1, 2, 3]))
  await tries('create topic', () => create(topic))
  for (const [which, acks] of [['0', ProduceAcks.NO_RESPONSE], ['1', ProduceAcks.LEADER], ['all', ProduceAcks.ALL]]) {
    await tries(`acks ${which}`, async () => {
      const [from] = await ends(topic)
      const messages = many(`acks ${which} `, 50)
      await send(messages, { acks })
      expect(values(await read(0, at(0, from), 50)), values(messages))
    })
  }
  for (const which of [CompressionAlgorithms.GZIP, CompressionAlgorithms.SNAPPY, CompressionAlgorithms.LZ4, CompressionAlgorithms.ZSTD]) {
    // Node has zstd since 22.15.
    if (!compressionsAlgorithms[which].available) {
      console.log(`${which}|-`)
      continue
    }
    await tries(which, async () => {
      const messages = many(`${which} `.repeat(50), 50, 1)
      const from = await send(messages, { compression: which })
      expect(values(await read(1, at(1, from), 50)), values(messages))
    })
  }
  await tries('keys, headers, timestamps', async () => {
    const headers = [['twice', '1'], ['twice', '2']]
    const buffers = new Map(headers.map((it) => it.map((text) => Buffer.from(text))))
    const message = { topic, partition: 2, key: Buffer.from('key'), value: Buffer.from('value'), headers: buffers, timestamp: 1600000000000n }
    const [it] = await read(2, at(2, await send([message])), 1)
    expect([it.key.toString(), it.value.toString(), it.timestamp], ['key', 'value', 1600000000000n])
    expect(it.headerEntries.map((it) => it.map(String)), headers)
  })
  await tries('idempotent producer', async () => {
    const producer = new Producer({ ...common, idempotent: true })
    opened.add(producer)
    const sent = many('', 500)
    const [from] = await ends(topic)
    for (let n = 0; n < 500; n += 50) await producer.send({ messages: sent.slice(n, n + 50) })
    expect(producer.producerId >= 0n, true)
    expect(values(await read(0, at(0, from), 500)), values(sent))
  })
  await tries('from the beginning', async () => {
    expect((await read(0, { mode: 'earliest' }, 100)).map((it) => Number(it.offset)), [...Array(100).keys()])
  })
  await tries('from an offset', async () => expect((await read(0, at(0, 77n), 1))[0].offset, 77n))
  await tries('from a time', async () => {
    await send([{ topic, partition: 2, value: Buffer.from('later'), timestamp: 1700000000000n }])
    const [, , from] = await offsets(topic, 1650000000000n)
    expect(values(await read(2, at(2, from), 1)), ['later'])
  })
  await tries('900 kB message', async () => {
    const value = Buffer.from(Array.from({ length: 900000 }, (_, n) => (n * 31) >> 3))
    const [it] = await read(0, at(0, await send([{ topic, partition: 0, value }])), 1)
    expect(it.value.equals(value), true)
  })
  await tries('unknown topic', () =>
    fails(() => send([{ topic: `${topic}-unknown`, value: Buffer.from('x') }], {}, { retries: 3 }), 'message', `Unknown topic ${topic}-unknown.`))
  await tries('topic created by asking', async () => {
    expect(await send(many('', 1), { autocreateTopics: true }, { to: [process.env.CREATES] }), 0n)
  })
  await tries('message too large', () =>
    fails(() => send([{ topic, partition: 0, value: Buffer.alloc(2000000, 1) }]), 'apiId', 'MESSAGE_TOO_LARGE'))
  await tries('leader killed: exactly once', async () => {
    const { topics } = await admin.metadata({ topics: [topic], forceUpdate: true })
    const producer = new Producer({ ...common, idempotent: true })
    opened.add(producer)
    const sent = many('survivor ', 1000, 1)
    let [first, killed] = []
    for (const [n, message] of sent.entries()) {
      if (n === 300) killed = kill(topics.get(topic).partitions[1].leader)
      const { offsets } = await producer.send({ messages: [message] })
      first ??= offsets[0].offset
      if (n > 300) await sleep(2)
    }
    await killed()
    expect(values(await read(1, at(1, first), 1000)), values(sent))
    // And there is nothing behind them.
    expect((await ends(topic))[1], first + 1000n)
  })
  await tries('group goes on where it was', async () => {
    await create(grouped)
    await send(ninety.map((n) => ({ topic: grouped, partition: n % 3, value: Buffer.from(`${n}`) })))
    const first = await classic(name('goes-on'))
    const messages = await take(first, 40)
    await commit(first)
    expect(total(await committed(name('goes-on'))), 40)
    await first.leave()
    const second = await classic(name('goes-on'))
    messages.push(...(await take(second, 50)))
    await commit(second)
    expect(numbers(messages), ninety)
    expect(await committed(name('goes-on')), [30, 30, 30])
    // Neither has read anything twice.
    await nothing(second)
  })
  await tries('two members share', async () => {
    const both = await Promise.all([classic(name('share')), classic(name('share'))])
    const have = await settle(both, shared)
    const found = await described(name('share'))
    expect([found.state, found.protocol, found.members.size], ['Stable', 'roundrobin', 2])
    // The coordinator tells of the same.
    expect(both.map((it) => found.members.get(it.consumer.memberId).assignments.get(grouped).partitions.sort()), have)
    await both[1].leave()
    await settle(both.slice(0, 1), everything)
  })
  await tries('cooperative rebalance', async () => {
    const options = { protocols: [{ name: 'cooperative-sticky', version: 3 }] }
    const one = await classic(name('cooperative'), options)
    await settle([one], everything)
    const other = await classic(name('cooperative'), options)
    const have = await settle([one, other], shared)
    // The first has given up what the second has, and nothing else at any time.
    expect(one.lost.sort(), have[1])
    expect((await described(name('cooperative'))).protocol, 'cooperative-sticky')
    await other.leave()
    await settle([one], everything)
  })
  await tries('static members', async () => {
    // The first is heard of seldom: when it is told that another has its name, it joins anew as if it had none.
    const one = await classic(name('static'), { groupInstanceId: 'one', heartbeatInterval: 1500 })
    const other = await classic(name('static'), { groupInstanceId: 'other' })
    const [had] = await settle([one, other], shared)
    const instances = async () => [...(await described(name('static'))).members.values()].map((it) => it.groupInstanceId).sort()
    expect(await instances(), ['one', 'other'])
    const { joins } = other
    const { generationId } = other.consumer
    // Another process of its name takes its place: it has what it had, and the other hears nothing of it. Who was there
    // before cannot take it along: the client leaves when it is closed, static or not.
    const again = await classic(name('static'), { groupInstanceId: 'one' })
    await one.leave()
    expect(again.has(), had)
    await sleep(1500)
    expect([again.has(), other.joins, again.consumer.generationId, other.consumer.generationId], [had, joins, generationId, generationId])
    expect(await instances(), ['one', 'other'])
    await again.leave()
    await settle([other], everything)
  })
  await tries('groups described and deleted', async () => {
    const groupId = name('goes-on')
    expect((await listed(groupId)).groupType.toLowerCase(), 'classic')
    const found = await described(groupId)
    expect([found.state, found.members.size], ['Empty', 0])
    await admin.alterConsumerGroupOffsets({ groupId, topics: [{ name: grouped, partitionOffsets: [{ partition: 1, offset: 7n }] }] })
    await admin.deleteConsumerGroupOffsets({ groupId, topics: [{ name: grouped, partitionIndexes: [2] }] })
    expect(await committed(groupId), [30, 7, 0])
    await admin.deleteGroups({ groups: [groupId] })
    expect(await listed(groupId), undefined)
  })
  await tries('coordinator killed', () => coordinatorDies(name('survives'), classic))
  await tries('KIP-848 groups', async () => {
    const groupId = name('new')
    const one = await modern(groupId)
    const messages = await take(one, 40)
    await commit(one)
    const other = await modern(groupId, { groupRemoteAssignor: 'range' })
    // What the first gives up the other goes on with where the first was.
    await settle([one, other], shared)
    await until(() => {
      for (const it of [one, other]) while (look(it).length) {
        const message = it.messages.shift()
        it.next[message.partition] = message.offset + 1n
        messages.push(message)
      }
      return messages.length >= 90
    })
    expect(numbers(messages), ninety)
    for (const it of [one, other]) await commit(it)
    expect((await listed(groupId)).groupType.toLowerCase(), 'consumer')
    await other.leave()
    await settle([one], everything)
    // Neither has read anything twice.
    expect(await committed(groupId), [30, 30, 30])
    await nothing(one)
    await one.leave()
    await until(async () => (await listed(groupId)).state === 'Empty')
    const again = await modern(groupId)
    await settle([again], everything)
    await nothing(again)
    expect(await committed(groupId), [30, 30, 30])
    await again.leave()
    await until(async () => (await listed(groupId)).state === 'Empty')
    await admin.deleteGroups({ groups: [groupId] })
    expect(await listed(groupId), undefined)
  })
  await tries('KIP-848 static members', async () => {
    const groupId = name('new-static')
    const one = await modern(groupId, { groupInstanceId: 'one' })
    const other = await modern(groupId, { groupInstanceId: 'other' })
    const have = await settle([one, other], shared)
    // There is only one of a name: it is the newer that is refused, and it takes nobody along when it goes.
    await fails(() => modern(groupId, { groupInstanceId: 'one' }), 'apiId', 'UNRELEASED_INSTANCE_ID')
    for (const it of opened) if (it !== one.consumer && it !== other.consumer) await close(it)
    await sleep(1500)
    expect([one.has(), other.has()], have)
    // The client leaves for good when it is closed, static or not, and its name is free at once.
    await one.leave()
    await settle([other], everything)
    const again = await modern(groupId, { groupInstanceId: 'one' })
    await settle([again, other], shared)
  })
  // It has no such thing.
  console.log('KIP-848 regular expressions|-')
  await tries('KIP-848 coordinator killed', () => coordinatorDies(name('new-survives'), modern))
  await tries('KIP-848 from classic and back', async () => {
    const groupId = name('moves')
    const kind = async () => (await listed(groupId)).groupType.toLowerCase()
    // It asks for what is committed as a member, but of no generation, which Kafka refuses a classic member of a group that
    // speaks KIP-848: what reads from the beginning does not ask.
    const reads = { topics: [grouped], mode: 'earliest' }
    const old = await join(groupId, reads)
    await settle([old], everything)
    expect(await kind(), 'classic')
    await take(old, 90)
    await commit(old)
    const newer = await modern(groupId)
    await settle([old, newer], shared)
    expect(await kind(), 'consumer')
    await nothing(old)
    await old.leave()
    await settle([newer], everything)
    expect(await kind(), 'consumer')
    await nothing(newer)
    // And back: once nobody speaks the new protocol any more, the group is a classic one.
    const last = await join(groupId, reads)
    await settle([newer, last], shared)
    await newer.leave()
    await settle([last], everything)
    expect(await kind(), 'classic')
    expect(numbers(await take(last, 90)), ninety)
    await last.leave()
    const again = await classic(groupId)
    await settle([again], everything)
    await nothing(again)
    expect(await committed(groupId), [30, 30, 30])
  })
  await tries('configurations', async () => {
    const described = async (resourceType, resourceName, key) => {
      const [{ configs }] = await admin.describeConfigs({ resources: [{ resourceType, resourceName, configurationKeys: [key] }] })
      const { value, configSource } = configs.find((it) => it.name === key)
      return [value, configSource]
    }
    const of = [ConfigResourceTypes.TOPIC, topic]
    const becomes = (key, ...wanted) => until(async () => text(await described(...of, key)) === text(wanted))
    const { SET, APPEND, DELETE } = IncrementalAlterConfigOperationTypes
    const change = (name, configOperation, value) =>
      admin.incrementalAlterConfigs({ resources: [{ resourceType: of[0], resourceName: topic, configs: [{ name, configOperation, ...value }] }] })
    await becomes('retention.ms', '604800000', ConfigSources.DEFAULT_CONFIG)
    await becomes('min.insync.replicas', '2', ConfigSources.STATIC_BROKER_CONFIG)
    await change('retention.ms', SET, { value: '86400000' })
    await change('cleanup.policy', APPEND, { value: 'compact' })
    await becomes('retention.ms', '86400000', ConfigSources.DYNAMIC_TOPIC_CONFIG)
    await becomes('cleanup.policy', 'delete,compact', ConfigSources.DYNAMIC_TOPIC_CONFIG)
    await change('retention.ms', DELETE)
    await becomes('retention.ms', '604800000', ConfigSources.DEFAULT_CONFIG)
    await fails(() => change('retention.ms', SET, { value: 'soon' }), 'apiId', 'INVALID_CONFIG')
    expect((await described(ConfigResourceTypes.BROKER, '1', 'min.insync.replicas'))[0], '2')
  })
  await tries('delete topic', async () => {
    await admin.deleteTopics({ topics: [topic] })
    await until(async () => !(await admin.listTopics()).includes(topic))
  })
}
// What failed may have left something open behind it.
main().then(() => process.exit(0), (error) => { console.error(error); process.exit(1) })
