/** `isTick`, compiled by hand, is `Tick.safeParse`: over ticks of every type, and over ticks with one thing changed. */
import assert from "@std/assert";
import fc from "fast-check";
import { isTick, keyOf, LEVELS_MAX, SIDES, SOURCES, STATES, Tick, TIME_END, TIME_MIN } from "./tick.ts";

const options = { sanitizeOps: true, sanitizeResources: true };

const amount = fc.constantFrom("0", "1", "-1", "0.5", "100.250", "-0.00", "12345678901234567890.123456789012");
const NOW = 1763690000000000;
const micros = fc.oneof(
  { weight: 19, arbitrary: fc.constantFrom(NOW, NOW + 1, TIME_MIN, TIME_END - 1) },
  { weight: 1, arbitrary: fc.constantFrom(0, 1763690000000, TIME_MIN - 1, TIME_END, Number.MAX_SAFE_INTEGER) },
);
const count = fc.oneof(fc.constant(null), fc.nat(), fc.constantFrom(0, NOW, Number.MAX_SAFE_INTEGER));
const text = fc.oneof(
  fc.constantFrom("1", "a b", "é", "漢字", 'quote"', "back\\slash", "x".repeat(128)),
  fc.string({ unit: "grapheme", minLength: 1, maxLength: 12 }),
);
const symbol = fc.oneof(
  fc.constantFrom("BTCUSDT", "BTC/USD", "NSE_INDEX|Nifty 50", "IC MARKETS:1", "A", "x".repeat(64), "a.b", "Ünï"),
  text,
);
const levels = fc.array(fc.tuple(amount, amount), { maxLength: 4 });
const common = {
  venue: fc.constantFrom("sim", "binance", "binance-usdm", "lobster"),
  symbol,
  eventTime: micros,
  receivedTime: micros,
  sequence: count,
  id: fc.oneof(fc.constant(null), text),
};
const optional = {
  timeSource: fc.constant("received"),
  source: fc.constantFrom(...SOURCES),
  frame: fc.constantFrom("a/0", "conn-1.x_y/123456789012345"),
};
const mostly = <T>(sound: readonly T[], odd: readonly T[]) =>
  fc.oneof({ weight: 6, arbitrary: fc.constantFrom(...sound) }, { weight: 1, arbitrary: fc.constantFrom(...odd) });
const redriven = fc.record({
  first: mostly(["ticks.raw/0/0", "ticks.raw/12/418223"], ["ticks.raw/01/2", "ticks.valid/0/1", "ticks.raw/0", ""]),
  replays: mostly<unknown>([1, 5], [0, 1.5, "1", null]),
  broke: mostly<unknown>([["duplicate"], ["backwards", "one-sided"], undefined], [
    [],
    [1],
    ["A"],
    Array(17).fill("a"),
    "a",
  ]),
  unplaced: mostly<unknown>([true, undefined], [false]),
  made: mostly(["built", "conflated", undefined], ["backfill"]),
  other: mostly<unknown>([undefined], [1]),
}, { requiredKeys: ["first", "replays"] });
const side = fc.oneof(fc.constant([null, null] as const), fc.tuple(amount, amount));
const typed = fc.oneof(
  fc.record({ type: fc.constant("trade"), price: amount, size: amount, side: fc.constantFrom(...SIDES) }),
  fc.record({
    ...{ type: fc.constant("trade"), price: amount, size: amount, side: fc.constantFrom(...SIDES) },
    conditions: fc.array(text, { maxLength: 3 }),
  }),
  fc.tuple(side, side).map(([[bidPrice, bidSize], [askPrice, askSize]]) => ({
    ...{ type: "quote", bidPrice, bidSize, askPrice, askSize },
  })),
  fc.record({ type: fc.constant("book"), bids: levels, asks: levels }),
  fc.record({
    ...{ type: fc.constant("delta"), bids: levels, asks: levels },
    ...{ firstId: count, lastId: count, previousId: count },
  }),
  fc.record({
    ...{ type: fc.constant("status"), state: fc.constantFrom(...STATES), firstId: count, lastId: count },
    detail: fc.oneof(fc.constant(null), text),
  }),
);
type Fields = Record<string, unknown>;
/** Mostly ticks: only a text from outside the alphabet makes one unsound. */
const tick: fc.Arbitrary<Fields> = fc.tuple(
  fc.record({ typed, common: fc.record(common), optional: fc.record(optional, { requiredKeys: [] }) }),
  fc.integer({ min: 0, max: 3 }),
).map(([{ typed, common, optional }, same]) => ({
  ...{ ...typed, ...common, ...optional },
  ...(same > 0 && { receivedTime: common.eventTime }),
}));

