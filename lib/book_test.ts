/** Every step of every discipline, and what is built from a book, on ticks made by hand. */
import assert from "@std/assert";
import { crc32 } from "node:zlib";
import { readCapture } from "./capture.ts";
import { type Checksum, Keeper, type KeeperOptions, type Kept } from "./book.ts";
import { bookAt } from "./book/replay.ts";
import { type Book, type Delta, isTick, type Quote, type Status, type Tick } from "./tick.ts";
import { openVenue } from "./venue.ts";

const options = { sanitizeOps: true, sanitizeResources: true } as const;
const NOW = 1_700_000_000_000_000, MS = 1_000;
type Levels = Book["bids"];

const common = (ms: number, sequence: number | null, symbol = "A") => ({
  venue: "sim",
  symbol,
  eventTime: NOW + ms * MS,
  receivedTime: NOW + ms * MS + 250,
  sequence,
  id: null,
});
const BIDS: Levels = [["10.0", "1"], ["9.0", "2"], ["8.0", "3"]], ASKS: Levels = [["11.0", "1"], ["12.0", "2"]];
const book = (sequence: number | null, bids = BIDS, asks = ASKS, symbol = "A", ms = 0): Book => ({
  type: "book",
  ...common(ms, sequence, symbol),
  bids,
  asks,
});
/** From the first change to the last, after the one before. */
const delta = (
  [firstId, lastId, previousId = null]: readonly [number | null, number | null, (number | null)?],
  bids: Levels = [],
  asks: Levels = [],
  symbol = "A",
  ms = 0,
): Delta => ({ type: "delta", ...common(ms, lastId, symbol), bids, asks, firstId, lastId, previousId });
const quote = (sequence: number | null, bidPrice: string | null, askPrice: string | null, ms = 0): Quote => ({
  type: "quote",
  ...common(ms, sequence),
  bidPrice,
  bidSize: bidPrice === null ? null : "1",
  askPrice,
  askSize: askPrice === null ? null : "1",
});

const take = (keeper: Keeper, ...ticks: readonly Tick[]): Kept => keeper.take({ kind: "made", ticks });
const statuses = ({ ticks }: Kept) =>
  ticks.flatMap((tick) => tick.type === "status" ? [[tick.state, tick.firstId, tick.lastId, tick.detail]] : []);
const built = ({ ticks }: Kept) => ticks.filter(({ source }) => source === "built");
function keep(discipline: KeeperOptions["discipline"], more: Partial<KeeperOptions> = {}): Keeper {
  return new Keeper({ discipline, ...more });
}
/** A keeper of one book that stands at 100. */
function synced(discipline: KeeperOptions["discipline"], more: Partial<KeeperOptions> = {}): Keeper {
  const keeper = keep(discipline, more);
  take(keeper, book(100));
  assert.equal(keeper.stateOf("A"), "synced");
  return keeper;
}

// splice

Deno.test("splice: events wait for the snapshot, those that it has are dropped, the rest follow", options, () => {
  const keeper = keep("splice");
  assert.equal(keeper.stateOf("A"), "empty");
  const first = take(keeper, delta([95, 98], [["9.0", "7"]]));
  assert.deepEqual([first.wants, first.ticks.length, keeper.stateOf("A")], [["A"], 1, "buffering"]);
  assert.deepEqual(take(keeper, delta([99, 102], [["8.0", "0.00"]])).wants, [], "it is asked for once");
  take(keeper, delta([103, 105], [], [["11.0", "5"]]));
  assert.deepEqual(keeper.wanting, ["A"]);
  assert.equal(keeper.read("A"), undefined);

  const kept = take(keeper, book(100));
  assert.deepEqual(statuses(kept), [["subscribed", null, 105, "book synced"]]);
  assert.deepEqual(kept.ticks.map(({ type }) => type), ["book", "status"]);
  const { bids, asks, id } = keeper.read("A")!;
  assert.deepEqual({ bids, asks, id }, {
    bids: [["10.0", "1"], ["9.0", "2"]],
    asks: [["11.0", "5"], ["12.0", "2"]],
    id: 105,
  });
  assert.deepEqual([keeper.wanting, keeper.counts.skipped, keeper.counts.syncs], [[], 1, 1]);
});

Deno.test("splice: a snapshot older than the first buffered event is asked for again", options, () => {
  const keeper = keep("splice");
  take(keeper, delta([101, 102]));
  assert.deepEqual(take(keeper, book(99)).wants, ["A"]);
  assert.deepEqual([keeper.stateOf("A"), keeper.counts.stale], ["buffering", 1]);
  assert.deepEqual(take(keeper, book(null)).wants, ["A"], "and so is one without a number");
  assert.deepEqual(take(keeper, book(101, [["x", "1"]])).wants, ["A"], "and one that nobody can read");
  assert.deepEqual(take(keeper, book(101)).wants, []);
  assert.equal(keeper.read("A")?.id, 102);
});

Deno.test("splice: the first event after the snapshot covers the next id, or the book is broken", options, () => {
  const keeper = synced("splice");
  assert.deepEqual(statuses(take(keeper, delta([99, 101]))), []);
  assert.equal(keeper.read("A")?.id, 101);
  const other = synced("splice");
  const broke = take(other, delta([102, 103]));
  assert.deepEqual(statuses(broke), [["gap", 100, 102, "book hole: 102 came after 100"]]);
  assert.deepEqual([other.stateOf("A"), broke.wants, other.read("A")], ["broken", ["A"], undefined]);
});

Deno.test("splice: what the book has already is skipped, a hole breaks it, a snapshot heals it", options, () => {
  const keeper = synced("splice");
  take(keeper, delta([101, 103], [["9.5", "1"]]));
  take(keeper, delta([90, 102], [["9.5", "9"]]), delta([101, 103], [["9.5", "9"]]));
  assert.equal(keeper.read("A")?.bids[1]?.[1], "1");
  assert.equal(keeper.counts.skipped, 2);

  const broke = take(keeper, delta([105, 106], [["9.5", "6"]], [], "A", 5));
  assert.deepEqual(broke.ticks[1], {
    ...{ type: "status", venue: "sim", symbol: "A", eventTime: NOW + 5 * MS, receivedTime: NOW + 5 * MS + 250 },
    ...{ sequence: null, id: null, state: "gap", firstId: 103, lastId: 105, detail: "book hole: 105 came after 103" },
  });
  // The event that showed the hole is kept: a snapshot that reaches it is enough.
  take(keeper, delta([107, 107]));
  assert.deepEqual(take(keeper, book(104)).wants, ["A"]);
  const healed = take(keeper, book(105));
  assert.deepEqual(statuses(healed), [["subscribed", 103, 107, "book synced"]]);
  assert.equal(keeper.read("A")?.bids[1]?.[1], "6");
  assert.deepEqual([keeper.counts.broken.hole, keeper.counts.syncs], [1, 2]);
});

