import assert from "@std/assert";
import { trying } from "../testdata/waiting.ts";
import { Buffer } from "node:buffer";
import fc from "fast-check";
import kafkajs from "kafkajs";
import { Misuse, Refusal } from "./failure.ts";
import {
  type Batch,
  CHECKPOINT_BYTES_MAX,
  KEY_LENGTH_MAX,
  type LogRecord,
  type Message,
  MESSAGE_BYTES_MAX,
  openTransport,
  partitionOf,
  type ReceiveOptions,
  type Transport,
  type Value,
} from "./transport.ts";
import { addressOf, kafkaOf } from "./transport/kafka/address.ts";

/** A resident under test: where it is, for as long as one test runs. */
interface Resident {
  readonly name: string;
  readonly ignore: boolean;
  readonly url: () => Promise<{ readonly url: string; readonly remove: () => Promise<void> }>;
}
const kept = (url: string) => () => Promise.resolve({ url, remove: () => Promise.resolve() });
const kafkaUrl = Deno.env.get("KAFKA_URL");
/** In the names of this file's topics and groups alone, whatever else this process tests at the same time. */
const RUN = crypto.randomUUID();
/** Our topics are deleted after each test: a broker bears only so many. */
const onKafka = (query: string) => () =>
  Promise.resolve({
    url: `${kafkaUrl}${query}`,
    remove: async () => {
      const admin = kafkaOf(addressOf(kafkaUrl!, world)).admin();
      await admin.connect();
      const topics = (await admin.listTopics()).filter((topic) => topic.includes(RUN));
      if (topics.length > 0) await admin.deleteTopics({ topics });
      await admin.disconnect();
    },
  });
const residents: readonly Resident[] = [
  { name: "memory", ignore: false, url: kept("memory:contract") },
  { name: "memory with holes", ignore: false, url: kept("memory:contract-holes?holes=3") },
  {
    name: "log",
    ignore: false,
    url: async () => {
      const folder = await Deno.makeTempDir({ prefix: "transport-" });
      return { url: `log:${folder}`, remove: () => Deno.remove(folder, { recursive: true }) };
    },
  },
  { name: "kafka", ignore: kafkaUrl === undefined, url: onKafka("") },
  { name: "kafka written by kafkajs", ignore: kafkaUrl === undefined, url: onKafka("?producer=kafkajs") },
];
if (kafkaUrl === undefined) console.log("transport contract: kafka is skipped, KAFKA_URL is not set");

const world = { now: Date.now, env: () => undefined, report: () => {}, retryForMs: 10_000, trying: trying() };
let names = 0;
/** A name that no other run uses: brokers keep topics from run to run. */
const unique = (name: string) => `${name}-${RUN}-${names++}`;

/** What a test has at hand: an open log, how to open it again, and a topic's name. */
interface Bench {
  readonly log: Transport;
  readonly again: () => Promise<Transport>;
  readonly topic: string;
  readonly group: string;
}

function promise(sentence: string, partitions: number, hold: (bench: Bench) => Promise<void>): void {
  for (const resident of residents) {
    Deno.test({
      name: `${resident.name}: ${sentence}`,
      ignore: resident.ignore,
      sanitizeOps: true,
      sanitizeResources: true,
      fn: async () => {
        const { url, remove } = await resident.url();
        const opened: Transport[] = [];
        const again = async () => {
          const log = await openTransport(url, world);
          opened.push(log);
          return log;
        };
        try {
          const log = await again();
          const topic = unique("contract");
          if (partitions > 0) await log.create(topic, partitions);
          await hold({ log, again, topic, group: unique("group") });
        } finally {
          for (const log of opened) await log.close();
          await remove();
        }
      },
    });
  }
}

const message = (n: number, key: string | null = "k"): Message => ({ key, value: `{"n":${n}}` });
const many = (from: number, to: number, key = "k") =>
  Array.from({ length: to - from }, (_, i) => message(from + i, key));
const numberOf = ({ value }: { readonly value: Value }): number => JSON.parse(value as string).n;
const never = (): AbortSignal => new AbortController().signal;
const once = (topic: string, group: string, more: Partial<ReceiveOptions> = {}): ReceiveOptions => ({
  topics: [topic],
  group,
  signal: never(),
  drain: AbortSignal.abort(),
  ...more,
});

