/** From frames and events to ticks: what two connections say at once keeps its frame and its checksum. */
import assert from "@std/assert";
import { Collector } from "./collect.ts";
import type { FeedEvent } from "./feed.ts";
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
