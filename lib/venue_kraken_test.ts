/**
 * Kraken beyond its golden files: amounts keep their digits however a frame spells them, recorded books and the one in
 * `testdata/venue/kraken/depth10.jsonl` agree with their checksums, and what is said to the venue is what it documents.
 */
import assert from "@std/assert";
import fc from "fast-check";
import { crc32 } from "node:zlib";
import { CHECKED_LEVELS, checksumOf } from "./checksum.ts";
import { compare, sign } from "./decimal.ts";
import { exactReader, type Fields, fieldsOf, isFields } from "./fields.ts";
import { isTick, type TickType } from "./tick.ts";
import { openVenue } from "./venue.ts";
import { counts, type MappedLine as Line, mappedLines, recorded, RECORDINGS, WRITTEN } from "../testdata/recordings.ts";

const options = { sanitizeOps: true, sanitizeResources: true } as const;
const recording = recorded("kraken");
const DEPTH25 = `${RECORDINGS}/kraken/kraken_v2_btcusd_depth25_2026-08-26_raw_frames_first50.jsonl`;
const SINGLE = `${RECORDINGS}/kraken/kraken_v2_single_frames_2025-2026.jsonl`;
const GOLDEN = ["books", "depth10", "others", "plain", "quotes", "trades"]
  .map((name) => `${WRITTEN}/kraken/${name}.jsonl`);
const [BOOKS, DEPTH10] = GOLDEN as [string, string];

const venue = await openVenue("kraken");
const live = venue.live!;
const NOW = 1_700_000_000_000_000;

const linesOf = (path: string): Promise<Line[]> => Array.fromAsync(mappedLines(venue, path));

// Numbers without loss.

const KEYS = ["price", "qty"];
const read = exactReader(KEYS);

