import assert from "@std/assert";
import { gunzipSync } from "node:zlib";
import { type Fault, OrderBook } from "./orders.ts";

const options = { sanitizeOps: true, sanitizeResources: true } as const;
const RECORDINGS = Deno.env.get("TAPEDECK_RECORDINGS");
if (RECORDINGS === undefined) console.log("orders: recordings are not tried, TAPEDECK_RECORDINGS names no folder");
const recorded = { ...options, ignore: RECORDINGS === undefined };

interface Day {
  readonly messages: readonly string[];
  readonly books: readonly string[];
}

/** The faults of a day, and the book at its end. */
function faultsOf({ messages, books }: Day): { readonly faults: Fault[]; readonly book: OrderBook } {
  const book = new OrderBook();
  const faults = messages.flatMap((message, i) => book.step(message, books[i]!) ?? []);
  return { faults, book };
}

/** The row that shows a book, absent levels and all. */
function rowOf({ asks, bids }: OrderBook, levels: number): string {
  return Array.from({ length: levels }, (_, i) => [
    ...[asks.prices[i] ?? 9999999999, asks.sizes[i] ?? 0],
    ...[bids.prices[i] ?? -9999999999, bids.sizes[i] ?? 0],
  ]).join();
}

interface Order {
  readonly type: number;
  readonly size: number;
  readonly price: number;
  readonly direction: number;
}

const orderOf = (message: string): Order => {
  const [, type, , size, price, direction] = message.split(",").map(Number);
  return { type: type!, size: size!, price: price!, direction: direction! };
};

/** Chance from a seed, 0 to 1. */
function chanceOf(seed: number): () => number {
  let state = seed;
  return () => (state = (state * 48_271) % 2_147_483_647) / 2_147_483_647;
}

/**
 * A day whose orders are all known here, of which only what touches the best levels is written down, as the venue does it:
 * so that levels come into view that no message has named.
 */
function invented(seed: number, count: number, levels: number): Day {
  const chance = chanceOf(seed);
  const sides = { [1]: new Map<number, number>(), [-1]: new Map<number, number>() };
  const best = (direction: 1 | -1) => [...sides[direction]].sort(([a], [b]) => direction * (b - a)).slice(0, levels);
  const row = () =>
    Array.from({ length: levels }, (_, i) => [
      ...best(-1)[i] ?? [9999999999, 0],
      ...best(1)[i] ?? [-9999999999, 0],
    ]).join();
  const messages: string[] = [], books: string[] = [];
  while (messages.length < count) {
    const direction = chance() < 0.5 ? 1 : -1;
    const side = sides[direction];
    const price = 1_000_000 - direction * 100 * (1 + Math.floor(chance() * 8));
    const held = side.get(price) ?? 0;
    const size = 1 + Math.floor(chance() * 9);
    const type = chance() < 0.1 ? 5 : held === 0 || chance() < 0.4 ? 1 : held > size ? 2 : 3;
    const before = row();
    if (type === 1) side.set(price, held + size);
    else if (type === 2) side.set(price, held - size);
    else if (type === 3) side.delete(price);
    if (row() === before && type !== 5) continue;
    messages.push(`34200.${messages.length},${type},7,${type === 3 ? held : size},${price},${direction}`);
    books.push(row());
  }
  return { messages, books };
}

const without = (list: readonly string[], at: number) => list.filter((_, i) => i !== at);
const changed = (list: readonly string[], at: number, column: number, by: (n: number) => number) =>
  list.map((row, i) => {
    if (i !== at) return row;
    return row.split(",").map((cell, j) => j === column ? String(by(Number(cell))) : cell).join();
  });

Deno.test("every message of an invented day makes of a row the next one, at any number of levels", options, () => {
  for (const levels of [1, 2, 3, 10]) {
    for (const seed of [1, 2, 3]) {
      const day = invented(seed, 1_000, levels);
      const { faults, book } = faultsOf(day);
      assert.deepEqual(faults, []);
      assert.equal(rowOf(book, levels), day.books.at(-1));
      assert.equal(book.rows, 1_000);
      // Eight prices a side: ten levels show them all, so that nothing comes into view.
      assert.equal(book.revealed > 0, levels < 8, `${levels} levels`);
    }
  }
});