/** Reads until the stream ends, acknowledging each batch. */
async function drain(log: Transport, options: ReceiveOptions): Promise<LogRecord[]> {
  const records: LogRecord[] = [];
  for await (const batch of log.receive(options)) {
    records.push(...batch.records);
    await batch.ack();
  }
  return records;
}

async function scan(log: Transport, topic: string, from: number, to: number, partition = 0): Promise<LogRecord[]> {
  const records: LogRecord[] = [];
  for await (const part of log.read(topic, partition, from, to)) records.push(...part);
  return records;
}

/** The next batch that holds records. */
async function next(stream: AsyncIterator<Batch>): Promise<Batch> {
  for (;;) {
    const { value, done } = await stream.next();
    assert.ok(!done, "the stream ended");
    if (value.records.length > 0) return value;
  }
}

promise("records of one partition come in the order of their append, each once, with rising offsets", 1, async (b) => {
  const { first, next } = await b.log.append(b.topic, 0, many(0, 100));
  const later = await b.log.append(b.topic, 0, many(100, 150));
  assert.ok(later.first >= next && next > first && later.next >= later.first + 50);
  const records = await drain(b.log, once(b.topic, b.group, { batchMax: 7 }));
  assert.deepEqual(records.map(numberOf), many(0, 150).map(numberOf));
  for (let i = 1; i < records.length; i++) assert.ok(records[i]!.offset > records[i - 1]!.offset);
  assert.equal(records[0]!.offset, first);
  assert.equal(records[100]!.offset, later.first);
});

promise("appends that do not wait for each other keep their order", 1, async (b) => {
  await Promise.all(Array.from({ length: 20 }, (_, i) => b.log.append(b.topic, 0, many(i * 10, i * 10 + 10))));
  assert.deepEqual((await drain(b.log, once(b.topic, b.group))).map(numberOf), many(0, 200).map(numberOf));
});

promise("every partition of every topic is read, each in its own order", 3, async (b) => {
  const other = unique("other");
  await b.log.create(other, 2);
  for (let p = 0; p < 3; p++) await b.log.append(b.topic, p, many(p * 100, p * 100 + 40));
  for (let p = 0; p < 2; p++) await b.log.append(other, p, many(1000 + p * 100, 1000 + p * 100 + 40));
  const found = new Map<string, number[]>();
  for await (const batch of b.log.receive(once(b.topic, b.group, { topics: [b.topic, other], batchMax: 9 }))) {
    assert.ok(batch.records.length <= 9);
    const name = `${batch.topic}/${batch.partition}`;
    found.set(name, [...found.get(name) ?? [], ...batch.records.map(numberOf)]);
  }
  for (let p = 0; p < 3; p++) {
    assert.deepEqual(found.get(`${b.topic}/${p}`), many(p * 100, p * 100 + 40).map(numberOf));
  }
  for (let p = 0; p < 2; p++) {
    assert.deepEqual(found.get(`${other}/${p}`), many(1000 + p * 100, 1040 + p * 100).map(numberOf));
  }
});

promise("what was not acknowledged comes again to the next reader of the group, and nothing else", 1, async (b) => {
  await b.log.append(b.topic, 0, many(0, 10));
  let batches = 0;
  const abort = new AbortController();
  for await (const batch of b.log.receive({ ...once(b.topic, b.group), signal: abort.signal, batchMax: 4 })) {
    batches += Number(batch.records.length > 0);
    if (batches === 1) await batch.ack();
    if (batches === 2) abort.abort();
  }
  const reopened = await b.again();
  assert.deepEqual((await drain(reopened, once(b.topic, b.group))).map(numberOf), many(4, 10).map(numberOf));
  assert.deepEqual(await drain(reopened, once(b.topic, b.group)), []);
  assert.equal((await drain(reopened, once(b.topic, unique("group")))).length, 10);
});

promise("how far a group has acknowledged is known to everybody once its reader has left", 2, async (b) => {
  for (const p of [0, 1]) await b.log.append(b.topic, p, many(0, 10));
  assert.equal(await b.log.acknowledged!(b.group, b.topic, 0), null);
  const abort = new AbortController();
  let last: Batch | undefined;
  for await (const batch of b.log.receive({ ...once(b.topic, b.group), signal: abort.signal, batchMax: 4 })) {
    if (batch.records.length === 0) continue;
    if (last === undefined) await (last = batch).ack();
    else abort.abort();
  }
  const reopened = await b.again();
  assert.equal(await reopened.acknowledged!(b.group, b.topic, last!.partition), last!.next);
  assert.equal(await reopened.acknowledged!(b.group, b.topic, 1 - last!.partition), null);
  assert.equal(await reopened.acknowledged!(unique("group"), b.topic, 0), null);
});

