/** What became of books is counted once, by label, and told in a line. */
import assert from "@std/assert";
import { newCounts } from "./book.ts";
import { BookCount } from "./bookcount.ts";
import { Tally } from "./meter.ts";

const strict = { sanitizeOps: true, sanitizeResources: true } as const;

Deno.test("what happened since the last time is handed over, and all of it told at the end", strict, () => {
  const counts = newCounts(), tally = new Tally();
  const books = new BookCount("binance", counts, tally);
  const summed = () => tally.take().sums.map(({ name, values, sum }) => [name, ...values, sum].join(" "));
  books.count();
  assert.deepEqual([summed(), books.text(), books.compared], [[], [], {}]);
  counts.syncs = 3;
  counts.broken.hole = 2;
  books.count();
  assert.deepEqual(summed(), ["books_synced_total binance 3", "books_broken_total binance hole 2"]);
  assert.deepEqual(books.text(), ["books    broken by hole 2"]);
  counts.broken.hole = 3;
  counts.crossed = 1;
  books.count();
  assert.deepEqual(summed(), ["books_crossed_total binance 1", "books_broken_total binance hole 1"]);
  const one = { symbol: "A", id: 7, levels: 4, agreeing: 3 } as const;
  books.note([{ ...one, outcome: "differing" }, { ...one, levels: 0, agreeing: 0, outcome: "passed" }]);
  const { sums, levels } = tally.take();
  assert.deepEqual(sums.map(({ values, sum }) => [...values, sum]), [["binance", "differing", 1], [
    "binance",
    "passed",
    1,
  ]]);
  assert.deepEqual(levels.map(({ name, level }) => [name, level]), [["book_agreement_ratio", 0.75]]);
  assert.deepEqual(books.compared, { compared: { differing: 1, passed: 1 } });
  assert.deepEqual(books.text(), ["books    2 compared   differing 1   passed 1   broken by hole 3   crossed 1"]);
  counts.stopped = 2;
  books.count();
  assert.deepEqual(tally.take().sums, []);
  assert.match(books.text()[0]!, /crossed 1 {3}2 in sync at the stop$/);
});