Deno.test("a level that comes into view must lie further out than all that were there", options, () => {
  const seed = "120,5,100,5,130,5,90,5";
  for (
    const [message, row, detail] of [
      ["34200.1,3,1,5,100,1", "120,5,90,5,130,5,80,7", null],
      ["34200.1,4,1,5,100,1", "120,5,90,5,130,5,-9999999999,0", null],
      ["34200.1,4,1,5,120,-1", "130,5,100,5,140,1,90,5", null],
      ["34200.1,3,1,5,90,1", "120,5,100,5,130,5,89,7", null],
      ["34200.1,3,1,5,90,1", "120,5,100,5,130,5,95,7", "bid 2 is 7 at 95, must be beyond 90 or absent"],
      ["34200.1,3,1,5,90,1", "120,5,100,5,130,5,90,7", "bid 2 is 7 at 90, must be beyond 90 or absent"],
      ["34200.1,3,1,5,100,1", "120,5,90,5,130,5,100,7", "bid 2 is 7 at 100, must be beyond 90 or absent"],
      ["34200.1,3,1,5,100,1", "120,5,95,5,130,5,90,5", "bid 1 is 5 at 95, must be 5 at 90"],
      ["34200.1,4,1,5,120,-1", "130,5,100,5,125,1,90,5", "ask 2 is 1 at 125, must be beyond 130 or absent"],
      ["34200.1,4,1,5,120,-1", "130,5,100,5,140,0,90,5", "ask 2 is 0 at 140, must be beyond 130 or absent"],
      ["34200.1,4,1,4,120,-1", "130,5,100,5,140,2,90,5", "ask 1 is 5 at 130, must be 1 at 120"],
    ] as const
  ) {
    const book = new OrderBook();
    assert.equal(book.step("34200,5,0,1,110,1", seed), null);
    assert.deepEqual(book.step(message, row), detail === null ? null : { row: 2, fault: "differs", detail });
    if (detail === null) assert.equal(rowOf(book, 2), row);
  }
});

Deno.test("nothing comes into view on a side whose levels are all known", options, () => {
  const book = new OrderBook();
  assert.equal(book.step("34200,5,0,1,110,1", "120,5,100,5,9999999999,0,90,5"), null);
  assert.deepEqual(book.step("34200,4,1,5,120,-1", "140,1,100,5,9999999999,0,90,5"), {
    row: 2,
    fault: "differs",
    detail: "ask 1 is 1 at 140, must be absent",
  });
  assert.equal(book.step("34200,4,1,1,140,-1", "9999999999,0,100,5,9999999999,0,90,5"), null);
  assert.equal(book.step("34200,1,1,1,150,-1", "150,1,100,5,9999999999,0,90,5"), null);
  assert.equal(book.revealed, 0);
});

Deno.test("an order that finds no level, or too little of it, is named with its row", options, () => {
  for (
    const [message, fault, detail] of [
      ["34200.1,3,1,5,110,1", "absent", "the bid at 110 holds 0, must hold 5"],
      ["34200.1,4,1,5,110,-1", "absent", "the ask at 110 holds 0, must hold 5"],
      ["34200.1,2,1,6,100,1", "short", "the bid at 100 holds 5, must hold 6"],
      ["34200.1,1,1,6,119,-1", "differs", "ask 1 is 5 at 120, must be 6 at 119"],
      ["34200.1,5,1,6,119,-1", null, null],
      ["34200.1,6,-1,6,119,0", null, null],
      ["34200.1,7,0,0,-1,-1", null, null],
    ] as const
  ) {
    const book = new OrderBook();
    book.step("34200,5,0,1,110,1", "120,5,100,5");
    assert.deepEqual(book.step(message, "120,5,100,5"), fault === null ? null : { row: 2, fault, detail });
    assert.equal(book.step("34200.2,1,1,5,100,1", "120,5,100,10"), null, "it goes on from the row");
  }
});