promise("a drain that has fired ends at the ends as they were, though more is appended meanwhile", 2, async (b) => {
  for (const p of [0, 1]) await b.log.append(b.topic, p, many(0, 10));
  const ends = (await b.log.ranges(b.topic)).map(({ high }) => high);
  const records: LogRecord[] = [];
  for await (const batch of b.log.receive(once(b.topic, b.group, { batchMax: 6 }))) {
    records.push(...batch.records);
    assert.ok(batch.next <= ends[batch.partition]!);
    await b.log.append(b.topic, batch.partition, many(100, 110));
  }
  assert.deepEqual(records.map(numberOf).sort(), [...many(0, 10), ...many(0, 10)].map(numberOf).sort());
});

promise("a drain that has fired ends within a batch where the end lies there", 1, async (b) => {
  await b.log.append(b.topic, 0, many(0, 10));
  const { high } = (await b.log.ranges(b.topic))[0]!;
  let place = 0;
  const start = async () => {
    await b.log.append(b.topic, 0, many(10, 20));
    return 0;
  };
  const numbers: number[] = [];
  for await (const batch of b.log.receive(once(b.topic, b.group, { start }))) {
    numbers.push(...batch.records.map(numberOf));
    place = batch.next;
  }
  assert.deepEqual(numbers, many(0, 10).map(numberOf));
  assert.equal(place, high);
});

promise("a drain of what holds nothing ends at once", 2, async (b) => {
  assert.deepEqual(await drain(b.log, once(b.topic, b.group)), []);
});

promise("a drain that fires later ends at the ends as they were when it fired", 1, async (b) => {
  await b.log.append(b.topic, 0, many(0, 10));
  const draining = new AbortController();
  const stream = b.log.receive(once(b.topic, b.group, { drain: draining.signal, batchMax: 5 }))[Symbol.asyncIterator]();
  const records = [...(await next(stream)).records];
  await b.log.append(b.topic, 0, many(10, 20));
  draining.abort();
  // What is asked next is answered after what the drain asked.
  await b.log.ranges(b.topic);
  await b.log.append(b.topic, 0, many(20, 30));
  for (let step = await stream.next(); !step.done; step = await stream.next()) records.push(...step.value.records);
  assert.deepEqual(records.map(numberOf), many(0, 20).map(numberOf));
});

promise("a drain that fires while the reader waits ends it", 1, async (b) => {
  const draining = new AbortController();
  const stream = b.log.receive(once(b.topic, b.group, { drain: draining.signal }))[Symbol.asyncIterator]();
  const waiting = stream.next();
  draining.abort();
  assert.equal((await waiting).done, true);
});

promise("an abort ends the stream after the batch in hand", 1, async (b) => {
  await b.log.append(b.topic, 0, many(0, 10));
  const abort = new AbortController();
  let batches = 0;
  for await (const _ of b.log.receive({ topics: [b.topic], group: b.group, signal: abort.signal, batchMax: 1 })) {
    batches++;
    abort.abort();
  }
  assert.equal(batches, 1);
  const ended = b.log.receive({ topics: [b.topic], group: b.group, signal: abort.signal })[Symbol.asyncIterator]();
  assert.equal((await ended.next()).done, true);
});

promise("an abort ends a stream that waits for records", 1, async (b) => {
  const abort = new AbortController();
  const stream = b.log.receive({ topics: [b.topic], group: b.group, signal: abort.signal })[Symbol.asyncIterator]();
  const waiting = stream.next();
  await b.log.ranges(b.topic);
  abort.abort();
  assert.equal((await waiting).done, true);
});

promise("a reader that waits is woken by an append", 1, async (b) => {
  const stream = b.log.receive({ topics: [b.topic], group: b.group, signal: never() })[Symbol.asyncIterator]();
  const waiting = next(stream);
  await b.log.append(b.topic, 0, many(0, 3));
  assert.deepEqual((await waiting).records.map(numberOf), [0, 1, 2]);
  await stream.return?.();
});

