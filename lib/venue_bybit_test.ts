/**
 * What Bybit alone promises: how it is spoken to, and that real recordings of it are read whole. What its frames become
 * is in `testdata/venue/bybit*`.
 */
import assert from "@std/assert";
import { fieldsOf } from "./fields.ts";
import { isTick, type Quote, type Tick } from "./tick.ts";
import { type Live, openVenue, type Subscription, type Venue } from "./venue.ts";
import { mappedLines, readWhole, recorded, RECORDINGS, WRITTEN } from "../testdata/recordings.ts";

const options = { sanitizeOps: true, sanitizeResources: true } as const;
const spot = await openVenue("bybit"), linear = await openVenue("bybit-linear");
const speech = (venue: Venue): Live => venue.live!;

const goldenLines = (venue: Venue, name: string) => mappedLines(venue, `${WRITTEN}/${venue.name}/${name}.jsonl`);

Deno.test("bybit asks for each instrument in a request of its own", options, () => {
  const subscription: Subscription = { symbols: ["AAAUSDT", "BBBUSDC"], channels: ["trade", "quote", "book"] };
  for (const venue of [spot, linear]) {
    assert.deepEqual(speech(venue).subscribe(subscription, 7), [
      '{"req_id":"7","op":"subscribe","args":["publicTrade.AAAUSDT","orderbook.1.AAAUSDT","orderbook.50.AAAUSDT"]}',
      '{"req_id":"8","op":"subscribe","args":["publicTrade.BBBUSDC","orderbook.1.BBBUSDC","orderbook.50.BBBUSDC"]}',
    ]);
    assert.deepEqual(speech(venue).unsubscribe({ symbols: ["AAAUSDT"], channels: ["book"] }, 9), [
      '{"req_id":"9","op":"unsubscribe","args":["orderbook.50.AAAUSDT"]}',
    ]);
  }
});

Deno.test("bybit's topics of a full connection stay within the venue's bounds", options, () => {
  const symbol = "1000000AAAAAAAAAAAA-26SEP25".slice(0, 26);
  for (const channel of ["trade", "quote", "book"] as const) {
    const { topicsMax, subscribe } = speech(spot);
    const symbols = Array<string>(topicsMax).fill(symbol);
    const args = subscribe({ symbols, channels: [channel] }, 1).flatMap((request) => JSON.parse(request).args);
    assert.equal(args.length, 500);
    assert.ok(JSON.stringify(args).length <= 21_000 + 1, `${JSON.stringify(args).length}`);
  }
  const [request] = speech(spot).subscribe({ symbols: [symbol], channels: speech(spot).channels }, 1);
  assert.ok(JSON.parse(request!).args.length <= 10);
});

Deno.test("bybit's market is chosen by the path alone", options, () => {
  const subscription: Subscription = { symbols: ["AAAUSDT"], channels: ["trade"] };
  assert.equal(speech(spot).base + speech(spot).path(subscription, undefined), "wss://stream.bybit.com/v5/public/spot");
  assert.equal(
    speech(linear).base + speech(linear).path(subscription, undefined),
    "wss://stream.bybit.com/v5/public/linear",
  );
  assert.equal(speech(spot).rest!.instruments!(), "/v5/market/instruments-info?category=spot");
  assert.equal(speech(linear).rest!.instruments!(), "/v5/market/instruments-info?category=linear&limit=1000");
  assert.equal(speech(spot).rest!.trades, undefined);
  assert.deepEqual(speech(spot).heartbeat, { message: '{"op":"ping"}', everyMs: 20_000 });
});

