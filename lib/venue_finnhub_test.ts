import assert from "@std/assert";
import { readCapture } from "./capture.ts";
import { isTick, type Tick } from "./tick.ts";
import { openVenue } from "./venue.ts";

const RECORDINGS = Deno.env.get("TAPEDECK_RECORDINGS");
const options = { sanitizeOps: true, sanitizeResources: true } as const;
const venue = await openVenue("finnhub");

Deno.test("finnhub is asked for one symbol a message, and is told the token in the path", options, () => {
  const live = venue.live!;
  const subscription = { symbols: ["AAA", "IC EXAMPLE:1"], channels: ["trade"] } as const;
  assert.equal(live.path(subscription, "a b&c"), "/?token=a%20b%26c");
  assert.deepEqual(live.subscribe(subscription, 1), [
    '{"type":"subscribe","symbol":"AAA"}',
    '{"type":"subscribe","symbol":"IC EXAMPLE:1"}',
  ]);
  assert.deepEqual(live.unsubscribe(subscription, 1), [
    '{"type":"unsubscribe","symbol":"AAA"}',
    '{"type":"unsubscribe","symbol":"IC EXAMPLE:1"}',
  ]);
  assert.deepEqual(live.channels, ["trade"]);
});

Deno.test("finnhub answers with refusals alone", options, () => {
  const answer = venue.live!.answer;
  assert.deepEqual(answer('{"msg":"Subscribing to too many symbols","type":"error"}'), {
    refused: "Subscribing to too many symbols",
    symbols: [],
  });
  for (const frame of ['{"type":"ping"}', '{"data":[],"type":"trade"}', "[]", "", "{"]) {
    assert.equal(answer(frame), null, frame);
  }
});

Deno.test("finnhub keeps rows that are equal, each as its own trade", options, () => {
  const row = '{"c":["1"],"p":12.340,"s":"AAA","t":1700000000119,"v":5}';
  const { kind, ticks } = venue.map(`{"data":[${row},${row},${row}],"type":"trade"}`, null);
  assert.equal(kind, "trade");
  assert.equal(ticks.length, 3);
  for (const tick of ticks) assert.ok(tick.type === "trade" && tick.price === "12.340" && isTick(tick));
});

if (RECORDINGS === undefined) console.log("finnhub: recordings are not tried, TAPEDECK_RECORDINGS names no folder");
const recorded = { ...options, ignore: RECORDINGS === undefined };

async function readAll(name: string): Promise<{ kinds: Record<string, number>; ticks: Tick[]; frames: string[] }> {
  const kinds: Record<string, number> = {};
  const all: Tick[] = [];
  const frames: string[] = [];
  for await (const { lines } of readCapture(`${RECORDINGS}/finnhub/${name}`, 0, new AbortController().signal)) {
    for (const { frame, receivedTime } of lines) {
      const { kind, ticks } = venue.map(frame, receivedTime);
      kinds[kind] = (kinds[kind] ?? 0) + 1;
      all.push(...ticks);
      frames.push(frame);
    }
  }
  return { kinds, ticks: all, frames };
}

Deno.test(
  "finnhub brings every one of the 47 recorded trades of AAPL, three pairs of equal ones too",
  recorded,
  async () => {
    const { kinds, ticks, frames } = await readAll("finnhub_trades_AAPL_2023-03-31_raw_frames.jsonl");
    assert.deepEqual(kinds, { trade: 5 });
    assert.equal(ticks.length, 47);
    assert.ok(ticks.every(isTick));
    // What the frames say, word for word.
    const rows = frames.flatMap((frame) => [...frame.matchAll(/"p":([\d.]+),"s":"AAPL","t":(\d+),"v":([\d.]+)/g)]);
    assert.deepEqual(
      ticks.map((tick) => tick.type === "trade" ? [tick.price, tick.eventTime, tick.size] : []),
      rows.map(([, price, time, size]) => [price, Number(time) * 1_000, size]),
    );
    const equal = frames.map((frame) => {
      const texts = venue.map(frame, null).ticks.map((tick) => JSON.stringify(tick));
      return texts.length - new Set(texts).size;
    });
    assert.equal(equal.filter((n) => n === 1).length, 3);
  },
);

Deno.test("finnhub knows every other recorded frame", recorded, async () => {
  const { kinds, ticks } = await readAll("finnhub_misc_messages.jsonl");
  assert.deepEqual(kinds, { trade: 3, ping: 1, error: 1 });
  assert.ok(ticks.every(isTick));
  assert.deepEqual(ticks.map((tick) => tick.type === "trade" ? [tick.price, tick.size, tick.conditions] : []), [
    ["66972.77", "0.01559", undefined],
    ["95372.09", "0.00063", undefined],
    ["95372.09", "0.00058", undefined],
    ["7296.89", "0.011467", undefined],
  ]);
});
