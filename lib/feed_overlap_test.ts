/** What two connections say at once, and what a break means to each symbol. */
import assert from "@std/assert";
import fc from "fast-check";
import { madeVenue } from "../testdata/peer.ts";
import type { FeedEvent, Why } from "./feed.ts";
import { Continuity } from "./feed/continuity.ts";
import { Overlap } from "./feed/overlap.ts";
import { isTick, type Tick } from "./tick.ts";
import type { Venue } from "./venue.ts";

const strict = { sanitizeOps: true, sanitizeResources: true } as const;
const TIME = 1_700_000_000_000_000;

type Said = { readonly connection: string; readonly ticks: readonly Tick[] };

/** Events of connections, about A and B. */
function of(connection: string) {
  const common = { kind: "event", connection, receivedTime: TIME, symbols: ["A", "B"] } as const;
  return {
    connected: (replaces: string | null = null): FeedEvent => ({ ...common, event: "connected", replaces }),
    subscribed: { ...common, event: "subscribed" } as FeedEvent,
    refused: { ...common, symbols: ["B"], event: "refused", detail: "unknown\nsymbol" } as FeedEvent,
    over: (successor: string | null, why: Why = "closed"): FeedEvent => (
      { ...common, event: "disconnected", why, code: 1006, detail: null, successor }
    ),
    /** One frame a text, as the made venue writes them. */
    says: (venue: Venue, ...frames: readonly string[]): Said[] =>
      frames.map((frame) => ({ connection, ticks: venue.map(frame, TIME).ticks })),
  };
}
const [old, young, third] = [of("r.0"), of("r.1"), of("r.2")];

/** What counts, as the made venue writes it, in short. */
function counted(venue: Venue, script: readonly (FeedEvent | Said)[]): string[] {
  const overlap = new Overlap(venue);
  return script.flatMap((step) => "ticks" in step ? overlap.ticks(step.connection, step.ticks) : overlap.event(step))
    .map(({ type, sequence, id }) => `${type} ${id ?? sequence}`);
}

Deno.test("trades, quotes and books go on where the old connection stopped, whichever was ahead", strict, () => {
  const venue = madeVenue();
  for (const key of ["t", "q", "u"]) {
    const type = { t: "trade", q: "quote", u: "delta" }[key];
    fc.assert(
      fc.property(
        // The old one tells up to `end`; the new one tells from `from` on, of which it has told `ahead` before that.
        fc.integer({ min: 1, max: 30 }),
        fc.integer({ min: 1, max: 30 }),
        fc.integer({ min: 0, max: 40 }),
        (end, start, ahead) => {
          const from = Math.min(start, end + 1);
          const numbers = (first: number, last: number) =>
            Array.from({ length: Math.max(0, last - first + 1) }, (_, at) => `{"s":"A","${key}":${first + at}}`);
          const script = [
            old.connected(),
            old.subscribed,
            ...old.says(venue, ...numbers(1, end - 1)),
            young.connected("r.0"),
            ...young.says(venue, ...numbers(from, from + ahead - 1)),
            young.subscribed,
            ...old.says(venue, ...numbers(end, end)),
            old.over("r.1"),
            ...young.says(venue, ...numbers(from + ahead, 100)),
          ];
          assert.deepEqual(counted(venue, script), Array.from({ length: 100 }, (_, at) => `${type} ${at + 1}`));
        },
      ),
      { seed: 7, numRuns: 300 },
    );
  }
});

Deno.test("trades without contiguous numbers are told apart by their ids", strict, () => {
  const venue = madeVenue({}, { trade: "rising" });
  const trade = (id: string) => `{"s":"A","t":5,"id":"${id}"}`;
  const script = [
    old.connected(),
    young.connected("r.0"),
    ...old.says(venue, trade("a"), trade("b")),
    ...young.says(venue, trade("b"), trade("c")),
    young.subscribed,
    ...old.says(venue, trade("c"), trade("d")),
    old.over("r.1"),
    ...young.says(venue, trade("d"), trade("e")),
  ];
  assert.deepEqual(counted(venue, script), ["a", "b", "c", "d", "e"].map((id) => `trade ${id}`));
});