Deno.test("bybit's answers say what was refused, in its words, and of which instrument", options, () => {
  const answers: readonly (readonly [string, ReturnType<Live["answer"]>])[] = [
    ['{"success":true,"ret_msg":"subscribe","conn_id":"c","req_id":"1","op":"subscribe"}', { refused: null, id: 1 }],
    ['{"success":true,"ret_msg":"","conn_id":"c","req_id":"","op":"subscribe"}', { refused: null }],
    ['{"success":true,"ret_msg":"","conn_id":"c","op":"unsubscribe"}', { refused: null }],
    ['{"success":false,"ret_msg":"error:handler not found,topic:orderbook.50.AAA-29DEC23","op":"subscribe"}', {
      refused: "error:handler not found,topic:orderbook.50.AAA-29DEC23",
      symbols: ["AAA-29DEC23"],
    }],
    ['{"success":false,"ret_msg":"Invalid symbol :[publicTrade.NONEUSDT]","req_id":"2","op":"subscribe"}', {
      refused: "Invalid symbol :[publicTrade.NONEUSDT]",
      symbols: ["NONEUSDT"],
    }],
    ['{"success":false,"ret_msg":"args size >10","req_id":"3"}', { refused: "args size >10", id: 3 }],
    ['{"success":false,"ret_msg":"args size >10","op":"subscribe"}', { refused: "args size >10" }],
    ['{"success":false,"ret_msg":"error:invalid op"}', { refused: "error:invalid op" }],
    ['{"success":false}', { refused: "undefined" }],
    ['{"success":true,"ret_msg":"pong","conn_id":"c","op":"ping"}', null],
    ['{"success":true,"ret_msg":"pong","conn_id":"c","op":"pong"}', null],
    ['{"args":["1700000003240"],"op":"pong"}', null],
    ['{"topic":"orderbook.1.AAAUSDT","ts":1700000000998,"type":"snapshot","data":{}}', null],
    ["[", null],
    ["null", null],
  ];
  for (const venue of [spot, linear]) {
    for (const [frame, answer] of answers) assert.deepEqual(speech(venue).answer(frame), answer, frame);
  }
});

Deno.test("both markets of bybit read the same frames, each under its own name", options, async () => {
  let ticks = 0;
  for (const name of ["trades", "quotes", "depth", "connection", "others", "plain"]) {
    for await (const { line: _line, frame, receivedTime, ...mapped } of goldenLines(spot, name)) {
      const renamed = mapped.ticks.map((tick) => ({ ...tick, venue: "bybit-linear" }));
      assert.deepEqual(linear.map(frame, receivedTime), { ...mapped, ticks: renamed });
      ticks += renamed.length;
    }
  }
  assert.ok(ticks > 20);
});

Deno.test("bybit sends what it heard as a tick, but for amounts that are for the judge", options, async () => {
  for (const venue of [spot, linear]) {
    let ticks = 0;
    for (const name of venue === spot ? ["trades", "quotes", "depth", "plain"] : ["trades", "depth"]) {
      for await (const { ticks: made } of goldenLines(venue, name)) {
        for (const tick of made) {
          ticks++;
          const judged = /"0012345|"bidSize":""/.test(JSON.stringify(tick));
          assert.equal(isTick(JSON.parse(JSON.stringify(tick))), !judged, JSON.stringify(tick));
        }
      }
    }
    assert.ok(ticks > 5);
  }
});

Deno.test("no field of another type makes bybit throw or pass on what is no tick", options, async () => {
  const odd = [null, true, -1, 1.5, 1e300, "", "x", [], [[]], [["1"]], {}, { s: "A" }];
  let tried = 0;
  for (const name of ["trades", "quotes", "depth", "connection", "others"]) {
    for await (const { frame } of goldenLines(spot, name)) {
      const whole = fieldsOf(frame);
      if (whole === undefined) continue;
      for (const changed of replacements(whole, odd)) {
        tried++;
        const text = JSON.stringify(changed);
        const { kind, ticks } = spot.map(text, null);
        assert.ok(spot.kinds.includes(kind), text);
        // Texts are for the judge; whatever else is wrong must not have become a tick.
        for (const tick of ticks) assert.ok(isTick(plainTexts(tick)), text);
      }
    }
  }
  assert.ok(tried > 10_000, `${tried}`);
});

/** `value` with each part of it replaced, one at a time. */
function* replacements(value: unknown, by: readonly unknown[]): Generator<unknown> {
  yield* by;
  if (Array.isArray(value)) {
    for (let i = 0; i < value.length; i++) for (const part of replacements(value[i], by)) yield value.with(i, part);
  } else if (typeof value === "object" && value !== null) {
    for (const [key, old] of Object.entries(value)) {
      for (const part of replacements(old, by)) yield { ...value, [key]: part };
    }
  }
}

/** The tick with texts in place of those that the judge looks at. */
function plainTexts(tick: Tick): Tick {
  const plain = { ...tick, symbol: "A", id: tick.id === null ? null : "1" };
  const levels = (side: readonly unknown[]): [string, string][] => side.map(() => ["1", "1"]);
  switch (plain.type) {
    case "trade":
      return { ...plain, price: "1", size: "1" };
    case "quote": {
      const side = (price: string | null) => price === null ? null : "1";
      const { bidPrice, askPrice, bidSize, askSize } = plain;
      return {
        ...{ ...plain, bidPrice: side(bidPrice), bidSize: side(bidSize) },
        ...{ askPrice: side(askPrice), askSize: side(askSize) },
      };
    }
    case "book":
    case "delta":
      return { ...plain, bids: levels(plain.bids), asks: levels(plain.asks) };
    case "status":
      return plain;
  }
}

