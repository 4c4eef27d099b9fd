import assert from "@std/assert";
import { Buffer } from "node:buffer";
import kafkajs from "kafkajs";
import "../testdata/zstd.ts";
import { Misuse, Outage, Refusal } from "./failure.ts";
import { type Batch, type LogRecord, type Message, openTransport, type Transport } from "./transport.ts";
import { addressOf, kafkaOf } from "./transport/kafka/address.ts";
import { Checkpoints, NOTHING } from "./transport/kafka/checkpoints.ts";
import { Landing } from "./transport/kafka/landing.ts";
import { patienceWith } from "./transport/kafka/outage.ts";
import { writerOf } from "./transport/kafka/writer.ts";
import { trying } from "../testdata/waiting.ts";

const kafkaUrl = Deno.env.get("KAFKA_URL");
if (kafkaUrl === undefined) console.log("transport on Kafka is skipped, KAFKA_URL is not set");
const environment = { TAPEDECK_KAFKA_USER: "tape", TAPEDECK_KAFKA_PASSWORD: "open sesame" } as Record<string, string>;
const world = {
  now: Date.now,
  env: (name: string) => environment[name],
  report: () => {},
  retryForMs: 10_000,
  trying: trying(),
};
const bare = { ...world, env: () => undefined };
let names = 0;
const unique = (name: string) => `${name}-${Deno.pid}-${Date.now()}-${names++}`;

/** What a test on the real broker has at hand; `kafka` is a plain client of it. */
interface Bench {
  readonly log: Transport;
  readonly kafka: kafkajs.Kafka;
  readonly topic: string;
}

function onKafka(sentence: string, hold: (bench: Bench) => Promise<void>): void {
  Deno.test({
    name: `kafka: ${sentence}`,
    ignore: kafkaUrl === undefined,
    sanitizeOps: true,
    sanitizeResources: true,
    fn: async () => {
      const log = await openTransport(kafkaUrl!, bare);
      const kafka = kafkaOf(addressOf(kafkaUrl!, bare));
      const topic = unique("kafka");
      try {
        await log.create(topic, 2);
        await hold({ log, kafka, topic });
      } finally {
        await log.close();
        const admin = kafka.admin();
        await admin.connect();
        await admin.deleteTopics({ topics: [topic] });
        await admin.disconnect();
      }
    },
  });
}

const once = (topic: string) => ({
  topics: [topic],
  group: unique("group"),
  signal: new AbortController().signal,
  drain: AbortSignal.abort(),
});
async function batches(log: Transport, topic: string): Promise<Batch[]> {
  const found: Batch[] = [];
  for await (const batch of log.receive(once(topic))) found.push(batch);
  return found;
}
/** Batches up to an offset of partition 0; a broker writes a transaction's marker some time after its end. */
async function reached(log: Transport, topic: string, offset: number): Promise<Batch[]> {
  const found: Batch[] = [];
  const { drain: _, ...live } = once(topic);
  for await (const batch of log.receive(live)) {
    found.push(batch);
    if (batch.next >= offset) break;
  }
  return found;
}
async function scan(log: Transport, topic: string): Promise<LogRecord[]> {
  const records: LogRecord[] = [];
  for await (const part of log.read(topic, 0, 0, Infinity)) records.push(...part);
  return records;
}
async function produce(
  kafka: kafkajs.Kafka,
  record: Omit<kafkajs.ProducerRecord, "acks">,
  end: (producer: kafkajs.Producer) => Promise<void> = async (producer) => void await producer.send(record),
  config: kafkajs.ProducerConfig = {},
): Promise<void> {
  const producer = kafka.producer({ createPartitioner: kafkajs.Partitioners.DefaultPartitioner, ...config });
  await producer.connect();
  try {
    await end(producer);
  } finally {
    await producer.disconnect();
  }
}
const transaction = (kafka: kafkajs.Kafka, topic: string, value: string, commit: boolean) =>
  produce(kafka, { topic, messages: [] }, async (producer) => {
    const open = await producer.transaction();
    await open.send({ topic, messages: [{ partition: 0, value }, { partition: 0, value }] });
    await (commit ? open.commit() : open.abort());
  }, { transactionalId: unique("tx"), maxInFlightRequests: 1, idempotent: true });