Deno.test(
  "of what has no number the old connection counts until the new one is subscribed, and then that one",
  strict,
  () => {
    const venue = madeVenue({}, { trade: "none", quote: "none", delta: "none" });
    const script = [
      old.connected(),
      young.connected("r.0"),
      ...old.says(venue, '{"s":"A","t":null}', '{"s":"A","u":null}'),
      // Neither its trades nor changes of a book that it has not begun.
      ...young.says(venue, '{"s":"A","q":null}', '{"s":"A","u":null}'),
      ...young.says(venue, '{"s":"A","b":null}', '{"s":"A","u":null}'),
      ...old.says(venue, '{"s":"A","u":null}', '{"s":"B","u":null}', '{"s":"A","t":null}'),
      young.subscribed,
      ...old.says(venue, '{"s":"A","t":null}'),
      ...young.says(venue, '{"s":"A","q":null}'),
      old.over("r.1"),
      ...young.says(venue, '{"s":"B","u":null}'),
    ];
    const types = counted(venue, script).map((line) => line.split(" ", 1)[0]);
    assert.deepEqual(types, ["trade", "delta", "book", "delta", "delta", "trade", "quote", "delta"]);
  },
);

Deno.test(
  "a new connection that ends first takes what it said with it, and a book begun again is not held back",
  strict,
  () => {
    const venue = madeVenue();
    const script = [
      old.connected(),
      young.connected("r.0"),
      ...young.says(venue, '{"s":"A","t":1}'),
      young.over(null),
      ...old.says(venue, '{"s":"A","t":1}', '{"s":"A","u":50}'),
      third.connected("r.0"),
      third.subscribed,
      ...third.says(venue, '{"s":"A","b":50}'),
      old.over("r.2"),
      ...third.says(venue, '{"s":"A","b":1}', '{"s":"A","u":2}', '{"s":"A","t":2}', '{"s":"A","t":1}'),
    ];
    // The one of the last number is what whoever lost a change before it waits for.
    const expected = ["trade 1", "delta 50", "book 50", "book 1", "delta 2", "trade 2", "trade 1"];
    assert.deepEqual(counted(venue, script), expected);
  },
);

Deno.test("a book of a lower number and a later time than the old connection told is begun anew", strict, () => {
  const venue = madeVenue();
  const saidBy = (time: number): Said[] =>
    ['{"s":"A","b":3}', '{"s":"A","u":4}'].map((frame) => (
      { connection: "r.1", ticks: venue.map(frame, time).ticks }
    ));
  for (const [time, expected] of [[TIME, []], [TIME + 1, ["book 3", "delta 4"]]] as const) {
    const script = [
      old.connected(),
      old.subscribed,
      ...old.says(venue, '{"s":"A","u":328}'),
      young.connected("r.0"),
      young.subscribed,
      ...saidBy(time),
      old.over("r.1"),
    ];
    assert.deepEqual(counted(venue, script), ["delta 328", ...expected]);
  }
});

Deno.test("a new connection that says too much to be held counts from then on", strict, () => {
  const venue = madeVenue();
  const overlap = new Overlap(venue);
  overlap.event(old.connected());
  overlap.event(young.connected("r.0"));
  const trades = Array.from({ length: 100_000 }, (_, at) => venue.map(`{"s":"A","t":${at + 1}}`, TIME).ticks[0]!);
  assert.equal(overlap.ticks("r.0", trades.slice(0, 10)).length, 10);
  assert.equal(overlap.ticks("r.1", trades).length, 100_000 - 10);
  const later = venue.map('{"s":"A","t":100005}', TIME).ticks;
  assert.equal(overlap.ticks("r.0", later).length, 0);
  assert.equal(overlap.ticks("r.1", venue.map('{"s":"A","t":100001}', TIME).ticks).length, 1);
  assert.deepEqual(overlap.event(old.over("r.1")), []);
});

/** What is told of each event and frame: state, symbol, first and last id, detail. */
function told(venue: Venue, script: readonly (FeedEvent | Said)[]): unknown[] {
  const continuity = new Continuity(venue);
  const statuses = script.flatMap((step) =>
    "ticks" in step ? continuity.ticks(step.ticks, TIME) : continuity.event(step)
  );
  assert.ok(statuses.every(isTick));
  return statuses.map(({ state, symbol, firstId, lastId, detail }) => [state, symbol, firstId, lastId, detail]);
}