const recording = recorded("bybit");

async function readRecording(venue: Venue, name: string) {
  const whole = await readWhole(venue, `${RECORDINGS}/bybit/${name}`);
  assert.ok(whole.ticks.every(isTick));
  return whole;
}

Deno.test("bybit knows every frame of its recordings", recording, async () => {
  const expected:
    readonly (readonly [Venue, string, Readonly<Record<string, number>>, Readonly<Record<string, number>>])[] = [
      [linear, "cryptofeed_v5_orderbook1_2025-06-13_BYBIT.ws.1.0.txt", { ack: 4, orderbook1: 198 }, { quote: 198 }],
      [spot, "cryptofeed_v5_orderbook1_2025-06-13_BYBIT.ws.2.0.txt", { ack: 6, orderbook1: 139 }, { quote: 139 }],
      [linear, "bybit_v5_linear_2025-09-26_frames.txt", { orderbook1: 1, publicTrade: 1, orderbook: 1 }, {
        quote: 1,
        trade: 1,
        delta: 1,
      }],
      [spot, "bybit_v5_spot_2026-09-20_frames.jsonl", { ack: 1, orderbook: 1, publicTrade: 1 }, { delta: 1, trade: 2 }],
      [spot, "bybit_v5_spot_orderbook50_2026-03-17_frames.jsonl", { orderbook: 3 }, { book: 1, delta: 2 }],
    ];
  const files = [...Deno.readDirSync(`${RECORDINGS}/bybit`)].map(({ name }) => name);
  assert.deepEqual(files.sort(), expected.map(([, name]) => name).sort());
  for (const [venue, name, kinds, types] of expected) {
    const read = await readRecording(venue, name);
    assert.deepEqual(read.kinds, kinds, name);
    assert.deepEqual(read.types, types, name);
  }
});

Deno.test(
  "bybit's recorded depth 1 repeats what is unchanged, and else its number rises by one",
  recording,
  async () => {
    let snapshots = 0, repeats = 0;
    for (const [venue, n] of [[linear, 1], [spot, 2]] as const) {
      const last = new Map<string, Quote>();
      const { ticks } = await readRecording(venue, `cryptofeed_v5_orderbook1_2025-06-13_BYBIT.ws.${n}.0.txt`);
      for (const quote of ticks as Quote[]) {
        snapshots++;
        const before = last.get(quote.symbol);
        last.set(quote.symbol, quote);
        if (before === undefined) continue;
        if (quote.sequence !== before.sequence) {
          assert.equal(quote.sequence, before.sequence! + 1);
          continue;
        }
        repeats++;
        const { bidPrice, bidSize, askPrice, askSize } = quote;
        const { bidPrice: bid, bidSize: bids, askPrice: ask, askSize: asks } = before;
        assert.deepEqual([bidPrice, bidSize, askPrice, askSize], [bid, bids, ask, asks]);
      }
    }
    assert.deepEqual([snapshots, repeats], [337, 61]);
  },
);

Deno.test("bybit's recorded depth 50 is a chain, and its time is the engine's", recording, async () => {
  const { ticks } = await readRecording(spot, "bybit_v5_spot_orderbook50_2026-03-17_frames.jsonl");
  const seen = ticks.map((tick) => [
    tick.type,
    tick.type === "delta" ? tick.previousId : null,
    tick.sequence,
    tick.eventTime,
    tick.receivedTime,
  ]);
  // Nobody noted when they were received: the time at which the venue made them stands in.
  assert.deepEqual(seen, [
    ["book", null, 17_340_415, 1_773_748_102_870_000, 1_773_748_102_871_000],
    ["delta", 17_340_415, 17_340_416, 1_773_748_102_885_000, 1_773_748_102_891_000],
    ["delta", 17_340_416, 17_340_417, 1_773_748_102_909_000, 1_773_748_102_910_000],
  ]);
});

Deno.test("bybit's recorded trades keep ids that no number holds", recording, async () => {
  const { ticks } = await readRecording(spot, "bybit_v5_spot_2026-09-20_frames.jsonl");
  const ids = ticks.flatMap((tick) => tick.type === "trade" ? [[tick.id, tick.sequence, tick.side]] : []);
  assert.deepEqual(ids, [["2290000001211680903", null, "sell"], ["2290000001211680919", null, "buy"]]);
});