onKafka(
  "transaction markers are holes, aborted records too, and next lies beyond them",
  async ({ log, kafka, topic }) => {
    await log.append(topic, 0, [{ key: null, value: "0" }]);
    await transaction(kafka, topic, "1", true);
    await reached(log, topic, 4);
    await transaction(kafka, topic, "2", false);
    await reached(log, topic, 7);
    await log.append(topic, 0, [{ key: null, value: "3" }]);
    await transaction(kafka, topic, "4", false);
    const records = (await reached(log, topic, 11)).flatMap((batch) => batch.records);
    assert.deepEqual(records.map(({ offset, value }) => [offset, value]), [[0, "0"], [1, "1"], [2, "1"], [7, "3"]]);
    assert.deepEqual((await log.ranges(topic))[0], { low: 0, high: 11 });
    assert.deepEqual((await batches(log, topic)).flatMap((batch) => batch.records), records);
    assert.deepEqual(await scan(log, topic), records);
    const rest: Batch[] = [];
    for await (const batch of log.receive({ ...once(topic), start: (_, p) => Promise.resolve(p === 0 ? 8 : 0) })) {
      rest.push(batch);
    }
    assert.deepEqual(rest.map(({ next, records }) => [next, records]), [[11, []]]);
  },
);

onKafka("batches of gzip and of zstd are read", async ({ log, kafka, topic }) => {
  for (const compression of [kafkajs.CompressionTypes.GZIP, kafkajs.CompressionTypes.ZSTD]) {
    const messages = Array.from({ length: 50 }, (_, n) => ({ partition: 0, value: `${compression}/${n}` }));
    await produce(kafka, { topic, compression, messages });
  }
  const values = (await scan(log, topic)).map(({ value }) => value);
  assert.equal(values.length, 100);
  assert.equal(values[99], `${kafkajs.CompressionTypes.ZSTD}/49`);
});

for (
  const [name, compression] of [["gzip", kafkajs.CompressionTypes.GZIP], [
    "zstd",
    kafkajs.CompressionTypes.ZSTD,
  ]] as const
) {
  onKafka(`a bomb of ${name} ends the stream with an error that names its partition`, async ({ log, kafka, topic }) => {
    for (const p of [0, 1]) await log.append(topic, p, [{ key: null, value: "0" }]);
    await produce(kafka, { topic, compression, messages: [{ partition: 1, value: Buffer.alloc(80 << 20) }] });
    const named = (error: Error) => {
      assert.ok(error instanceof Refusal, String(error));
      assert.match(error.message, new RegExp(`"${topic}/1" at offset [01]: it unpacks to more than 67108864 bytes`));
      return true;
    };
    await assert.rejects(batches(log, topic), named);
    await assert.rejects(async () => {
      for await (const _ of log.read(topic, 1, 0, Infinity)) assert.fail("it gave records");
    }, named);
  });
}

onKafka("records that were deleted are a refusal that names them, never a reset", async ({ log, kafka, topic }) => {
  for (let n = 0; n < 5; n++) await log.append(topic, 0, [{ key: null, value: String(n) }]);
  const admin = kafka.admin();
  await admin.connect();
  // It wants to have met the topic.
  await admin.fetchTopicOffsets(topic);
  await admin.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset: "3" }] });
  await admin.disconnect();
  assert.deepEqual((await log.ranges(topic))[0], { low: 3, high: 5 });
  const deleted = (error: Error) => {
    assert.ok(error instanceof Refusal, String(error));
    assert.match(error.message, new RegExp(`"${topic}/0" at offset 1: it holds 3 up to 5`));
    return true;
  };
  await assert.rejects(async () => {
    for await (const _ of log.receive({ ...once(topic), start: (_, p) => Promise.resolve(p === 0 ? 1 : 0) }));
  }, deleted);
  await assert.rejects(async () => {
    for await (const _ of log.read(topic, 0, 1, 5));
  }, deleted);
  assert.deepEqual((await batches(log, topic)).flatMap(({ records }) => records.map(({ value }) => value)), ["3", "4"]);
});

