/**
 * The promises of the door `hot`, held against every resident: memory, SQLite, and Postgres where `POSTGRES_URL` names
 * one. Each case gets a store of its own.
 */
import assert from "@std/assert";
import fc from "fast-check";
import postgres from "postgres";
import { Refusal } from "./failure.ts";
import type { Holding } from "./fence.ts";
import { type Hot, type HotTable, openHot } from "./hot.ts";
import { HOT_TABLES } from "./schema.ts";
import { type Cell, rejectedRowOf, type Row, rowOf } from "./table.ts";
import type { World } from "./world.ts";

const NOON = Date.UTC(2024, 7, 8, 12);
const DAY = 86_400_000_000;
const world: World = { now: () => NOON, env: () => undefined, report: () => {}, retryForMs: 0 };
const place = { sink: "sink-hot", topic: "ticks.valid", partition: 0 };
const server = Deno.env.get("POSTGRES_URL");
if (server === undefined) console.log("hot_test: Postgres is skipped, POSTGRES_URL is not set");

/** Gives a test the URL of an empty store and removes the store afterwards. */
type Ground = (test: (url: string) => Promise<void>) => Promise<void>;
let count = 0;
const grounds: Readonly<Record<string, Ground>> = {
  memory: (test) => test(`memory:hot-test-${count++}`),
  async sqlite(test) {
    const folder = await Deno.makeTempDir();
    await test(`sqlite:${folder}/hot.db`).finally(() => Deno.remove(folder, { recursive: true }));
  },
  async postgres(test) {
    const schema = `tapedeck_test_${Deno.pid}_${count++}`;
    const sql = postgres(server!, { max: 1, onnotice: () => {}, fetch_types: false });
    try {
      await test(`${server}?schema=${schema}`);
    } finally {
      await sql.unsafe(`drop schema if exists ${schema} cascade`);
      await sql.end();
    }
  },
};

/** One promise, tried on every resident. */
function promise(name: string, test: (url: string, hot: Hot) => Promise<void>): void {
  for (const [resident, ground] of Object.entries(grounds)) {
    Deno.test({
      name: `${resident} hot store: ${name}`,
      ignore: resident === "postgres" && server === undefined,
      sanitizeOps: true,
      sanitizeResources: true,
      fn: () =>
        ground(async (url) => {
          const hot = await openHot(url, world);
          await test(url, hot).finally(() => hot.close());
        }),
    });
  }
}

/** A row of quotes whose cells are plain, but for what is given. */
function quote(origin: number, cells: Readonly<Record<string, Cell>> = {}, partition = 0): Row {
  const plain: Record<string, Cell> = {
    partition,
    origin,
    venue: "binance",
    symbol: "BTCUSDT",
    event_time: NOON * 1000 + origin,
    received_time: NOON * 1000 + origin + 700,
    bid_price: "61000.5",
    bid_size: "0.25",
    ...cells,
  };
  return HOT_TABLES.quotes.map(({ name }) => plain[name] ?? null);
}

const quotes = (from: number, to: number, partition = 0): Row[] =>
  Array.from({ length: to - from }, (_, i) => quote(from + i, {}, partition));

async function all(hot: Hot, table: HotTable = "quotes", partition = 0, from = 0, to = 1e9): Promise<Row[]> {
  const rows: Row[] = [];
  for await (const chunk of hot.rows(table, partition, from, to)) rows.push(...chunk);
  return rows;
}

/** Applies rows whose last origin is `next - 1`. */
function apply(hot: Hot, held: Holding, next: number, rows: Partial<Record<HotTable, readonly Row[]>>) {
  return hot.apply({ held, next, origin: next - 1, rows });
}

promise("acquire of an unknown place is null and creates nothing", async (_url, hot) => {
  assert.equal(await hot.acquire(place), null);
  assert.deepEqual(await hot.holdings(), []);
});

