/** From frames and events to ticks: what two connections say at once keeps its frame and its checksum. */
import assert from "@std/assert";
import { type Collected, Collector } from "./collect.ts";
import type { FeedEvent } from "./feed.ts";
import type { Comparing } from "./feed/rest.ts";
import type { Frame } from "./frames.ts";
import { openVenue, type Venue } from "./venue.ts";
import { mappedLines, WRITTEN } from "../testdata/recordings.ts";

const strict = { sanitizeOps: true, sanitizeResources: true } as const;
const NOW = 1_700_000_000_000_000;

/** A collector, and connections that speak to it. */
function collecting(venue: Venue, symbols: readonly string[]) {
  const collector = new Collector(venue, { names: true });
  return (connection: string) => {
    let number = 0;
    const framed = (frame: string) => (
      { venue: venue.name, connection, number: number++, receivedTime: NOW, frame }
    );
    const tell = (event: FeedEvent) => collector.take({ ...framed(JSON.stringify(event)), isEvent: true });
    const about = { kind: "event", connection, receivedTime: NOW, symbols } as const;
    return {
      begins: (replaces: string | null) => tell({ ...about, event: "connected", replaces }),
      serves: () => tell({ ...about, event: "subscribed" }),
      ends: (successor: string | null) =>
        tell({ ...about, event: "disconnected", why: "rollover", code: null, detail: null, successor }),
      says: (frame: string) => collector.take(framed(frame)),
      answers: (answer: Pick<Frame, "frame" | "request" | "symbol">) =>
        collector.take({ ...framed(""), connection: "rest", ...answer }),
    };
  };
}

Deno.test("a book whose connection is replaced is checked by what the new one says of it", strict, async () => {
  const venue = await openVenue("kraken");
  const frames = (await Array.fromAsync(mappedLines(venue, `${WRITTEN}/kraken/depth10.jsonl`)))
    .filter(({ ticks }) => ticks.length > 0).map(({ frame }) => frame);
  const [symbol] = venue.map(frames[0]!, NOW).ticks.map((tick) => tick.symbol);
  for (const isWrong of [false, true]) {
    const connect = collecting(venue, [symbol!]);
    const old = connect("old"), young = connect("young");
    old.begins(null);
    old.serves();
    for (const frame of frames.slice(0, 20)) old.says(frame);
    young.begins("old");
    const states: string[] = [];
    for (const [i, frame] of frames.entries()) {
      const said = isWrong && i === 30 ? frame.replace(/"checksum":\d+/, '"checksum":1') : frame;
      for (const tick of young.says(said).ticks) if (tick.type === "status") states.push(`${i} ${tick.detail}`);
      if (i === 40) {
        young.serves();
        old.ends("young");
      }
    }
    assert.equal(states.filter((state) => state.startsWith("30 book checksum")).length, isWrong ? 1 : 0);
    assert.equal(states.length, isWrong ? 1 : 0, states.join());
  }
});

Deno.test("ticks that were held for a while are named after the frame that they came in", strict, async () => {
  const connect = collecting(await openVenue("binance"), ["A"]);
  const trade = (id: number) =>
    `{"e":"trade","E":1700000000120,"s":"A","t":${id},"p":"1","q":"1","T":1700000000119,"m":true,"M":true}`;
  const old = connect("old"), young = connect("young");
  old.begins(null);
  old.serves();
  assert.deepEqual(old.says(trade(1)).ticks.map(({ frame }) => frame), ["old/2"]);
  young.begins("old");
  young.serves();
  for (const id of [1, 2, 3]) assert.deepEqual(young.says(trade(id)).ticks, []);
  assert.deepEqual(old.says(trade(2)).ticks.map(({ frame }) => frame), ["old/3"]);
  const { ticks, kind } = old.ends("young");
  assert.deepEqual([kind, ...ticks.map(({ type, id, frame }) => [type, id, frame])], [null, ["trade", "3", "young/4"]]);
  assert.deepEqual(young.says(trade(4)).ticks.map(({ frame }) => frame), ["young/5"]);
});