onKafka("a topic that is made again has another identity", async ({ log, kafka, topic }) => {
  const { identity: before } = await log.topic(topic);
  const admin = kafka.admin();
  await admin.connect();
  await admin.deleteTopics({ topics: [topic] });
  await admin.disconnect();
  await log.create(topic, 2);
  const { identity: after } = await log.topic(topic);
  assert.notEqual(after, before);
  assert.equal(after.split("/")[0], before.split("/")[0]);
});

onKafka(
  "a reader stops when its topic is made again, at offsets that the new one has too",
  async ({ log, kafka, topic }) => {
    const fill = () => log.append(topic, 0, Array.from({ length: 20 }, (_, n) => ({ key: null, value: `${n}` })));
    await fill();
    const admin = kafka.admin();
    await admin.connect();
    let seen = 0;
    const { drain: _, ...live } = once(topic);
    await assert.rejects(async () => {
      for await (const { records } of log.receive({ ...live, start: () => Promise.resolve(0) })) {
        seen += records.length;
        if (seen > 20) break;
        await admin.deleteTopics({ topics: [topic] });
        await log.create(topic, 2);
        await fill();
        await fill();
      }
    }, (error: Error) => {
      assert.ok(error instanceof Refusal, String(error));
      assert.match(error.message, /was deleted and made again, "\S+" before and "\S+" now/);
      return true;
    });
    assert.equal(seen, 20);
    await admin.disconnect();
  },
);

onKafka("members come and go, and a partition that stays with a reader is not begun again", async ({ log, topic }) => {
  const group = unique("group");
  const over = new AbortController();
  const begun = [0, 0];
  const values: string[] = [];
  let waiting: { readonly isMet: () => boolean; readonly met: () => void } | null = null;
  const look = () => waiting?.isMet() && waiting.met();
  const until = async (isMet: () => boolean) => {
    const { promise, resolve } = Promise.withResolvers<void>();
    waiting = { isMet, met: resolve };
    look();
    await Promise.race([promise, reading]);
  };
  const next = [0, 0];
  const read = async () => {
    const start = (_: string, partition: number) => {
      begun[partition]!++;
      look();
      return Promise.resolve(next[partition]!);
    };
    for await (const batch of log.receive({ topics: [topic], group, signal: over.signal, start })) {
      values.push(...batch.records.map(({ value }) => String(value)));
      next[batch.partition] = batch.next;
      look();
    }
  };
  const reading = read();
  await until(() => begun[0] === 1 && begun[1] === 1);
  for (let visit = 1; visit <= 3; visit++) {
    const gone = new AbortController();
    const other = await openTransport(kafkaUrl!, bare);
    const given = Promise.withResolvers<number>();
    const start = (_: string, partition: number) => {
      given.resolve(partition);
      return Promise.resolve(0);
    };
    const visiting = (async () => {
      for await (const _ of other.receive({ topics: [topic], group, signal: gone.signal, start }));
    })();
    const lost = await Promise.race([given.promise, visiting]) as number;
    const stays = 1 - lost;
    const before = begun[stays]!;
    await log.append(topic, stays, [{ key: null, value: `${visit}` }]);
    await until(() => values.includes(`${visit}`));
    const times = begun[lost]!;
    gone.abort();
    await visiting;
    await other.close();
    await until(() => begun[lost]! > times);
    await log.append(topic, stays, [{ key: null, value: `${visit}+` }]);
    await until(() => values.includes(`${visit}+`));
    assert.equal(begun[stays], before);
  }
  over.abort();
  await reading;
  assert.deepEqual(values, ["1", "1+", "2", "2+", "3", "3+"]);
});

onKafka("a login that the broker does not know is one line", async () => {
  await assert.rejects(openTransport(`${kafkaUrl}?sasl=plain&insecure=true`, world), (error: Error) => {
    assert.ok(error instanceof Misuse, String(error));
    assert.match(error.message, /^Cannot log in to Kafka "[^"]+": user "tape" is refused, must have/);
    assert.ok(!error.message.includes("sesame"));
    return true;
  });
});