/** What a field may turn into: other kinds, borders, empty and overlong texts, characters that no field may hold. */
const odd = fc.oneof(
  fc.constantFrom<unknown>(
    ...[
      null,
      true,
      false,
      0,
      -1,
      -0,
      1.5,
      2 ** 53,
      1e300,
      "",
      "0",
      "01",
      "+1",
      "1e3",
      ".5",
      "5.",
      "-",
      "NaN",
      " 1",
      "1 ",
    ],
    ...[
      "..",
      "a..b",
      "../x",
      "a\\b",
      "a\nb",
      "a\u0000b",
      "a\u200bb",
      "a\u2028b",
      "\ud800",
      "😀",
      "x".repeat(65),
      "x".repeat(129),
    ],
    ...[
      "😀".repeat(64),
      "😀".repeat(65),
      "😀".repeat(128),
      "trade",
      "quote",
      "Sim",
      "sim:",
      "-sim",
      "received",
      "redrive",
      "a/",
      "/1",
    ],
    ...[[], {}, [[]], [["1"]], [["1", "1", "1"]], [["1", 1]], [["1", "x"]], [["x", "1"]], [["1", "1"]], { length: 0 }, [
      "x",
    ], [null]],
  ),
  fc.jsonValue({ maxDepth: 2 }),
);
const names = fc.constantFrom(
  ...["type", "venue", "symbol", "eventTime", "receivedTime", "timeSource", "sequence", "id", "source", "frame"],
  ...["price", "size", "side", "conditions", "bidPrice", "bidSize", "askPrice", "askSize", "bids", "asks"],
  ...["firstId", "lastId", "previousId", "state", "detail", "origin", "toString", "constructor", "hasOwnProperty", ""],
);
const change = fc.record({ name: names, own: fc.option(fc.nat(20), { freq: 3 }), removes: fc.boolean(), value: odd });
const mutated = fc.tuple(tick, fc.array(change, { minLength: 1, maxLength: 2 })).map(([fields, changes]) => {
  for (const { name, own, removes, value } of changes) {
    const keys = Object.keys(fields);
    const changed = own === null ? name : keys[own % keys.length]!;
    if (removes && own === null) delete fields[changed];
    else fields[changed] = value;
  }
  return fields;
});

/** Judged as it arrives: parsed from JSON. */
function assertSame(value: unknown): void {
  const parsed: unknown = JSON.parse(JSON.stringify(value));
  assert.equal(isTick(parsed), Tick.safeParse(parsed).success, JSON.stringify(value));
}

Deno.test("isTick is the schema over ticks of every type", options, () => {
  let sound = 0;
  fc.assert(
    fc.property(tick, (value) => {
      assertSame(value);
      if (isTick(JSON.parse(JSON.stringify(value)))) sound++;
    }),
    { numRuns: 3_000, seed: 7 },
  );
  assert(sound > 1_500, `only ${sound} of 3,000 were ticks, so that little was tried`);
});
Deno.test("isTick is the schema over ticks with one or two things changed", options, () => {
  let unsound = 0;
  fc.assert(
    fc.property(mutated, (value) => {
      assertSame(value);
      if (!isTick(JSON.parse(JSON.stringify(value)))) unsound++;
    }),
    { numRuns: 6_000, seed: 7 },
  );
  assert(unsound > 3_000, `only ${unsound} of 6,000 were no ticks, so that little was tried`);
});
Deno.test("isTick is the schema over any JSON", options, () => {
  fc.assert(fc.property(fc.jsonValue(), assertSame), { numRuns: 500, seed: 7 });
});

