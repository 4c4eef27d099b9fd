/** The levels of a book, held against a map from price to size. */
import assert from "@std/assert";
import fc from "fast-check";
import { agreementOf, Ladder, type Levels } from "./book/ladder.ts";
import { canonical, compare } from "./decimal.ts";

const options = { sanitizeOps: true, sanitizeResources: true } as const;
const ALL = { bid: null, ask: null };

/** Prices that differ in digits, sign and form, some equal and some beyond 2^53. */
const price = fc.oneof(
  fc.integer({ min: -50, max: 50 }).map((ticks) => (ticks / 4).toFixed(2)),
  fc.integer({ min: 0, max: 12 }).map((ticks) => `${ticks}.50000000`),
  fc.constantFrom("10", "10.0", "10.000", "0.00000001", "-0.5", "0", "0.00"),
  fc.constantFrom("9007199254740993", "9007199254740992", "9007199254740993.0", "3.000000000000000001", "3"),
);
const size = fc.constantFrom("0", "0.00000000", "1", "1.50", "0.00000001", "123456789012345678.5");
const side = fc.array(fc.tuple(price, size), { maxLength: 12 });

/** What a side holds when it is a map, best first. */
function expected(events: readonly Levels[], sign: 1 | -1): Levels {
  const levels = new Map<string, [string, string]>();
  for (const [price, size] of events.flat()) {
    if (/[1-9]/.test(size)) levels.set(canonical(price), [price, size]);
    else levels.delete(canonical(price));
  }
  return [...levels.values()].sort(([a], [b]) => -sign * compare(a, b));
}

Deno.test("a ladder holds what a map of prices would hold, in the wire's own text", options, () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(side, side), { maxLength: 8 }), ([first, ...events]) => {
      const ladder = new Ladder(1_000);
      if (first !== undefined) assert.equal(ladder.load(...first), null);
      for (const [bids, asks] of events) assert.equal(ladder.apply(bids, asks), null);
      const all = first === undefined ? [] : [first, ...events];
      const bids = expected(all.map(([b]) => b), 1), asks = expected(all.map(([, a]) => a), -1);
      assert.deepEqual(ladder.bids(Infinity), bids);
      assert.deepEqual(ladder.asks(Infinity), asks);
      assert.deepEqual(ladder.asks(3), asks.slice(0, 3));
      const isCrossed = bids.length > 0 && asks.length > 0 && compare(bids[0]![0], asks[0]![0]) > 0;
      assert.equal(ladder.isCrossed, isCrossed);
      ladder.cut(2);
      assert.deepEqual(ladder.bids(Infinity), bids.slice(0, 2));
      assert.deepEqual(ladder.worst, {
        bid: bids.slice(0, 2).at(-1)?.[0] ?? null,
        ask: asks.slice(0, 2).at(-1)?.[0] ?? null,
      });
    }),
    { seed: 20260101, numRuns: 2_000 },
  );
});

Deno.test("prices that a number cannot tell apart are two levels", options, () => {
  const ladder = new Ladder(10);
  ladder.load([["9007199254740993", "1"], ["9007199254740992", "2"]], [["0.1", "3"]]);
  assert.deepEqual(ladder.bids(9), [["9007199254740993", "1"], ["9007199254740992", "2"]]);
  assert.equal(ladder.apply([["9007199254740992.00", "0.0"]], [["0.10000000000000000001", "4"]]), null);
  assert.deepEqual(ladder.bids(9), [["9007199254740993", "1"]]);
  assert.deepEqual(ladder.asks(9), [["0.1", "3"], ["0.10000000000000000001", "4"]]);
});

Deno.test("a level that is no amount is refused, and so is one level too many", options, () => {
  for (
    const level of [["", "1"], ["1", ""], ["1e3", "1"], ["1", "-1"], ["1", "0.-10000"], [".", "1"], [
      "1".repeat(200),
      "1",
    ]]
  ) {
    assert.equal(new Ladder(2).apply([level as [string, string]], []), "unreadable", level.join());
  }
  assert.equal(new Ladder(2).apply([["1", "1"], ["2", "1"]], []), null);
  assert.equal(new Ladder(2).apply([["1", "1"], ["2", "1"], ["3", "1"]], []), "bounds");
});

Deno.test("locked is not crossed", options, () => {
  const ladder = new Ladder(10);
  ladder.load([["10.0", "1"]], [["10", "1"]]);
  assert.equal(ladder.isCrossed, false);
  ladder.apply([["10.01", "1"]], []);
  assert.equal(ladder.isCrossed, true);
});

Deno.test("books agree where both have a level of the same size, within what both know", options, () => {
  const a = new Ladder(10), b = new Ladder(10);
  a.load([["9", "1"], ["8", "1"], ["7", "1"], ["5", "1"]], [["11", "2"], ["12", "2"]]);
  b.load([["9.0", "1.00"], ["8", "2"], ["6", "1"], ["5", "9"]], [["11", "2"]]);
  assert.deepEqual(agreementOf(a, ALL, b, ALL), { levels: 7, agreeing: 2 });
  assert.deepEqual(agreementOf(a, { bid: "8", ask: null }, b, { bid: null, ask: "11" }), { levels: 3, agreeing: 2 });
});