promise("two readers share the partitions, and the one that stays gets those of the one that leaves", 4, async (b) => {
  const stop = [new AbortController(), new AbortController()] as const;
  const held = [new Set<number>(), new Set<number>()] as const;
  const places = [0, 0, 0, 0];
  const seen: string[] = [];
  const shared = Promise.withResolvers<void>();
  const moved = Promise.withResolvers<void>();
  const halfway = Promise.withResolvers<void>();
  const complete = Promise.withResolvers<void>();
  const read = async (log: Transport, me: 0 | 1) => {
    const start = (_topic: string, partition: number) => {
      held[me].add(partition);
      held[1 - me]!.delete(partition);
      if (held[0].size === 2 && held[1].size === 2) shared.resolve();
      if (held[1].size === 4) moved.resolve();
      return Promise.resolve(places[partition]!);
    };
    for await (const batch of log.receive({ topics: [b.topic], group: b.group, signal: stop[me].signal, start })) {
      seen.push(...batch.records.map((record) => `${batch.partition}/${numberOf(record)}`));
      places[batch.partition] = batch.next;
      if (seen.length >= 40) halfway.resolve();
      if (seen.length >= 80) complete.resolve();
    }
  };
  const wanted = (to: number) => places.flatMap((_, p) => Array.from({ length: to }, (_, n) => `${p}/${n}`)).sort();
  const readers = [read(b.log, 0), read(await b.again(), 1)] as const;
  await shared.promise;
  for (const p of places.keys()) await b.log.append(b.topic, p, many(0, 10));
  await halfway.promise;
  assert.deepEqual([...seen].sort(), wanted(10));
  stop[0].abort();
  await readers[0];
  await moved.promise;
  for (const p of places.keys()) await b.log.append(b.topic, p, many(10, 20));
  await complete.promise;
  assert.deepEqual(seen.sort(), wanted(20));
  stop[1].abort();
  await readers[1];
});

promise("stop is told of the partition that another reader is given", 2, async (b) => {
  const over = new AbortController();
  const alone = Promise.withResolvers<void>();
  const taken = Promise.withResolvers<number>(), given = Promise.withResolvers<number>();
  let begun = 0;
  const read = async (log: Transport, told: Pick<ReceiveOptions, "start" | "stop">) => {
    for await (const _ of log.receive({ topics: [b.topic], group: b.group, signal: over.signal, ...told }));
  };
  const first = read(b.log, {
    start: () => {
      if (++begun === 2) alone.resolve();
      return Promise.resolve(0);
    },
    stop: (_, partition) => Promise.resolve(taken.resolve(partition)),
  });
  await alone.promise;
  const second = read(await b.again(), {
    start: (_, partition) => {
      given.resolve(partition);
      return Promise.resolve(0);
    },
  });
  assert.equal(await taken.promise, await given.promise);
  over.abort();
  await Promise.all([first, second]);
});

promise(
  "start is asked once for each partition assigned, with its range, and is where reading begins",
  2,
  async (b) => {
    const { first } = await b.log.append(b.topic, 0, many(0, 5));
    const sixth = await b.log.append(b.topic, 0, many(5, 10));
    await b.log.append(b.topic, 1, many(0, 10));
    const [zero, one] = await b.log.ranges(b.topic);
    await drain(b.log, once(b.topic, b.group));
    const asked: unknown[] = [];
    const start = (topic: string, partition: number, range: unknown) => {
      asked.push([topic, partition, range]);
      return Promise.resolve(partition === 0 ? sixth.first : one!.high);
    };
    const records = await drain(b.log, once(b.topic, b.group, { start }));
    assert.deepEqual(records.map(numberOf), [5, 6, 7, 8, 9]);
    assert.deepEqual(asked.sort(), [[b.topic, 0, zero], [b.topic, 1, one]]);
    assert.equal(zero!.low, first);
  },
);

promise("an error of start ends the stream with it", 1, async (b) => {
  const start = () => Promise.reject(new Refusal("Cannot start: fenced, must not be"));
  await assert.rejects(drain(b.log, once(b.topic, b.group, { start })), /Cannot start: fenced/);
});