promise("begin gives epoch 1 and every acquire one more", async (_url, hot) => {
  const begun = { ...place, identity: "log-a", epoch: 1, next: 7, origin: -1, since: NOON };
  assert.deepEqual(await hot.begin(place, "log-a", 7), begun);
  assert.deepEqual(await hot.acquire(place), { ...begun, epoch: 2 });
  assert.deepEqual(await hot.acquire(place), { ...begun, epoch: 3 });
  assert.deepEqual(await hot.holdings(), [{ ...begun, epoch: 3 }]);
});

promise("a place that was begun is not begun again", async (_url, hot) => {
  await hot.begin(place, "log-a", 0);
  await assert.rejects(hot.begin(place, "log-a", 0), { name: "Refusal", message: /begun already/ });
});

promise("a place whose rows are there and whose offset is lost is not begun, and stays as it is", async (_url, hot) => {
  const rejected = HOT_TABLES.rejected.map(({ name, nullable }) =>
    nullable ? null : ({ partition: 1, origin: 0, replays: 0 })[name] ?? "[]"
  );
  // Another sink's offset stands for the one that was lost.
  const other = { ...place, sink: "sink-old" };
  await apply(hot, await hot.begin(other, "log-a", 0), 3, { quotes: quotes(0, 3) });
  await apply(hot, await hot.begin({ ...other, topic: "ticks.rejected", partition: 1 }, "log-a", 0), 1, {
    rejected: [rejected],
  });
  const before = await hot.holdings();
  await assert.rejects(hot.begin(place, "log-a", 0), {
    name: "Refusal",
    message: /^Cannot begin place "sink-hot\/ticks.valid\/0": table "quotes" has rows of partition 0 .*must have both/,
  });
  await assert.rejects(
    hot.begin({ ...place, topic: "ticks.rejected", partition: 1 }, "log-a", 0),
    /"rejected" has rows/,
  );
  assert.deepEqual([await hot.acquire(place), await hot.holdings()], [null, before]);
  // Rows of another partition, or of the other topic, are not its own.
  await hot.begin({ ...place, partition: 1 }, "log-a", 0);
  await hot.begin({ ...place, topic: "ticks.rejected" }, "log-a", 0);
});

promise(
  "what is given up is kept with its place, moves the offset alone, and is its owner's to give up",
  async (url, hot) => {
    const held = await hot.begin(place, "log-a", 0);
    const applied = await apply(hot, held, 3, { quotes: quotes(0, 3) });
    const behind = await hot.skip(applied, 10);
    assert.deepEqual(behind, { ...applied, next: 10 });
    const gap = { ...place, first: 3, last: 9, at: NOON };
    assert.deepEqual(await hot.gaps(), [gap]);
    await assert.rejects(hot.skip(applied, 12), { name: "Refusal", message: /stands at 10, must stand at 3/ });
    await apply(hot, behind, 12, { quotes: quotes(10, 12) });
    await hot.acquire(place);
    await assert.rejects(hot.skip(behind, 20), { name: "Refusal", message: /holds it since \d{4}-\S+Z/ });
    const again = await openHot(url, world);
    assert.deepEqual([await again.gaps(), (await again.holdings())[0]!.next], [[gap], 12]);
    await again.close();
  },
);

promise("apply moves rows and offset together, a partition by itself", async (_url, hot) => {
  const held = await hot.begin(place, "log-a", 0);
  const other = await hot.begin({ ...place, partition: 1 }, "log-a", 0);
  const moved = await apply(hot, held, 3, { quotes: quotes(0, 3) });
  assert.deepEqual(moved, { ...held, next: 3, origin: 2, committed: NOON });
  assert.deepEqual(await hot.holdings(), [moved, other]);
  assert.deepEqual(await all(hot), quotes(0, 3));
  assert.deepEqual(await all(hot, "quotes", 1), []);
  assert.deepEqual(await apply(hot, moved, 5, {}), { ...moved, next: 5, origin: 4 });
});

