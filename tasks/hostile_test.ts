/**
 * Everything that testdata/hostile holds, thrown at every door: nothing crashes, nothing leaves its folder, nothing
 * reaches a terminal raw, no label grows, and every message is accounted for, byte for byte.
 */
import assert from "@std/assert";
import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import { gzipSync } from "node:zlib";
import kafkajs from "kafkajs";
import "../testdata/zstd.ts";
import postgres from "postgres";
import audit from "../cmd/audit.ts";
import ingest from "../cmd/ingest.ts";
import sinkCold from "../cmd/sink-cold.ts";
import sinkHot from "../cmd/sink-hot.ts";
import validate from "../cmd/validate.ts";
import { LINE_LENGTH_MAX } from "../lib/capture.ts";
import { bytesOf } from "../lib/codec.ts";
import { Misuse, Outage, reasonOf, Refusal } from "../lib/failure.ts";
import { type HotTable, openHot } from "../lib/hot.ts";
import { Board, METERS, OTHER } from "../lib/meter.ts";
import { warm } from "../lib/parquet.ts";
import type { Outcome } from "../lib/stage.ts";
import { REJECTED_COLUMNS, TABLES } from "../lib/table.ts";
import type { Rejected } from "../lib/tick.ts";
import {
  KEY_LENGTH_MAX,
  type LogRecord,
  type Message,
  MESSAGE_BYTES_MAX,
  openTransport,
  TOPICS,
  type Transport,
} from "../lib/transport.ts";
import { addressOf, kafkaOf } from "../lib/transport/kafka/address.ts";
import { flow, listeners, places, run, withData } from "../testdata/flow.ts";

const HOSTILE = new URL("../testdata/hostile/", import.meta.url);
const PARTITIONS = 2;
const world = { now: Date.now, env: () => undefined, report: () => {}, retryForMs: 0 };
const sanitized = { sanitizeOps: true, sanitizeResources: true };

const linesOf = (bytes: Buffer): Buffer[] => {
  const lines: Buffer[] = [];
  for (let from = 0; from < bytes.length;) {
    const end = bytes.indexOf(10, from);
    lines.push(bytes.subarray(from, end));
    from = end + 1;
  }
  return lines;
};
const file = (path: string): Buffer => Buffer.from(Deno.readFileSync(new URL(path, HOSTILE)));
const valuesOf = <T>(path: string): T[] => linesOf(file(path)).map((line) => JSON.parse(line.toString()) as T);

/** What is too large to be stored: texts and how often each stands there; null fills up to `bytes`. */
interface Made {
  readonly what: string;
  readonly bytes?: number;
  readonly parts: readonly (readonly [string, number | null])[];
}
function make({ bytes = 0, parts }: Made): Buffer {
  const given = parts.reduce((sum, [text, times]) => sum + Buffer.byteLength(text) * (times ?? 0), 0);
  return Buffer.concat(
    parts.map(([text, times]) => Buffer.from(text.repeat(times ?? (bytes - given) / Buffer.byteLength(text)))),
  );
}

/** Every message of the corpus by the theme that it belongs to. */
const THEMES: ReadonlyMap<string, readonly Buffer[]> = new Map([
  ...[...Deno.readDirSync(new URL("messages", HOSTILE))].map(({ name }) => name).sort().map((name) =>
    [name.replace(/\..*/, ""), linesOf(file(`messages/${name}`))] as const
  ),
  ["made", valuesOf<Made>("made/messages.jsonl").map(make)],
]);
const MADE_KEYS = valuesOf<Made>("made/keys.jsonl").map((made) => make(made).toString());

/** As a producer appends it: text where it is one JSON line, bytes elsewhere. */
function messageOf(bytes: Buffer, key: string | null): Message {
  const text = bytes.toString();
  try {
    JSON.parse(text);
    if (!text.includes("\n") && Buffer.from(text).equals(bytes)) return { key, value: text };
  } catch {
    // No JSON travels as bytes.
  }
  return { key, value: Uint8Array.from(bytes) };
}