/** The object that a frame is, every number in it as its own text. */
function exactFieldsOf(frame: string): Fields | undefined {
  const textOf = (_key: string, value: unknown, context?: { readonly source?: string }) =>
    typeof value === "number" ? context?.source : value;
  try {
    const value = JSON.parse(frame, textOf as (key: string, value: unknown) => unknown);
    return isFields(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

/** Fails unless `fast` says what `exact` does of numbers under the keys, and what JSON itself does of all else. */
function assertSame(exact: unknown, plain: unknown, fast: unknown, key: string): void {
  if (typeof plain === "number") assert.ok(Object.is(fast, KEYS.includes(key) ? exact : plain), `${key} is ${fast}`);
  else if (Array.isArray(plain) && Array.isArray(exact) && Array.isArray(fast)) {
    assert.equal(fast.length, plain.length);
    plain.forEach((item, i) => assertSame(exact[i], item, fast[i], String(i)));
  } else if (isFields(plain) && isFields(exact) && isFields(fast)) {
    assert.deepEqual(Object.keys(fast), Object.keys(plain));
    for (const name of Object.keys(plain)) assertSame(exact[name], plain[name], fast[name], name);
  } else assert.equal(fast, plain);
}

const agree = (frame: string): void => {
  try {
    assertSame(exactFieldsOf(frame), fieldsOf(frame), read(frame), "");
  } catch (cause) {
    throw new Error(frame, { cause });
  }
};

const LOOKALIKES = [
  `{"price":1.50,"qty":0.00100000}`,
  `{ "price" : 1.50 ,\n"qty"\t:\r-0 }`,
  `{"price":1e-08,"qty":2.50E+3,"x":1e-08,"checksum":12345678901234567890}`,
  `{"pric\\u0065":1.50,"\\u0071ty":2.50}`,
  `{"a\\"price":1.50,"a,\\"price":1.50}`,
  `{"note":"{\\"price\\":1.50,\\"qty\\":2.50}","price":1.50}`,
  `{"note":"\\\\","price":1.50}`,
  `{"note":"\\\\\\",\\"price\\":1.50","price":1.60}`,
  `{"note":",\\"price\\":1.50,"}`,
  `{"note":"price:1.50, qty : 2","price":1.50}`,
  `{"note":"price","price":"1.50","qty":null}`,
  `{"price":{"price":1.50},"qty":[1.50,{"qty":1.0}]}`,
  `{"price":1.50,"price":2.50}`,
  `{"a,price":1.50,"a, price":1.50,"{price":1.50,"x:price":1.50}`,
  `{"price ":1.50," price":1.50,"Price":1.50,"price_qty":1.50}`,
  `{"__proto__":{"price":1.50},"constructor":1.0}`,
  `{"price":1e400,"qty":-1e400}`,
  `{"price":123456789012345678901234567890.10}`,
  `{"price":1.50}x`,
  `["price",1.50]`,
  `"price"`,
  `{"price"}`,
];
/** What is no JSON must not become any by a quote. */
const BROKEN = [
  "01",
  "1.",
  ".5",
  "+1",
  "-",
  "1e",
  "1.5.5",
  '1.50"',
  '1""',
  "0x1",
  "1 2",
  "1:2",
  "--1",
  "NaN",
  "1\u00a0",
]
  .flatMap((number) => [`{"price":${number}}`, `{"price":${number},"qty":1}`, `{"qty":1,"price":${number}`]);

Deno.test("numbers keep their digits however a frame spells them, and no other meaning changes", options, () => {
  for (const frame of LOOKALIKES) agree(frame);
  for (const frame of BROKEN) {
    assert.equal(read(frame), undefined, frame);
    agree(frame);
  }
  assert.deepEqual(read(LOOKALIKES[0]!), { price: "1.50", qty: "0.00100000" });
  assert.deepEqual(read(LOOKALIKES[3]!), { price: "1.50", qty: "2.50" });
  assert.deepEqual(read(LOOKALIKES[7]!), { note: `\\",\"price\":1.50`, price: "1.60" });
});

function agreeMutilated(frame: string): void {
  agree(frame);
  for (let i = 0; i < frame.length; i++) {
    agree(frame.slice(0, i));
    for (const bit of [1, 2, 16]) {
      agree(frame.slice(0, i) + String.fromCharCode(frame.charCodeAt(i) ^ bit) + frame.slice(i + 1));
    }
  }
}

Deno.test("cut and flipped frames mean the same with and without the quotes", options, async () => {
  for (const frame of LOOKALIKES) agreeMutilated(frame);
  for (const path of GOLDEN) {
    const lines = await linesOf(path);
    // The sequence is long and all alike.
    for (const { frame } of path === DEPTH10 ? lines.slice(0, 12) : lines) agreeMutilated(frame);
  }
});

Deno.test("any object means the same with and without the quotes", options, () => {
  const key = fc.oneof(
    fc.constantFrom(
      "price",
      "qty",
      'a"price',
      ',"price',
      '"price":1',
      ",price",
      "{ qty",
      "pri",
      "\\price",
      "{",
      "__proto__",
    ),
    fc.string({ maxLength: 3 }),
  );
  const number = fc.constantFrom("0", "-0", "1.50", "0.00100000", "1e-08", "2.50E+3", "12345678901234567890");
  const text = fc.constantFrom('{"price":1.50}', ',"qty":2', "\\", '"', "", "1.50", "price", "é\n").map((t) =>
    JSON.stringify(t)
  );
  const space = fc.constantFrom("", "", " ", "\t", "\r\n");
  const { value } = fc.letrec<{ value: string }>((tie) => ({
    value: fc.oneof(
      { maxDepth: 4 },
      fc.oneof(number, text, fc.constantFrom("true", "null", "1.", "x")),
      fc.array(fc.tuple(space, tie("value")), { maxLength: 3 }).map((items) =>
        `[${items.map((i) => i.join("")).join()}]`
      ),
      fc.array(fc.tuple(space, key.map((k) => JSON.stringify(k)), space, space, tie("value")), { maxLength: 4 })
        .map((entries) => `{${entries.map(([a, k, b, c, v]) => `${a}${k}${b}:${c}${v}${a}`).join()}}`),
    ),
  }));
  fc.assert(fc.property(value, agree), { seed: 20260826, numRuns: 5_000 });
});

Deno.test(
  "recorded frames, cut and flipped ones too, mean the same with and without the quotes",
  recording,
  async () => {
    for (const path of [DEPTH25, SINGLE]) {
      for (const { frame } of (await linesOf(path)).slice(0, 20)) agreeMutilated(frame);
      for (const { frame } of await linesOf(path)) agree(frame);
    }
  },
);

// Books and their checksums.

/** A book kept as the venue says: rows in their order, then the cut, then the checksum. */
class Model {
  readonly #bids = new Map<string, string>();
  readonly #asks = new Map<string, string>();
  constructor(readonly depth: number) {}

  apply({ type, bids, asks }: { readonly type: string; readonly bids: Rows; readonly asks: Rows }): number {
    if (type === "book") {
      this.#bids.clear();
      this.#asks.clear();
    }
    return checksumOf(this.#side(this.#bids, bids, -1), this.#side(this.#asks, asks, 1));
  }

  #side(side: Map<string, string>, rows: Rows, order: 1 | -1): [string, string][] {
    for (const [price, size] of rows) {
      if (sign(size) === 0) side.delete(price);
      else side.set(price, size);
    }
    const best = [...side].sort(([a], [b]) => order * compare(a, b));
    for (const [price] of best.slice(this.depth)) side.delete(price);
    return best.slice(0, this.depth);
  }
}
type Rows = readonly (readonly [string, string])[];

/** Checksums of snapshots and updates that hold, and all of them. */
function replay(lines: readonly Line[], depth: number): { readonly held: number; readonly all: number } {
  const models = new Map<string, Model>();
  let held = 0, all = 0;
  for (const { ticks, checksums } of lines) {
    ticks.forEach((tick, i) => {
      if (tick.type !== "book" && tick.type !== "delta") return;
      const model = models.get(tick.symbol) ?? new Model(depth);
      models.set(tick.symbol, model);
      all++;
      if (model.apply(tick) === checksums![i]) held++;
    });
  }
  return { held, all };
}

Deno.test("the vendor's published vector gives its checksum", options, () => {
  const levels = (text: string): Rows => text.split(" ").map((level) => level.split("/") as [string, string]);
  const bids = levels(
    "45283.5/0.10000000 45283.4/1.54582015 45282.1/0.10000000 45281.0/0.10000000 45280.3/1.54592586 " +
      "45279.0/0.07990000 45277.6/0.03310103 45277.5/0.30000000 45277.3/1.54602737 45276.6/0.15445238",
  );
  const asks = levels(
    "45285.2/0.00100000 45286.4/1.54571953 45286.6/1.54571109 45289.6/1.54560911 45290.2/0.15890660 " +
      "45291.8/1.54553491 45294.7/0.04454749 45296.1/0.35380000 45297.5/0.09945542 45299.5/0.18772827",
  );
  assert.equal(bids.length, CHECKED_LEVELS);
  assert.equal(checksumOf(bids, asks), 3_310_070_434);
  assert.equal(checksumOf([...bids, ["45276.5", "9.00000000"]], [...asks, ["45299.6", "9.00000000"]]), 3_310_070_434);
  assert.notEqual(checksumOf(asks, bids), 3_310_070_434);
  assert.notEqual(checksumOf(bids.map(([price, size]) => [price, String(Number(size))]), asks), 3_310_070_434);
  assert.equal(checksumOf([], []), 0);
});

Deno.test("a checksum is the CRC-32 of the digits behind the leading zeros, whatever the amounts", options, () => {
  const amount = fc.stringMatching(/^(?:0|[1-9]\d{0,6})(?:\.\d{1,8})?$/);
  const side = fc.array(fc.tuple(amount, amount), { maxLength: 13 });
  const digitsOf = (rows: Rows): string =>
    rows.slice(0, CHECKED_LEVELS).flat().map((text) => text.replace(".", "").replace(/^0+/, "")).join("");
  fc.assert(
    fc.property(side, side, (bids, asks) => checksumOf(bids, asks) === crc32(digitsOf(asks) + digitsOf(bids))),
    { seed: 20260101, numRuns: 2_000 },
  );
});

Deno.test("the book of depth10.jsonl agrees with every checksum, and without the cut with few", options, async () => {
  const lines = await linesOf(DEPTH10);
  assert.deepEqual(counts(lines.map(({ kind }) => kind)), { ack: 1, bookSnapshot: 1, bookUpdate: 80 });
  assert.deepEqual(replay(lines, 10), { held: 81, all: 81 });
  assert.deepEqual(replay(lines, Infinity), { held: 14, all: 81 });
  // Cut too short, or too late.
  assert.deepEqual([replay(lines, 9).held, replay(lines, 11).held], [0, 14]);
});

Deno.test("a book with one wrong digit does not agree, and does again after a snapshot", options, async () => {
  const [ack, snapshot, ...updates] = await linesOf(DEPTH10) as [Line, Line, ...Line[]];
  const wrong = { ...snapshot, ...venue.map(snapshot.frame.replace("0.83315909", "0.83315908"), NOW) };
  assert.deepEqual(replay([ack, wrong, ...updates.slice(0, 1)], 10), { held: 0, all: 2 });
  assert.deepEqual(replay([ack, wrong, snapshot, ...updates], 10), { held: 81, all: 82 });
});

Deno.test("the books of books.jsonl agree with their checksums, spelled in whatever way", options, async () => {
  const { held, all } = replay(await linesOf(BOOKS), 10);
  assert.deepEqual({ held, all }, { held: 12, all: 12 });
});

Deno.test("the recorded session of depth 25 is read whole and agrees with 43 of 43 checksums", recording, async () => {
  const lines = await linesOf(DEPTH25);
  assert.deepEqual(counts(lines.map(({ kind }) => kind)), {
    status: 1,
    ack: 3,
    instrument: 1,
    bookSnapshot: 1,
    bookUpdate: 42,
    heartbeat: 2,
  });
  assert.deepEqual(counts(typesOf(lines)), { book: 1, delta: 42 });
  assert.deepEqual(replay(lines, 25), { held: 43, all: 43 });
});

Deno.test("the recorded single frames are read and agree with 2 of 2 checksums", recording, async () => {
  const lines = await linesOf(SINGLE);
  assert.deepEqual(counts(lines.map(({ kind }) => kind)), {
    bookSnapshot: 2,
    trade: 4,
    status: 1,
    ack: 1,
    error: 1,
    ticker: 1,
    heartbeat: 1,
  });
  assert.deepEqual(counts(typesOf(lines)), { book: 2, trade: 6, quote: 1 });
  assert.deepEqual(replay(lines, 10), { held: 2, all: 2 });
});

function typesOf(lines: readonly Line[]): TickType[] {
  const ticks = lines.flatMap(({ ticks }) => ticks);
  for (const tick of ticks) assert.ok(isTick(JSON.parse(JSON.stringify(tick))), JSON.stringify(tick));
  return ticks.map(({ type }) => type);
}

Deno.test("kraken sends only what is a tick, with one checksum for each of a book", options, async () => {
  for (const path of GOLDEN) {
    const lines = await linesOf(path);
    typesOf(lines);
    for (const { kind, ticks, checksums } of lines) {
      assert.equal(checksums?.length, /^book/.test(kind) ? ticks.length : undefined);
    }
  }
});

// What is said, and what is answered.

const said = (messages: readonly string[]): (Fields | undefined)[] => messages.map(fieldsOf);

Deno.test(
  "kraken is asked for each channel once, and asked to end a book at the depth that was asked for",
  options,
  () => {
    const subscription = { symbols: ["AAA/USD", "BBB/USD"], channels: ["trade", "quote", "book"] } as const;
    const symbol = subscription.symbols;
    assert.equal(live.base + live.path(subscription, undefined), "wss://ws.kraken.com/v2");
    assert.deepEqual(said(live.subscribe(subscription, 7)), [
      { method: "subscribe", params: { channel: "trade", symbol, snapshot: true }, req_id: 7 },
      { method: "subscribe", params: { channel: "ticker", symbol, event_trigger: "bbo", snapshot: true }, req_id: 8 },
      { method: "subscribe", params: { channel: "book", depth: 10, symbol, snapshot: true }, req_id: 9 },
    ]);
    assert.deepEqual(said(live.unsubscribe({ symbols: ["AAA/USD"], channels: ["quote", "book"] }, 1)), [
      { method: "unsubscribe", params: { channel: "ticker", symbol: ["AAA/USD"] }, req_id: 1 },
      { method: "unsubscribe", params: { channel: "book", depth: 10, symbol: ["AAA/USD"] }, req_id: 2 },
    ]);
    assert.deepEqual(live.subscribe({ symbols: [], channels: ["trade"] }, 1), []);
  },
);

Deno.test("many symbols are asked for in several requests, each symbol in one", options, () => {
  const symbols = Array.from({ length: 250 }, (_, i) => `A${i}/USD`);
  const requests = live.subscribe({ symbols, channels: ["trade"] }, 1).map((message) => JSON.parse(message));
  assert.deepEqual(requests.map(({ params }) => params.symbol.length), [100, 100, 50]);
  assert.deepEqual(requests.map(({ req_id }) => req_id), [1, 2, 3]);
  assert.deepEqual(requests.flatMap(({ params }) => params.symbol), symbols);
});

Deno.test("an answer is about one symbol, and names what was refused in the venue's words", options, async () => {
  const [others] = GOLDEN.filter((path) => path.endsWith("others.jsonl"));
  const answers = (await linesOf(others!)).map(({ frame, kind }) => ({ kind, answer: live.answer(frame) }));
  const refused = (words: string, symbol?: string) => ({
    kind: "error",
    answer: symbol === undefined ? { refused: words } : { refused: words, symbols: [symbol] },
  });
  const done = (symbol: string) => ({ kind: "ack", answer: { refused: null, symbols: [symbol] } });
  assert.deepEqual(answers.filter(({ answer }) => answer !== null), [
    done("AAA/USD"),
    done("BBB/USD"),
    refused("Currency pair not supported NOPE/USD", "NOPE/USD"),
    refused("Subscription depth not supported", "AAA/USD"),
    refused("Exceeded msg rate"),
    { kind: "ack", answer: { refused: null } },
    done("AAA/USD"),
  ]);
});

Deno.test("kraken's ping is what the venue answers with a pong", options, () => {
  assert.deepEqual(fieldsOf(live.heartbeat!.message), { method: "ping" });
  // Heartbeats come each second; the venue's own advice is to wait for some of them.
  assert.ok(live.silentMs >= 5_000 && live.silentMs <= 10_000);
  assert.ok(live.heartbeat!.everyMs < 60_000);
});
