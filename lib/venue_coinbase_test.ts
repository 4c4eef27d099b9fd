/**
 * What Coinbase's two feeds mean, and how they are spoken to. The frames in `testdata/venue/coinbase*` are compared by
 * `venue_test.ts`; here is what they cannot show: recordings, books too large for a message, requests and answers.
 */
import assert from "@std/assert";
import { Judge } from "./judge.ts";
import { type Book, isTick, LEVELS_MAX, type Tick } from "./tick.ts";
import { openVenue } from "./venue.ts";
import { readWhole, recorded, RECORDINGS, WRITTEN } from "../testdata/recordings.ts";

const options = { sanitizeOps: true, sanitizeResources: true } as const;
const exchange = await openVenue("coinbase");
const advanced = await openVenue("coinbase-advanced");
const NOW = 1_700_000_000_500_000;

Deno.test("coinbase sends what it heard as a tick", options, async () => {
  let ticks = 0;
  for (const venue of [exchange, advanced]) {
    for (const { name } of Deno.readDirSync(`${WRITTEN}/${venue.name}`)) {
      if (name.endsWith(".ticks.jsonl")) continue;
      for (const tick of (await readWhole(venue, `${WRITTEN}/${venue.name}/${name}`)).ticks) {
        ticks++;
        assert.ok(isTick(JSON.parse(JSON.stringify(tick))), JSON.stringify(tick));
      }
    }
  }
  assert.ok(ticks > 30);
});

Deno.test(
  "the maker's side is turned round wherever a match is told, and a ticker's side makes no trade",
  options,
  () => {
    const match = (type: string, side: string) =>
      `{"type":"${type}","trade_id":1,"side":"${side}","size":"1","price":"2","product_id":"A-B","time":"2023-11-14T22:13:20Z"}`;
    const sidesOf = (ticks: readonly Tick[]) => ticks.map((tick) => tick.type === "trade" ? tick.side : tick.type);
    for (const type of ["match", "last_match"]) {
      assert.deepEqual(sidesOf(exchange.map(match(type, "sell"), NOW).ticks), ["buy"]);
      assert.deepEqual(sidesOf(exchange.map(match(type, "buy"), NOW).ticks), ["sell"]);
    }
    assert.deepEqual(sidesOf(exchange.map(`[${match("", "buy")},${match("", "sell")}]`, NOW, "A-B").ticks), [
      "buy",
      "sell",
    ]);
    const row = (side: string) =>
      `{"product_id":"A-B","trade_id":"1","price":"2","size":"1","time":"2023-11-14T22:13:20Z","side":"${side}"}`;
    const trades =
      `{"channel":"market_trades","timestamp":"2023-11-14T22:13:20.1Z","sequence_num":0,"events":[{"trades":[`;
    assert.deepEqual(sidesOf(advanced.map(`${trades}${row("BUY")},${row("SELL")}]}]}`, NOW).ticks), ["buy", "sell"]);
    const ticker =
      `{"type":"ticker","sequence":1,"product_id":"A-B","side":"buy","time":"2023-11-14T22:13:20Z","best_bid":"1","best_bid_size":"1","best_ask":"2","best_ask_size":"1"}`;
    assert.deepEqual(sidesOf(exchange.map(ticker, NOW).ticks), ["quote"]);
  },
);

/** A hundred levels a side more than a message may carry: bids 1 … n, asks n + 1 … 2n, each in a wild order. */
function* largeSides(): Generator<readonly ["bid" | "offer", string]> {
  const count = LEVELS_MAX + 100;
  for (let i = 0; i < count; i++) {
    const wild = i * 7_919 % count;
    yield ["bid", `${1 + wild}`];
    yield ["offer", `${count + 1 + wild}.0`];
  }
}

Deno.test("of a book too large for a message the best levels are kept, best first", options, () => {
  const sides = [...largeSides()];
  const rows = (side: string) => sides.filter(([s]) => s === side).map(([, price]) => [price, "1"]);
  const updates = sides.map(([side, price_level]) => ({ side, event_time: "", price_level, new_quantity: "1" }));
  const events = [{ type: "snapshot", product_id: "A-B", updates }];
  const envelope = { channel: "l2_data", timestamp: "2023-11-14T22:13:20.1Z", sequence_num: 0, events };
  const snapshot = { type: "snapshot", product_id: "A-B", bids: rows("bid"), asks: rows("offer") };
  const count = LEVELS_MAX + 100;
  for (const [venue, frame] of [[exchange, snapshot], [advanced, envelope]] as const) {
    const [book] = venue.map(JSON.stringify(frame), NOW).ticks as readonly Book[];
    assert.ok(isTick(book));
    assert.deepEqual(book!.bids.map(([price]) => price), Array.from({ length: LEVELS_MAX }, (_, i) => `${count - i}`));
    assert.deepEqual(book!.asks.map(([p]) => p), Array.from({ length: LEVELS_MAX }, (_, i) => `${count + 1 + i}.0`));
  }
});