Deno.test(
  "an update that cannot be read is a loss, and an answer that cannot is none",
  strict,
  async () => {
    const connect = (name: string, venue: Venue) => collecting(venue, ["A-B", "C-D"])(name);
    const c = connect("c", await openVenue("coinbase"));
    const snapshot = (product_id: string) =>
      c.says(JSON.stringify({ type: "snapshot", product_id, bids: [["1", "1"]], asks: [["2", "1"]] }));
    const states = ({ ticks }: Collected) =>
      ticks.flatMap((tick) => tick.type === "status" ? `${tick.symbol} ${tick.state} ${tick.detail}` : []);
    c.begins(null);
    for (const product of ["A-B", "C-D"]) {
      assert.deepEqual(states(snapshot(product)), [
        `${product} subscribed book synced`,
      ]);
    }
    const changes = [["buy", "1", "0.-10000"]];
    const one = c.says(JSON.stringify({ type: "l2update", product_id: "A-B", changes, time: "2023-11-14T22:13:21Z" }));
    assert.deepEqual([states(one), one.wants], [["A-B gap book unreadable: a frame cannot be read"], ["A-B"]]);
    snapshot("A-B");
    const all = c.says('{"type":"l2update","product_id":"A-');
    assert.deepEqual([all.kind, states(all).length, all.wants], ["malformed", 2, ["A-B", "C-D"]]);
    snapshot("A-B");
    // An answer is no word of the connection's.
    const page = { frame: "<html>", request: "https://a/products/A-B/book", symbol: "A-B" };
    assert.deepEqual([c.answers(page).wants, states(c.answers(page))], [[], []]);
  },
);

Deno.test(
  "an answer that is to be held against a book begins none, and tells of a book that lies",
  strict,
  async () => {
    const collector = new Collector(await openVenue("binance"), { names: true, depth: 5, everyMs: 0 });
    const framed = (connection: string, frame: unknown, more: Partial<Frame> = {}) =>
      collector.take({
        ...{ venue: "binance", connection, number: 0, receivedTime: NOW, frame: JSON.stringify(frame), ...more },
      });
    const about = { kind: "event", receivedTime: NOW, symbols: ["A"] } as const;
    const tell = (event: FeedEvent | Comparing) => framed(event.connection, event, { isEvent: true });
    const change = (id: number, b: string[][] = []) =>
      framed("c", { e: "depthUpdate", E: NOW / 1_000, s: "A", U: id, u: id, b, a: [] });
    const answer = (lastUpdateId: number, bids: string[][], more: Partial<Frame> = {}) =>
      framed("rest", { lastUpdateId, bids, asks: [["2", "1"]] }, { request: "https://a/depth", symbol: "A", ...more });
    const comparing = () => tell({ ...about, connection: "rest", event: "comparing" });
    const outcomes = ({ compared }: Collected) => compared.map(({ outcome, id }) => `${outcome} ${id}`);

    tell({ ...about, connection: "c", event: "connected", replaces: null });
    assert.deepEqual(change(5).wants, ["A"]);
    const early = answer(4, [["1", "1"]], { isComparison: true });
    assert.deepEqual([early.kind, early.ticks, outcomes(early)], ["snapshot", [], ["unsynced null"]]);
    assert.ok(answer(5, [["1", "1"]]).ticks.some(({ type }) => type === "book"));
    const { ticks, kind } = comparing();
    assert.deepEqual([ticks, kind], [[], null]);
    change(6, [["1.1", "1"]]);
    const equal = answer(5, [["1", "1"]], { isComparison: true });
    assert.deepEqual([equal.ticks, equal.wants, outcomes(equal)], [[], [], ["equal 6"]]);
    comparing();
    change(7, [["1.2", "1"]]);
    const lie = answer(6, [["1.1", "7"], ["1", "1"]], { isComparison: true });
    assert.deepEqual([lie.wants, outcomes(lie)], [["A"], ["differing 7"]]);
    assert.deepEqual(lie.ticks.map((tick) => tick.type === "status" && [tick.state, tick.detail, tick.frame]), [
      ["gap", "book snapshot: 1 of 4 levels are others in a snapshot of 7", "rest/0"],
    ]);
    assert.deepEqual(answer(8, [["1", "1"]]).ticks.map(({ type }) => type), ["book", "status", "book"]);
    tell({
      ...about,
      connection: "c",
      event: "disconnected",
      why: "closed",
      code: null,
      detail: null,
      successor: null,
    });
    assert.deepEqual(outcomes(answer(9, [["1", "1"]], { isComparison: true })), ["unsynced null"]);
  },
);