promise("next is where reading goes on, with and without holes, and high is the end", 1, async (b) => {
  for (let i = 0; i < 3; i++) await b.log.append(b.topic, 0, many(i * 4, i * 4 + 4));
  const { high } = (await b.log.ranges(b.topic))[0]!;
  const records: LogRecord[] = [];
  let place = 0;
  while (place < high) {
    const from = place;
    const abort = new AbortController();
    const options = { ...once(b.topic, unique("group")), batchMax: 1, start: () => Promise.resolve(from) };
    for await (const batch of b.log.receive({ ...options, signal: abort.signal })) {
      assert.ok(batch.next > place && batch.next <= high);
      for (const { offset } of batch.records) assert.ok(offset >= place && offset < batch.next);
      assert.equal(batch.high, high);
      records.push(...batch.records);
      place = batch.next;
      abort.abort();
    }
  }
  assert.deepEqual(records.map(numberOf), many(0, 12).map(numberOf));
});

promise("a reader that does not ask gets nothing, and appends go on", 1, async (b) => {
  await b.log.append(b.topic, 0, many(0, 10));
  const stream = b.log.receive({ topics: [b.topic], group: b.group, signal: never(), batchMax: 10 })
    [Symbol.asyncIterator]();
  const numbers = (await next(stream)).records.map(numberOf);
  const body = "x".repeat(4000);
  for (let i = 1; i <= 20; i++) {
    await b.log.append(
      b.topic,
      0,
      many(i * 100, i * 100 + 100).map((m) => ({ ...m, value: `{"n":${numberOf(m)},"x":"${body}"}` })),
    );
  }
  const { records, high } = await next(stream);
  assert.ok(records.length <= 10 && high >= 10);
  numbers.push(...records.map(numberOf));
  while (numbers.length < 2010) numbers.push(...(await next(stream)).records.map(numberOf));
  assert.deepEqual(numbers, [...many(0, 10), ...many(100, 2100)].map(numberOf));
  await stream.return?.();
});

const bytesOf = (value: Value) => typeof value === "string" ? Buffer.from(value) : Buffer.from(value);
promise("text and bytes come back byte for byte, bytes that are no UTF-8 as bytes", 1, async (b) => {
  const values: Value[] = [
    `{"a":"é漢🎈"}`,
    `"\ufffd"`,
    `"\ufeff"`,
    `" \\u2028 "`,
    new Uint8Array(),
    new TextEncoder().encode("not json"),
    new TextEncoder().encode("two\nlines\r\n"),
    new TextEncoder().encode(`{"a": 1} \n`),
    new Uint8Array([0]),
    new Uint8Array([123, 0xff, 0xfe, 125]),
    new Uint8Array([0xef, 0xbf, 0xbd, 0xff]),
    new Uint8Array([0xed, 0xa0, 0x80]),
    new Uint8Array([0xef, 0xbb, 0xbf, 0x7b, 0x7d]),
    Uint8Array.from({ length: 256 }, (_, i) => i),
  ];
  await b.log.append(b.topic, 0, values.map((value) => ({ key: null, value })));
  const { high } = (await b.log.ranges(b.topic))[0]!;
  for (const records of [await drain(b.log, once(b.topic, b.group)), await scan(b.log, b.topic, 0, high)]) {
    assert.deepEqual(records.map(({ value }) => bytesOf(value)), values.map(bytesOf));
    assert.ok(records[9]!.value instanceof Uint8Array);
    assert.equal(typeof records[0]!.value, "string");
  }
});

promise("any bytes come back", 1, async (b) => {
  const samples = fc.sample(fc.uint8Array({ maxLength: 40 }), { numRuns: 300, seed: 7 });
  const texts = fc.sample(fc.json(), { numRuns: 300, seed: 7 }).map((text) => JSON.stringify(JSON.parse(text)));
  const values: Value[] = [...samples, ...texts];
  await b.log.append(b.topic, 0, values.map((value) => ({ key: null, value })));
  const records = await drain(b.log, once(b.topic, b.group));
  assert.deepEqual(records.map(({ value }) => bytesOf(value)), values.map(bytesOf));
});

promise("bytes that the caller uses again after an append stay as they were", 1, async (b) => {
  const bytes = new Uint8Array([0xff, 1]);
  await b.log.append(b.topic, 0, [{ key: null, value: bytes }]);
  bytes[1] = 2;
  assert.deepEqual(bytesOf((await drain(b.log, once(b.topic, b.group)))[0]!.value), Buffer.from([0xff, 1]));
});

