import assert from "@std/assert";
import fc from "fast-check";
import { readCapture } from "./capture.ts";
import { isTick, type Tick } from "./tick.ts";
import { openVenue } from "./venue.ts";
import { quoted } from "./venue/finnhub.ts";

const RECORDINGS = Deno.env.get("TAPEDECK_RECORDINGS");
const options = { sanitizeOps: true, sanitizeResources: true } as const;
const venue = await openVenue("finnhub");

/** What JSON says, the numbers of p and v as their text; undefined where it is no JSON. */
function slowly(frame: string): unknown {
  const textOf = (key: string, value: unknown, context?: { readonly source?: string }) =>
    typeof value === "number" && (key === "p" || key === "v") ? context!.source : value;
  try {
    return JSON.parse(frame, textOf as (key: string, value: unknown) => unknown);
  } catch {
    return undefined;
  }
}

function quickly(frame: string): unknown {
  try {
    return JSON.parse(quoted(frame));
  } catch {
    return undefined;
  }
}

const NUMBERS = ["0", "-0", "0.00", "12.3400", "-1.5", "1e-8", "1E+05", "9007199254740993", "0.10000000000000000555"];
const text = fc.array(fc.constantFrom("p", "v", '"', "\\", ",", "{", "}", ":", "1", " ", "é"), { maxLength: 8 })
  .map((parts) => JSON.stringify(parts.join("")));
const space = fc.constantFrom("", "", "", " ", "\n\t");
const key = fc.oneof(fc.constantFrom('"p"', '"v"', '"s"', '"t"', '"pv"'), text);
const { json } = fc.letrec<{ json: string; list: string; object: string; pair: string }>((tie) => ({
  json: fc.oneof(
    { maxDepth: 3 },
    fc.constantFrom(...NUMBERS, "null", "true"),
    text,
    tie("list"),
    tie("object"),
  ),
  list: fc.array(fc.tuple(space, tie("json"), space).map((parts) => parts.join("")), { maxLength: 4 })
    .map((items) => `[${items.join(",")}]`),
  pair: fc.tuple(space, key, space, fc.constant(":"), space, tie("json"), space).map((parts) => parts.join("")),
  object: fc.array(tie("pair"), { maxLength: 5 }).map((pairs) => `{${pairs.join(",")}}`),
}));

Deno.test("quotes around amounts change nothing of what a frame says, nor whether it says anything", options, () => {
  let said = 0, quotes = 0;
  const same = (frame: string) => {
    const slow = slowly(frame);
    assert.deepEqual(quickly(frame), slow, frame);
    if (slow !== undefined) said++;
    if (quoted(frame) !== frame) quotes++;
  };
  const broken = fc.tuple(
    json,
    fc.nat(),
    fc.nat({ max: 2 }),
    fc.constantFrom(...'{}[]",:pv01.e-\\ ', '"p":1', ',"v":0.50,'),
  )
    .map(([frame, at, cut, put]) => {
      const place = at % (frame.length + 1);
      return frame.slice(0, place) + put + frame.slice(place + cut);
    });
  fc.assert(fc.property(json, same), { numRuns: 3_000, seed: 1 });
  fc.assert(fc.property(broken, same), { numRuns: 6_000, seed: 2 });
  assert.ok(said > 3_000 && quotes > 1_000, `${said} frames said something, ${quotes} had amounts`);
});

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
