/** Each rule by example, and what a control record may say. What they say together is in `judge_test.ts`. */
import assert from "@std/assert";
import { BESIDE_RULES, type Draft, PLACE_RULES, RULES, weigh } from "./rule.ts";
import { Control, INSTRUMENTS_MAX, termsOf } from "./rule/control.ts";
import { LIMITS } from "./rule/limits.ts";
import { Memory, PRICES_MIN } from "./rule/memory.ts";
import { Tick } from "./tick.ts";

const options = { sanitizeOps: true, sanitizeResources: true };
const SECOND = 1_000_000, NOW = 1_763_690_000_000_000;
const head = { venue: "sim", symbol: "A", eventTime: NOW, receivedTime: NOW + 300, sequence: 7, id: null };
const trade = { type: "trade", ...head, price: "100.50", size: "2", side: "buy" };
const quote = { type: "quote", ...head, bidPrice: "100.50", bidSize: "1", askPrice: "100.55", askSize: "3" };
const book = { type: "book", ...head, bids: [["100.50", "1"], ["100.45", "2"]], asks: [["100.55", "3"]] };
const delta = {
  type: "delta",
  ...head,
  bids: [["100.50", "0"]],
  asks: [],
  firstId: null,
  lastId: null,
  previousId: null,
};
const status = { type: "status", ...head, state: "connected", firstId: null, lastId: null, detail: null };
const terms = termsOf({ symbol: "A", tickSize: "0.05", lot: "1", negative: false });
const free = termsOf({ symbol: "A", tickSize: "0.05", lot: "1", negative: true });

/** Names of the rules that the tick breaks, in table order. */
function broken(fields: unknown, rest: Partial<Draft> = {}): string[] {
  const evidence: Draft = {
    ...{ tick: Tick.parse(fields), terms, limits: LIMITS, prices: 0, sizes: 0, spread: 1, watermark: -1 },
    ...{ place: "onward", gap: false, bid: NaN, ask: NaN, price: NaN, memory: new Memory(), delay: 0, hours: null },
    ...rest,
  };
  weigh(evidence);
  const found = [...BESIDE_RULES, ...PLACE_RULES].filter((rule) =>
    rule.types.includes(evidence.tick.type) && rule.test(evidence)
  ).map(({ name }) => name);
  return RULES.map(({ name }) => name).filter((name) => found.includes(name));
}

Deno.test("the table names every rule once, rejecting ones first, in the order that is stored", options, () => {
  const names = RULES.map(({ name }) => name);
  assert.deepEqual(names, [
    ...["malformed", "shape", "precision", "price", "size", "grid", "crossed", "future", "duplicate", "backwards"],
    ...["locked", "spread", "one-sided", "old", "outlier", "frozen", "halted", "session", "gap", "late", "reordered"],
    "reset",
  ]);
  assert.deepEqual([...BESIDE_RULES, ...PLACE_RULES].map(({ name }) => name).sort(), names.slice(2).sort());
  assert.deepEqual(RULES.map(({ severity }) => severity), names.map((_, i) => i < 10 ? "reject" : "flag"));
  for (const { why } of RULES) assert.match(why, /^[a-z].{20,}[^.]$/i);
});
Deno.test("a sound tick of every type breaks nothing", options, () => {
  for (const tick of [trade, quote, book, delta, status]) assert.deepEqual(broken(tick), [], tick.type);
  const empty = { bidPrice: null, bidSize: null, askPrice: null, askSize: null };
  assert.deepEqual(broken({ ...quote, ...empty }), []);
  assert.deepEqual(broken({ ...book, bids: [], asks: [] }), []);
});