Deno.test("splice: a hole among the buffered events asks for a snapshot beyond it", options, () => {
  const keeper = keep("splice");
  take(keeper, delta([101, 102]), delta([105, 106]), delta([107, 108]));
  const kept = take(keeper, book(101));
  assert.deepEqual([statuses(kept), kept.wants], [[["gap", null, 105, "book hole: 105 came after 102"]], ["A"]]);
  assert.equal(keeper.read("A"), undefined);
  assert.deepEqual(statuses(take(keeper, book(106))), [["subscribed", null, 108, "book synced"]]);
});

Deno.test(
  "splice: more events than may wait are dropped with a reason, and the next snapshot still heals",
  options,
  () => {
    const keeper = keep("splice", { bufferMax: 2 });
    take(keeper, delta([101, 101]), delta([102, 102]));
    const kept = take(keeper, delta([103, 103]));
    assert.deepEqual(statuses(kept), [["gap", null, 103, "book bounds: 2 events came before a snapshot"]]);
    assert.deepEqual([keeper.stateOf("A"), keeper.counts.broken.bounds], ["broken", 1]);
    take(keeper, book(103));
    assert.equal(keeper.read("A")?.id, 103);
  },
);

Deno.test("splice: an event without numbers, an unreadable level and too many levels break the book", options, () => {
  for (
    const [event, fault] of [
      [delta([null, null]), "unnumbered"],
      [delta([101, 101], [["9", ""]]), "unreadable"],
      [delta([101, 101], [["9", "-1"]]), "unreadable"],
      [delta([101, 101], [["7", "1"], ["6", "1"]]), "bounds"],
    ] as const
  ) {
    const keeper = synced("splice", { levelsMax: 4 });
    const [status] = statuses(take(keeper, event));
    assert.match(String(status), new RegExp(`^gap,100,.*book ${fault}: `));
    assert.equal(keeper.counts.broken[fault], 1);
    // Its levels are lost, so a snapshot must be as far as it was.
    take(keeper, book(101));
    assert.equal(keeper.stateOf("A"), "synced");
  }
});

Deno.test("a broken book is healed alone", options, () => {
  const keeper = synced("splice");
  take(keeper, book(200, BIDS, ASKS, "B"));
  const kept = take(keeper, delta([105, 106]), delta([201, 202], [], [], "B"));
  assert.deepEqual(kept.wants, ["A"]);
  assert.deepEqual([keeper.stateOf("A"), keeper.stateOf("B"), keeper.read("B")?.id], ["broken", "synced", 202]);
});

Deno.test(
  "what lies beyond the snapshot is unknown, not empty, and once the best lies there a new one is asked for",
  options,
  () => {
    const keeper = synced("splice", { depth: 10, quotes: true });
    const kept = take(keeper, delta([101, 101], [["5.0", "1"], ["8.0", "0"]], [["13.0", "1"]]));
    const { known, bids } = keeper.read("A")!;
    assert.deepEqual(known, { bid: "8.0", ask: "12.0" });
    assert.deepEqual(bids, [["10.0", "1"], ["9.0", "2"], ["5.0", "1"]], "read with what is known of the range");
    const [made] = built(kept) as Book[];
    assert.deepEqual([made?.bids, made?.asks], [[["10.0", "1"], ["9.0", "2"]], ASKS], "built without it");

    const outrun = take(keeper, delta([102, 103], [["10.0", "0"], ["9.0", "0"]]));
    take(keeper, delta([104, 104]));
    assert.deepEqual([built(outrun), outrun.wants, keeper.counts.outrun], [[], ["A"], 1]);
    take(keeper, delta([104, 104]));
    assert.equal(keeper.stateOf("A"), "synced");
    assert.deepEqual(take(keeper, book(102)).wants, ["A"], "one that the book has passed is of no use");
    // It is ahead and ends inside the next event: the book takes it over there.
    assert.deepEqual(take(keeper, book(106, [["5.0", "1"], ["4.0", "4"]], ASKS)).wants, []);
    take(keeper, delta([105, 105], [["4.0", "4"]], [["13.0", "0"]]));
    const met = take(keeper, delta([106, 107], [["3.0", "3"]], [["11.0", "2"]]));
    assert.deepEqual(met.compared, [{ symbol: "A", id: 107, levels: 2, agreeing: 2, outcome: "equal" }]);
    assert.deepEqual(keeper.read("A")?.known, { bid: "4.0", ask: "12.0" });
    assert.deepEqual(built(take(keeper, delta([108, 108], [["5.0", "2"]]))).map(({ type }) => type), ["quote", "book"]);
  },
);

Deno.test("link: a fresh snapshot that no event straddles is asked for again, and the book stays", options, () => {
  const keeper = synced("link");
  assert.deepEqual(take(keeper, delta([99, 101, 95], [["10.0", "0"], ["9.0", "0"], ["8.0", "0"]])).wants, ["A"]);
  assert.deepEqual(take(keeper, book(103)).wants, []);
  const passed = { symbol: "A", id: 103, levels: 0, agreeing: 0, outcome: "passed" } as const;
  assert.deepEqual(take(keeper, delta([105, 110, 101])), {
    ...{ ticks: [delta([105, 110, 101])], wants: ["A"], compared: [passed] },
  });
  assert.deepEqual([keeper.stateOf("A"), keeper.read("A")?.bids], ["synced", []]);
});

Deno.test("a side that the snapshot shows empty is known to its end", options, () => {
  const keeper = keep("splice", { quotes: true });
  const [empty] = built(take(keeper, book(100, [], ASKS))) as Quote[];
  assert.deepEqual([empty?.bidPrice, empty?.bidSize, empty?.askPrice], [null, null, "11.0"]);
  assert.deepEqual(keeper.read("A")?.known, { bid: null, ask: "12.0" });
  const [first] = built(take(keeper, delta([101, 101], [["1.0", "1"]]))) as Quote[];
  assert.equal(first?.bidPrice, "1.0");
});

// link