Deno.test("a broker that does not answer is an outage that names it, after the world's patience", async () => {
  let now = 0;
  const reports: string[] = [];
  const impatient = {
    ...bare,
    now: () => now += 400,
    retryForMs: 900,
    trying: trying((line) => reports.push(line)),
  };
  await assert.rejects(openTransport("kafka://127.0.0.1:1", impatient), (error: Error) => {
    assert.ok(error instanceof Outage, String(error));
    assert.match(error.message, /^Cannot reach a broker: Kafka at "127\.0\.0\.1:1" does not serve it/);
    return true;
  });
  assert.equal(reports.length, 1);
  assert.match(reports[0]!, /^Cannot reach a broker: Kafka at "127\.0\.0\.1:1" .*; trying again for 0.9 s$/);
});

Deno.test("patience ends at once for what is not worth another try", async () => {
  const patience = patienceWith("append", addressOf("kafka://h", bare), { ...bare, now: () => 0 });
  await assert.rejects(patience.after(new TypeError("a bug")), TypeError);
  await assert.rejects(patience.after(new Refusal("fenced")), Refusal);
  await assert.rejects(
    patience.after(Object.assign(new Error("x"), { name: "KafkaJSProtocolError", type: "MESSAGE_TOO_LARGE" })),
    Refusal,
  );
  await assert.rejects(
    patience.after(Object.assign(new Error("x"), { name: "KafkaJSProtocolError", type: "TOPIC_AUTHORIZATION_FAILED" })),
    /must be allowed/,
  );
  await patience.after(Object.assign(new Error("x"), { name: "KafkaJSConnectionError" }), AbortSignal.abort());
});

Deno.test("the address of Kafka is taken apart", () => {
  assert.deepEqual(addressOf("kafka://a:1,b", bare), {
    brokers: ["a:1", "b:9092"],
    name: "a:1,b:9092",
    clientId: "tapedeck",
    prefix: "",
    tls: false,
    sasl: null,
    producer: "platformatic",
  });
  const secure = addressOf("kafka://[::1]:9/?tls=true&sasl=scram-sha-512&producer=kafkajs&clientId=c&prefix=p.", world);
  assert.equal(secure.prefix, "p.");
  assert.deepEqual(secure.brokers, ["[::1]:9"]);
  assert.deepEqual(secure.sasl, { mechanism: "scram-sha-512", username: "tape", password: "open sesame" });
  assert.deepEqual([secure.tls, secure.producer, secure.clientId], [true, "kafkajs", "c"]);
  const inline = addressOf("kafka://us%40er:pa:ss@h?sasl=plain&tls=true", bare);
  assert.deepEqual([inline.sasl!.username, inline.sasl!.password, inline.name], ["us@er", "pa:ss", "h:9092"]);
});

Deno.test("an address that cannot be meant is a misuse, and shows no password", () => {
  const wrong: Record<string, RegExp> = {
    "kafka://": /names no broker/,
    "kafka://a b": /is not HOST:PORT/,
    "kafka://h?foo=1": /parameter "foo" is unknown, must be one of tls/,
    "kafka://h?tls=maybe": /tls is "maybe"/,
    "kafka://h?sasl=gssapi": /sasl is "gssapi", must be one of plain/,
    "kafka://h?producer=x": /producer is "x"/,
    "kafka://u:secret@h": /has a user but no sasl/,
    "kafka://h?sasl=plain&tls=true": /TAPEDECK_KAFKA_USER and TAPEDECK_KAFKA_PASSWORD/,
    "kafka://u:secret@h?sasl=plain": /without TLS/,
  };
  for (const [url, message] of Object.entries(wrong)) {
    assert.throws(() => addressOf(url, bare), (error: Error) => {
      assert.ok(error instanceof Misuse);
      assert.match(error.message, message);
      assert.ok(!error.message.includes("secret"), error.message);
      return true;
    });
  }
});

const marked = (from: number, to: number, id = "p") =>
  Array.from({ length: to - from }, (_, n) => ({
    key: null,
    value: `${id}${from + n}`,
    producer: { id, epoch: 1, number: from + n },
  }));