promise("key, no key, producer and control flag come back", 1, async (b) => {
  const producer = { id: "sim/1 é", epoch: 3, number: 2 ** 40 };
  const messages: Message[] = [
    message(0, null),
    message(1, "binance:BTC/USD"),
    message(2, "é|漢"),
    { ...message(3), producer },
    { ...message(4), control: true },
    { ...message(5, null), producer: { ...producer, number: 0 }, control: true },
  ];
  await b.log.append(b.topic, 0, messages);
  const records = await drain(b.log, once(b.topic, b.group));
  assert.deepEqual(records.map(({ offset: _, ...rest }) => rest), messages);
});

promise("a message of the largest size passes, and a larger one is a misuse", 1, async (b) => {
  const value = JSON.stringify("x".repeat(MESSAGE_BYTES_MAX - 2));
  await b.log.append(b.topic, 0, [message(0), { key: "k", value }, message(1)]);
  const records = await drain(b.log, once(b.topic, b.group));
  assert.deepEqual(records.map((record) => record.value), [message(0).value, value, message(1).value]);
  await assert.rejects(b.log.append(b.topic, 0, [{ key: "k", value: `${value} ` }]), Misuse);
  assert.equal((await drain(b.log, once(b.topic, b.group))).length, 0);
});

promise("a key comes back as it is, whatever it holds, and one that is too long is a misuse", 1, async (b) => {
  const keys = [
    "",
    "\0",
    "a\nb\tc",
    "\\",
    "a\\",
    '"',
    '\\"',
    'a","value":1',
    "\x1b]0;x\x07",
    "\u202e",
    "é",
    "e\u0301",
    "😀",
  ];
  const messages = [...keys, "\x01".repeat(KEY_LENGTH_MAX)].map((key) => ({ key, value: "1" }));
  await b.log.append(b.topic, 0, messages);
  const records = await drain(b.log, once(b.topic, b.group));
  assert.deepEqual(records.map(({ key }) => key), messages.map(({ key }) => key));
  await assert.rejects(b.log.append(b.topic, 0, [{ key: "k".repeat(KEY_LENGTH_MAX + 1), value: "1" }]), Misuse);
  assert.equal((await drain(b.log, once(b.topic, b.group))).length, 0);
});

promise("an append of more than a broker takes at once arrives whole and in order", 1, async (b) => {
  const body = "é".repeat(5_000);
  const messages = many(0, 400).map((m) => ({ ...m, value: `{"n":${numberOf(m)},"x":"${body}"}` }));
  await b.log.append(b.topic, 0, messages);
  assert.deepEqual((await drain(b.log, once(b.topic, b.group))).map(numberOf), many(0, 400).map(numberOf));
});

promise("an append of nothing changes nothing", 1, async (b) => {
  const { next } = await b.log.append(b.topic, 0, many(0, 2));
  const nothing = await b.log.append(b.topic, 0, []);
  assert.equal(nothing.first, nothing.next);
  assert.equal((await b.log.ranges(b.topic))[0]!.high, next);
});

promise("the highest checkpoint comes back, and every claim raises the epoch", 0, async (b) => {
  const stage = unique("stage");
  assert.equal(await b.log.load(stage, 0), null);
  const first = await b.log.claim(stage, 0);
  assert.equal(first.checkpoint, null);
  await b.log.save(stage, 0, { epoch: first.epoch, nextOffset: 7, state: `{"a":1}` });
  await b.log.save(stage, 0, { epoch: first.epoch, nextOffset: 9, state: `{"a":2}` });
  const kept = { epoch: first.epoch, nextOffset: 9, state: `{"a":2}` };
  assert.deepEqual(await b.log.load(stage, 0), kept);
  const reopened = await b.again();
  assert.deepEqual(await reopened.load(stage, 0), kept);
  const second = await reopened.claim(stage, 0);
  assert.ok(second.epoch > first.epoch);
  assert.deepEqual(second.checkpoint, kept);
  await reopened.save(stage, 0, { epoch: second.epoch, nextOffset: 8, state: `{"a":3}` });
  assert.deepEqual(await b.log.load(stage, 0), { epoch: second.epoch, nextOffset: 8, state: `{"a":3}` });
  assert.equal(await b.log.load(stage, 1), null);
  assert.equal(await b.log.load(`${stage}-other`, 0), null);
});