Deno.test("link: the first event straddles the snapshot, then each names the one before", options, () => {
  const keeper = keep("link");
  take(keeper, delta([80, 90, 70]), delta([92, 100, 90]), delta([103, 110, 100]));
  assert.deepEqual(statuses(take(keeper, book(100))), [["subscribed", null, 110, "book synced"]]);
  assert.equal(keeper.counts.skipped, 1);
  take(keeper, delta([150, 160, 110], [["9.9", "1"]]));
  assert.equal(keeper.read("A")?.id, 160);
  assert.deepEqual(statuses(take(keeper, delta([161, 170, 159]))), [
    ["gap", 160, 161, "book hole: 161, which follows 159, came after 160"],
  ]);
  assert.equal(keeper.stateOf("A"), "broken");
});

Deno.test("link: a snapshot that no event straddles is not enough", options, () => {
  const keeper = keep("link");
  take(keeper, delta([101, 110, 95]));
  assert.deepEqual(take(keeper, book(100)).wants, ["A"]);
  assert.equal(keeper.stateOf("A"), "buffering");
  const other = synced("link");
  assert.match(String(statuses(take(other, delta([101, 110, 95])))), /^gap,100,101/);
  assert.deepEqual(statuses(take(synced("link"), delta([99, 110, 95]))), []);
  assert.deepEqual(statuses(take(synced("link"), delta([104, 110, 100]))), [], "it names the snapshot itself");
  assert.match(String(statuses(take(synced("link"), delta([99, 110, null])))), /book unnumbered/);
  const linked = synced("link");
  take(linked, delta([99, 110, 95]));
  assert.match(String(statuses(take(linked, delta([105, 120, 104])))), /^gap,110,105/, "once linked, it must be named");
});

// chain

Deno.test("chain: a snapshot, then each event is the next, and any snapshot replaces", options, () => {
  const keeper = keep("chain");
  const early = take(keeper, delta([99, 99]));
  assert.deepEqual([early.wants, keeper.stateOf("A")], [["A"], "empty"]);
  assert.deepEqual(statuses(take(keeper, book(100))), [["subscribed", null, 100, "book synced"]]);
  take(keeper, delta([null, 101], [["9.0", "0"]]));
  take(keeper, delta([null, 101], [["10.0", "0"]]));
  assert.deepEqual([keeper.read("A")?.bids.length, keeper.counts.skipped], [2, 1]);
  assert.deepEqual(statuses(take(keeper, book(7, [["5", "5"]], []))), []);
  assert.deepEqual(keeper.read("A")?.bids, [["5", "5"]]);
  assert.deepEqual(statuses(take(keeper, delta([null, 8]))), []);
});

Deno.test("chain: sequence 1 is a snapshot whatever its type, in sync or not", options, () => {
  const keeper = synced("chain");
  take(keeper, delta([null, 1], [["6", "6"]]));
  assert.deepEqual([keeper.read("A")?.bids, keeper.read("A")?.asks], [[["6", "6"]], []]);
  assert.deepEqual(statuses(take(keeper, delta([null, 2], [["5", "6"]]))), []);
  const empty = keep("chain");
  take(empty, delta([null, 1], [["6", "6"]]));
  assert.equal(empty.stateOf("A"), "synced");
});

Deno.test("chain: a jump breaks the book, so does a fall, and events are of no use until a snapshot", options, () => {
  for (const sequence of [102, 99, 2]) {
    const keeper = synced("chain");
    const broke = take(keeper, delta([null, sequence]));
    assert.deepEqual(statuses(broke), [["gap", 100, sequence, `book hole: ${sequence} came after 100`]]);
    assert.deepEqual(broke.wants, ["A"]);
    assert.deepEqual(take(keeper, delta([null, 101])), { ticks: [delta([null, 101])], wants: [], compared: [] });
    assert.equal(keeper.stateOf("A"), "broken");
    assert.deepEqual(statuses(take(keeper, book(500))), [["subscribed", 100, 500, "book synced"]]);
  }
  assert.match(String(statuses(take(synced("chain"), delta([null, null])))), /unnumbered/);
});

Deno.test("chain: a quote that says the same under the same number is a repeat, and goes no further", options, () => {
  const keeper = keep("chain");
  assert.equal(take(keeper, quote(5, "1", "2")).ticks.length, 1);
  assert.equal(take(keeper, quote(5, "1", "2", 3_000)).ticks.length, 0);
  assert.equal(take(keeper, quote(9, "1", "2")).ticks.length, 1, "a jump is harmless");
  assert.equal(take(keeper, quote(9, "1", "3")).ticks.length, 1, "another quote under an old number");
  assert.equal(take(keeper, quote(null, "1", "3"), quote(null, "1", "3")).ticks.length, 2);
  assert.equal(keeper.counts.repeats, 1);
  assert.equal(take(keep("splice"), quote(5, "1", "2"), quote(5, "1", "2")).ticks.length, 2, "elsewhere it is news");
});

// checksum

const sum: Checksum = (book) =>
  crc32([...book.asks(10), ...book.bids(10)].flat().map((text) => text.replace(".", "").replace(/^0+/, "")).join(""));
const TOP_BIDS = "45283.5/0.10000000 45283.4/1.54582015 45282.1/0.10000000 45281.0/0.10000000 45280.3/1.54592586 " +
  "45279.0/0.07990000 45277.6/0.03310103 45277.5/0.30000000 45277.3/1.54602737 45276.6/0.15445238";
const TOP_ASKS = "45285.2/0.00100000 45286.4/1.54571953 45286.6/1.54571109 45289.6/1.54560911 45290.2/0.15890660 " +
  "45291.8/1.54553491 45294.7/0.04454749 45296.1/0.35380000 45297.5/0.09945542 45299.5/0.18772827";
const levelsOf = (text: string) => text.split(" ").map((level) => level.split("/") as [string, string]);

Deno.test("checksum: the venue's own example is in order, and one digit less breaks the book", options, () => {
  const snapshot = book(null, levelsOf(TOP_BIDS), levelsOf(TOP_ASKS));
  const keeper = keep("checksum", { checksum: sum, depths: [10] });
  const kept = keeper.take({ kind: "book", ticks: [snapshot], checksums: [3310070434] });
  assert.deepEqual(statuses(kept), [["subscribed", null, null, "book synced"]]);
  const broke = keeper.take({
    kind: "book",
    ticks: [delta([null, null], [["45283.5", "0.1"]])],
    checksums: [3310070434],
  });
  assert.match(String(statuses(broke)), /^gap,,,book checksum: \d+, must be 3310070434$/);
  assert.deepEqual([keeper.stateOf("A"), broke.wants, keeper.counts.broken.checksum], ["broken", ["A"], 1]);
  keeper.take({ kind: "book", ticks: [snapshot], checksums: [3310070434] });
  assert.equal(keeper.stateOf("A"), "synced");
});