Deno.test("every event is a status of each of its symbols, in words that a tick can hold", strict, () => {
  const venue = madeVenue();
  const long = { ...old.refused, detail: "x".repeat(119) + "\u{1f4b8}" } as FeedEvent;
  assert.deepEqual(told(venue, [old.connected(), old.subscribed, old.refused, long, old.over("r.1"), old.over(null)]), [
    ["connected", "A", null, null, "r.0"],
    ["connected", "B", null, null, "r.0"],
    ["subscribed", "A", null, null, "r.0"],
    ["subscribed", "B", null, null, "r.0"],
    ["disconnected", "B", null, null, "refused unknown symbol"],
    ["disconnected", "B", null, null, "refused " + "x".repeat(119) + "\ufffd"],
    ["disconnected", "A", null, null, "closed 1006"],
    ["disconnected", "B", null, null, "closed 1006"],
  ]);
});

Deno.test(
  "a gap is told once a series in front of the first tick after a break, unless numbers show that there is none",
  strict,
  () => {
    const venue = madeVenue();
    const gapsOf = (before: readonly string[], after: readonly string[], disciplined = venue): unknown[] =>
      told(disciplined, [
        old.connected(),
        ...old.says(disciplined, ...before),
        old.over(null),
        young.connected(),
        ...young.says(disciplined, ...after),
      ]).filter((line) => (line as unknown[])[0] === "gap");
    const A = (key: string, ...numbers: (number | null)[]) => numbers.map((n) => `{"s":"A","${key}":${n}}`);
    assert.deepEqual(gapsOf(A("t", 7, 8), A("t", 12, 13)), [["gap", "A", 8, 12, "trade"]]);
    assert.deepEqual(gapsOf(A("t", 7, 8), A("t", 9, 10)), []);
    // Some of what was before is told again.
    assert.deepEqual(gapsOf(A("t", 7, 8), A("t", 5, 6, 7, 8, 9)), []);
    assert.deepEqual(gapsOf(A("q", 7), A("q", 8)), [["gap", "A", 7, 8, "quote"]]);
    assert.deepEqual(gapsOf(A("q", 7), A("q", 7)), []);
    assert.deepEqual(gapsOf(A("u", 7), A("u", 8)), []);
    assert.deepEqual(gapsOf(A("u", 7), A("b", 9)), [["gap", "A", 7, 9, "book"]]);
    assert.deepEqual(gapsOf(A("t", null), A("t", null, null)), [["gap", "A", null, null, "trade"]]);
    assert.deepEqual(gapsOf([...A("t", 1), ...A("q", 1)], [...A("t", 4), ...A("q", 4)]).length, 2);
    // Numbers that leave no hole show what is missing where nothing broke as well, and what comes late is no break.
    assert.deepEqual(gapsOf([], A("t", 7, 9, 8, 10)), [["gap", "A", 7, 9, "trade"]]);
    assert.deepEqual(gapsOf([], A("q", 7, 9)), []);
    // Nothing had come before, or nobody asked for it.
    assert.deepEqual(gapsOf([], A("t", 12)), []);
    assert.deepEqual(gapsOf(['{"s":"C","t":1}'], ['{"s":"C","t":9}']), []);
  },
);

Deno.test(
  "who is served by another connection is not disconnected, and only one that was heard to its end has missed nothing",
  strict,
  () => {
    const venue = madeVenue({}, { trade: "none" });
    const trade = '{"s":"A","t":null}';
    const statesOf = (...script: readonly (FeedEvent | Said)[]) =>
      told(venue, [old.connected(), old.subscribed, ...old.says(venue, trade), young.connected("r.0"), ...script])
        .map((line) => (line as unknown[])[0]).slice(6).filter((state) => state !== "subscribed");
    const before = young.subscribed, after = young.says(venue, trade);
    assert.deepEqual(statesOf(before, old.over("r.1", "rollover"), ...after), []);
    for (const why of ["closed", "quiet", "silent"] as const) {
      assert.deepEqual(statesOf(before, old.over("r.1", why), ...after), ["gap"], why);
    }
    // The young one is gone, and the old one goes on; or the old one is, before there is another.
    assert.deepEqual(statesOf(before, young.over(null), ...old.says(venue, trade)), ["gap"]);
    assert.deepEqual(statesOf(old.over(null), before, ...after), ["disconnected", "disconnected", "gap"]);
    assert.deepEqual(statesOf(before, young.over(null), old.over(null)).length, 2);
  },
);
