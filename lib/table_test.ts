/** What was a tick is the same tick again when it is read from its row. */
import assert from "@std/assert";
import { rowOf, TABLE_OF, tickOf } from "./table.ts";
import { isTick, type Tick, type ValidTick } from "./tick.ts";

const common = {
  ...{ venue: "kraken", symbol: "BTC/USD", eventTime: 1_700_000_000_000_001, receivedTime: 1_700_000_000_000_002 },
  ...{ sequence: null, id: null },
};
const full = {
  ...{ venue: "kraken", symbol: "BTC/USD", eventTime: common.eventTime, receivedTime: common.eventTime },
  timeSource: "received",
  sequence: 7,
  id: "i-7",
  source: "backfill",
  frame: "c/1",
} as const;
const levels: [string, string][] = [["61000.1", "0.5"], ["60999", "0"]];
const TICKS: readonly Tick[] = [
  { type: "trade", ...common, price: "1.5", size: "2", side: "buy" },
  { type: "trade", ...full, price: "-1.5", size: "2", side: "unknown", conditions: ["@", "T"] },
  { type: "quote", ...common, bidPrice: null, bidSize: null, askPrice: "1", askSize: "2" },
  { type: "quote", ...full, bidPrice: "1", bidSize: "2", askPrice: null, askSize: null },
  { type: "book", ...common, bids: levels, asks: [] },
  { type: "book", ...full, bids: [], asks: levels },
  { type: "delta", ...common, bids: levels, asks: [], firstId: null, lastId: null, previousId: null },
  { type: "delta", ...full, bids: [], asks: levels, firstId: 5, lastId: 6, previousId: 4 },
  { type: "status", ...common, state: "gap", firstId: null, lastId: null, detail: null },
  { type: "status", ...full, state: "halted", firstId: 1, lastId: 2, detail: "a, b" },
];

Deno.test("a tick of every type comes back from its row, without its place and its flags", () => {
  for (const tick of TICKS) {
    assert.ok(isTick(tick));
    const valid = { ...tick, origin: 3, previous: 1, flags: ["late", "gap"] } as ValidTick;
    const read = tickOf(TABLE_OF[tick.type], rowOf(valid, 2));
    assert.deepEqual(read, tick);
    // Fields stand as they are sent.
    assert.equal(JSON.stringify(read), JSON.stringify(tick));
  }
});

Deno.test("amounts come back in their one spelling", () => {
  const tick = { type: "book", ...common, bids: [["10.50", "1.000"]], asks: [["-0.0", "3"]], origin: 0, previous: -1 };
  const read = tickOf("books", rowOf(tick as unknown as ValidTick, 0));
  assert.deepEqual(read, { type: "book", ...common, bids: [["10.5", "1"]], asks: [["0", "3"]] });
});