Deno.test("checksum: the whole event is applied, then the book is cut, then it is summed up", options, () => {
  const keeper = keep("checksum", { checksum: sum, depths: [3] });
  const of = (asks: Levels, bids: Levels) => sum({ asks: () => asks, bids: () => bids });
  keeper.take({ kind: "book", ticks: [book(null)], checksums: [of(ASKS, BIDS)] });
  // The first change alone would push a level out that the second one brings back in.
  const first = delta([null, null], [["9.5", "1"], ["10.0", "0.0"], ["9.5", "2"]]);
  keeper.take({ kind: "book", ticks: [first], checksums: [of(ASKS, [["9.5", "2"], ["9.0", "2"], ["8.0", "3"]])] });
  assert.equal(keeper.stateOf("A"), "synced");
  const second = delta([null, null], [["9.7", "1"]]);
  keeper.take({ kind: "book", ticks: [second], checksums: [of(ASKS, [["9.7", "1"], ["9.5", "2"], ["9.0", "2"]])] });
  // The level that fell out does not come back by itself.
  const third = delta([null, null], [["9.7", "0"]]);
  keeper.take({ kind: "book", ticks: [third], checksums: [of(ASKS, [["9.5", "2"], ["9.0", "2"]])] });
  assert.equal(keeper.stateOf("A"), "synced");
  assert.deepEqual(keeper.read("A")?.known, { bid: "9.0", ask: "12.0" });
});

// connection

Deno.test("connection: a jump of the frames' number breaks every book of it", options, () => {
  const keeper = keep("connection");
  keeper.take({ kind: "ack", ticks: [], number: 0 });
  keeper.take({ kind: "l2", ticks: [book(null), book(null, BIDS, ASKS, "B")], number: 1 });
  keeper.take({ kind: "l2", ticks: [delta([null, null], [["9.0", "0"]])], number: 2 });
  assert.equal(keeper.read("A")?.bids.length, 2);
  const event = delta([null, null], [], [], "B", 9);
  const broke = keeper.take({ kind: "l2", ticks: [event], number: 4 });
  assert.deepEqual(broke.wants, ["A", "B"]);
  assert.deepEqual(broke.ticks.map((tick) => [tick.type, tick.symbol, tick.eventTime]), [
    ["status", "A", NOW + 9 * MS],
    ["status", "B", NOW + 9 * MS],
    ["delta", "B", NOW + 9 * MS],
  ]);
  assert.equal(statuses(broke)[0]![3], "book connection: frame 4 came after 2");
  keeper.take({ kind: "l2", ticks: [book(null)], number: 5 });
  assert.deepEqual([keeper.stateOf("A"), keeper.stateOf("B")], ["synced", "broken"]);
  // Whatever was asked for may have been in what was lost.
  assert.deepEqual(keeper.take({ kind: "heartbeat", ticks: [], number: 9 }).wants, ["A", "B"]);
});

Deno.test("connection: a frame that comes late is passed on and changes no book; 0 begins anew", options, () => {
  const keeper = keep("connection");
  keeper.take({ kind: "l2", ticks: [book(null)], number: 0 });
  keeper.take({ kind: "l2", ticks: [], number: 1 });
  const late = keeper.take({ kind: "l2", ticks: [delta([null, null], [["9.0", "0"]])], number: 1 });
  assert.deepEqual([late.ticks.length, keeper.counts.late, keeper.read("A")?.bids.length], [1, 1, 3]);
  keeper.take({ kind: "l2", ticks: [], number: 0 });
  assert.equal(keeper.stateOf("A"), "broken");
  keeper.disconnect(NOW);
  keeper.take({ kind: "l2", ticks: [], number: 40 });
  keeper.disconnect(NOW);
  keeper.take({ kind: "l2", ticks: [book(null)], number: 3 });
  assert.equal(keeper.stateOf("A"), "synced", "numbers of another connection say nothing");
});

Deno.test("connection: each of two numbers its own frames, and a jump of either is a loss", options, () => {
  const keeper = keep("connection");
  const told = (connection: string, number: number) =>
    keeper.take({ kind: "heartbeat", ticks: [], number }, connection);
  keeper.take({ kind: "l2", ticks: [{ ...book(null), sequence: null }], number: 100 }, "r.0");
  for (let number = 0; number < 5; number++) {
    assert.deepEqual([told("r.1", number).ticks, told("r.0", 101 + number).ticks], [[], []]);
  }
  assert.equal(keeper.stateOf("A"), "synced");
  keeper.leave("r.0");
  assert.equal(statuses(told("r.1", 6))[0]![3], "book connection: frame 6 came after 4");
});

Deno.test("a connection that is gone takes its books with it, and nothing is asked for on it", options, () => {
  const keeper = synced("chain");
  take(keeper, delta([null, 7], [], [], "B"));
  const kept = keeper.disconnect(NOW + 77);
  assert.deepEqual([statuses(kept), kept.wants, keeper.wanting], [
    [["gap", 100, null, "book connection: the connection is gone"]],
    [],
    [],
  ]);
  const [status] = kept.ticks;
  assert.deepEqual([status?.eventTime, status?.timeSource], [NOW + 77, "received"]);
  assert.deepEqual(take(keeper, delta([null, 101])).wants, ["A"], "a snapshot should have come first");
  take(keeper, book(300));
  assert.equal(keeper.stateOf("A"), "synced");
});

// trust

Deno.test(
  "trust: a level deleted that was not there asks for a fresh snapshot, once, and the book stays",
  options,
  () => {
    const keeper = synced("trust");
    assert.deepEqual(take(keeper, delta([null, null], [["9.0", "0"]])).wants, []);
    assert.deepEqual(take(keeper, delta([null, null], [["9.0", "0.00"]])).wants, ["A"]);
    assert.deepEqual(take(keeper, delta([null, null], [["9.0", "0.00"]])).wants, []);
    assert.deepEqual([keeper.stateOf("A"), keeper.counts.unknownDeletes, keeper.wanting], ["synced", 2, ["A"]]);
    take(keeper, book(null));
    assert.deepEqual([keeper.read("A")?.bids.length, keeper.wanting], [3, []]);
    assert.deepEqual(keeper.read("A")?.known, { bid: null, ask: null });
  },
);