Deno.test("a message that is no order's is named, and the book goes on from the row", options, () => {
  for (
    const message of [
      "",
      "34200,8,1,5,100,1",
      "34200,1,1,0,100,1",
      "34200,1,1,-5,100,1",
      "34200,1,1,5,100,0",
      "34200,1,1,5,100",
      "34200,1,1,5,100,1\r",
      "34200,1,1,5.5,100,1",
      "34200,1,1,1000000000000000,100,1",
    ]
  ) {
    const book = new OrderBook();
    assert.equal(book.step("34200,5,0,1,110,1", "130,5,90,5"), null);
    assert.deepEqual(book.step(message, "120,5,100,5"), {
      row: 2,
      fault: "unreadable",
      detail: "the message is no row of six sound columns",
    });
    assert.equal(book.step("34200,1,1,5,100,1", "120,5,100,10"), null);
  }
});

Deno.test("a book that is no row is named, and the next one begins anew", options, () => {
  for (
    const row of [
      "",
      "120,5,100",
      "120,5,100,",
      "120,5,100,5,",
      "120,5,100,5\r",
      "120,5,1e2,5",
      "120,5,--100,5",
      "120,5,1000000000000000,5",
    ]
  ) {
    const book = new OrderBook();
    assert.equal(book.step("34200,5,0,1,110,1", "120,5,100,5"), null);
    assert.deepEqual(book.step("34200,5,0,1,110,1", row)?.fault, "unreadable", row);
    assert.deepEqual([book.asks.prices, book.bids.sizes, book.rows], [[], [], 2]);
    assert.equal(book.step("34200,5,0,1,110,1", "130,1,90,1"), null);
  }
  const book = new OrderBook();
  assert.equal(book.step("34200,5,0,1,110,1", "120,5,100,5"), null);
  const { detail } = book.step("34200,5,0,1,110,1", "120,5,100,5,130,5,90,5")!;
  assert.equal(detail, "the book has 2 levels, must have 1");
});

Deno.test("levels that do not lie one beyond the other begin no book", options, () => {
  for (
    const row of [
      "120,5,100,5,120,5,90,5",
      "120,5,100,5,130,5,110,5",
      "9999999999,0,100,5,130,5,90,5",
      "120,0,100,5,130,5,90,5",
      "120,-5,100,5,130,5,90,5",
      "9999999999,5,100,5,9999999999,0,90,5",
    ]
  ) {
    const book = new OrderBook();
    assert.equal(book.step("34200,5,0,1,110,1", row)?.fault, "unreadable", row);
    assert.deepEqual([...book.asks.prices, ...book.bids.prices, book.revealed], [0]);
    assert.equal(book.step("34200,5,0,1,110,1", "120,5,100,5"), null);
  }
});

Deno.test("a changed size is named with its row, whichever file it is in, and nothing after it is", options, () => {
  const levels = 3;
  const day = invented(7, 400, levels);
  for (let at = 1; at < 400; at++) {
    const { messages, books } = day;
    if (orderOf(messages[at]!).type <= 4) {
      const { faults } = faultsOf({ messages: changed(messages, at, 3, (size) => size + 1), books });
      assert.deepEqual(faults.map(({ row }) => row), [at + 1], messages[at]);
    }
    // Of the best level: what has just come into view is only known by the row.
    const { faults } = faultsOf({ messages, books: changed(books, at, 1, (size) => size + 1) });
    assert.equal(faults[0]?.row, at + 1, books[at]);
    assert.ok(faults.every(({ row }) => row <= at + 2), "what comes after is judged by itself");
  }
});

Deno.test("a row missing in both files is named by the one in its place, where that shows it", options, () => {
  const day = invented(8, 400, 3);
  let seen = 0, hidden = 0;
  for (let at = 1; at < 399; at++) {
    const { faults } = faultsOf({ messages: without(day.messages, at), books: without(day.books, at) });
    if (faults.length > 0) {
      assert.deepEqual(faults.map(({ row }) => row), [at + 1]);
      seen++;
    } else if (orderOf(day.messages[at]!).type === 5) hidden++;
  }
  // 11 more changed an outermost level that the next order pushed out of sight or revealed.
  assert.deepEqual([seen, hidden], [324, 63]);
});