promise("a checkpoint of an owner that was replaced is refused, and changes nothing", 0, async (b) => {
  const stage = unique("stage");
  const zombie = await b.log.claim(stage, 0);
  const other = await b.again();
  const owner = await other.claim(stage, 0);
  await assert.rejects(b.log.save(stage, 0, { epoch: zombie.epoch, nextOffset: 50, state: `"late"` }), Refusal);
  assert.equal(await other.load(stage, 0), null);
  await other.save(stage, 0, { epoch: owner.epoch, nextOffset: 3, state: `"mine"` });
  await assert.rejects(b.log.save(stage, 0, { epoch: zombie.epoch, nextOffset: 60, state: `"late"` }), Refusal);
  assert.deepEqual(await b.log.load(stage, 0), { epoch: owner.epoch, nextOffset: 3, state: `"mine"` });
});

promise("a checkpoint is measured in bytes, and one that is too large is a misuse", 0, async (b) => {
  const stage = unique("stage");
  const { epoch } = await b.log.claim(stage, 0);
  const state = "\u20ac".repeat(Math.floor(CHECKPOINT_BYTES_MAX / 3));
  await assert.rejects(b.log.save(stage, 0, { epoch, nextOffset: 1, state: `${state}\u20ac` }), (error: Error) => {
    assert.ok(error instanceof Misuse, String(error));
    assert.match(
      error.message,
      /^Cannot save checkpoint ".*\/0": its state has 33554433 bytes, must have at most 33554432$/,
    );
    return true;
  });
  assert.equal(await b.log.load(stage, 0), null);
});

promise("two claims at once get two epochs, and only the higher one may save", 0, async (b) => {
  const stage = unique("stage");
  const other = await b.again();
  const claims = await Promise.all([b.log.claim(stage, 0), other.claim(stage, 0)]);
  const [low, high] = claims.map(({ epoch }) => epoch).sort((x, y) => x - y) as [number, number];
  assert.notEqual(low, high);
  await b.log.save(stage, 0, { epoch: high, nextOffset: 1, state: "1" });
  await assert.rejects(b.log.save(stage, 0, { epoch: low, nextOffset: 2, state: "2" }), (error: Error) => {
    const [, holder, since] = /epoch (\d+) holds it since (\S+Z) and this one has epoch/.exec(error.message) ?? [];
    assert.ok(error instanceof Refusal && Number(holder) === high, String(error));
    assert.ok(Math.abs(Date.parse(since!) - Date.now()) < 3_600_000, since);
    return true;
  });
});

promise("who holds a partition since when is told without claiming it", 0, async (b) => {
  const stage = unique("stage");
  const other = await b.again();
  assert.equal(await other.holder!(stage, 0), null);
  await b.log.claim(stage, 0);
  const { epoch } = await b.log.claim(stage, 0);
  const holder = await other.holder!(stage, 0);
  assert.equal(holder!.epoch, epoch);
  assert.ok(Math.abs(holder!.since - Date.now()) < 3_600_000, String(holder!.since));
  assert.equal(await other.holder!(stage, 1), null);
  await b.log.save(stage, 0, { epoch, nextOffset: 1, state: "1" });
});

promise("a state of 200 KiB survives", 0, async (b) => {
  const stage = unique("stage");
  const { epoch } = await b.log.claim(stage, 2);
  const state = JSON.stringify({ text: "漢\n".repeat(50 << 10), more: "x".repeat(50 << 10) });
  assert.ok(Buffer.byteLength(state) > 200 << 10);
  await b.log.save(stage, 2, { epoch, nextOffset: 1, state });
  assert.equal((await (await b.again()).load(stage, 2))!.state, state);
});

promise("create makes a topic once, and refuses another number of partitions", 3, async (b) => {
  await b.log.create(b.topic, 3);
  assert.equal((await b.log.ranges(b.topic)).length, 3);
  await assert.rejects(async () => await b.log.create(b.topic, 4), (error: Error) => {
    assert.ok(error instanceof Refusal);
    assert.match(error.message, new RegExp(`"${b.topic}": it has 3 partitions, must have 4`));
    return true;
  });
});