const long = "1".repeat(27), fine = "0.0000000000001";
const cases: readonly (readonly [string, unknown, readonly string[], Partial<Draft>?])[] = [
  ["precision: 27 digits before the point", { ...trade, price: long }, ["precision"]],
  ["precision: 13 digits after the point", { ...trade, size: fine }, ["precision"], { terms: null }],
  ["precision: zeros at the end do not count", { ...trade, price: "100.50" + "0".repeat(30) }, []],
  ["precision: a quote's ask size", { ...quote, askSize: fine }, ["precision"]],
  ["precision: a level of a book", { ...book, asks: [["100.55", "3"], [long, "1"]] }, ["precision"]],
  ["precision: a quote, whose other side is off the grid", { ...quote, askPrice: long, bidPrice: "1.01" }, [
    "precision",
    "grid",
  ]],
  ["precision: nothing is crossed by what does not fit", { ...quote, bidPrice: long }, ["precision"]],
  ["price: zero", { ...trade, price: "0.00" }, ["price"]],
  ["price: negative", { ...trade, price: "-0.05" }, ["price"]],
  ["price: zero of an unknown instrument", { ...trade, price: "0" }, ["price"], { terms: null }],
  ["price: where the instrument allows it", { ...trade, price: "-0.05" }, [], { terms: free }],
  ["price: a quote's bid", { ...quote, bidPrice: "-1" }, ["price"]],
  ["price: a quote around zero where allowed", { ...quote, bidPrice: "-1", askPrice: "0" }, [], { terms: free }],
  ["price: a level that a delta deletes", { ...delta, bids: [["0", "0"]] }, ["price"]],
  ["size: a trade of zero", { ...trade, size: "0.0" }, ["size"]],
  ["size: a negative trade", { ...trade, size: "-1" }, ["size"]],
  ["size: zero in a quote", { ...quote, bidSize: "0" }, ["size"]],
  ["size: zero on the other side of a quote", { ...quote, askSize: "0.00" }, ["size"]],
  ["size: zero at the price of zero is no price", { ...quote, bidPrice: "0", bidSize: "0" }, ["size"]],
  ["size: zero at an ask of zero is no price", { ...quote, askPrice: "0", askSize: "0" }, ["size"]],
  ["size: zero crosses and locks nothing", { ...quote, bidPrice: "100.60", bidSize: "0" }, ["size"]],
  ["size: zero at a locked ask", { ...quote, askPrice: "100.50", askSize: "0" }, ["size"]],
  ["size: zero may be where a delta deletes", delta, []],
  ["size: negative in a quote", { ...quote, askSize: "-1" }, ["size"]],
  ["size: zero in a book", { ...book, bids: [["100.50", "0"]] }, ["size"]],
  ["size: negative in a delta", { ...delta, bids: [["100.50", "-1"]] }, ["size"]],
  ["grid: a price between two steps", { ...trade, price: "100.51" }, ["grid"]],
  ["grid: a size between two lots", { ...trade, size: "1.5" }, ["grid"]],
  ["grid: an ask finer than any step", { ...quote, askPrice: "100.5500000001" }, ["grid"]],
  ["grid: an order that rests in a book may be older than the steps", {
    ...book,
    bids: [["100.50", "1"], ["100.46", "1.5"]],
  }, []],
  ["grid: and so may one that a delta changes", { ...delta, bids: [["100.51", "0.5"]] }, []],
  ["grid: an unknown instrument has none", { ...trade, price: "100.51", size: "1.5" }, [], { terms: null }],
  ["crossed: a quote", { ...quote, bidPrice: "100.60" }, ["crossed"]],
  ["crossed: a quote written with other zeros", { ...quote, bidPrice: "100.550", askPrice: "99.950" }, ["crossed"]],
  ["crossed: a book by its best levels", { ...book, asks: [["100.45", "1"]] }, ["crossed"]],
  ["crossed: a book whose best bid stands behind", { ...book, bids: [["100.45", "2"], ["100.60", "1"]] }, ["crossed"]],
  [
    "crossed: a book whose best ask stands behind",
    { ...book, asks: [["100.55", "3"], ["100.65", "1"], ["99.95", "1"]] },
    ["crossed"],
  ],
  ["crossed: an empty side of a book crosses nothing", { ...book, asks: [] }, ["one-sided"]],
  ["crossed: a book in any order that does not cross", { ...book, bids: [["100.40", "2"], ["100.50", "1"]] }, []],
  ["crossed: a delta is no book", { ...delta, asks: [["1", "1"]] }, []],
  ["crossed: one side alone", { ...quote, askPrice: null, askSize: null }, ["one-sided"]],
  ["locked: a quote", { ...quote, askPrice: "100.5" }, ["locked"]],
  ["locked: a book", { ...book, asks: [["100.500", "1"]] }, ["locked"]],
  ["future: a microsecond too far", { ...trade, eventTime: NOW + 5 * SECOND + 301 }, ["future"]],
  ["future: as far as may be", { ...trade, eventTime: NOW + 5 * SECOND + 300 }, []],
  ["late: a microsecond too late", trade, ["late"], { watermark: NOW + SECOND + 1 }],
  ["late: as late as may be", trade, [], { watermark: NOW + SECOND }],
  ["late: never where the time is our own", { ...trade, eventTime: NOW + 300, timeSource: "received" }, [], {
    watermark: NOW + 9 * SECOND,
  }],
  ["late: never backfilled", { ...trade, source: "backfill" }, [], { watermark: NOW + 9 * SECOND }],
  ["late: never redriven", { ...trade, source: "redrive" }, [], { watermark: NOW + 9 * SECOND }],
  ["late: conflated is live", { ...trade, source: "conflated" }, ["late"], { watermark: NOW + 9 * SECOND }],
  ["duplicate: also backfilled", { ...trade, source: "backfill" }, ["duplicate"], { place: "duplicate" }],
  ["backwards: live", trade, ["backwards"], { place: "backwards" }],
  ["backwards: never backfilled", { ...trade, source: "backfill" }, [], { place: "backwards" }],
  ["reordered and gap: both are said", trade, ["gap", "reordered"], { place: "reordered", gap: true }],
  [
    "everything at once, in table order",
    { ...quote, bidPrice: "-1.01", askPrice: "-2", askSize: "-1", eventTime: NOW + 9 * SECOND },
    ["price", "size", "grid", "crossed", "future"],
  ],
];
for (const [name, fields, expected, rest] of cases) {
  Deno.test(name, options, () => assert.deepEqual(broken(fields, rest), expected));
}

