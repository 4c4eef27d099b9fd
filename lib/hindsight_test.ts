/** Which snapshot a book of a time begins with, and why there is none: on rows made by hand, in memory. */
import assert from "@std/assert";
import { bookOf, isKnown, nextSnapshot } from "./hindsight.ts";
import { type Hot, openHot } from "./hot.ts";
import { type Row, rowOf, TABLE_OF } from "./table.ts";
import type { Book, Delta, Quote, Status, Tick, ValidTick } from "./tick.ts";
import type { BookDiscipline } from "./venue.ts";

const strict = { sanitizeOps: true, sanitizeResources: true } as const;
const NOW = 1_700_000_000_000_000, MS = 1_000, HOUR = 3_600_000_000;
const world = { now: () => 0, env: () => undefined, report: () => {}, retryForMs: 0 };
const A = { venue: "sim", symbol: "A" };

const common = (ms: number, sequence: number | null = null) => ({
  ...{ ...A, eventTime: NOW + ms * MS, receivedTime: NOW + ms * MS, sequence, id: null },
});
const book = (ms: number, sequence: number | null, size = "1"): Book => ({
  ...{ type: "book", ...common(ms, sequence), bids: [["10", size], ["9", "1"]], asks: [["11", "1"]] },
});
/** Sets the best bid's size to the last number, to 3 where there is none. */
const delta = (ms: number, firstId: number | null, lastId: number | null, previousId: number | null = null): Delta => ({
  ...{
    type: "delta",
    ...common(ms, lastId),
    bids: [["10", String(lastId ?? 3)]],
    asks: [],
    firstId,
    lastId,
    previousId,
  },
});
const status = (ms: number, state: Status["state"], detail: string | null = null): Status => ({
  ...{ type: "status", ...common(ms), state, firstId: null, lastId: null, detail },
});
const quote = (ms: number, bidPrice: string | null): Quote => ({
  ...{ type: "quote", ...common(ms), bidPrice, bidSize: bidPrice === null ? null : "1", askPrice: "12", askSize: "3" },
});

let stores = 0;

/** A store of these ticks in their order; other instruments' lie between them. */
async function holding(ticks: readonly Tick[]): Promise<Hot> {
  const hot = await openHot(`memory:hindsight-${stores++}`, world);
  const held = await hot.begin({ sink: "sink-hot", topic: "ticks.valid", partition: 0 }, "log", 0);
  const rows: Record<string, Row[]> = {};
  ticks.flatMap((tick) => [tick, { ...tick, symbol: "B" }, { ...tick, venue: "other" }]).forEach((tick, origin) => {
    (rows[TABLE_OF[tick.type]] ??= []).push(rowOf({ ...tick, origin, previous: origin - 1 } as ValidTick, 0));
  });
  await hot.apply({ held, next: 1, origin: 1, rows });
  return hot;
}

/** Number, best bid's size and gap of the book of a time. */
async function at(ticks: readonly Tick[], ms: number, books: BookDiscipline = "splice"): Promise<unknown> {
  const past = await bookOf(await holding(ticks), { name: "sim", books }, "A", NOW + ms * MS);
  if (past === null) return null;
  if (past.book !== null) return [past.book.id, past.book.bids[0]?.[1]];
  return past.gap === null ? `refused ${past.snapshot.sequence}` : past.gap.detail;
}

Deno.test("a book goes on from the last snapshot until the time, with what was buffered for it", strict, async () => {
  const ticks = [book(0, 90), delta(1, 91, 95), delta(2, 96, 99), delta(3, 100, 104), book(4, 101), delta(5, 105, 105)];
  assert.deepEqual(await at(ticks, 9), [105, "105"]);
  assert.deepEqual(await at(ticks, 4), [104, "104"]);
  assert.deepEqual(await at(ticks, 3), [104, "104"]);
  assert.deepEqual(await at(ticks, 2), [99, "99"]);
  assert.deepEqual(await at(ticks, 0), [90, "1"]);
  assert.equal(await at(ticks, -1), null);
  const link = [delta(0, 96, 99, 95), delta(1, 100, 104, 99), book(2, 99), delta(3, 105, 109, 104)];
  assert.deepEqual(await at(link, 9, "link"), [109, "109"]);
});

