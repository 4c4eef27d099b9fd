/** What becomes of books and trades when one of two connections ends. */
import assert from "@std/assert";
import { madeVenue } from "../testdata/peer.ts";
import { type Collected, Collector } from "./collect.ts";
import type { Why } from "./feed.ts";
import type { Frame } from "./frames.ts";
import { type BookDiscipline, openVenue, type Venue } from "./venue.ts";

const TIME = 1_700_000_000_000_000;

/** A collector, and what is told to it frame by frame. */
function collecting(books: BookDiscipline, disciplines: Partial<Venue["disciplines"]> = {}) {
  const collector = new Collector({ ...madeVenue({}, disciplines), books }, { names: false });
  const take = (frame: Pick<Frame, "connection" | "frame"> & Partial<Frame>): Collected =>
    collector.take({ venue: "made", number: 0, receivedTime: TIME, ...frame });
  const event = (connection: string, what: object): Collected => {
    const common = { kind: "event", connection, receivedTime: TIME, symbols: ["A"] };
    return take({ connection, isEvent: true, frame: JSON.stringify({ ...common, ...what }) });
  };
  return {
    connected: (connection: string, replaces: string | null = null) =>
      event(connection, { event: "connected", replaces }),
    over: (connection: string, successor: string | null = null, why: Why = "closed") =>
      event(connection, { event: "disconnected", why, code: 1006, detail: null, successor }),
    says: (connection: string, frame: string) => take({ connection, frame }),
    counts: collector.counts,
    answers: (frame: string) => take({ connection: "r.rest", request: "https://made.invalid/", symbol: "A", frame }),
  };
}

/** What was collected, in short. */
const inShort = ({ ticks }: Collected): string[] =>
  ticks.map((tick) => tick.type === "status" ? `${tick.state} ${tick.detail}` : `${tick.type} ${tick.id}`);

Deno.test("an answer is for the book of the connection that serves, also when one beside it has come and gone", () => {
  const made = collecting("splice");
  made.connected("r.0");
  assert.deepEqual(made.says("r.0", '{"s":"A","u":7}').wants, ["A"]);
  made.connected("r.1", "r.0");
  made.over("r.1");
  assert.deepEqual(inShort(made.answers('{"s":"A","b":7}')), ["book null", "subscribed book synced"]);
  made.connected("r.2", "r.0");
  assert.deepEqual(inShort(made.over("r.0", "r.2", "rollover")), []);
  // The book is the same one.
  assert.deepEqual(inShort(made.says("r.2", '{"s":"A","u":9}')), [
    "delta null",
    "gap book hole: 9 came after 7",
  ]);
});

Deno.test("an answer that comes when its connection has ended begins no book", () => {
  const made = collecting("splice");
  made.connected("r.0");
  made.says("r.0", '{"s":"A","u":7}');
  made.over("r.0");
  assert.deepEqual(inShort(made.answers('{"s":"A","b":7}')), ["book null"]);
  made.connected("r.1");
  assert.deepEqual(made.says("r.1", '{"s":"A","u":9}').wants, ["A"]);
});

Deno.test("what was lost with a connection is told before what was held of the one beside it", () => {
  const made = collecting("none", { trade: "none" });
  const trade = (id: string) => `{"s":"A","t":null,"id":"${id}"}`;
  made.connected("r.0");
  made.says("r.0", trade("a"));
  made.connected("r.1", "r.0");
  assert.deepEqual(inShort(made.says("r.1", trade("c"))), []);
  assert.deepEqual(inShort(made.over("r.0")), ["disconnected closed 1006", "gap trade", "trade c"]);
});

Deno.test("a connection that ends beside another takes shared books with it where it was heard instead", () => {
  for (
    const [books, number, becomes] of [
      ["trust", null, ["gap book connection: the connection is gone"]],
      ["chain", 7, []],
    ] as const
  ) {
    const made = collecting(books);
    made.connected("r.0");
    made.says("r.0", `{"s":"A","b":${number}}`);
    made.connected("r.1", "r.0");
    made.says("r.1", `{"s":"A","b":${number}}`);
    assert.deepEqual(inShort(made.over("r.1")), becomes, books);
  }
});

Deno.test("a book whose connection was closed on purpose was not broken", () => {
  for (
    const [why, becomes, stopped, broken] of [
      ["stopped", "gap book stopped: its connection was closed on purpose", 1, 0],
      ["closed", "gap book connection: the connection is gone", 0, 1],
    ] as const
  ) {
    const made = collecting("trust");
    made.connected("r.0");
    made.says("r.0", '{"s":"A","b":7}');
    assert.deepEqual(inShort(made.over("r.0", null, why)), [becomes, `disconnected ${why} 1006`]);
    assert.deepEqual([made.counts.stopped, made.counts.broken.connection], [stopped, broken]);
  }
});

Deno.test("what a total grew by counts once, whichever of two connections says it first", async () => {
  const collector = new Collector(await openVenue("upstox"), { names: false });
  const said = (total: number, connection: string): string[] => {
    const marketFF = { ltpc: { ltp: 9.5, ltt: String(TIME / 1_000 + total) }, vtt: String(total) };
    const frame = JSON.stringify({ type: "live_feed", feeds: { "A|1": { fullFeed: { marketFF } } } });
    const { ticks } = collector.take({ venue: "upstox", connection, number: 0, receivedTime: TIME, frame });
    return ticks.map((tick) => tick.type === "trade" ? tick.size : tick.type);
  };
  const event = (connection: string, what: object): Collected => {
    const frame = JSON.stringify({ kind: "event", connection, receivedTime: TIME, symbols: ["A|1"], ...what });
    return collector.take({ venue: "upstox", connection, number: 0, receivedTime: TIME, isEvent: true, frame });
  };
  event("r.0", { event: "connected", replaces: null });
  event("r.0", { event: "subscribed" });
  assert.deepEqual([said(100, "r.0"), said(130, "r.0")], [[], ["30"]]);
  event("r.1", { event: "connected", replaces: "r.0" });
  assert.deepEqual([said(135, "r.1"), said(135, "r.0"), said(136, "r.0")], [["5"], [], ["1"]]);
  event("r.1", { event: "subscribed" });
  assert.deepEqual([said(138, "r.0"), said(137, "r.1"), said(140, "r.1")], [["2"], [], ["2"]]);
  const over = { event: "disconnected", why: "rollover", code: 1000, detail: null, successor: "r.1" };
  assert.deepEqual(event("r.0", over).ticks, []);
  assert.deepEqual(said(141, "r.1"), ["1"]);
});