promise("a topic that is not there is a misuse that says how to create it", 0, async (b) => {
  const how = (error: Error) => {
    assert.ok(error instanceof Misuse, String(error));
    assert.match(error.message, /must be created with deno task prepare --partitions N on the same --/);
    return true;
  };
  await assert.rejects(async () => await b.log.ranges(b.topic), how);
  await assert.rejects(async () => await b.log.topic(b.topic), how);
  await assert.rejects(async () => await b.log.append(b.topic, 0, [message(0)]), how);
  await assert.rejects(async () => await scan(b.log, b.topic, 0, 1), how);
  await assert.rejects(async () => await drain(b.log, once(b.topic, b.group)), how);
});

promise("a topic keeps its identity, which is no other topic's", 1, async (b) => {
  const other = unique("other");
  await b.log.create(other, 1);
  const { identity } = await b.log.topic(b.topic);
  assert.equal((await (await b.again()).topic(b.topic)).identity, identity);
  assert.notEqual((await b.log.topic(other)).identity, identity);
});

promise("a scan gives the offsets from one up to another, or up to the end", 2, async (b) => {
  await b.log.append(b.topic, 1, many(0, 30));
  const records = await scan(b.log, b.topic, 0, Infinity, 1);
  assert.deepEqual(records.map(numberOf), many(0, 30).map(numberOf));
  const [from, to] = [records[10]!.offset, records[20]!.offset];
  assert.deepEqual((await scan(b.log, b.topic, from, to, 1)).map(numberOf), many(10, 20).map(numberOf));
  assert.deepEqual(await scan(b.log, b.topic, from, from, 1), []);
  assert.deepEqual(await scan(b.log, b.topic, 0, Infinity, 0), []);
});

promise("a scan that is aborted ends", 1, async (b) => {
  await b.log.append(b.topic, 0, many(0, 30));
  for await (const _ of b.log.read(b.topic, 0, 0, Infinity, AbortSignal.abort())) assert.fail("it gave records");
});

promise("what is synced can be read", 1, async (b) => {
  await b.log.append(b.topic, 0, many(0, 3));
  await b.log.sync(b.topic, 0);
  assert.equal((await scan(b.log, b.topic, 0, Infinity)).length, 3);
});

promise("it describes itself in one line without a secret", 0, ({ log }) => {
  assert.match(log.describes, /^\S[^\n]*acknowledge[^\n]*\S$/);
  return Promise.resolve();
});

Deno.test("a scheme that nobody serves is a misuse that names those that are served", async () => {
  await assert.rejects(openTransport("nats://localhost", world), /must be one of log, memory, kafka, stdio/);
});

Deno.test("a memory's holes are a number", async () => {
  await assert.rejects(openTransport("memory:x?holes=1", world), Misuse);
  await assert.rejects(openTransport("memory:x?holes=no", world), Misuse);
});

Deno.test("the memory with holes has holes", async () => {
  const log = await openTransport("memory:holes?holes=3", world);
  await log.create("t", 1);
  await log.append("t", 0, many(0, 6));
  assert.deepEqual((await scan(log, "t", 0, 99)).map(({ offset }) => offset), [0, 1, 3, 4, 6, 7]);
});

Deno.test("a key's partition is the one that Java's default partitioner chooses", () => {
  // murmur2 of these is in Kafka's own UtilsTest.
  const vectors: Record<string, number> = {
    "21": -973932308,
    foobar: -790332482,
    "a-little-bit-long-string": -985981536,
    "a-little-bit-longer-string": -1486304829,
    lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8: -58897971,
    abc: 479470107,
  };
  for (const [key, hash] of Object.entries(vectors)) {
    for (const partitions of [1, 2, 3, 7, 12, 1000, 2 ** 31 - 1]) {
      assert.equal(partitionOf(key, partitions), (hash & 0x7fffffff) % partitions, `${key} of ${partitions}`);
    }
  }
});

Deno.test("a key's partition is the one that kafkajs chooses", () => {
  const choose = kafkajs.Partitioners.JavaCompatiblePartitioner();
  const partitionMetadata = Array.from({ length: 12 }, (_, partitionId) => ({ partitionId, leader: 1 }));
  fc.assert(
    fc.property(fc.string({ unit: "grapheme" }), (key) => {
      const of = { topic: "t", partitionMetadata, message: { key, value: null } };
      assert.equal(partitionOf(key, 12), choose(of as unknown as Parameters<typeof choose>[0]));
    }),
    { seed: 11, numRuns: 500 },
  );
});