promise("apply with a stale epoch says who holds it since when, and changes nothing", async (_url, hot) => {
  const stale = await hot.begin(place, "log-a", 0);
  const held = await hot.acquire(place);
  await assert.rejects(apply(hot, stale, 1, { quotes: quotes(0, 1) }), {
    name: "Refusal",
    message: /sink-hot with epoch 2 holds it since 2024-08-08T12:00:00.000Z and this one has epoch 1/,
  });
  assert.deepEqual(await hot.holdings(), [held]);
  assert.deepEqual(await all(hot), []);
});

promise("apply from where the store does not stand is refused and changes nothing", async (_url, hot) => {
  const held = await hot.begin(place, "log-a", 0);
  const moved = await apply(hot, held, 2, { quotes: quotes(0, 2) });
  for (const next of [0, 1, 3]) {
    await assert.rejects(apply(hot, { ...moved, next }, 9, { quotes: quotes(next, 9) }), {
      name: "Refusal",
      message: /stands at 2, must stand at/,
    });
  }
  assert.deepEqual(await hot.holdings(), [moved]);
  assert.deepEqual(await all(hot), quotes(0, 2));
});

promise("apply to a place that was never begun is refused", async (_url, hot) => {
  const held = { ...place, identity: "log-a", epoch: 1, next: 0, origin: -1, since: NOON };
  await assert.rejects(apply(hot, held, 1, { quotes: quotes(0, 1) }), Refusal);
  assert.deepEqual(await all(hot), []);
});

promise("a bad row in the middle leaves nothing of its commit", async (_url, hot) => {
  const held = await hot.begin(place, "log-a", 0);
  const short = quote(50).slice(0, -1);
  for (const bad of [quote(50, { venue: null }), quote(50, { received_time: null }), short, [...quote(50), "extra"]]) {
    const rows = [...quotes(0, 50), bad, ...quotes(51, 100)];
    await assert.rejects(apply(hot, held, 100, { trades: [trade(0)], quotes: rows, status: [] }), Refusal);
    assert.deepEqual(await hot.holdings(), [held]);
    assert.deepEqual([await all(hot), await all(hot, "trades")], [[], []]);
  }
  await apply(hot, held, 100, { quotes: quotes(0, 100) });
  assert.deepEqual(await all(hot), quotes(0, 100));
});

function trade(origin: number): Row {
  return rowOf({
    type: "trade",
    origin,
    previous: origin - 1,
    flags: ["stale", "outlier"],
    venue: "binance",
    symbol: "SHIBUSDT",
    eventTime: 0,
    receivedTime: NOON * 1000 + 999_999,
    timeSource: "received",
    sequence: Number.MAX_SAFE_INTEGER,
    id: "t-1",
    source: "backfill",
    frame: "c1/12",
    price: "-0.50",
    size: "1234567890123.00",
    side: "sell",
    conditions: ["@", "T"],
  }, 0);
}

promise("rows of every table come back as they were given", async (_url, hot) => {
  const common = { venue: "kraken", symbol: "BTC/USD", eventTime: NOON * 1000 + 1, receivedTime: NOON * 1000 + 2 };
  const base = { ...common, sequence: null, id: null, previous: -1 };
  const side = [["61000.10", "0.5"], ["60999", "0"]] as [string, string][];
  const ids = { firstId: 5, lastId: null, previousId: 4 };
  const rows = {
    trades: [trade(0)],
    quotes: [
      rowOf({ ...base, type: "quote", origin: 1, bidPrice: null, bidSize: null, askPrice: "1", askSize: "2" }, 0),
    ],
    books: [rowOf({ ...base, type: "book", origin: 2, bids: side, asks: [] }, 0)],
    deltas: [rowOf({ ...base, type: "delta", origin: 3, bids: [], asks: side, ...ids }, 0)],
    status: [rowOf({ ...base, type: "status", origin: 4, state: "gap", firstId: 1, lastId: 2, detail: "a hole" }, 0)],
  };
  const held = await hot.begin(place, "log-a", 0);
  await apply(hot, held, 5, rows);
  for (const [table, given] of Object.entries(rows)) assert.deepEqual(await all(hot, table as HotTable), given);
});