Deno.test("what the snapshot has already, and what lost its numbers before it, is not in its way", strict, async () => {
  const ticks = [delta(0, 50, 60), delta(1, null, null), delta(2, 80, 85), delta(3, 86, 92), book(4, 90)];
  assert.deepEqual(await at(ticks, 9), [92, "92"]);
  assert.equal(
    await at([...ticks, delta(5, null, null)], 9),
    "book unnumbered: an event without numbers came after 92",
  );
});

Deno.test("events later than the time that came before a snapshot are no part of its past", strict, async () => {
  // Our clock is behind the venue's: what is dated 0 came when it was 5 there.
  const late = { ...book(0, 101), timeSource: "received" } as const;
  const ticks = [delta(4, 90, 99), delta(5, 100, 102), late, delta(6, 103, 103)];
  assert.equal(await at(ticks, 3), "refused 101");
  assert.deepEqual(await at(ticks, 5), [102, "102"]);
  assert.deepEqual(await at(ticks, 6), [103, "103"]);
  // What the snapshot has is as late as what it has not.
  assert.equal(await at([delta(4, 90, 99), late], 3), "refused 101");
});

Deno.test("a snapshot that cannot begin the book gives way to the one before", strict, async () => {
  const first = [book(0, 100), delta(1, 101, 101), delta(2, 102, 102)];
  assert.deepEqual(await at([...first, book(3, null), delta(4, 103, 103)], 9), [103, "103"]);
  assert.deepEqual(await at([...first, { ...book(3, 102), bids: [["10", "-1"]] }], 9), [102, "102"]);
  assert.equal(await at([delta(0, 101, 101), book(1, 99), book(2, 98)], 9), "refused 98");
});

Deno.test("where the book was lost it is told since when and why, until it is back", strict, async () => {
  const ticks = [book(0, 100), delta(1, 101, 101), delta(2, 105, 106), status(3, "gap", "later"), book(4, 105)];
  const past = async (ms: number) =>
    await bookOf(await holding(ticks), { name: "sim", books: "splice" }, "A", NOW + ms * MS);
  assert.deepEqual(await at(ticks, 1), [101, "101"]);
  const { book: none, gap, snapshot } = (await past(3))!;
  assert.deepEqual([none, gap?.eventTime, gap?.detail], [null, NOW + 2 * MS, "book hole: 105 came after 101"]);
  assert.equal(snapshot.sequence, 100);
  assert.deepEqual(await at(ticks, 4), [106, "106"]);
  const told = [
    book(0, null),
    delta(1, null, null),
    status(2, "gap", "book checksum: 1, must be 2"),
    delta(3, null, 7),
  ];
  assert.equal(await at(told, 9, "checksum"), "book checksum: 1, must be 2");
  assert.deepEqual(await at([...told, book(4, null, "5")], 9, "checksum"), [null, "5"]);
  assert.deepEqual(await at([...told.slice(0, 2), status(2, "gap", "trade")], 9, "trust"), [null, "3"]);
  const lost = [book(0, 1), status(1, "disconnected", "closed 1006")];
  assert.equal(await at(lost, 9, "chain"), "book reported: the collector says disconnected");
});

Deno.test(
  "more events than are buffered hide neither an older snapshot nor since when the book is lost",
  strict,
  async () => {
    const many = Array.from({ length: 10_001 }, (_, i) => delta(3, 103 + i, 103 + i));
    const ticks = [book(0, 100), delta(1, 101, 102), book(2, null), ...many];
    assert.deepEqual(await at(ticks, 9), [10_103, "10103"]);
    const hole = [book(0, 100), delta(1, 102, 102), ...many];
    assert.equal(await at(hole, 9), "book hole: 102 came after 100");
  },
);