Deno.test("a cross inside an event is normal, one that lasts is told, and trusted no longer", options, () => {
  const keeper = synced("trust", { crossedForMs: 100, quotes: true });
  const at = (ms: number, bids: Levels) => take(keeper, delta([null, null], bids, [], "A", ms));
  assert.deepEqual(built(at(1, [["11.5", "1"]])), [], "nothing is built of it");
  assert.deepEqual([at(101, [["9.0", "9"]]).wants, keeper.counts.crossed], [[], 0]);
  at(102, [["11.5", "0"], ["11.0", "1"]]);
  assert.deepEqual(at(500, [["9.0", "8"]]).wants, [], "locked is not crossed");
  at(600, [["11.5", "1"]]);
  const lost = at(701, [["9.0", "7"]]);
  assert.deepEqual(statuses(lost), [["gap", null, null, "book crossed: bid 11.5 is above ask 11.0"]]);
  assert.deepEqual([lost.wants, keeper.counts.crossed, keeper.counts.broken.crossed], [["A"], 1, 1]);
  // What the venue itself shows so is no loss.
  take(keeper, book(null, [["11.5", "1"], ["9.0", "1"]], ASKS, "A", 800));
  assert.deepEqual(statuses(at(900, [["9.0", "6"]])), []);
  assert.deepEqual(statuses(at(901, [["9.0", "5"]])), [
    ["silent", null, null, "book crossed: bid 11.5 is above ask 11.0"],
  ]);
  assert.deepEqual([keeper.counts.crossed, keeper.stateOf("A"), keeper.wanting], [2, "synced", []]);
});

Deno.test(
  "where its numbers prove it a book that stays crossed is as the venue's, and silent until it is over",
  options,
  () => {
    const keeper = synced("splice", { crossedForMs: 100, depth: 1 });
    const at = (id: number, ms: number, bids: Levels) => take(keeper, delta([id, id], bids, [], "A", ms));
    at(101, 1, [["11.5", "1"]]);
    const said = at(102, 102, []);
    assert.deepEqual(statuses(said), [["silent", 102, null, "book crossed: bid 11.5 is above ask 11.0"]]);
    assert.ok(said.ticks.every(isTick));
    assert.deepEqual([at(103, 999, [["9.0", "1"]]).ticks.length, said.wants], [1, []], "it is told once");
    const over = at(104, 1_000, [["11.5", "0"]]);
    assert.deepEqual(statuses(over), [["subscribed", null, 104, "book uncrossed"]]);
    assert.deepEqual(over.ticks.map(({ type }) => type), ["delta", "status", "book"]);
    assert.deepEqual(statuses(at(105, 1_001, [["9.0", "2"]])), []);
    assert.equal(keeper.counts.crossed, 1);
    // A gap ends it as well.
    at(106, 2_000, [["11.5", "1"]]);
    at(107, 3_000, []);
    assert.deepEqual(statuses(at(110, 3_001, [])).map(([state]) => state), ["gap"]);
    assert.deepEqual(statuses(take(keeper, book(110))).map(([, , , detail]) => detail), ["book synced"]);
  },
);

Deno.test(
  "books that are sent whole are crossed from one to the next, and what is told of long prices fits a tick",
  options,
  () => {
    const keeper = keep("whole", { crossedForMs: 100 });
    const bid = `11.${"0".repeat(100)}1`;
    const at = (ms: number, price: string) => take(keeper, book(null, [[price, "1"]], ASKS, "A", ms));
    assert.deepEqual([0, 100].flatMap((ms) => statuses(at(ms, bid))), []);
    const told = at(101, bid);
    assert.deepEqual(statuses(told).map(([state]) => state), ["silent"]);
    assert.ok(told.ticks.every(isTick));
    assert.deepEqual(statuses(at(102, "10")), [["subscribed", null, null, "book uncrossed"]]);
  },
);

Deno.test("trust: a best that is for long another than the venue's quotes asks for a fresh snapshot", options, () => {
  const keeper = synced("trust", { differingForMs: 100 });
  assert.deepEqual(take(keeper, quote(1, "10", "11.00", 1), quote(2, "10.5", "11", 10)).wants, []);
  take(keeper, delta([null, null], [["10.5", "1"]], [], "A", 60));
  assert.deepEqual(take(keeper, quote(3, "10", "11", 200)).wants, [], "the book had caught up between");
  assert.deepEqual(take(keeper, quote(4, "10", "11", 301)).wants, ["A"]);
  assert.deepEqual([take(keeper, quote(5, "10", "11", 900)).wants, keeper.counts.differing], [[], 1]);
});

Deno.test("trust: a quote that cannot be read proves nothing, and goes on to be judged", options, () => {
  const keeper = synced("trust", { differingForMs: 100 });
  for (const price of ["abc", "", "1e5", "abcdefghijklmnopqrstuvwxyz", "9".repeat(40) + "x"]) {
    const { ticks, wants } = take(keeper, quote(1, price, "11.00", 1), quote(2, "10", price, 900));
    assert.deepEqual([ticks.length, wants], [2, []]);
  }
  assert.equal(keeper.counts.differing, 0);
});

// whole and none

Deno.test("whole: every book stands for itself; none: everything passes, and no book is kept", options, () => {
  const keeper = keep("whole", { quotes: true });
  assert.deepEqual(take(keeper, book(null)).ticks.map(({ type }) => type), ["book", "quote"]);
  take(keeper, book(null, [["1", "1"]], []), delta([null, null], [["2", "2"]]));
  assert.deepEqual(keeper.read("A")?.bids, [["1", "1"]]);
  const none = keep("none", { depth: 5 });
  const ticks = [book(1), delta([2, 2]), quote(1, "1", "2")];
  assert.deepEqual(take(none, ...ticks), { ticks, wants: [], compared: [] });
  assert.equal(none.read("A"), undefined);
});

// what cannot be read

const unread = (...symbols: string[]) => ({ kind: "malformed", ticks: [], unread: symbols });