promise("decimals keep every digit of their canonical text, times every microsecond", async (_url, hot) => {
  const wide = `${"9".repeat(26)}.${"9".repeat(11)}1`;
  const decimals = [
    wide,
    `-${wide}`,
    "0",
    "-0.000000000001",
    "0.000000000001",
    "1234567890123",
    "-37.63",
    "1000000",
    "5.05",
  ];
  const times = [0, 1, 999_999, 1_000_000, 951_782_400_000_000, 1_709_251_199_999_999, 4_102_444_799_000_001];
  const rows = [...decimals.map((bid_price) => ({ bid_price })), ...times.map((event_time) => ({ event_time }))]
    .map((cells, origin) => quote(origin, cells));
  await apply(hot, await hot.begin(place, "log-a", 0), rows.length, { quotes: rows });
  assert.deepEqual(await all(hot), rows);
});

const AWKWARD = [
  "BTC/USD",
  "NSE_INDEX|Nifty 50",
  "IC MARKETS:1",
  "币安人生USDT",
  "\\N",
  "\\.",
  "\\",
  "\\\\n",
  "ends with \\",
  "\t",
  "a\tb",
  "a\nb\r\nc\r",
  "",
  " ",
  "NULL",
  "null",
  "'",
  '"',
  "'; drop table quotes; --",
  "$1 ? :x {a,b} %s",
  "e\u0301 \u{1F680} \u200f \ufeff",
  "\u0001\b\v\f\u001b[31m\u007f\u0085",
];

promise("awkward text comes back untouched, alone and together", async (_url, hot) => {
  const rows = AWKWARD.map((text, origin) => quote(origin, { symbol: text, id: text, frame: text }));
  await apply(hot, await hot.begin(place, "log-a", 0), rows.length, { quotes: rows });
  assert.deepEqual(await all(hot), rows);
});

promise("any text but NUL comes back untouched", async (_url, hot) => {
  const text = fc.string({ unit: "binary", maxLength: 20 }).map((s) => s.replaceAll("\0", ""));
  const awkward = fc.array(fc.constantFrom(...AWKWARD), { maxLength: 4 }).map((parts) => parts.join(""));
  const cell = fc.oneof(text, awkward, fc.constant(null));
  let held = await hot.begin(place, "log-a", 0);
  await fc.assert(
    fc.asyncProperty(fc.array(fc.tuple(cell, cell), { minLength: 1, maxLength: 40 }), async (cells) => {
      const rows = cells.map(([id, frame], i) => quote(held.next + i, { id, frame }));
      const from = held.next;
      held = await apply(hot, held, from + rows.length, { quotes: rows });
      assert.deepEqual(await all(hot, "quotes", 0, from), rows);
    }),
    { numRuns: 25, seed: 8 },
  );
});

promise("rejected messages come back with whatever they held", async (_url, hot) => {
  const rejected = (origin: number, key: string | null, raw: string | null, rawBase64: string | null) =>
    rejectedRowOf({
      ...{ severity: "quarantine", standing: raw === null ? null : "onward" },
      topic: "ticks.raw",
      partition: 0,
      origin,
      previous: origin - 1,
      key,
      reason: "malformed",
      reasons: ["malformed", "stale"],
      rules: "1@12",
      replays: 2,
      raw,
      rawBase64,
    });
  const rows = AWKWARD.map((text, origin) => rejected(origin, text, `{"${text}`, null));
  rows.push(rejected(rows.length, null, null, "AP8="));
  rows.push(rejected(rows.length, "k", "x".repeat(1_000_000), null));
  await apply(hot, await hot.begin(place, "log-a", 0), rows.length, { rejected: rows });
  assert.deepEqual(await all(hot, "rejected"), rows);
});