Deno.test("a list so long that no call could take it as arguments is read all the same", options, () => {
  const row = '{"product_id":"A-B","trade_id":"1","price":"2","size":"1","side":"BUY","time":"2023-11-14T22:13:20Z"}';
  const trades = Array(150_000).fill(row).join(",");
  const frame =
    `{"channel":"market_trades","timestamp":"2023-11-14T22:13:20Z","sequence_num":0,"events":[{"trades":[${trades}]}]}`;
  assert.equal(advanced.map(frame, NOW).ticks.length, 150_000);
});

Deno.test("exchange is asked for a hundred products at once, each with its heartbeat", options, () => {
  const live = exchange.live!;
  const all = { symbols: ["AAA-USD", "BBB-USD"], channels: ["trade", "quote", "book"] } as const;
  assert.deepEqual(live.subscribe(all, 1), [
    '{"type":"subscribe","product_ids":["AAA-USD","BBB-USD"],"channels":["matches","ticker","level2_batch","heartbeat"]}',
  ]);
  assert.deepEqual(live.unsubscribe({ symbols: ["AAA-USD"], channels: ["book"] }, 1), [
    '{"type":"unsubscribe","product_ids":["AAA-USD"],"channels":["level2_batch","heartbeat"]}',
  ]);
  const symbols = Array.from({ length: 101 }, (_, i) => `S${i}-USD`);
  assert.deepEqual(
    live.subscribe({ symbols, channels: ["trade"] }, 1).map((frame) => JSON.parse(frame).product_ids),
    [symbols.slice(0, 100), symbols.slice(100)],
  );
  assert.equal(live.base + live.path(all, undefined), "wss://ws-feed.exchange.coinbase.com/");
});

Deno.test("advanced trade is asked for one channel a message, and always for heartbeats", options, () => {
  const live = advanced.live!;
  const all = { symbols: ["AAA-USD", "BBB-USD"], channels: ["trade", "quote", "book"] } as const;
  assert.deepEqual(live.subscribe(all, 1), [
    '{"type":"subscribe","channel":"heartbeats"}',
    '{"type":"subscribe","product_ids":["AAA-USD","BBB-USD"],"channel":"market_trades"}',
    '{"type":"subscribe","product_ids":["AAA-USD","BBB-USD"],"channel":"ticker"}',
    '{"type":"subscribe","product_ids":["AAA-USD","BBB-USD"],"channel":"level2"}',
  ]);
  assert.deepEqual(live.unsubscribe({ symbols: ["AAA-USD"], channels: ["book"] }, 1), [
    '{"type":"unsubscribe","product_ids":["AAA-USD"],"channel":"level2"}',
  ]);
  assert.equal(live.base + live.path(all, undefined), "wss://advanced-trade-ws.coinbase.com/");
});

Deno.test("an answer is known by its type alone, since channels come back under other names", options, () => {
  for (const { live } of [exchange, advanced]) {
    const answer = live!.answer;
    assert.deepEqual(answer('{"type":"error","message":"authentication failure"}'), {
      refused: "authentication failure",
    });
    assert.deepEqual(answer('{"type":"error"}'), { refused: "" });
    for (const other of ['{"type":"match","trade_id":1}', '{"channel":"l2_data","events":[]}', "[]", "{", "null", ""]) {
      assert.equal(answer(other), null, other);
    }
  }
  const { answer } = exchange.live!;
  assert.deepEqual(
    answer('{"type":"subscriptions","channels":[{"name":"level2_50","product_ids":["AAA-USD"],"account_ids":null}]}'),
    { refused: null },
  );
  assert.deepEqual(
    answer('{"type":"error","message":"Failed to subscribe","reason":"BBB-USD is not a valid product"}'),
    { refused: "Failed to subscribe: BBB-USD is not a valid product" },
  );
  assert.deepEqual(
    advanced.live!.answer(
      '{"channel":"subscriptions","timestamp":"2023-11-14T22:13:20Z","sequence_num":2,"events":[{"subscriptions":{"level2":["AAA-USD"]}}]}',
    ),
    { refused: null },
  );
});