Deno.test("a frame that cannot be read breaks the book that it names, or all where it names none", options, () => {
  for (const discipline of ["splice", "link", "chain", "checksum", "connection", "trust"] as const) {
    const keeper = synced(discipline);
    take(keeper, book(200, BIDS, ASKS, "B"));
    const kept = keeper.take(unread("A", "strange"));
    assert.match(String(statuses(kept)), /^gap,.*,book unreadable: a frame cannot be read$/, discipline);
    assert.ok(kept.ticks.every(isTick));
    assert.deepEqual([kept.wants, keeper.counts.broken.unreadable, keeper.stateOf("B")], [["A"], 1, "synced"]);
    assert.deepEqual(keeper.take(unread()).wants, ["A", "B"], "the snapshot of one may have been in it");
    take(keeper, book(300), book(300, BIDS, ASKS, "B"));
    assert.deepEqual([keeper.stateOf("A"), keeper.stateOf("B"), keeper.wanting], ["synced", "synced", []]);
    assert.deepEqual(keeper.stateOf("strange"), "empty");
  }
  const late = synced("connection");
  late.take({ kind: "known", ticks: [], number: 0 });
  late.take({ kind: "known", ticks: [], number: 1 });
  late.take({ kind: "known", ticks: [], number: 2 });
  late.take({ ...unread("A"), number: 1 });
  assert.equal(late.stateOf("A"), "synced", "its loss was told when the next one came");
});

// what is built

Deno.test(
  "built books and quotes are ticks, numbered by nobody, at the id and the time of what they show",
  options,
  () => {
    const keeper = synced("splice", { depth: 2, quotes: true });
    const kept = take(keeper, delta([101, 103], [["9.5", "1.50"]], [["11.0", "4"]], "A", 7));
    const same = { venue: "sim", symbol: "A", eventTime: NOW + 7 * MS, receivedTime: NOW + 7 * MS + 250 };
    assert.deepEqual(built(kept), [
      {
        type: "quote",
        ...same,
        ...{ sequence: null, id: "103", source: "built" },
        ...{ bidPrice: "10.0", bidSize: "1", askPrice: "11.0", askSize: "4" },
      },
      {
        type: "book",
        ...same,
        ...{ sequence: null, id: "103", source: "built" },
        ...{ bids: [["10.0", "1"], ["9.5", "1.50"]], asks: [["11.0", "4"], ["12.0", "2"]] },
      },
    ]);
    assert.ok(kept.ticks.every(isTick));
    assert.deepEqual(built(take(keeper, delta([104, 104], [["9.5", "2"]]))).map(({ type }) => type), ["book"]);
    // They are no news to a keeper that is given them.
    const chain = synced("chain");
    assert.deepEqual(take(chain, ...built(kept)).ticks, built(kept));
    assert.equal(chain.read("A")?.id, 100);
  },
);

Deno.test("a built book comes with the first change of each interval of event time", options, () => {
  const keeper = synced("splice", { depth: 2, everyMs: 1_000 });
  const counts = [1, 999, 1_000, 1_001, 1_999, 5_300, 4_900, 6_000].map((ms, i) =>
    built(take(keeper, delta([101 + i, 101 + i], [["9.0", "1"]], [], "A", ms))).length
  );
  assert.deepEqual(counts, [0, 0, 1, 0, 0, 1, 0, 1], "the snapshot had the first");
});

Deno.test(
  "nothing is built while a book is not in sync, and the first quote after it comes even if it is the same",
  options,
  () => {
    const keeper = keep("splice", { depth: 2, quotes: true });
    assert.deepEqual(built(take(keeper, delta([101, 101]))), []);
    const first = take(keeper, { ...book(101), eventTime: NOW + 9, receivedTime: NOW + 9, timeSource: "received" });
    assert.deepEqual(first.ticks.map(({ type }) => type), ["book", "status", "quote", "book"]);
    assert.deepEqual(built(take(keeper, delta([105, 105]))), []);
    assert.deepEqual(built(take(keeper, delta([106, 106]))), []);
    const again = take(keeper, {
      ...book(105, BIDS, ASKS, "A", 30),
      timeSource: "received",
      receivedTime: NOW + 30 * MS,
    });
    assert.deepEqual(built(again).map(({ type }) => type), ["quote", "book"]);
    // What was buffered is known as late as its snapshot, and dated by the venue.
    const [made] = built(again);
    assert.deepEqual([made?.eventTime, made?.receivedTime, made?.timeSource], [NOW, NOW + 30 * MS, undefined]);
    assert.ok(again.ticks.every(isTick));
  },
);