/** The corpus as it is appended to a partition each, every message once, and a sound and a broken one under each key. */
function corpus(): Message[][] {
  const lots: Message[][] = Array.from({ length: PARTITIONS }, () => []);
  const keys = valuesOf<string | null>("keys.jsonl");
  const messages = [...THEMES.values()].flat().filter((bytes) => bytes.length <= MESSAGE_BYTES_MAX);
  for (const [i, bytes] of messages.entries()) lots[i % PARTITIONS]!.push(messageOf(bytes, keys[i % keys.length]!));
  for (const key of [...keys, ...MADE_KEYS.filter((key) => key.length <= KEY_LENGTH_MAX)]) {
    for (const lot of lots) lot.push({ key, value: SOUND }, { key, value: "{}" });
  }
  for (const lot of lots) lot.push({ key: null, value: '{"control":"limits","windowMax":64}', control: true });
  return lots;
}
const SOUND = '{"type":"trade","venue":"sim","symbol":"HOSTILE","eventTime":1763690000000000,' +
  '"receivedTime":1763690000000300,"sequence":null,"id":null,"price":"1.5","size":"2","side":"buy"}';

/** What a terminal, a log or a browser would obey instead of showing it. */
const OBEYED = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u;
function assertShown(text: string): void {
  for (const line of text.split("\n")) assert.ok(!OBEYED.test(line), `raw: ${JSON.stringify(line)}`);
}