promise("rows come in chunks, in the order of origins, from the half-open range alone", async (_url, hot) => {
  const held = [await hot.begin(place, "log-a", 0), await hot.begin({ ...place, partition: 1 }, "log-a", 0)];
  // Two partitions interleave, in commits of unequal size, over more rows than any chunk or zone holds.
  const sizes = [15_000, 7, 20_000, 1, 12_345];
  for (const size of sizes) {
    for (const [p, place] of held.entries()) {
      const to = place.next + size;
      held[p] = await apply(hot, place, to, { quotes: quotes(place.next, to, p) });
    }
  }
  for (const [from, to] of [[0, 1e9], [0, 1], [14_999, 15_002], [20_000, 40_000], [47_352, 47_353], [47_353, 1e9]]) {
    let expected = from!;
    for await (const chunk of hot.rows("quotes", 1, from!, to!)) {
      assert.ok(chunk.length > 0 && chunk.length <= 10_000);
      for (const row of chunk) assert.deepEqual([row[0], row[1]], [1, expected++]);
    }
    assert.equal(expected, Math.max(from!, Math.min(to!, 47_353)));
  }
});

promise("the partitions of a table are those of its rows", async (_url, hot) => {
  assert.deepEqual(await hot.partitions("quotes"), []);
  for (const partition of [0, 12]) {
    await apply(hot, await hot.begin({ ...place, partition }, "log-a", 0), 2, { quotes: quotes(0, 2, partition) });
  }
  await hot.begin({ ...place, partition: 3 }, "log-a", 0);
  assert.deepEqual((await hot.partitions("quotes")).toSorted((a, b) => a - b), [0, 12]);
  assert.deepEqual(await hot.partitions("trades"), []);
});

const BTC = { venue: "binance", symbol: "BTCUSDT" };

async function told(hot: Hot, ...[table, instrument, from, to]: Parameters<Hot["told"]>): Promise<unknown[]> {
  const rows: Row[] = [];
  for await (const chunk of hot.told(table, instrument, from, to)) rows.push(...chunk);
  return rows.map((row) => row[1]);
}

promise(
  "what was told of an instrument comes in the order of origins, and nothing that was built",
  async (_url, hot) => {
    const at = NOON * 1000;
    const rows = [
      quote(0, { event_time: at - DAY }),
      quote(1, { event_time: at + 9 }),
      quote(2, { event_time: at, source: "backfill" }),
      quote(3, { event_time: at, source: "built" }),
      quote(4, { event_time: at, symbol: "ETHUSDT" }),
      quote(5, { event_time: at, venue: "binance-usdm" }),
      quote(6, { event_time: at + 10 }),
      quote(7, { event_time: at + 5 }),
      quote(8, { event_time: at + 11 }),
    ];
    const held = await apply(hot, await hot.begin(place, "log-a", 0), rows.length, { quotes: rows });
    assert.deepEqual(await told(hot, "quotes", BTC, at, at + 10), [1, 2, 6, 7]);
    assert.deepEqual(await told(hot, "quotes", BTC, at - DAY, at), [0, 2]);
    assert.deepEqual(await told(hot, "quotes", { ...BTC, symbol: "x' or 1=1 --" }, 0, at + DAY), []);
    assert.deepEqual(await told(hot, "books", BTC, 0, at + DAY), []);
    const last = async (to: number, before = 1e9) => (await hot.lastTold("quotes", BTC, to, before))?.[1];
    assert.deepEqual(await hot.lastTold("quotes", BTC, at + 1, 1e9), rows[2]);
    assert.deepEqual(await Promise.all([at + DAY, at + 10, at - 1, at - DAY - 1].map((to) => last(to))), [
      ...[8, 6, 0, undefined],
    ]);
    assert.deepEqual(await Promise.all([8, 6, 2, 0].map((before) => last(at + DAY, before))), [6, 1, 1, undefined]);
    assert.equal(await hot.lastTold("quotes", { ...BTC, venue: "sim" }, at + DAY, 1e9), null);
    // Of one time, the last origin; over more rows than a chunk holds.
    await apply(hot, held, 30_000, {
      quotes: Array.from(
        { length: 20_000 },
        (_, i) => quote(10_000 + i, { event_time: at + 20 + Math.floor(i / 100) }),
      ),
    });
    assert.equal(await last(at + 20), 10_099);
    const many = await told(hot, "quotes", BTC, at + 20, at + DAY);
    assert.deepEqual(
      many,
      Array.from({ length: 20_000 }, (_, i) => 10_000 + i),
    );
  },
);

