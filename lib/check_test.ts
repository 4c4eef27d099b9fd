/** Each check by example, on a lake of its own: what of a symbol's day is a finding, and what is not. */
import assert from "@std/assert";
import { checkDay, type Verdict } from "./check.ts";
import { openLake } from "./lake.ts";
import { warm } from "./parquet.ts";
import { LIMITS } from "./rule/limits.ts";
import { rowOf, TABLE_OF } from "./table.ts";
import type { ValidTick } from "./tick.ts";

const strict = { sanitizeOps: true, sanitizeResources: true } as const;
const NOON = Date.UTC(2024, 7, 8, 12) * 1_000, SECOND = 1_000_000;
// The engine opens a message port for good, which the first test would be blamed for.
await warm();

type Fields = Readonly<Record<string, unknown>>;
const common = { venue: "sim", symbol: "A", eventTime: NOON, receivedTime: NOON + 9, sequence: null, id: null };
const trade = (fields: Fields = {}): Fields => ({
  ...{ type: "trade", ...common, price: "1", size: "1", side: "buy", ...fields },
});
const quote = (fields: Fields = {}): Fields => ({
  ...{ type: "quote", ...common, bidPrice: "1", bidSize: "1", askPrice: "2", askSize: "1", ...fields },
});
const delta = (fields: Fields = {}): Fields => ({
  ...{
    type: "delta",
    ...common,
    bids: [["1", "0"]],
    asks: [],
    firstId: null,
    lastId: null,
    previousId: null,
    ...fields,
  },
});

/** The verdicts on symbol `A` of a lake that holds these ticks, one behind another. */
async function checked(ticks: readonly Fields[], limits: { lateMsMax: number } = LIMITS): Promise<Verdict[]> {
  const root = await Deno.makeTempDir({ prefix: "tapedeck-check-" });
  const lake = await openLake(`file:${root}/lake`, {
    ...{ now: () => 0, env: () => undefined, report: () => {}, retryForMs: 0 },
  });
  try {
    const held = await lake.begin({ sink: "sink-cold", topic: "ticks.valid", partition: 0 }, "log", 0);
    const sheet = lake.sheet(held);
    ticks.forEach((fields, origin) => {
      const tick = { ...fields, origin, previous: origin - 1 } as unknown as ValidTick;
      sheet.add(TABLE_OF[tick.type], rowOf(tick, 0));
    });
    await lake.publish(held, sheet, ticks.length);
    const files = (await lake.units()).flatMap((unit) => unit.files);
    return await checkDay(lake.root, files, "A", limits);
  } finally {
    await lake.close();
    await Deno.remove(root, { recursive: true });
  }
}
/** Status and observation of one check, by venue. */
const of = (verdicts: readonly Verdict[], check: string, table = "trades"): Record<string, string> =>
  Object.fromEntries(
    verdicts.filter((v) => v.check === check && v.table === table).map((v) => [v.venue, `${v.status}: ${v.observed}`]),
  );

Deno.test("a live event may fall by lateMsMax, and by more where its flag says so", strict, async () => {
  const at = (eventTime: number, fields: Fields = {}): Fields => trade({ eventTime, ...fields });
  const order = async (fall: number, fields: Fields = {}, limits?: { lateMsMax: number }): Promise<string> =>
    of(await checked([at(NOON), at(NOON - fall, fields), at(NOON)], limits), "order").sim!;
  assert.equal(await order(0), "pass: 0 of 0 that fall");
  assert.equal(await order(SECOND), "pass: 0 of 1 that fall");
  assert.equal(await order(SECOND + 1), "fail: 1 of 1 that fall");
  assert.equal(await order(SECOND + 1, { flags: ["gap", "late", "reordered"] }), "pass: 0 of 1 that fall");
  assert.equal(await order(SECOND + 1, { flags: ["reordered"] }), "fail: 1 of 1 that fall");
  for (const source of ["backfill", "redrive"]) {
    assert.equal(await order(9 * SECOND, { source }), "pass: 0 of 1 that fall");
  }
  assert.equal(await order(9 * SECOND, { source: "conflated" }), "fail: 1 of 1 that fall");
  assert.equal(await order(9 * SECOND, { timeSource: "received" }), "pass: 0 of 0 that fall");
  assert.equal(await order(9 * SECOND, {}, { lateMsMax: 9_000 }), "pass: 0 of 1 that fall");
});

Deno.test("a time of our own makes nothing late", strict, async () => {
  const own = trade({ eventTime: NOON + 9 * SECOND, timeSource: "received" });
  assert.equal(of(await checked([trade(), own, trade()]), "order").sim, "pass: 0 of 0 that fall");
});

Deno.test("venues of one symbol are checked apart", strict, async () => {
  const lot = (venue: string, first: number, price: string, from: number): Fields[] =>
    [0, 1].map((i) => trade({ venue, sequence: first + i, price, eventTime: from + i }));
  const verdicts = await checked([
    ...lot("sim", 1, "10", NOON),
    ...lot("binance", 5_000_000, "60000", NOON - 60 * SECOND),
    trade({ symbol: "B", sequence: 9, price: "7" }),
  ]);
  assert.deepEqual(of(verdicts, "rows"), { binance: "pass: 2", sim: "pass: 2" });
  const none = "pass: 0 missing, 0 ticks flagged";
  assert.deepEqual(of(verdicts, "gap"), { binance: none, sim: none });
  assert.deepEqual(of(verdicts, "order"), { binance: "pass: 0 of 0 that fall", sim: "pass: 0 of 0 that fall" });
  assert.deepEqual(of(verdicts, "range"), {
    binance: "pass: price 60000 to 60000, 0 sizes not above 0",
    sim: "pass: price 10 to 10, 0 sizes not above 0",
  });
});

Deno.test(
  "numbers are missed where their venue promises each, and twice where it promises an order",
  strict,
  async () => {
    const verdicts = await checked([
      ...[1, 2, 5].map((sequence) => quote({ sequence })),
      ...[1, 2, 5].map((sequence) => quote({ venue: "binance", sequence })),
      ...[7, 9, 9].map((sequence) => delta({ venue: "binance", sequence })),
      ...[7, 9, 9].map((sequence) => delta({ venue: "elsewhere", sequence })),
    ]);
    assert.deepEqual(of(verdicts, "gap", "quotes"), { sim: "warn: 2 missing, 0 ticks flagged" });
    assert.deepEqual(of(verdicts, "duplicate", "quotes"), { binance: "pass: 0", sim: "pass: 0" });
    assert.deepEqual(of(verdicts, "gap", "deltas"), {});
    assert.deepEqual(of(verdicts, "duplicate", "deltas"), { binance: "fail: 1" });
  },
);

Deno.test("a symbol that the day does not have has no verdict", strict, async () => {
  assert.deepEqual(await checked([trade({ symbol: "B" })]), []);
});