Deno.test("a depth that no book can have is refused", options, () => {
  for (const depth of [0, -1, 1.5, NaN, 10_001]) {
    assert.throws(() => keep("splice", { depth }), /^RangeError: Cannot keep books of depth ".*must be 1 to 10000$/);
  }
});

Deno.test("instruments beyond the bound pass without a book", options, () => {
  const keeper = synced("splice", { instrumentsMax: 1 });
  assert.equal(take(keeper, book(1, BIDS, ASKS, "B")).ticks.length, 1);
  assert.deepEqual([keeper.counts.unkept, keeper.stateOf("B")], [1, "empty"]);
});

// comparison

const outcomes = ({ compared }: Kept) => compared.map(({ outcome, id, levels }) => `${outcome} ${id} ${levels}`);

Deno.test("a snapshot is held until the book has reached it, and tells how far they agree", options, () => {
  const keeper = synced("splice");
  assert.deepEqual(outcomes(keeper.compare(book(99))), ["passed 99 0"]);
  assert.deepEqual(outcomes(keeper.compare(book(100, BIDS, ASKS, "B"))), ["unsynced null 0"]);
  assert.deepEqual(keeper.compare(book(100, [["10", "1.0"], ["9", "2.0"]], ASKS)), {
    ...{ ticks: [], wants: [] },
    compared: [{ symbol: "A", id: 100, levels: 4, agreeing: 4, outcome: "equal" }],
  });
  const ahead = keeper.compare(book(102, [["10.0", "1"], ["9.5", "1"]], ASKS));
  assert.deepEqual([ahead.compared, ahead.ticks], [[], []], "it waits");
  assert.deepEqual(take(keeper, delta([101, 101], [["9.5", "1"]])).compared, []);
  assert.deepEqual(outcomes(take(keeper, delta([102, 102]))), ["equal 102 4"]);
  assert.deepEqual(take(keeper, delta([103, 103])).compared, []);
  assert.deepEqual(keeper.read("A")?.known, { bid: "8.0", ask: "12.0" }, "it was looked at, not taken over");
  keeper.compare(book(110));
  take(keeper, delta([106, 106]));
  take(keeper, book(107));
  assert.deepEqual(take(keeper, delta([108, 110])).compared, [], "of a book that broke nothing is told");
});

Deno.test("a snapshot that the book has passed since it was asked for is brought as far as the book", options, () => {
  for (const discipline of ["splice", "link"] as const) {
    const keeper = synced(discipline);
    keeper.expect("A");
    // Changes that the snapshot has in part already: they are absolute.
    take(
      keeper,
      delta([101, 101, 100]),
      delta([102, 103, 101], [["9.5", "1"]]),
      delta([104, 105, 103], [["9.5", "0"]], [["11.0", "7"]]),
    );
    take(keeper, delta([106, 106, 105], [["1.0", "1"]]));
    const compared = keeper.compare(book(102, [["10.0", "1"], ["9.5", "1"], ["9.0", "2"], ["8.0", "3"]], ASKS));
    assert.deepEqual(outcomes(compared), ["equal 106 5"], discipline);
    // What was remembered is forgotten with the answer, and with another question.
    assert.deepEqual(outcomes(keeper.compare(book(102))), ["passed 102 0"]);
    keeper.expect("A");
    take(keeper, delta([107, 107, 106]));
    keeper.expect("B");
    assert.deepEqual(outcomes(keeper.compare(book(106))), ["passed 106 0"]);
    assert.equal(keeper.stateOf("A"), "synced");
  }
  const keeper = synced("splice");
  keeper.expect("A");
  for (let id = 101; id <= 1_101; id++) take(keeper, delta([id, id]));
  assert.deepEqual(outcomes(keeper.compare(book(100))), ["passed 100 0"], "of too much nothing is remembered");
});

Deno.test("a book that is another one than the snapshot of its id is broken, and asked for again", options, () => {
  for (const isAhead of [false, true]) {
    const keeper = synced("splice", { depth: 2 });
    const lie = [["10.0", "1"], ["9.0", "2.5"], ["8.0", "3"]] as [string, string][];
    let kept = keeper.compare(book(isAhead ? 101 : 100, lie, ASKS));
    if (isAhead) {
      assert.deepEqual(kept.wants, []);
      kept = take(keeper, delta([101, 101]));
    }
    const id = isAhead ? 101 : 100;
    assert.deepEqual(statuses(kept), [[
      "gap",
      id,
      null,
      `book snapshot: 1 of 5 levels are others in a snapshot of ${id}`,
    ]]);
    assert.deepEqual([outcomes(kept), kept.wants, built(kept)], [[`differing ${id} 5`], ["A"], []]);
    assert.deepEqual([keeper.stateOf("A"), keeper.counts.broken.snapshot], ["broken", 1]);
    take(keeper, book(110));
    assert.equal(keeper.stateOf("A"), "synced");
  }
});

Deno.test("a snapshot that is to stand in the book's place is brought as far as the book first", options, () => {
  const keeper = synced("splice", { depth: 10 });
  const outrun = take(keeper, delta([101, 101], [["10.0", "0"], ["9.0", "0"], ["8.0", "0"], ["5.0", "1"]]));
  assert.deepEqual(outrun.wants, ["A"]);
  take(keeper, delta([102, 103], [["4.0", "4"]]));
  const kept = take(keeper, book(102, [["5.0", "1"], ["3.0", "1"]], ASKS));
  assert.deepEqual([kept.wants, outcomes(kept)], [[], ["equal 103 2"]]);
  assert.deepEqual(keeper.read("A")?.bids, [["5.0", "1"], ["4.0", "4"], ["3.0", "1"]]);
});

Deno.test("where nothing numbers them a snapshot proves nothing, and how far they agree is told", options, () => {
  const keeper = synced("trust");
  const { compared, ticks, wants } = keeper.compare(book(7, [["10.0", "9"], ["9.0", "2"]], ASKS));
  assert.deepEqual(compared, [{ symbol: "A", id: null, levels: 4, agreeing: 3, outcome: "unnumbered" }]);
  assert.deepEqual([ticks, wants, keeper.stateOf("A"), keeper.read("A")?.bids], [[], [], "synced", BIDS]);
  assert.deepEqual(outcomes(keeper.compare(book(7, [["10.0", "-1"]], ASKS))), ["passed null 0"]);
});

// replay

async function* stored(ticks: readonly Tick[]): AsyncGenerator<Tick> {
  yield* ticks;
}

Deno.test(
  "what is replayed was judged by who kept it: a cross that lasts ends no stored book by itself",
  options,
  async () => {
    const rows = [book(null), ...[0, 5_000].map((ms) => delta([null, null], [["11.5", "1"]], [], "A", ms))];
    const replay = { venue: "sim", symbol: "A", discipline: "trust", time: NOW + 9_000 * MS } as const;
    assert.equal((await bookAt(stored(rows), replay))?.bids[0]?.[0], "11.5");
  },
);

Deno.test("the book of a time is that of the last event until then, and there is none in a gap", options, async () => {
  const keeper = keep("splice");
  const rows: Tick[] = [];
  const live = new Map<number, unknown>();
  const events = [
    delta([99, 101], [["9.1", "1"]], [], "A", 10),
    { ...book(100), eventTime: NOW - 5 * MS, receivedTime: NOW - 5 * MS, timeSource: "received" } as const,
    delta([102, 102], [["9.2", "1"]], [], "A", 20),
    delta([104, 104], [["9.3", "1"]], [], "A", 30),
    delta([105, 106], [["9.4", "1"]], [], "A", 40),
    { ...book(105), eventTime: NOW + 900 * MS, receivedTime: NOW + 900 * MS, timeSource: "received" } as const,
    delta([107, 107], [["9.5", "1"]], [], "A", 50),
  ];
  for (const event of events) {
    rows.push(...take(keeper, event).ticks, book(1, [], [], "B", -99));
    if (event.type === "delta") live.set(event.eventTime, keeper.read("A"));
  }
  const replay = { venue: "sim", symbol: "A", discipline: "splice" } as const;
  const at = (ms: number) => bookAt(stored(rows), { ...replay, time: NOW + ms * MS });
  assert.equal((await at(10))?.id, 101);
  assert.deepEqual(await at(29), live.get(NOW + 20 * MS));
  assert.equal(await at(30), undefined);
  assert.equal(await at(9), undefined);
  // The second snapshot is dated by a clock that is ahead: by that date it is not there yet.
  assert.equal(await at(50), undefined);
  assert.deepEqual(
    await bookAt(stored(rows.map((row) => row.timeSource ? { ...row, eventTime: NOW, receivedTime: NOW } : row)), {
      ...replay,
      time: NOW + 50 * MS,
    }),
    live.get(NOW + 50 * MS),
  );
});

Deno.test(
  "a snapshot that a clock ahead of the venue's dates later hides no event before that date",
  options,
  async () => {
    const later = {
      ...book(100),
      eventTime: NOW + 900 * MS,
      receivedTime: NOW + 900 * MS,
      timeSource: "received",
    } as const;
    const rows = [book(100), later, delta([101, 101], [], [], "A", 10)];
    const read = await bookAt(stored(rows), { venue: "sim", symbol: "A", discipline: "splice", time: NOW + 20 * MS });
    assert.equal(read?.id, 101);
  },
);

Deno.test("where the proof is not stored, the gap that is stored ends the book", options, async () => {
  const gap: Status = { type: "status", ...common(5, null), state: "gap", firstId: null, lastId: null, detail: null };
  const rows = [book(null), delta([null, null], [["9.0", "0"]], [], "A", 5), gap, delta([null, null], [], [], "A", 6)];
  for (const discipline of ["checksum", "connection", "trust"] as const) {
    const at = (time: number) => bookAt(stored(rows), { venue: "sim", symbol: "A", discipline, time });
    assert.equal((await at(NOW))?.bids.length, 3);
    assert.equal(await at(NOW + 9 * MS), undefined);
    assert.equal(
      (await bookAt(stored([...rows, book(null, BIDS, ASKS, "A", 8)]), {
        venue: "sim",
        symbol: "A",
        discipline,
        time: NOW + 9 * MS,
      }))?.bids.length,
      3,
    );
  }
  const cut = await bookAt(stored([book(null)]), {
    venue: "sim",
    symbol: "A",
    discipline: "checksum",
    depths: [1],
    time: NOW,
  });
  assert.deepEqual(cut?.bids, [["10.0", "1"]]);
});

Deno.test("a gap of trades or quotes leaves the book of a time as it is", options, async () => {
  const gap: Status = { type: "status", ...common(5, null), state: "gap", firstId: 1, lastId: 4, detail: "trade" };
  const rows = [book(null), gap, { ...gap, detail: "quote" }, delta([null, null], [["9.0", "0"]], [], "A", 6)];
  const replay = { venue: "sim", symbol: "A", discipline: "trust", time: NOW + 9 * MS } as const;
  assert.equal((await bookAt(stored(rows), replay))?.bids.length, 2);
  assert.equal(await bookAt(stored([...rows, { ...gap, detail: "book" }]), replay), undefined);
});

Deno.test("whoever listens hears when the book is begun, and why it cannot go on, each once", options, async () => {
  const heard: unknown[] = [];
  const gap: Status = { type: "status", ...common(5, null), state: "gap", firstId: null, lastId: null, detail: "told" };
  const lost: Status = { ...gap, state: "disconnected", detail: null };
  const subscribed: Status = { ...gap, state: "subscribed" };
  const hear = (news: Status | null) => heard.push(news?.detail ?? null);
  const rows = [
    subscribed,
    gap,
    lost,
    delta([99, 101]),
    book(100),
    subscribed,
    delta([105, 106]),
    gap,
    book(104),
    book(106),
  ];
  const replay = { venue: "sim", symbol: "A", discipline: "splice", time: NOW + 9 * MS, hear } as const;
  await bookAt(stored(rows), replay);
  assert.deepEqual(heard.splice(0), [null, "book hole: 105 came after 101", null]);
  await bookAt(stored([...rows, gap, gap]), replay);
  assert.deepEqual(heard.splice(0).slice(3), ["told"]);
  await bookAt(stored([book(100), lost]), replay);
  assert.deepEqual(heard.splice(0), [null, "book reported: the collector says disconnected"]);
  // What was buffered shows a hole as soon as there is a snapshot.
  await bookAt(stored([delta([99, 101]), delta([105, 106]), book(100)]), replay);
  assert.deepEqual(heard.splice(0), ["book hole: 105 came after 101"]);
  await bookAt(stored([book(1)]), { ...replay, discipline: "whole" });
  assert.deepEqual(heard, [null]);
});

Deno.test("a collector's word that it was disconnected ends the book, and is told as a gap", options, () => {
  const keeper = synced("chain");
  const lost: Status = {
    type: "status",
    ...common(5, null),
    state: "disconnected",
    firstId: null,
    lastId: null,
    detail: null,
  };
  assert.deepEqual(statuses(take(keeper, lost)).map(([state]) => state), ["disconnected", "gap"]);
  assert.equal(keeper.stateOf("A"), "broken");
});

Deno.test("after a gap that the collector tells of, the quote comes again", options, () => {
  const keeper = synced("trust", { quotes: true });
  const gap: Status = { type: "status", ...common(5, null), state: "gap", firstId: null, lastId: null, detail: null };
  assert.deepEqual(take(keeper, gap).ticks, [gap], "and is not told twice");
  assert.deepEqual(built(take(keeper, book(null))).map(({ type }) => type), ["quote"]);
});

// testdata

async function keepFile(name: string, file: string): Promise<{ keeper: Keeper; kept: Kept[] }> {
  const venue = await openVenue(name);
  const keeper = new Keeper({ discipline: venue.books });
  const kept: Kept[] = [];
  const path = new URL(`../testdata/venue/${name}/${file}`, import.meta.url).pathname;
  for await (const { lines } of readCapture(path, 0, new AbortController().signal)) {
    for (const { frame, receivedTime, request } of lines) {
      const symbol = request === undefined ? undefined : venue.symbolOf?.(request);
      kept.push(keeper.take(venue.map(frame, receivedTime, symbol)));
    }
  }
  return { keeper, kept };
}

Deno.test("the frames of testdata are spliced, and an id beyond 2^53 ends the book", options, async () => {
  const { keeper, kept } = await keepFile("binance", "depth.jsonl");
  assert.deepEqual(kept.flatMap(statuses), [
    ["subscribed", null, 504, "book synced"],
    ["gap", 504, 9007199254740990, "book unnumbered: an event without numbers came after 504"],
  ]);
  assert.equal(keeper.counts.skipped, 2);
  const futures = await keepFile("binance-usdm", "frames.jsonl");
  // Frames one by one, of no one market: the first snapshot is that of a partial depth.
  assert.deepEqual(futures.kept.flatMap(statuses)[0], ["subscribed", null, 9010, "book synced"]);
});