Deno.test("a snapshot that is dated before an older one heals all the same", strict, async () => {
  // A clock was set back between the two.
  const ticks = [book(5, 1, "4"), status(6, "gap", "book connection: lost"), book(2, 1, "7"), delta(7, 2, 2)];
  assert.deepEqual(await at(ticks, 6, "trust"), [1, "7"]);
  assert.deepEqual(await at(ticks, 9, "trust"), [2, "2"]);
  assert.equal(await at([...ticks, status(8, "gap", "book connection: again")], 9, "trust"), "book connection: again");
});

Deno.test(
  "books that are sent whole are the last one, and where quotes come later, the best alone",
  strict,
  async () => {
    const ticks = [quote(0, "8"), book(1, null, "2"), quote(2, "10.5"), quote(3, null), status(4, "disconnected")];
    const read = async (ms: number) =>
      await bookOf(await holding(ticks), { name: "sim", books: "whole" }, "A", NOW + ms * MS);
    const sides = (past: Awaited<ReturnType<typeof read>>) => [past?.book?.bids, past?.book?.asks, past?.book?.known];
    assert.deepEqual(sides(await read(0)), [[["8", "1"]], [["12", "3"]], { bid: "8", ask: "12" }]);
    assert.deepEqual(sides(await read(1)), [[["10", "2"], ["9", "1"]], [["11", "1"]], { bid: "9", ask: "11" }]);
    assert.deepEqual(sides(await read(2))[0], [["10.5", "1"]]);
    assert.deepEqual(sides(await read(3)), [[], [["12", "3"]], { bid: null, ask: "12" }]);
    const lost = await read(4);
    assert.deepEqual([lost?.book, lost?.gap?.detail], [null, "book reported: the collector says disconnected"]);
  },
);

Deno.test(
  "clocks may differ by most of an hour; nothing farther off is read, and no reader left open",
  strict,
  async () => {
    const asked: number[] = [];
    let open = 0;
    const hot = await holding([
      delta(-3_500_000, 99, 101),
      book(0, 100),
      delta(-3_400_000, 102, 102),
      delta(5, 103, 103),
      delta(6, 104, 104),
    ]);
    const store: Pick<Hot, "told" | "lastTold"> = {
      lastTold: (...given) => hot.lastTold(...given),
      async *told(table, instrument, from, to) {
        asked.push(from - NOW, to - NOW);
        open++;
        try {
          yield* hot.told(table, instrument, from, to);
        } finally {
          open--;
        }
      },
    };
    const past = await bookOf(store, { name: "sim", books: "splice" }, "A", NOW + 9 * MS);
    assert.equal(past?.book?.id, 104);
    assert.deepEqual([...new Set(asked)], [-HOUR, HOUR + 9 * MS]);
    // It stops at the first event beyond the time.
    assert.equal(await bookOf(store, { name: "sim", books: "splice" }, "A", NOW - 1), null);
    assert.equal((await bookOf(store, { name: "sim", books: "splice" }, "A", NOW))?.book?.id, 102);
    await nextSnapshot(store, A, { books: "splice" }, NOW);
    assert.equal(open, 0);
  },
);

Deno.test("a built book is none to begin with, and whether anything is known at all is told", strict, async () => {
  const ticks = [{ ...book(0, null), source: "built" } as const, delta(1, 1, 1), book(2, 5)];
  const hot = await holding(ticks);
  assert.equal(await at(ticks, 1), null);
  const next = (from: number) => nextSnapshot(hot, A, { books: "splice" }, NOW + from * MS);
  assert.deepEqual([await next(0), await next(3)], [NOW + 2 * MS, null]);
  assert.deepEqual([await isKnown(hot, A), await isKnown(hot, { ...A, symbol: "C" })], [true, false]);
  const quotes = await holding([quote(1, "1")]);
  assert.deepEqual([
    await isKnown(quotes, A),
    await nextSnapshot(quotes, A, { books: "splice" }, NOW),
    await nextSnapshot(quotes, A, { books: "whole" }, NOW),
  ], [true, null, NOW + MS]);
});