promise("the symbols of a venue are told in order, as many as are asked for", async (_url, hot) => {
  const symbols = ["B", "A", "C/D", "B", "A"];
  const rows = [...symbols.map((symbol, i) => quote(i, { symbol })), quote(5, { symbol: "Z", venue: "sim" })];
  assert.deepEqual(await hot.symbols("quotes", "binance", 9), []);
  await apply(hot, await hot.begin(place, "log-a", 0), rows.length, { quotes: rows });
  assert.deepEqual(await hot.symbols("quotes", "binance", 9), ["A", "B", "C/D"]);
  assert.deepEqual(await hot.symbols("quotes", "binance", 2), ["A", "B"]);
  assert.deepEqual([await hot.symbols("quotes", "sim", 9), await hot.symbols("trades", "sim", 9)], [["Z"], []]);
});

promise("a reader may stop half way, and rows applied meanwhile are there for the next one", async (_url, hot) => {
  const held = await apply(hot, await hot.begin(place, "log-a", 0), 25_000, { quotes: quotes(0, 25_000) });
  for await (const chunk of hot.rows("quotes", 0, 0, 1e9)) {
    assert.deepEqual(chunk[0], quote(0));
    await apply(hot, held, 25_001, { quotes: quotes(25_000, 25_001) });
    break;
  }
  for await (const chunk of hot.told("quotes", BTC, 0, NOON * 2000)) {
    assert.deepEqual(chunk[0], quote(0));
    break;
  }
  assert.deepEqual(await all(hot, "quotes", 0, 24_999), quotes(24_999, 25_001));
});

promise("a place tells when it was last moved, by rows or by what was given up, and not before", async (_url, hot) => {
  const begun = await hot.begin(place, "log-a", 0);
  assert.deepEqual([begun.committed, (await hot.acquire(place))!.committed], [undefined, undefined]);
  const [held] = await hot.holdings();
  const moved = await apply(hot, held!, 2, { quotes: quotes(0, 2) });
  assert.equal(moved.committed, NOON);
  const other = await hot.skip(await hot.begin({ ...place, partition: 1 }, "log-a", 0), 7);
  assert.equal(other.committed, NOON);
  assert.deepEqual(await hot.holdings(), [moved, other]);
});

promise("who only looks sees what is there", async (url, hot) => {
  const held = await apply(hot, await hot.begin(place, "log-a", 0), 2, { quotes: quotes(0, 2) });
  const looker = await openHot(url, { ...world, isLooking: true });
  assert.deepEqual([await looker.holdings(), looker.version], [[held], hot.version]);
  await looker.close();
});

promise("two opens of one URL see each other, and opening again changes nothing", async (url, hot) => {
  const held = await apply(hot, await hot.begin(place, "log-a", 0), 2, { quotes: quotes(0, 2) });
  const [second, third] = await Promise.all([openHot(url, world), openHot(url, world)]);
  try {
    assert.deepEqual(await second.holdings(), [held]);
    const taken = await second.acquire(place);
    await assert.rejects(apply(hot, held, 3, { quotes: quotes(2, 3) }), Refusal);
    await apply(second, taken!, 3, { quotes: quotes(2, 3) });
    assert.deepEqual(await all(hot), quotes(0, 3));
    assert.deepEqual(await all(third), quotes(0, 3));
  } finally {
    await second.close();
    await third.close();
  }
});

promise("applies that are started at once, of different partitions, all succeed", async (_url, hot) => {
  const held = await Promise.all([0, 1, 2, 3].map((partition) => hot.begin({ ...place, partition }, "log-a", 0)));
  const moved = await Promise.all(
    held.map((place) => apply(hot, place, 500, { quotes: quotes(0, 500, place.partition) })),
  );
  assert.deepEqual(await hot.holdings(), moved);
  for (const p of [0, 1, 2, 3]) assert.deepEqual(await all(hot, "quotes", p), quotes(0, 500, p));
});
