import assert from "@std/assert";
import { isTick } from "./tick.ts";
import { openVenue } from "./venue.ts";
import { readWhole, recorded, RECORDINGS } from "../testdata/recordings.ts";

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

const recording = recorded("finnhub");

const readRecording = (name: string) => readWhole(venue, `${RECORDINGS}/finnhub/${name}`);

Deno.test(
  "finnhub brings every one of the 47 recorded trades of AAPL, three pairs of equal ones too",
  recording,
  async () => {
    const { kinds, ticks, lines } = await readRecording("finnhub_trades_AAPL_2023-03-31_raw_frames.jsonl");
    assert.deepEqual(kinds, { trade: 5 });
    assert.equal(ticks.length, 47);
    assert.ok(ticks.every(isTick));
    // What the frames say, word for word.
    const rows = lines.flatMap(({ frame }) => [...frame.matchAll(/"p":([\d.]+),"s":"AAPL","t":(\d+),"v":([\d.]+)/g)]);
    assert.deepEqual(
      ticks.map((tick) => tick.type === "trade" ? [tick.price, tick.eventTime, tick.size] : []),
      rows.map(([, price, time, size]) => [price, Number(time) * 1_000, size]),
    );
    const equal = lines.map(({ frame }) => {
      const texts = venue.map(frame, null).ticks.map((tick) => JSON.stringify(tick));
      return texts.length - new Set(texts).size;
    });
    assert.equal(equal.filter((n) => n === 1).length, 3);
  },
);

Deno.test("finnhub knows every other recorded frame", recording, async () => {
  const { kinds, ticks } = await readRecording("finnhub_misc_messages.jsonl");
  assert.deepEqual(kinds, { trade: 3, ping: 1, error: 1 });
  assert.ok(ticks.every(isTick));
  assert.deepEqual(ticks.map((tick) => tick.type === "trade" ? [tick.price, tick.size, tick.conditions] : []), [
    ["66972.77", "0.01559", undefined],
    ["95372.09", "0.00063", undefined],
    ["95372.09", "0.00058", undefined],
    ["7296.89", "0.011467", undefined],
  ]);
});