const trade = {
  ...{ type: "trade", venue: "sim", symbol: "A", eventTime: NOW, receivedTime: NOW, sequence: null, id: null },
  ...{ price: "1", size: "1", side: "buy" },
};
Deno.test("isTick is the schema over what was redriven, which says so in its source", options, () => {
  let sound = 0;
  const sources = fc.constantFrom("redrive", "redrive", "redrive", "backfill", undefined);
  fc.assert(
    fc.property(redriven, sources, (redriven, source) => {
      assertSame({ ...trade, source, redriven });
      if (isTick(JSON.parse(JSON.stringify({ ...trade, source, redriven })))) sound++;
    }),
    { numRuns: 1_000, seed: 7 },
  );
  assert(sound > 100 && sound < 900, `${sound} of 1,000 were ticks`);
});
Deno.test("no tick holds a prototype, a constructor, a level or a condition too many", options, () => {
  assert(isTick(trade));
  const text = JSON.stringify(trade);
  for (const name of ["__proto__", "constructor", "toString"]) {
    const value: unknown = JSON.parse(`${text.slice(0, -1)},"${name}":{"price":"2"}}`);
    assert.equal(isTick(value), false, name);
  }
  const inherited: unknown = JSON.parse(`{"__proto__":${text}}`);
  assert.equal(isTick(inherited), false);
  const { price: _price, size: _size, side: _side, ...rest } = trade;
  const bids = Array.from({ length: LEVELS_MAX }, () => ["1", "1"]);
  for (const [value, sound] of [[bids, true], [[...bids, ["1", "1"]], false]] as const) {
    const book = { ...rest, type: "book", bids: value, asks: [] };
    assert.equal(isTick(book), sound);
    assert.equal(Tick.safeParse(book).success, sound);
  }
  for (const level of [[], ["1"], ["1", "1", "1"], ["1", 1], ["1", "1e3"], "11", { 0: "1", 1: "1", length: 2 }, null]) {
    const book = { ...rest, type: "book", bids: [], asks: [level] };
    assert.equal(isTick(book), false, JSON.stringify(level));
    assert.equal(Tick.safeParse(book).success, false, JSON.stringify(level));
  }
  for (const [length, sound] of [[32, true], [33, false]] as const) {
    const conditions = Array.from({ length }, () => "x");
    assert.equal(isTick({ ...trade, conditions }), sound);
    assert.equal(Tick.safeParse({ ...trade, conditions }).success, sound);
  }
});
Deno.test("a time is µs between 2001 and 2100, so that no other unit passes for it", options, () => {
  const cases: readonly (readonly [number, boolean])[] = [
    [TIME_MIN, true],
    [TIME_END - 1, true],
    [TIME_MIN - 1, false],
    [TIME_END, false],
    [NOW / 1_000, false],
    [NOW / 1_000_000, false],
    [9e15, false],
    [NOW * 1_000, false],
    [NOW + 0.5, false],
  ];
  for (const [time, sound] of cases) {
    for (const name of ["eventTime", "receivedTime"]) {
      const value = { ...trade, [name]: time };
      assert.equal(isTick(value), sound, `${name} ${time}`);
      assert.equal(Tick.safeParse(value).success, sound, `${name} ${time}`);
    }
  }
});
Deno.test("a time that is our own is the time of receipt", options, () => {
  for (const [receivedTime, sound] of [[NOW, true], [NOW + 1, false], [NOW - 1, false]] as const) {
    const value = { ...trade, receivedTime, timeSource: "received" };
    assert.equal(isTick(value), sound, `${receivedTime}`);
    assert.equal(Tick.safeParse(value).success, sound, `${receivedTime}`);
  }
});
Deno.test("the key is split at its first colon", options, () => {
  assert.equal(keyOf({ venue: "upstox", symbol: "IC MARKETS:1" }), "upstox:IC MARKETS:1");
});