/** A partition in memory whose writes end as they are told to: how many messages land, and whether that is heard of. */
function shore(fates: { readonly lands: number; readonly isHeard: boolean }[]) {
  const records: LogRecord[] = marked(0, 3, "before").map((message, offset) => ({ ...message, offset }));
  const reads: number[] = [];
  const put = (messages: readonly Message[]) => {
    for (const message of messages) records.push({ ...message, offset: records.length });
  };
  return {
    records,
    reads,
    put,
    end: () => Promise.resolve(records.length),
    read: async function* (from: number) {
      reads.push(from);
      // Two at a time, so that what landed is found across answers.
      for (let at = from; at < records.length; at += 2) yield await Promise.resolve(records.slice(at, at + 2));
    },
    write(messages: readonly Message[]) {
      const { lands, isHeard } = fates.shift() ?? { lands: Infinity, isHeard: true };
      const first = records.length;
      put(messages.slice(0, lands));
      return isHeard ? Promise.resolve(first) : Promise.reject(new Outage("nobody answers"));
    },
    persist: async <T>(act: () => Promise<T>): Promise<T> => {
      for (;;) {
        try {
          return await act();
        } catch (error) {
          if (!(error instanceof Outage)) throw error;
        }
      }
    },
  };
}

Deno.test("what landed of an append whose outcome was lost is not written again", async () => {
  for (const lands of [0, 1, 4, 5]) {
    const partition = shore([{ lands: Infinity, isHeard: true }, { lands, isHeard: false }]);
    const landing = new Landing(partition);
    assert.deepEqual(await landing.write(marked(0, 4)), { first: 3, next: 7 });
    partition.put(marked(0, 3, "other"));
    assert.deepEqual(await landing.write(marked(4, 9)), { first: 10, next: 15 });
    const values = partition.records.map(({ value }) => value);
    assert.deepEqual(values.slice(10), ["p4", "p5", "p6", "p7", "p8"]);
    assert.deepEqual([values.length, partition.reads], [15, [7]]);
  }
});

Deno.test("the first append of all is looked for from the end that was there before it", async () => {
  const partition = shore([{ lands: 2, isHeard: false }, { lands: 1, isHeard: false }]);
  const end = async () => {
    const high = await partition.end();
    // The same numbers of an earlier life are another's.
    partition.put(marked(0, 3));
    return high;
  };
  const messages = marked(0, 3).map((message) => ({ ...message, producer: { ...message.producer, epoch: 2 } }));
  assert.deepEqual(await new Landing({ ...partition, end }).write(messages), { first: 6, next: 9 });
  assert.deepEqual([partition.records.length, partition.reads], [9, [3, 3]]);
});

Deno.test("messages of no producer are written again: nothing tells them from another's", async () => {
  const partition = shore([{ lands: 2, isHeard: false }]);
  const messages = [{ key: null, value: "x" }, { key: null, value: "x" }];
  assert.deepEqual(await new Landing(partition).write(messages), { first: 5, next: 7 });
  assert.deepEqual(partition.reads, []);
});

for (const producer of ["platformatic", "kafkajs"]) {
  onKafka(`an append of ${producer} that lands and then fails is there once`, async ({ log, topic }) => {
    const writer = writerOf(addressOf(`${kafkaUrl}?producer=${producer}`, bare));
    const partition = shore([]);
    let falls = 2;
    const landing = new Landing({
      ...partition,
      end: async () => (await log.ranges(topic))[0]!.high,
      read: (from) => log.read(topic, 0, from, Infinity),
      async write(messages) {
        const first = await writer.write(topic, 0, messages);
        if (falls-- > 0) throw new Outage("its answer is lost");
        return first;
      },
    });
    await log.append(topic, 0, marked(0, 5, "other"));
    try {
      assert.deepEqual(await landing.write(marked(0, 1_000)), { first: 5, next: 1_005 });
      assert.deepEqual(await landing.write(marked(1_000, 1_500)), { first: 1_005, next: 1_505 });
      assert.deepEqual(await landing.write(marked(1_500, 1_501)), { first: 1_505, next: 1_506 });
    } finally {
      await writer.close();
    }
    const values = (await scan(log, topic)).map(({ value }) => value);
    assert.deepEqual(values, [...marked(0, 5, "other"), ...marked(0, 1_501)].map(({ value }) => value));
  });
}