/** No label has a value that its metric does not declare. */
function assertLabels(exposition: string): void {
  const sets: Readonly<Record<string, { readonly labels: Readonly<Record<string, readonly string[]>> }>> = METERS;
  for (const line of exposition.split("\n")) {
    const found = /^(\w+?)(?:_bucket|_sum|_count)?\{(.*)\} [^ ]+$/.exec(line);
    if (found === null) {
      assert.match(line, /^(#.*|\w+ [^ ]+|)$/);
      continue;
    }
    for (const [, label, value] of found[2]!.matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)) {
      if (label === "le" || label === "deno") continue;
      const known = sets[found[1]!]?.labels[label!] ?? [];
      assert.ok(value === OTHER || known.includes(value!), line);
    }
  }
}

/** Every file below a folder, from it on. */
function filesOf(folder: string, from = ""): string[] {
  return [...Deno.readDirSync(folder)].flatMap(({ name, isDirectory }) =>
    isDirectory ? filesOf(`${folder}/${name}`, `${from}${name}/`) : [`${from}${name}`]
  );
}
const OWN = new RegExp(
  "^data/(hot\\.db(-wal|-shm)?|log/log\\.json|log/open|log/ticks\\.(raw|valid|rejected)/(topic\\.json|\\d+/[a-z0-9.]+)|" +
    "log/(_groups|checkpoint)/[a-z0-9./-]+|lake/(\\.|_|lake\\.json)[a-z0-9._/-]*|" +
    "lake/_audits/\\d{8}T\\d{9}Z-market\\.[a-z.]+|" +
    "lake/(trades|quotes|books|deltas|status)/date=\\d{4}-\\d\\d-\\d\\d/[a-z0-9._-]+)$",
);

/** Whoever listens at a flow: what was reported, and the metrics. */
class Ear {
  readonly reports: string[] = [];
  readonly board = new Board();

  constructor(data: string) {
    listeners.set(data, (word) => {
      if (word.word === "report") this.reports.push(word.line);
      if (word.word === "progress") this.board.apply(word.delta);
    });
  }

  async check(): Promise<void> {
    for (const line of this.reports) assertShown(line);
    assertLabels(await this.board.text());
  }
}

/** A flow in a folder of a folder of its own, so that whatever climbs out of it is seen. */
async function hostile(use: (data: string, ear: Ear, outer: string) => Promise<void>): Promise<void> {
  await withData(async (outer) => {
    const home = `${outer}/above/home`;
    Deno.mkdirSync(home, { recursive: true });
    const ear = new Ear(`${home}/data`);
    await use(`${home}/data`, ear, outer);
    await ear.check();
    for (const path of filesOf(outer)) assert.match(path.replace(/^above\/home\//, ""), OWN);
  });
}

const logOf = (data: string): Promise<Transport> =>
  openTransport(places.get(data)?.transport ?? `log:${data}/log?fsync=never`, world);

async function recordsOf(log: Transport, topic: string, partition: number): Promise<LogRecord[]> {
  const records: LogRecord[] = [];
  for await (const part of log.read(topic, partition, 0, Infinity)) records.push(...part);
  return records;
}

async function append(data: string, topic: string, lots: readonly (readonly Message[])[]): Promise<void> {
  const log = await logOf(data);
  try {
    for (const name of Object.values(TOPICS)) await log.create(name, PARTITIONS);
    for (const [partition, lot] of lots.entries()) await log.append(topic, partition, lot);
  } finally {
    await log.close();
  }
}

type Original = { readonly raw: string | null; readonly rawBase64: string | null };
/** Whether what was rejected holds the bytes, or of too many the first ones and what they all come to. */
function holds({ raw, rawBase64 }: Original, bytes: Buffer): boolean {
  if (raw === null) return Buffer.from(rawBase64!, "base64").equals(bytes);
  if (rawBase64 === null) return Buffer.from(raw).equals(bytes);
  const sha256 = createHash("sha256").update(bytes).digest("hex");
  return raw === JSON.stringify({ bytes: bytes.length, sha256 }) &&
    Buffer.from(rawBase64, "base64").equals(bytes.subarray(0, 1 << 16));
}

/**
 * Every raw message is valid, rejected or control, and what was rejected lies in the topic and in the table with the
 * bytes that it came with. Gives how many there are of each, by first reason.
 */
async function assertAccounts(
  data: string,
  appended?: readonly (readonly Message[])[],
): Promise<Record<string, number>> {
  const fates: Record<string, number> = {};
  const log = await logOf(data);
  const hot = await openHot(places.get(data)?.hot ?? `sqlite:${data}/hot.db`, world);
  try {
    for (let partition = 0; partition < PARTITIONS; partition++) {
      const raw = await recordsOf(log, TOPICS.raw, partition);
      const lot = appended?.[partition];
      assert.ok(lot === undefined || raw.length >= lot.length);
      const judged = new Map<number, Rejected | null>();
      for (const { value } of await recordsOf(log, TOPICS.valid, partition)) {
        judged.set(JSON.parse(String(value)).origin, null);
      }
      for (const { value } of await recordsOf(log, TOPICS.rejected, partition)) {
        const rejected = JSON.parse(String(value)) as Rejected;
        assert.ok(!judged.has(rejected.origin), `${partition}/${rejected.origin} was judged twice`);
        judged.set(rejected.origin, rejected);
      }
      const rows = new Map<number, readonly unknown[]>();
      for (const table of [...Object.keys(TABLES), "rejected"] as HotTable[]) {
        for await (const part of hot.rows(table, partition, 0, Number.MAX_SAFE_INTEGER)) {
          for (const row of part) rows.set(row[1] as number, row);
        }
      }
      for (const [i, record] of raw.entries()) {
        const place = `${partition}/${record.offset}`;
        const message = lot?.[i];
        if (message !== undefined) {
          assert.ok(bytesOf(record.value).equals(bytesOf(message.value)), `${place} changed on the log`);
          assert.equal(record.key, message.key?.toWellFormed() ?? null, `the key of ${place} changed on the log`);
        }
        const verdict = judged.get(record.offset);
        const fate = record.control ? "control" : verdict === null ? "valid" : verdict?.reason ?? "lost";
        fates[fate] = (fates[fate] ?? 0) + 1;
        const row = rows.get(record.offset);
        if (fate === "control") assert.deepEqual([verdict, row], [undefined, undefined], place);
        else if (verdict === null) {
          const { symbol, id } = JSON.parse(bytesOf(record.value).toString());
          assert.deepEqual([row?.[3], row?.[8]], [symbol, id], place);
        } else {
          if (verdict === undefined || row === undefined) throw new Error(`${place} is lost`);
          assert.ok(holds(verdict, bytesOf(record.value)), `${place} changed on ticks.rejected`);
          const cells = Object.fromEntries(REJECTED_COLUMNS.map(({ name }, c) => [name, row[c]]));
          const kept = { raw: cells.raw, rawBase64: cells.raw_base64 } as Original;
          assert.ok(holds(kept, bytesOf(record.value)), `${place} changed in the hot store`);
          assert.equal(cells.key, verdict.key, `the key of ${place} changed in the hot store`);
        }
      }
    }
  } finally {
    await hot.close();
    await log.close();
  }
  return fates;
}

async function assertBalanced(data: string): Promise<void> {
  const outcome = await run(audit, data);
  assertShown(String(outcome.text));
  assert.deepEqual(outcome.findings, []);
}

/** What comes of the corpus, by fate or first reason: the same wherever it lies. */
const FATES = {
  valid: 169,
  malformed: 114,
  shape: 822,
  precision: 8,
  price: 6,
  size: 3,
  crossed: 1,
  future: 1,
  control: 2,
};
/** A sound symbol of the corpus that no statement may be made of, and the day of nearly every tick. */
const [SYMBOL, DATE] = ["A'; drop table trades;--", "2025-11-21"];

await warm();

Deno.test("every message of the corpus is accounted for, byte for byte", sanitized, async () => {
  await hostile(async (data) => {
    const lots = corpus();
    await append(data, TOPICS.raw, lots);
    await flow(data);
    assert.deepEqual(await assertAccounts(data, lots), FATES);
    await assertBalanced(data);
    const day = await run(audit, data, "--symbol", SYMBOL, "--date", DATE);
    assertShown(String(day.text));
    assert.deepEqual(day.findings, []);
    const [rows] = (day.checks as { check: string; observed: string }[]).filter(({ check }) => check === "rows");
    assert.equal(rows?.observed, "1 row");

    const truth = await Deno.makeTempFile();
    const fault = { partition: 0, offset: 0, fault: "\x1b[2J\x9b2J\u202e", symbol: "X", type: "trade", sequence: null };
    await Deno.writeTextFile(truth, JSON.stringify({ ...fault, reason: "price", outcome: "rejected", also: [] }));
    const { code, out, err } = await command("audit", "--data", data, "--once", "--json", "--truth", truth);
    await Deno.remove(truth);
    assert.equal(code, 3, err);
    const missed = (JSON.parse(out).findings as { finding: string; detail: string }[]).find(({ finding }) =>
      finding === "fault missed"
    );
    assert.ok(missed?.detail.startsWith(fault.fault), out);
    assert.match(err, /\\u001b\[2J\\u009b2J\\u202e was judged/);
  });
});

Deno.test(
  "a message larger than the log takes is a misuse, and so is a longer key; neither leaves a trace",
  sanitized,
  async () => {
    await hostile(async (data) => {
      const large = [...THEMES.values()].flat().filter((bytes) => bytes.length > MESSAGE_BYTES_MAX);
      const refused = [
        ...large.map((bytes) => messageOf(bytes, null)),
        ...MADE_KEYS.filter((key) => key.length > KEY_LENGTH_MAX).map((key) => ({ key, value: SOUND })),
      ];
      assert.equal(refused.length, 6);
      for (const message of refused) {
        await assert.rejects(append(data, TOPICS.raw, [[{ key: null, value: SOUND }, message]]), Misuse);
      }
      const log = await logOf(data);
      assert.deepEqual((await log.ranges(TOPICS.raw)).map(({ high }) => high), [0, 0]);
      await log.close();
    });
  },
);

/** Runs a command as a process of its own; what it prints must be fit for a terminal. */
async function command(name: string, ...args: string[]): Promise<{ code: number; out: string; err: string }> {
  const cwd = new URL("../", import.meta.url);
  const words = ["run", "-A", `cmd/${name}.ts`, ...args];
  const done = await new Deno.Command(Deno.execPath(), { args: words, cwd, stdin: "null" }).output();
  const [out, err] = [done.stdout, done.stderr].map((bytes) => new TextDecoder().decode(bytes)) as [string, string];
  assertShown(out);
  assertShown(err);
  return { code: done.code, out, err };
}

/** A capture of these bytes beside the data, under a name that a terminal would obey; gone when `use` is done. */
async function withCapture(data: string, bytes: Uint8Array, use: (path: string) => Promise<void>): Promise<void> {
  const path = `${data.replace(/data$/, "")}\x1b]0;x\x07\u202e.capture`;
  await Deno.writeFile(path, bytes);
  try {
    await use(path);
  } finally {
    await Deno.remove(path);
  }
}

/** What `work` throws, which must be fit for a terminal. */
async function thrown(work: Promise<unknown>): Promise<Error> {
  const error = await work.then(() => null, (error: Error) => error);
  assert.ok(error instanceof Error, "it did not fail");
  assertShown(reasonOf(error));
  return error!;
}

Deno.test("a capture of the corpus, plain and gzip, is ingested line by line and balances", sanitized, async () => {
  await hostile(async (data) => {
    const lines = [...THEMES.values()].flat().filter((bytes) => !bytes.includes(10));
    const captured = lines.filter((bytes) => bytes.length > 0 && !bytes.equals(Buffer.from("\r")));
    const captureOf = (time: string): Buffer =>
      Buffer.concat(lines.flatMap((bytes) => [Buffer.from(`\n${time}`), bytes]));
    const [plain, timed] = [captureOf(""), captureOf("1763690000000300000 ")];
    let ticks = 0;
    for (
      const [bytes, expected, count] of [
        [plain, KINDS, captured.length],
        [gzipSync(plain), KINDS, captured.length],
        [timed, TIMED_KINDS, lines.length],
      ] as const
    ) {
      await withCapture(data, bytes, async (path) => {
        const { lines, kinds, ...outcome } = await run(ingest, data, "--from", path) as Ingested;
        assert.equal(lines, count);
        assert.deepEqual(kinds, expected);
        ticks += outcome.ticks;
        assert.equal((await run(ingest, data, "--from", path) as Ingested).lines, 0);
      });
    }
    await withCapture(data, plain, async (path) => {
      const args = ["--data", `${data}`, "--from", path, "--to", "-"];
      const { code, out, err } = await command("ingest", ...args);
      assert.equal(code, 0, err);
      assert.equal(out.split("\n").length - 1, KINDS.trade + KINDS.depthUpdate);
    });
    await flow(data);
    const fates = await assertAccounts(data);
    assert.equal(Object.values(fates).reduce((sum, n) => sum + n, 0), ticks);
    await assertBalanced(data);
  });
});
interface Ingested extends Outcome {
  readonly lines: number;
  readonly ticks: number;
  readonly kinds: Readonly<Record<string, number>>;
}
/** What the corpus is as frames, where nobody noted when they were received. */
const KINDS = {
  trade: 146,
  depthUpdate: 1,
  snapshot: 1,
  history: 1,
  ack: 22,
  error: 22,
  malformed: 150,
  untimed: 96,
  unknown: 552,
};
/** The same with a time in front of each line: depth has a tick then. */
const TIMED_KINDS = {
  trade: 145,
  partialDepth: 96,
  depthUpdate: 1,
  snapshot: 1,
  history: 1,
  ack: 22,
  error: 22,
  malformed: 153,
  unknown: 552,
};

Deno.test(
  "a bomb, a line too long and a cut in a capture end it with an error that names it, and add nothing twice",
  sanitized,
  async () => {
    await hostile(async (data) => {
      const frame = THEMES.get("numbers")!.find((bytes) => bytes.includes('"e":"trade"'))!;
      const rawOf = async (): Promise<number> => {
        const log = await logOf(data);
        const ranges = await log.ranges(TOPICS.raw);
        await log.close();
        return ranges.reduce((sum, { high }) => sum + high, 0);
      };
      const whole = Buffer.concat(Array.from({ length: 2000 }, () => [frame, Buffer.from("\n")]).flat());
      const cut = gzipSync(whole).subarray(0, -20);
      const long = Buffer.alloc(LINE_LENGTH_MAX + 1, "1");
      const bomb = gzipSync(Buffer.alloc(100 << 20, "1"));
      const nested = gzipSync(bomb);
      for (
        const [bytes, kind, message] of [
          [cut, Outage, /gzip data is damaged or cut off/],
          [long, Misuse, /line 1 has over 16777216 characters/],
          [bomb, Misuse, /line 1 has over 16777216 characters/],
          [Buffer.concat([Buffer.from("\n"), long]), Misuse, /line 2 has over/],
        ] as const
      ) {
        await withCapture(data, bytes, async (path) => {
          const first = await thrown(run(ingest, data, "--from", path));
          assert.ok(first instanceof kind, String(first));
          assert.match(first.message, message);
          const there = await rawOf();
          assert.equal((await thrown(run(ingest, data, "--from", path))).message, first.message);
          assert.equal(await rawOf(), there);
        });
      }
      await withCapture(data, nested, async (path) => {
        const { ticks } = await run(ingest, data, "--from", path) as Ingested;
        assert.equal(ticks, 0);
      });
      await flow(data);
      await assertAccounts(data);
      await assertBalanced(data);
    });
  },
);

/** Two sound messages of an output, and then the forged one, as if it followed them. */
const following = (sound: string, forged: string): string[] => [
  sound,
  sound.replace('"origin":0,"previous":-1', '"origin":1,"previous":0'),
  forged.replace('"origin":0', '"origin":2').replace('"previous":-1', '"previous":1'),
];
const REJECTED = '{"topic":"ticks.raw","partition":0,"origin":0,"previous":-1,"key":null,"reason":"shape",' +
  '"reasons":["shape"],"rules":"1","replays":0,"raw":"x","rawBase64":null}';
const VALID = `${SOUND.slice(0, -1)},"origin":0,"previous":-1}`;

for (
  const [topic, name, sound, sinks] of [
    [TOPICS.valid, "valid", VALID, [sinkHot, sinkCold]],
    [TOPICS.rejected, "rejected", REJECTED, [sinkHot]],
  ] as const
) {
  Deno.test(
    `what validate cannot have written on ${topic} stops a sink with a refusal that names it, and stores nothing`,
    sanitized,
    async () => {
      await withData(async (data) => {
        for (const [i, forged] of linesOf(file(`forged/${name}.jsonl`)).entries()) {
          const place = `${data}/${i}`;
          const store = `hostile-${name}-${i}`;
          places.set(place, { transport: `memory:${store}`, hot: `memory:${store}` });
          const lot = following(sound, forged.toString()).map((value) => ({ key: null, value }));
          await append(place, topic, [lot]);
          for (const sink of sinks) {
            const error = await thrown(run(sink, place));
            assert.ok(error instanceof Refusal, `${forged}: ${error.stack}`);
            assert.match(error.message, new RegExp(`"${topic}/0(/2)?"`), String(forged));
          }
          const hot = await openHot(`memory:${store}`, world);
          for (const table of ["trades", "quotes", "books", "deltas", "status", "rejected"] as const) {
            for (const partition of [0, 1]) {
              for await (const _rows of hot.rows(table, partition, 0, Number.MAX_SAFE_INTEGER)) {
                assert.fail(`${forged} left rows`);
              }
            }
          }
          await hot.close();
          if (name === "valid") {
            assert.deepEqual(filesOf(`${place}/lake`).filter((path) => path.endsWith(".parquet")), []);
          }
        }
      });
    },
  );
}

Deno.test("hostile words on the command line are a misuse on one line, or mean nothing", sanitized, async () => {
  await hostile(async (data) => {
    for (const words of valuesOf<string[]>("flags.jsonl")) {
      const error = await thrown(run(audit, data, ...words));
      assert.ok(error instanceof Misuse, `${JSON.stringify(words)}: ${error.stack}`);
    }
    const { code, out, err } = await command(
      "audit",
      ...["--data", data, "--symbol", "\x1b]0;x\x07\x9b2J\u202e", "--date", DATE, "--json"],
    );
    assert.deepEqual([code, out], [2, ""]);
    assert.match(err, /Cannot audit --symbol "\\u001b\]0;x\\u0007\\u009b2J\\u202e": no tick can have it/);
  });
});

const kafkaUrl = Deno.env.get("KAFKA_URL");
const postgresUrl = Deno.env.get("POSTGRES_URL");
if (!kafkaUrl || !postgresUrl) {
  console.log("hostile: Kafka and Postgres are not tried, KAFKA_URL and POSTGRES_URL are not both set");
}

Deno.test({
  name: "the same on Kafka and Postgres, and what other producers write is accounted for or refused by its place",
  ignore: !kafkaUrl || !postgresUrl,
  ...sanitized,
  fn: async () => {
    const name = `hostile_${Deno.pid}_${Date.now()}`;
    const given = (url: string, parameter: string) => `${url}${url.includes("?") ? "&" : "?"}${parameter}`;
    try {
      await hostile(async (data) => {
        places.set(data, {
          transport: given(kafkaUrl!, `prefix=${name}.`),
          hot: given(postgresUrl!, `schema=${name}`),
        });
        const lots = corpus();
        await append(data, TOPICS.raw, lots);
        await flow(data);
        assert.deepEqual(await assertAccounts(data, lots), FATES);
        await assertBalanced(data);

        await produce(name, 0, kafkajs.CompressionTypes.None, [
          { key: null, value: null },
          { key: Buffer.of(0xff, 0), value: SOUND },
          { key: Buffer.of(0xff, 0), value: Buffer.of(0xff, 0) },
          ...MADE_KEYS.flatMap((key) => [{ key, value: SOUND }, { key, value: "{" }]),
          { key: "", value: "", headers: { p: "\x1b[2J/1/2", c: ["1", "1"], "\0": Buffer.of(0xff) } },
        ]);
        const large = [...THEMES.values()].flat().filter((bytes) => bytes.length > MESSAGE_BYTES_MAX);
        for (const compression of [kafkajs.CompressionTypes.GZIP, kafkajs.CompressionTypes.ZSTD]) {
          await produce(name, 1, compression, large.map((value) => ({ key: null, value })));
        }
        await flow(data);
        const fates = await assertAccounts(data, lots);
        const sound = MADE_KEYS.length + 1;
        assert.deepEqual(fates, {
          ...FATES,
          valid: FATES.valid + sound,
          malformed: FATES.malformed + sound + 2 + 2 * large.length,
        });
        await assertBalanced(data);

        await produce(name, 0, kafkajs.CompressionTypes.GZIP, [{ key: null, value: Buffer.alloc(3 << 20) }]);
        await flow(data);
        const larger = await assertAccounts(data, lots);
        assert.deepEqual(larger, { ...fates, malformed: fates.malformed! + 1 });
        await assertBalanced(data);

        const before = await endsOf(data);
        await produce(name, 1, kafkajs.CompressionTypes.ZSTD, [{ key: null, value: Buffer.alloc(80 << 20) }]);
        const refused = await thrown(run(validate, data));
        assert.ok(refused instanceof Refusal, refused.stack);
        assert.match(
          refused.message,
          new RegExp(`ticks\\.raw/1" at offset ${before[TOPICS.raw]![1]}: it unpacks to more than 67108864 bytes`),
        );
        const { [TOPICS.raw]: _raw, ...outputs } = await endsOf(data);
        const { [TOPICS.raw]: _before, ...unchanged } = before;
        assert.deepEqual(outputs, unchanged);
      });
    } finally {
      const admin = client().admin();
      await admin.connect();
      await admin.deleteTopics({ topics: (await admin.listTopics()).filter((topic) => topic.startsWith(`${name}.`)) });
      await admin.disconnect();
      const sql = postgres(postgresUrl!, { max: 1, onnotice: () => {} });
      await sql.unsafe(`drop schema if exists ${name} cascade`);
      await sql.end();
    }
  },
});

const client = (): kafkajs.Kafka => kafkaOf(addressOf(kafkaUrl!, world));

/** Where each topic ends, partition by partition. */
async function endsOf(data: string): Promise<Record<string, number[]>> {
  const log = await logOf(data);
  try {
    const ends: Record<string, number[]> = {};
    for (const topic of Object.values(TOPICS)) ends[topic] = (await log.ranges(topic)).map(({ high }) => high);
    return ends;
  } finally {
    await log.close();
  }
}

/** Appends to ticks.raw as a producer that knows nothing of this one's rules. */
async function produce(
  name: string,
  partition: number,
  compression: kafkajs.CompressionTypes,
  messages: readonly Omit<kafkajs.Message, "partition">[],
): Promise<void> {
  const producer = client().producer({ createPartitioner: kafkajs.Partitioners.DefaultPartitioner });
  await producer.connect();
  try {
    for (const message of messages) {
      await producer.send({ topic: `${name}.${TOPICS.raw}`, compression, messages: [{ ...message, partition }] });
    }
  } finally {
    await producer.disconnect();
  }
}