Deno.test("a row that is missing in one file shows at once", options, () => {
  const day = invented(9, 400, 1);
  for (let at = 1; at < 399; at++) {
    const [first] = faultsOf({ messages: without(day.messages, at), books: day.books.slice(0, -1) }).faults;
    assert.ok(first !== undefined && first.row >= at + 1 && first.row <= at + 9, `${at} ${first?.row}`);
  }
});

async function recordedDay(name: string): Promise<Day> {
  const rowsOf = async (which: string) =>
    new TextDecoder().decode(gunzipSync(await Deno.readFile(`${RECORDINGS}/lobster/${name}_${which}.csv.gz`)))
      .trimEnd().split("\n");
  return { messages: await rowsOf("message"), books: await rowsOf("orderbook") };
}

/** Each row with the one before alone: how many transitions are exact. */
function exactTransitions({ messages, books }: Day): number {
  let exact = 0;
  for (let i = 1; i < messages.length; i++) {
    const book = new OrderBook();
    if (book.step(messages[i - 1]!, books[i - 1]!) === null && book.step(messages[i]!, books[i]!) === null) exact++;
  }
  return exact;
}

Deno.test("all 57,514 transitions of the recorded AMZN day are exact", recorded, async () => {
  assert.equal(exactTransitions(await recordedDay("AMZN_2012-06-21_level1")), 57_514);
});

Deno.test(
  "the recorded AMZN day is rebuilt from its orders, but for 13,953 levels behind an exhausted best",
  recorded,
  async () => {
    const { messages, books } = await recordedDay("AMZN_2012-06-21_level1");
    const book = new OrderBook();
    let equal = 0, executions = 0, atBest = 0, exhausted = 0;
    for (const [i, message] of messages.entries()) {
      const { type, size, price, direction } = orderOf(message);
      const { revealed } = book;
      const side = direction === 1 ? book.bids : book.asks;
      const [best, held] = [side.prices[0], side.sizes[0]];
      assert.equal(book.step(message, books[i]!), null);
      if (rowOf(book, 1) === books[i]) equal++;
      if (type === 4) executions++;
      if (type === 4 && price === best) atBest++;
      if (book.revealed === revealed) continue;
      assert.ok(type >= 2 && type <= 4 && price === best && size === held, `${i} ${message}`);
      exhausted++;
    }
    assert.deepEqual([equal, executions, atBest, exhausted], [57_515, 8_974, 8_974, 13_953]);
  },
);

Deno.test(
  "all 998 transitions of the recorded ten levels of AAPL are exact, and so is the book kept through",
  recorded,
  async () => {
    const day = await recordedDay("AAPL_2012-06-21_level10_first_rows");
    assert.equal(exactTransitions(day), 998);
    const { faults, book } = faultsOf(day);
    assert.deepEqual(faults, []);
    assert.deepEqual([book.rows, book.revealed, rowOf(book, 10)], [999, 318, day.books.at(-1)]);
  },
);

Deno.test("damage in the recorded AMZN day is named with its row", recorded, async () => {
  const { messages, books } = await recordedDay("AMZN_2012-06-21_level1");
  let missing = 0, larger = 0;
  for (let at = 1; at < messages.length - 1; at++) {
    const rowOfFault = (message: string, row: string) => {
      const book = new OrderBook();
      assert.equal(book.step(messages[at - 1]!, books[at - 1]!), null);
      return book.step(message, row)?.row;
    };
    if (rowOfFault(messages[at + 1]!, books[at + 1]!) === 2) missing++;
    if (orderOf(messages[at]!).type > 4) continue;
    const [message] = changed([messages[at]!], 0, 3, (size) => size + 1);
    assert.equal(rowOfFault(message!, books[at]!), 2);
    larger++;
  }
  // The others changed what the next row, of one level, does not show.
  assert.deepEqual([missing, larger], [49_123, 55_069]);
});