/** A compacted topic in memory. */
function compacted() {
  let records: LogRecord[] = [];
  let high = 0;
  return {
    append: (message: { key: string | null; value: string | Uint8Array }) => {
      records.push({ ...message, offset: high++ });
      return Promise.resolve({ first: high - 1, next: high });
    },
    read: async function* (from: number) {
      const found = records.filter(({ offset }) => offset >= from);
      if (found.length > 0) yield await Promise.resolve(found);
    },
    low: () => Promise.resolve(0),
    now: () => 1_723_118_400_000,
    compact: () => {
      const last = new Map(records.map((record) => [record.key, record]));
      records = records.filter((record) => last.get(record.key) === record);
    },
    get size() {
      return records.length;
    },
  };
}

Deno.test("a zombie's late checkpoint never stands for its successor's, compacted or not", async () => {
  const topic = compacted();
  const [old, owner] = [new Checkpoints(topic), new Checkpoints(topic)];
  const zombie = await old.claim("s", 0);
  await old.save("s", 0, { epoch: zombie.epoch, nextOffset: 1, state: "old" });
  const { epoch, checkpoint } = await owner.claim("s", 0);
  assert.deepEqual(checkpoint, { epoch: zombie.epoch, nextOffset: 1, state: "old" });
  await owner.save("s", 0, { epoch, nextOffset: 2, state: "new" });
  // It had looked before the claim, and its write arrives now.
  await topic.append({ key: JSON.stringify(["s", 0, zombie.epoch]), value: "9\nlate" });
  for (const compact of [() => {}, topic.compact]) {
    compact();
    const expected = { epoch, nextOffset: 2, state: "new" };
    assert.deepEqual(await new Checkpoints(topic).load("s", 0), expected);
    assert.deepEqual(await owner.load("s", 0), expected);
    await assert.rejects(old.save("s", 0, { epoch: zombie.epoch, nextOffset: 10, state: "z" }), Refusal);
  }
});

Deno.test("checkpoints of the first format are read, whose claims do not say since when", async () => {
  const topic = compacted();
  await topic.append({ key: '["s",0]', value: "" });
  await topic.append({ key: '["s",0,1]', value: '9\n{"a":1}' });
  const checkpoints = new Checkpoints(topic);
  const { epoch, checkpoint } = await checkpoints.claim("s", 0);
  assert.deepEqual([epoch, checkpoint], [3, { epoch: 1, nextOffset: 9, state: '{"a":1}' }]);
  await topic.append({ key: '["s",0]', value: "" });
  const late = { epoch, nextOffset: 10, state: "{}" };
  await assert.rejects(
    checkpoints.save("s", 0, late),
    /epoch 4 holds it since a time that is not noted and this one has epoch 3/,
  );
});

Deno.test("a topic of checkpoints that nobody has made holds none", async () => {
  const checkpoints = new Checkpoints({ ...compacted(), ...NOTHING });
  assert.deepEqual([await checkpoints.load("s", 0), await checkpoints.holder("s", 0)], [null, null]);
});

onKafka("who only looks for a checkpoint makes no topic for it", async () => {
  const { admin } = kafkajs.Kafka.prototype;
  const log = await openTransport(kafkaUrl!, { ...bare, isLooking: true });
  try {
    kafkajs.Kafka.prototype.admin = () => assert.fail("topics are made by an admin");
    assert.deepEqual([await log.load(unique("stage"), 0), await log.holder!(unique("stage"), 0)], [null, null]);
  } finally {
    kafkajs.Kafka.prototype.admin = admin;
    await log.close();
  }
});

onKafka("the cluster tells its clock", async ({ log }) => {
  assert.ok(Math.abs((await log.clock!())! - Date.now()) < 3_600_000);
});

Deno.test("states that no longer count are emptied, so that compaction leaves one a partition", async () => {
  const topic = compacted();
  for (let run = 0; run < 10; run++) {
    const checkpoints = new Checkpoints(topic);
    const { epoch } = await checkpoints.claim("s", 0);
    for (let n = 0; n < 3; n++) {
      await checkpoints.save("s", 0, { epoch, nextOffset: run * 3 + n, state: "x".repeat(100) });
    }
  }
  topic.compact();
  let bytes = 0;
  for await (const records of topic.read(0)) for (const { value } of records) bytes += value.length;
  assert.ok(bytes < 200, `${bytes} bytes in ${topic.size} records`);
  assert.equal((await new Checkpoints(topic).load("s", 0))!.nextOffset, 29);
});