Deno.test("a price that is far is an outlier, unless its instrument may be worth nothing", options, () => {
  const memory = new Memory();
  for (let i = 0; i < PRICES_MIN; i++) memory.price(100.5, LIMITS.outlierBpsMax);
  const far = { ...trade, price: "150.00" };
  assert.deepEqual([trade, far].map((tick) => broken(tick, { memory })), [[], ["outlier"]]);
  assert.deepEqual(broken(far, { memory, terms: free }), []);
  assert.deepEqual(broken({ ...far, source: "backfill" }, { memory }), []);
});

Deno.test("a control record says limits or instruments, and nothing else", options, () => {
  const instrument = { symbol: "A", tickSize: "0.05", lot: "1", negative: false };
  const sound: readonly unknown[] = [
    { control: "limits" },
    { control: "limits", futureMsMax: 0, lateMsMax: 1, windowMax: 16_384 },
    { control: "instruments", venue: "sim", instruments: [] },
    { control: "instruments", venue: "sim", instruments: [instrument] },
    { control: "instruments", venue: "sim", since: 1_763_690_000_000_000, instruments: [] },
    {
      control: "instruments",
      venue: "sim",
      since: 1_763_690_000_000_000,
      until: 1_763_690_000_000_000,
      instruments: [],
    },
  ];
  for (const value of sound) assert(Control.safeParse(value).success, JSON.stringify(value));
  const unsound: readonly unknown[] = [
    ...[null, {}, { control: "other" }, { control: "limits", windowMax: 0 }, { control: "limits", windowMax: 16_385 }],
    ...[{ control: "limits", lateMsMax: -1 }, { control: "limits", futureMsMax: 1.5 }, { control: "limits", late: 1 }],
    { control: "instruments", venue: "Sim", instruments: [] },
    ...[{ since: 0 }, { since: 1_763_690_000_000 }, { until: 1_763_690_000_000_000 }, {
      ...{ since: 1_763_690_000_000_000, until: 1_763_690_000_000_001 },
    }].map((times) => ({ control: "instruments", venue: "sim", ...times, instruments: [] })),
    { control: "instruments", venue: "sim", instruments: new Array(INSTRUMENTS_MAX + 1).fill(instrument) },
    ...[{ tickSize: "0" }, { tickSize: "-1" }, { tickSize: "1e-2" }, { lot: "" }, { lot: fine }, { symbol: "../x" }, {
      more: 1,
    }].map(
      (change) => ({ control: "instruments", venue: "sim", instruments: [{ ...instrument, ...change }] }),
    ),
  ];
  for (const value of unsound) {
    assert.equal(Control.safeParse(value).success, false, JSON.stringify(value).slice(0, 200));
  }
});