Deno.test("a page of trades is named by its end, so that it begins with the one asked for", options, () => {
  const rest = exchange.live!.rest!;
  assert.equal(rest.trades!("AAA-USD", "5001"), "/products/AAA-USD/trades?limit=1000&after=6001");
  assert.equal(rest.trades!("A/B", "9007199254740993"), "/products/A%2FB/trades?limit=1000&after=9007199254741993");
  assert.equal(rest.snapshot!("AAA-USD"), "/products/AAA-USD/book?level=2");
  assert.equal(rest.instruments!(), "/products");
  const symbolOf = (path: string) => exchange.symbolOf!(rest.base + path);
  assert.equal(symbolOf(rest.trades!("AAA-USD", "1")), "AAA-USD");
  assert.equal(symbolOf(rest.snapshot!("AAA-USD")), "AAA-USD");
  for (const other of ["/products", "/products/AAA-USD", "/products/%E0%A4%A/book", "/x/products/AAA-USD/book"]) {
    assert.equal(symbolOf(other), undefined, other);
  }
  assert.equal(exchange.symbolOf!("no address"), undefined);
});

const recording = recorded("coinbase");

Deno.test("every frame of the recorded exchange feed of 2021 is read, and all of it is sound", recording, async () => {
  const path = `${RECORDINGS}/coinbase/cryptofeed_exchange_COINBASE.ws.28.0.txt.gz`;
  const { kinds, types, ticks } = await readWhole(exchange, path);
  assert.deepEqual(kinds, {
    subscriptions: 3,
    snapshot: 10,
    // That year's ticker has no sizes.
    unsized: 107,
    lastMatch: 10,
    match: 97,
    l2update: 9_719,
  });
  assert.deepEqual(types, { book: 10, trade: 107, delta: 9_719 });
  const ids = new Map<string, number>();
  const judge = new Judge({ partition: 0 });
  for (const [offset, tick] of ticks.entries()) {
    const verdict = judge.judge({ offset, key: null, value: JSON.stringify(tick) });
    assert.equal(verdict.to, "valid", JSON.stringify(tick));
    if (tick.type !== "trade") continue;
    assert.equal(tick.sequence, (ids.get(tick.symbol) ?? tick.sequence! - 1) + 1);
    ids.set(tick.symbol, tick.sequence!);
  }
  assert.equal(ids.size, 10);
  assert.deepEqual((await readWhole(advanced, path)).kinds, { foreign: 9_946 });
});

Deno.test("every recorded frame of the exchange feed of 2026 is read", recording, async () => {
  const path = `${RECORDINGS}/coinbase/coinbase_exchange_2026-08-25_frames.jsonl`;
  const { kinds, types, ticks } = await readWhole(exchange, path);
  assert.deepEqual(kinds, { subscriptions: 1, lastMatch: 1, match: 1, l2update: 1, error: 1 });
  assert.deepEqual(types, { trade: 2, delta: 1 });
  assert.deepEqual(
    ticks.map((tick) => [tick.sequence, tick.type === "trade" && tick.side]),
    [[1081862674, "buy"], [1081862675, "buy"], [null, false]],
  );
  assert.deepEqual((await readWhole(advanced, path)).kinds, { foreign: 4, error: 1 });
});

Deno.test("every recorded frame of the advanced trade feed is read", recording, async () => {
  const path = `${RECORDINGS}/coinbase/coinbase_advanced_2024-10-04_frames.jsonl`;
  const { kinds, types, ticks, lines } = await readWhole(advanced, path);
  assert.deepEqual(kinds, { subscriptions: 2, heartbeats: 1, marketTrades: 1 });
  assert.deepEqual(types, { trade: 2 });
  // Two connections: 0 and 1 of the first, 1 and 2 of the second.
  assert.deepEqual(lines.map(({ number }) => number), [0, 1, 1, 2]);
  assert.deepEqual(
    ticks.map((tick) => [tick.sequence, tick.type === "trade" && tick.side, tick.eventTime]),
    [[22381690, "sell", 1728026011084859], [22381691, "sell", 1728026011088388]],
  );
  assert.deepEqual((await readWhole(exchange, path)).kinds, { foreign: 4 });
});
