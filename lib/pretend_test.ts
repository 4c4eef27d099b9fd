/**
 * A pretended venue over real sockets: what each protocol promises of its frames holds of them, books made from them are
 * those that the venue knows, and each fault shows on the wire as it was planned.
 */
import assert from "@std/assert";
import { crc32 } from "node:zlib";
import { Client } from "../testdata/client.ts";
import { cut, rowsOf as rowsBetween } from "./depth.ts";
import { exactReader } from "./fields.ts";
import type { Deed, Shown } from "./history.ts";
import { START_MICROS } from "./market.ts";
import { Pretend, PRETENDED, type PretendOptions } from "./pretend.ts";
import { openVenue } from "./venue.ts";
import type { Tick } from "./tick.ts";

const strict = { sanitizeOps: true, sanitizeResources: true };
/** Events of a test that looks at every book: price moves, refilled sides and levels that come and go are among them. */
const exactly = exactReader(["price", "qty", "bid", "bid_qty", "ask", "ask_qty", "checksum", "trade_id"]);
const EVENTS = 400;
/** Those that speak text and answer; `pretend_finnhub_test.ts` and `pretend_upstox_test.ts` have the others. */
const ANSWERING = PRETENDED.filter((as) => as !== "finnhub" && as !== "upstox");

const PATHS: Readonly<Record<string, string>> = {
  "binance": "/stream",
  "binance-usdm": "/public/stream",
  "bybit": "/v5/public/spot",
  "bybit-linear": "/v5/public/linear",
  "kraken": "/v2",
  "coinbase": "/",
  "coinbase-advanced": "/",
};

/** What asks for all of a symbol, and how many frames answer it while nothing happened yet. */
function asking(as: string, symbol: string): { readonly requests: readonly unknown[]; readonly answers: number } {
  const lower = symbol.toLowerCase();
  switch (as) {
    case "binance":
    case "binance-usdm":
      return {
        requests: [{
          method: "SUBSCRIBE",
          params: ["trade", "bookTicker", "depth@100ms"].map((s) => `${lower}@${s}`),
          id: 1,
        }],
        answers: 1,
      };
    case "bybit":
    case "bybit-linear":
      return {
        requests: [{
          op: "subscribe",
          args: ["publicTrade", "orderbook.1", "orderbook.50"].map((s) => `${s}.${symbol}`),
        }],
        answers: 3,
      };
    case "kraken":
      return {
        requests: [
          { method: "subscribe", params: { channel: "trade", symbol: [symbol] } },
          { method: "subscribe", params: { channel: "ticker", symbol: [symbol], event_trigger: "bbo" } },
          { method: "subscribe", params: { channel: "book", symbol: [symbol], depth: 25 } },
        ],
        answers: 5,
      };
    case "coinbase":
      return {
        requests: [{ type: "subscribe", product_ids: [symbol], channels: ["matches", "ticker", "level2_batch"] }],
        answers: 2,
      };
    default:
      return {
        requests: ["market_trades", "ticker", "level2"].map((channel) => ({
          ...{ type: "subscribe", product_ids: [symbol], channel },
        })),
        answers: 6,
      };
  }
}

/** Opens a venue and closes it behind the test. */
async function pretending(options: PretendOptions, test: (pretend: Pretend) => Promise<void>): Promise<void> {
  const pretend = await Pretend.open({ symbols: 1, levels: 60, ...options });
  try {
    await test(pretend);
  } finally {
    await pretend.close();
  }
}

/** A client that asked for all of the busiest symbol, and the answers to it. */
async function listening(
  pretend: Pretend,
  as: string,
): Promise<{ readonly client: Client; readonly answers: string[] }> {
  const { requests, answers } = asking(as, pretend.symbols[0]!);
  const client = await Client.to(pretend.socketUrl + PATHS[as], ...requests);
  // Kraken says first how it is.
  return { client, answers: await client.texts(answers + (as === "kraken" ? 1 : 0)) };
}

const steps = (pretend: Pretend, count: number): void => {
  for (let i = 0; i < count; i++) pretend.step();
};

/** Says something that is answered by exactly one frame, and gives all frames before the answer. */
async function soFar(client: Client, as: string): Promise<string[]> {
  const [request, answer] = as.startsWith("binance")
    ? [{ method: "GET_PROPERTY", params: ["combined"], id: 99 }, '"id":99']
    : as.startsWith("bybit")
    ? [{ op: "ping" }, '"pong"']
    : as === "kraken"
    ? [{ method: "ping", req_id: 99 }, '"pong"']
    : [{ type: "subscribe", channels: ["so far"], channel: "so far" }, "so far"];
  client.say(request);
  const frames: string[] = [];
  for (;;) {
    const frame = await client.text();
    if (frame.includes(answer)) return frames;
    frames.push(frame);
  }
}

type Side = Map<string, string>;
const isNone = (size: string): boolean => /^0(\.0+)?$/.test(size);

/** A client's book, made from levels as they are sent. */
class Made {
  bids: Side = new Map();
  asks: Side = new Map();

  apply(
    bids: readonly (readonly [string, string])[],
    asks: readonly (readonly [string, string])[],
    depth = Infinity,
  ): void {
    for (const [side, rows] of [[this.bids, bids], [this.asks, asks]] as const) {
      for (const [price, size] of rows) isNone(size) ? side.delete(price) : side.set(price, size);
    }
    this.bids = new Map(this.sorted("bids").slice(0, depth));
    this.asks = new Map(this.sorted("asks").slice(0, depth));
  }

  sorted(side: "bids" | "asks"): [string, string][] {
    const sign = side === "asks" ? 1 : -1;
    return [...this[side]].sort(([a], [b]) => sign * (Number(a) - Number(b)));
  }

  assertIs(truth: Shown | undefined, depth = Infinity): void {
    if (truth === undefined) throw new Error("the venue knows no book of this id");
    for (const side of ["bids", "asks"] as const) {
      assert.deepEqual(this.sorted(side), truth[side].slice(0, depth).map(({ price, size }) => [price, size]));
    }
  }
}

for (const as of ANSWERING) {
  Deno.test(
    `${as}: the same seed says the same frames, to two clients at once`,
    strict,
    () =>
      pretending({ as, seed: 5 }, async (one) => {
        await pretending({ as, seed: 5 }, async (other) => {
          const clients = [(await listening(one, as)).client, (await listening(one, as)).client];
          clients.push((await listening(other, as)).client);
          steps(one, 100);
          steps(other, 100);
          const [first, second, third] = await Promise.all(clients.map((client) => soFar(client, as)));
          assert.ok(first!.length > 100);
          assert.deepEqual(second, first);
          assert.deepEqual(third, first);
          for (const client of clients) await client.close();
        });
      }),
  );

  Deno.test(
    `${as}: an unknown path is not found, and an unknown symbol is refused as the venue does`,
    strict,
    () =>
      pretending({ as }, async (pretend) => {
        await assert.rejects(Client.to(`${pretend.socketUrl}/nowhere`), /404/);
        const nobody = as === "kraken" ? "NOPE/USD" : as.startsWith("coinbase") ? "NOPE-USD" : "NOPEUSDT";
        const client = await Client.to(pretend.socketUrl + PATHS[as], asking(as, nobody).requests[0]);
        if (as === "kraken") await client.text();
        const said = await client.text();
        const expected: Readonly<Record<string, RegExp>> = {
          "binance": /^\{"result":null,"id":1\}$/,
          "bybit": /"success":false,"ret_msg":"error:handler not found,topic:publicTrade.NOPEUSDT"/,
          "kraken": /"error":"Currency pair not supported NOPE\/USD".*"success":false/,
          "coinbase": /^\{"type":"error",.*NOPE-USD/,
        };
        assert.match(said, expected[as.split("-")[0]!]!);
        steps(pretend, 20);
        assert.deepEqual(await soFar(client, as), []);
        await client.close();
      }),
  );

  Deno.test(`${as}: nothing that a client says ends the venue`, strict, () =>
    pretending({ as }, async (pretend) => {
      const { client } = await listening(pretend, as);
      const ends = [
        "null",
        "5",
        '"x"',
        "[]",
        "{",
        '{"op":{"toString":1}}',
        '{"params":null,"method":["subscribe"],"id":{}}',
      ];
      const lists = ["args", "params", "channels", "product_ids"].map((name) => `"${name}":[null,{"toString":1},[]]`)
        .join();
      for (const method of ["subscribe", "unsubscribe", "SUBSCRIBE"]) {
        ends.push(`{"type":"${method}","op":"${method}","method":"${method}","id":1,${lists}}`);
      }
      ends.push('{"method":"subscribe","params":{"channel":"book","symbol":[null,{"toString":1}]}}');
      for (const end of ends) client.say(end);
      for (
        const path of ["/%", "/products/%zz/book", "/api/v3/depth?limit=-1&symbol=BTCUSDT", "/0/public/Trades?since=x"]
      ) {
        await (await fetch(pretend.restUrl + path)).body?.cancel();
      }
      pretend.step();
      assert.ok((await soFar(client, as)).length > 0);
      await client.close();
    }));
}

/** All ticks of frames by a venue's own mapper. */
async function ticksOf(as: string, frames: readonly string[], symbol?: string): Promise<Tick[]> {
  const venue = await openVenue(as);
  return frames.flatMap((frame) => {
    const { kind, ticks } = venue.map(frame, 1_795_000_000_000_000, symbol);
    assert.ok(!["malformed", "unknown", "foreign", "untimed"].includes(kind), `${kind}: ${frame}`);
    return [...ticks];
  });
}

for (const as of ["binance", "binance-usdm"]) {
  for (const batch of [1, 3]) {
    Deno.test(
      `${as}: the book made from ${batch} changes a frame is the true one at every id`,
      strict,
      () =>
        pretending({ as, batch }, async (pretend) => {
          const { client } = await listening(pretend, as);
          steps(pretend, 20);
          const path = as === "binance"
            ? "/api/v3/depth?limit=1000&symbol=BTCUSDT"
            : "/fapi/v1/depth?symbol=BTCUSDT&limit=1000";
          const body = await (await fetch(pretend.restUrl + path)).text();
          steps(pretend, EVENTS);
          const frames = await soFar(client, as);
          const [start] = await ticksOf(as, [body], "BTCUSDT");
          if (start?.type !== "book") throw new Error("the snapshot is no book");
          const made = new Made();
          made.apply(start.bids, start.asks);
          let id = start.sequence!;
          made.assertIs(pretend.truth.book("BTCUSDT", id));
          let applied = 0, trades = 0, previous: number | undefined;
          for (const tick of await ticksOf(as, frames)) {
            if (tick.type === "trade") {
              const { id, price, size, side, time } = pretend.truth.trades("BTCUSDT")[trades++]!;
              assert.deepEqual([tick.id, tick.price, tick.size, tick.side], [String(id), price, size, side]);
              assert.equal(tick.eventTime, Math.floor(time / 1000) * 1000);
            }
            if (tick.type === "quote") {
              const { bids, asks } = pretend.truth.book("BTCUSDT", tick.sequence!)!;
              const best = [bids[0]!.price, bids[0]!.size, asks[0]!.price, asks[0]!.size];
              assert.deepEqual([tick.bidPrice, tick.bidSize, tick.askPrice, tick.askSize], best);
            }
            if (tick.type !== "delta") continue;
            if (previous !== undefined && as === "binance") assert.equal(tick.firstId, previous + 1);
            if (previous !== undefined && as === "binance-usdm") assert.equal(tick.previousId, previous);
            previous = tick.lastId!;
            if (previous <= id) continue;
            // The first goes over the snapshot's id, or follows it.
            if (applied === 0) assert.ok(as === "binance" ? tick.firstId! <= id + 1 : tick.previousId! <= id);
            made.apply(tick.bids, tick.asks);
            id = previous;
            made.assertIs(pretend.truth.book("BTCUSDT", id));
            applied++;
          }
          assert.ok(applied > EVENTS / 2 / batch, `${applied} applied`);
          await client.close();
        }),
    );
  }
}

Deno.test(
  "binance: streams in the address, raw frames, µs and partial books are said as asked",
  strict,
  () =>
    pretending({ as: "binance" }, async (pretend) => {
      const raw = await Client.to(`${pretend.socketUrl}/ws/btcusdt@depth5@100ms`);
      const micros = await Client.to(
        `${pretend.socketUrl}/stream?streams=btcusdt@trade/btcusdt@depth&timeUnit=MICROSECOND`,
      );
      steps(pretend, 30);
      const partial = await raw.next<{ readonly bids: readonly unknown[] }>();
      assert.deepEqual(Object.keys(partial), ["lastUpdateId", "bids", "asks"]);
      assert.equal(partial.bids.length, 5);
      const { stream, data } = await micros.next<{ stream: string; data: { E: number; u: number } }>();
      assert.equal(stream, "btcusdt@depth");
      assert.equal(data.E, pretend.truth.book("BTCUSDT", data.u)!.time);
      await soFar(micros, "binance");
      micros.say({ method: "LIST_SUBSCRIPTIONS", id: 2 });
      assert.deepEqual(await micros.next(), { result: ["btcusdt@trade", "btcusdt@depth"], id: 2 });
      micros.say({ method: "SET_PROPERTY", params: ["combined", false], id: 3 });
      assert.deepEqual(await micros.next(), { result: null, id: 3 });
      micros.say({ method: "UNSUBSCRIBE", params: ["btcusdt@trade"], id: 4 });
      assert.deepEqual(await micros.next(), { result: null, id: 4 });
      steps(pretend, 10);
      assert.ok((await soFar(micros, "binance")).every((frame) => JSON.parse(frame).e === "depthUpdate"));
      for (
        const [request, code] of [["{", 3], ['{"method":"SUBSCRIBE","id":{}}', 2], [
          '{"method":"X","id":1}',
          2,
        ]] as const
      ) {
        micros.say(request);
        assert.equal((await micros.next()).code, code);
      }
      await raw.close();
      await micros.close();
    }),
);

for (const as of ["bybit", "bybit-linear"]) {
  Deno.test(
    `${as}: each depth numbers its changes by one, and its book is the true one at every number`,
    strict,
    () =>
      pretending({ as }, async (pretend) => {
        const { client, answers } = await listening(pretend, as);
        const acked = answers.findIndex((frame) => frame.includes('"success":true'));
        assert.equal(acked, as === "bybit" ? 0 : 2);
        const books = new Map<string, { readonly made: Made; u: number }>();
        let trades = 0, sides = 0;
        steps(pretend, EVENTS);
        for (const frame of [...answers, ...await soFar(client, as)]) {
          const { topic, type, data, cts } = JSON.parse(frame);
          if (topic === undefined) continue;
          if (topic.startsWith("publicTrade")) {
            const [{ i, T, s, S, p, v }] = data;
            const trade = pretend.truth.trades(s)[trades++]!;
            assert.deepEqual([T, S.toLowerCase(), p, v], [
              Math.floor(trade.time / 1000),
              trade.side,
              trade.price,
              trade.size,
            ]);
            assert.ok(as === "bybit" ? /^\d{19}$/.test(i) : /^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/.test(i));
            continue;
          }
          const depth = Number(topic.split(".")[1]);
          const book = books.get(topic);
          assert.equal(type, book === undefined || depth === 1 ? "snapshot" : "delta");
          if (book !== undefined) assert.equal(data.u, book.u + 1);
          const made = type === "snapshot" ? new Made() : book!.made;
          made.apply(data.b, data.a);
          sides += data.b.length + data.a.length;
          const truth = pretend.truth.book(data.s, data.u, depth);
          made.assertIs(truth, depth);
          assert.equal(cts, Math.floor(truth!.time / 1000));
          books.set(topic, { made, u: data.u });
        }
        assert.ok(trades > EVENTS / 8 && sides > EVENTS, `${trades} trades, ${sides} rows`);
        assert.equal(trades, pretend.truth.trades("BTCUSDT").length);
        assert.equal(books.size, 2);
        await client.close();
      }),
  );
}

Deno.test(
  "bybit: eleven topics, a topic twice and an unknown request are refused, and linear takes eleven",
  strict,
  () =>
    pretending({ as: "bybit", symbols: 12 }, async (pretend) => {
      const args = pretend.symbols.map((symbol) => `publicTrade.${symbol}`);
      const client = await Client.to(pretend.socketUrl + PATHS.bybit, { op: "subscribe", args, req_id: "a" });
      const refused = await client.next();
      assert.deepEqual([refused.success, refused.ret_msg, refused.req_id], [false, "args size >10", "a"]);
      for (const success of [true, false]) {
        client.say({ op: "subscribe", args: args.slice(0, 1) });
        assert.equal((await client.next()).success, success);
      }
      client.say({ op: "fly" });
      assert.equal((await client.next()).ret_msg, "error:invalid op");
      await client.close();
      await pretending({ as: "bybit-linear", symbols: 12 }, async (linear) => {
        const client = await Client.to(linear.socketUrl + PATHS["bybit-linear"], { op: "subscribe", args });
        assert.equal((await client.next()).success, true);
        await client.close();
      });
    }),
);

/** What Kraken says of a book, its numbers as their own text. */
interface KrakenBook {
  readonly bids: KrakenSide;
  readonly asks: KrakenSide;
  readonly checksum: string;
  readonly timestamp: string;
}
type KrakenSide = readonly { readonly price: string; readonly qty: string }[];
type KrakenTrade = Readonly<Record<"trade_id" | "side" | "price" | "qty", string>>;
type KrakenTicker = Readonly<Record<"timestamp" | "bid" | "bid_qty" | "ask" | "ask_qty", string>>;
type KrakenFrame =
  | { readonly channel: "trade"; readonly data: readonly [KrakenTrade] }
  | { readonly channel: "ticker"; readonly data: readonly [KrakenTicker] }
  | { readonly channel: "book"; readonly data: readonly [KrakenBook] };

/** The levels of a side of Kraken's, as they stand on the wire. */
const rowsOf = (side: KrakenSide): [string, string][] => side.map(({ price, qty }) => [price, qty]);

for (const [depth, batch] of [[10, 1], [25, 1], [25, 4], [100, 2]] as const) {
  Deno.test(
    `kraken: the book of depth ${depth} with ${batch} changes a frame agrees with its checksums and the truth`,
    strict,
    () =>
      pretending({ as: "kraken", batch }, async (pretend) => {
        const request = { method: "subscribe", params: { channel: "book", symbol: ["BTC/USD"], depth } };
        const client = await Client.to(pretend.socketUrl + PATHS.kraken, request);
        const [status, ack, snapshot] = await client.texts(3);
        assert.match(status!, /"connection_id":17408390984690501470\b/);
        assert.match(ack!, /"success":true/);
        steps(pretend, EVENTS);
        const made = new Made();
        // What changed beyond the depth alone was not told.
        const told = pretend.truth.books("BTC/USD").filter((_, i) => i % batch === 0)
          .filter((book, i, all) => i === 0 || rowsBetween(cut(all[i - 1]!, depth), cut(book, depth)).length > 0);
        let at = 0;
        for (const frame of [snapshot!, ...await soFar(client, "kraken")]) {
          const [data] = exactly(frame)!.data as [KrakenBook];
          made.apply(rowsOf(data.bids), rowsOf(data.asks), depth);
          const text = [...made.sorted("asks").slice(0, 10), ...made.sorted("bids").slice(0, 10)]
            .map((level) => level.map((amount) => amount.replace(".", "").replace(/^0+/, "")).join("")).join("");
          assert.equal(Number(data.checksum), crc32(text));
          assert.ok(hasTime(told[at]!, data.timestamp));
          made.assertIs(told[at++], depth);
        }
        assert.equal(at, told.length);
        assert.ok(at > EVENTS / 2 / batch);
        await client.close();
      }),
  );
}
const hasTime = ({ time }: Shown, text: string): boolean =>
  Date.parse(text.slice(0, 23) + "Z") * 1000 + Number(text.slice(23, 26)) === time;

Deno.test(
  "kraken: trades and tickers are the market's, as numbers with all their digits",
  strict,
  () =>
    pretending({ as: "kraken" }, async (pretend) => {
      const { client } = await listening(pretend, "kraken");
      steps(pretend, 100);
      let trades = 0, tickers = 0;
      for (const frame of await soFar(client, "kraken")) {
        const said = exactly(frame)! as unknown as KrakenFrame;
        if (said.channel === "trade") {
          const [data] = said.data;
          const { id, side, price, size } = pretend.truth.trades("BTC/USD")[trades++]!;
          assert.deepEqual([data.trade_id, data.side, data.price, data.qty], [String(id), side, price, size]);
        }
        if (said.channel === "ticker") {
          const [data] = said.data;
          const best = pretend.truth.books("BTC/USD").filter((book) => hasTime(book, data.timestamp))
            .map(({ bids: [bid], asks: [ask] }) => `${bid!.price} ${bid!.size} ${ask!.price} ${ask!.size}`);
          assert.ok(best.includes(`${data.bid} ${data.bid_qty} ${data.ask} ${data.ask_qty}`));
          tickers++;
        }
      }
      assert.ok(trades > 10 && tickers > 10);
      pretend.beat();
      assert.equal(await client.text(), '{"channel":"heartbeat"}');
      client.say({ method: "subscribe", params: { channel: "book", symbol: ["BTC/USD"], depth: 11 } });
      assert.match((await client.next<{ error: string }>()).error, /^Subscription depth not supported/);
      client.say({ method: "subscribe", params: { channel: "instrument" } });
      assert.equal((await client.next()).success, true);
      assert.match(await client.text(), /"price_precision":2.*"price_increment":0\.01/);
      await client.close();
    }),
);

Deno.test(
  "coinbase: the book made from changes is the true one, matches tell the maker's side, tickers the taker's",
  strict,
  () =>
    pretending({ as: "coinbase" }, async (pretend) => {
      const { client, answers } = await listening(pretend, "coinbase");
      steps(pretend, EVENTS);
      const made = new Made();
      let at = 0, trades = 0, tickers = 0;
      const truth = pretend.truth.books("BTC-USD");
      for (const frame of [...answers.slice(1), ...await soFar(client, "coinbase")]) {
        const said = JSON.parse(frame);
        if (said.type === "match") {
          const { id, side, price, size } = pretend.truth.trades("BTC-USD")[trades++]!;
          const maker = side === "buy" ? "sell" : "buy";
          assert.deepEqual([said.trade_id, said.side, said.price, said.size], [id, maker, price, size]);
        } else if (said.type === "ticker") {
          assert.equal(said.side, pretend.truth.trades("BTC-USD")[tickers++]!.side);
          assert.deepEqual([said.best_bid, said.best_ask_size], [
            made.sorted("bids")[0]![0],
            made.sorted("asks")[0]![1],
          ]);
        } else if (said.type === "snapshot") {
          made.apply(said.bids, said.asks);
          made.assertIs(truth[at++]);
        } else {
          const rows = (want: string) =>
            said.changes.filter(([side]: string[]) => side === want).map((row: string[]) => row.slice(1));
          made.apply(rows("buy"), rows("sell"));
          made.assertIs(truth[at++]);
        }
      }
      assert.equal(at, truth.length);
      assert.equal(trades, pretend.truth.trades("BTC-USD").length);
      assert.equal(tickers, trades);
      const late = await Client.to(pretend.socketUrl, {
        type: "subscribe",
        product_ids: ["BTC-USD"],
        channels: ["matches", "heartbeat"],
      });
      const { channels } = await late.next<{ channels: readonly { readonly name: string }[] }>();
      assert.deepEqual(channels.map(({ name }) => name), ["matches", "heartbeat"]);
      assert.equal((await late.next()).type, "last_match");
      pretend.beat();
      assert.equal((await late.next()).last_trade_id, pretend.truth.trades("BTC-USD").at(-1)!.id);
      late.say({ type: "subscribe", product_ids: ["BTC-USD"], channels: ["level2"] });
      assert.match((await late.next<{ reason: string }>()).reason, /require authentication/);
      late.say({ type: "unsubscribe", product_ids: ["BTC-USD"], channels: ["matches", "heartbeat"] });
      assert.deepEqual(await late.next(), { type: "subscriptions", channels: [] });
      await late.close();
      await client.close();
    }),
);

Deno.test(
  "coinbase-advanced: all frames of a connection are numbered without a hole, and its book is the true one",
  strict,
  () =>
    pretending({ as: "coinbase-advanced" }, async (pretend) => {
      const { client, answers } = await listening(pretend, "coinbase-advanced");
      client.say({ type: "subscribe", channel: "heartbeats" });
      answers.push(await client.text());
      steps(pretend, EVENTS / 2);
      pretend.beat();
      steps(pretend, EVENTS / 2);
      const made = new Made();
      const truth = pretend.truth.books("BTC-USD");
      let number = 0, at = 0, trades = 0;
      const kinds = new Set<string>();
      for (const frame of [...answers, ...await soFar(client, "coinbase-advanced")]) {
        const { channel, sequence_num, events: [event] } = JSON.parse(frame);
        assert.equal(sequence_num, number++);
        kinds.add(channel);
        if (channel === "l2_data") {
          const rows = (want: string) =>
            event.updates.filter(({ side }: { side: string }) => side === want)
              .map((row: { price_level: string; new_quantity: string }) => [row.price_level, row.new_quantity]);
          made.apply(rows("bid"), rows("offer"));
          made.assertIs(truth[at++]);
        }
        if (channel === "market_trades" && event.type === "update") {
          const { id, side } = pretend.truth.trades("BTC-USD")[trades++]!;
          assert.equal(event.trades[0].trade_id, String(id));
          assert.equal(event.trades[0].side, side === "buy" ? "SELL" : "BUY");
        }
      }
      assert.equal(at, truth.length);
      assert.deepEqual([...kinds].sort(), ["heartbeats", "l2_data", "market_trades", "subscriptions", "ticker"]);
      await client.close();
    }),
);

Deno.test(
  "the market does not stop when nobody listens, and REST still knows its trades",
  strict,
  () =>
    pretending({ as: "binance" }, async (pretend) => {
      const { client } = await listening(pretend, "binance");
      steps(pretend, 50);
      await client.close();
      steps(pretend, 200);
      const again = await listening(pretend, "binance");
      steps(pretend, 50);
      const [next] = (await ticksOf("binance", await soFar(again.client, "binance"))).filter(({ type }) =>
        type === "trade"
      );
      const all = pretend.truth.trades("BTCUSDT");
      assert.deepEqual(all.map(({ id }) => id), all.map((_, i) => all[0]!.id + i));
      const missed = all.filter(({ event }) => event > 50 && event <= 250);
      assert.equal(next!.sequence, missed.at(-1)!.id + 1);
      const path = `/api/v3/historicalTrades?symbol=BTCUSDT&limit=1000&fromId=${missed[0]!.id}`;
      const told: { id: number; price: string; qty: string }[] = await (await fetch(pretend.restUrl + path)).json();
      assert.deepEqual(
        told.slice(0, missed.length).map(({ id, price, qty }) => [id, price, qty]),
        missed.map(({ id, price, size }) => [id, price, size]),
      );
      await again.client.close();
    }),
);

/** Asks REST, and gives status and body. */
async function asked(pretend: Pretend, path: string): Promise<{ status: number; body: string; headers: Headers }> {
  const response = await fetch(pretend.restUrl + path);
  return { status: response.status, body: await response.text(), headers: response.headers };
}

Deno.test(
  "coinbase: trades by REST are pages, newest first, with cursors",
  strict,
  () =>
    pretending({ as: "coinbase" }, async (pretend) => {
      steps(pretend, 200);
      const all = pretend.truth.trades("BTC-USD");
      const { body, headers } = await asked(pretend, "/products/BTC-USD/trades?limit=10");
      const ids = JSON.parse(body).map(({ trade_id }: { trade_id: number }) => trade_id);
      assert.deepEqual(ids, all.slice(-10).map(({ id }) => id).reverse());
      assert.equal(headers.get("cb-after"), String(ids.at(-1)));
      const older = await asked(pretend, `/products/BTC-USD/trades?limit=10&after=${ids.at(-1)}`);
      assert.equal(JSON.parse(older.body)[0].trade_id, ids.at(-1) - 1);
      const newer = await asked(pretend, `/products/BTC-USD/trades?before=${ids.at(-1)}`);
      assert.deepEqual(JSON.parse(newer.body).map(({ trade_id }: { trade_id: number }) => trade_id), ids.slice(0, -1));
    }),
);

const ROUTES: Readonly<Record<string, readonly string[]>> = {
  "binance": ["/api/v3/ping", "/api/v3/time", "/api/v3/exchangeInfo", "/api/v3/trades?symbol=BTCUSDT"],
  "binance-usdm": ["/fapi/v1/time", "/fapi/v1/exchangeInfo", "/fapi/v1/historicalTrades?symbol=BTCUSDT&fromId=1"],
  "bybit": ["orderbook", "recent-trade", "instruments-info"].map((what) =>
    `/v5/market/${what}?category=spot&symbol=BTCUSDT`
  ),
  "bybit-linear": ["/v5/market/time", "/v5/market/instruments-info?category=linear"],
  "kraken": ["Time", "AssetPairs", "Depth?pair=BTC/USD", "Trades?pair=BTCUSD&since=0"].map((what) =>
    `/0/public/${what}`
  ),
  "coinbase": ["/time", "/products", "/products/BTC-USD/book?level=2"],
  "coinbase-advanced": ["products", "product_book?product_id=BTC-USD", "products/BTC-USD/ticker"].map((what) =>
    `/api/v3/brokerage/market/${what}`
  ),
};
const NOBODY: Readonly<Record<string, readonly [string, RegExp]>> = {
  "binance": ["/api/v3/depth?symbol=NOPE", /^400 \{"code":-1121/],
  "binance-usdm": ["/fapi/v1/depth?symbol=NOPE", /^400 \{"code":-1121/],
  "bybit": ["/v5/market/orderbook?category=spot&symbol=NOPE", /^200 \{"retCode":10001/],
  "bybit-linear": ["/v5/market/recent-trade?category=spot&symbol=BTCUSDT", /^200 \{"retCode":10001/],
  "kraken": ["/0/public/Depth?pair=NOPE", /^200 \{"error":\["EQuery:Unknown asset pair"\]/],
  "coinbase": ["/products/NOPE-USD/book", /^404 \{"message":"NotFound"/],
  "coinbase-advanced": ["/api/v3/brokerage/market/product_book?product_id=NOPE-USD", /^404 /],
};
for (const as of ANSWERING) {
  Deno.test(
    `${as}: REST answers what it has, and refuses what it has not`,
    strict,
    () =>
      pretending({ as }, async (pretend) => {
        steps(pretend, 20);
        for (const path of ROUTES[as]!) {
          const { status, body } = await asked(pretend, path);
          assert.equal(status, 200, path);
          JSON.parse(body);
        }
        const [path, expected] = NOBODY[as]!;
        const { status, body } = await asked(pretend, path);
        assert.match(`${status} ${body}`, expected);
        assert.equal((await asked(pretend, "/nowhere")).status, 404);
      }),
  );
}

// ---- faults

/** The u of each depth frame that a client heard, and the truth's of those that there were. */
async function depthsHeard(pretend: Pretend, client: Client): Promise<{ heard: number[]; were: number[] }> {
  const frames = (await soFar(client, "binance")).map((frame) => JSON.parse(frame).data);
  return {
    heard: frames.filter(({ e }) => e === "depthUpdate").map(({ u }) => u),
    were: pretend.truth.books("BTCUSDT").slice(1).map(({ id }) => id),
  };
}

for (
  const [fault, becomes] of [
    ["drop", ([_a, b, c]: number[]) => [b, c]],
    ["twice", ([a, b, c]: number[]) => [a, a, b, c]],
    ["swap", ([a, b, c]: number[]) => [b, a, c]],
  ] as const
) {
  Deno.test(
    `a frame's fault shows on the wire: ${fault}`,
    strict,
    () =>
      pretending({ as: "binance" }, async (pretend) => {
        const { client } = await listening(pretend, "binance");
        const depthOnly = { method: "UNSUBSCRIBE", params: ["btcusdt@trade", "btcusdt@bookTicker"], id: 2 };
        client.say(depthOnly);
        await client.text();
        pretend.plant({ fault, stream: "book", symbol: "BTCUSDT", connection: 1, after: 2 });
        while (pretend.truth.books("BTCUSDT").length < 6) pretend.step();
        const { heard, were } = await depthsHeard(pretend, client);
        assert.deepEqual(heard, [...were.slice(0, 2), ...becomes(were.slice(2))]);
        const { event, time } = pretend.truth.book("BTCUSDT", were[2]!)!;
        const { firstId: first } = pretend.truth.book("BTCUSDT", were[2]!)!;
        const about = { symbol: "BTCUSDT", stream: "book", first, last: were[2] };
        assert.deepEqual(pretend.truth.faults, [{ fault, event, time, connection: 1, about }]);
        await client.close();
      }),
  );
}

for (const [fault, becomes] of [["drop", [1, 2]], ["twice", [0, 0, 1, 2]], ["swap", [1, 0, 2]]] as const) {
  Deno.test(
    `coinbase-advanced: a frame keeps its number, whatever becomes of it: ${fault}`,
    strict,
    () =>
      pretending({ as: "coinbase-advanced" }, async (pretend) => {
        const request = { type: "subscribe", product_ids: ["BTC-USD"], channel: "market_trades" };
        const client = await Client.to(pretend.socketUrl, request);
        await client.texts(2);
        pretend.plant({ fault });
        while (pretend.truth.trades("BTC-USD").length < 3) pretend.step();
        const frames = (await soFar(client, "coinbase-advanced")).map((frame) => JSON.parse(frame));
        assert.deepEqual(frames.map(({ sequence_num }) => sequence_num), becomes.map((at) => 2 + at));
        await client.close();
      }),
  );
}

Deno.test(
  "a stalled connection answers and says no market data, and its neighbour hears all",
  strict,
  () =>
    pretending({ as: "binance" }, async (pretend) => {
      const { client: stalled } = await listening(pretend, "binance");
      const { client: other } = await listening(pretend, "binance");
      pretend.plant({ fault: "stall", connection: 1 });
      steps(pretend, 20);
      assert.deepEqual(await soFar(stalled, "binance"), []);
      assert.ok((await soFar(other, "binance")).length > 20);
      assert.deepEqual(pretend.truth.faults.map(({ fault, connection }) => [fault, connection]), [["stall", 1]]);
      await stalled.close();
      await other.close();
    }),
);

Deno.test(
  "a half-open connection says nothing at all, and not even farewell",
  strict,
  () =>
    pretending({ as: "bybit" }, async (pretend) => {
      const { client } = await listening(pretend, "bybit");
      pretend.plant({ fault: "halfOpen" });
      steps(pretend, 20);
      client.say({ op: "ping" });
      client.socket.close();
      // A second client's round trip: by then the first would have been answered.
      const { client: other } = await listening(pretend, "bybit");
      await soFar(other, "bybit");
      assert.equal(client.left, 0);
      assert.equal(client.socket.readyState, WebSocket.CLOSING);
      assert.equal(pretend.connections, 2);
      await other.close();
      await pretend.close();
      await client.ended;
      assert.equal(client.left, 0);
    }),
);

Deno.test(
  "the venue tells when all that it said was heard, and waits for nobody who cannot hear",
  strict,
  () =>
    pretending({ as: "binance" }, async (pretend) => {
      const { client } = await listening(pretend, "binance");
      const { client: deaf } = await listening(pretend, "binance");
      pretend.plant({ fault: "halfOpen", connection: 2 });
      for (const count of [1, 50]) {
        const [trades, books] = [pretend.truth.trades("BTCUSDT").length, pretend.truth.books("BTCUSDT").length];
        steps(pretend, count);
        // Its own ping is on the way.
        pretend.beat();
        await pretend.heard();
        const told = pretend.truth.trades("BTCUSDT").length - trades + pretend.truth.books("BTCUSDT").length - books;
        const frames = (await client.texts(client.left)).filter((frame) => !frame.includes("bookTicker"));
        assert.equal(frames.length, told);
      }
      await pretend.close();
      await pretend.heard();
      await Promise.all([client.ended, deaf.ended]);
    }),
);

for (const code of [1000, 1001, 1008, 1011, 1012, 1013]) {
  Deno.test(
    `a connection is closed with ${code} as planned`,
    strict,
    () =>
      pretending({ as: "kraken" }, async (pretend) => {
        const { client } = await listening(pretend, "kraken");
        pretend.plant({ fault: "close", code });
        steps(pretend, 5);
        const ended = await client.ended;
        assert.deepEqual([ended.code, ended.wasClean], [code, true]);
        assert.equal(client.left, 0);
        const [struck] = pretend.truth.faults;
        assert.deepEqual([struck!.fault, struck!.code], ["close", code]);
      }),
  );
}

Deno.test(
  "a connection is cut without a word as planned, and the next one is served",
  strict,
  () =>
    pretending({ as: "coinbase" }, async (pretend) => {
      const { client } = await listening(pretend, "coinbase");
      pretend.plant({ fault: "abort" });
      steps(pretend, 5);
      assert.equal((await client.ended).wasClean, false);
      const { client: next } = await listening(pretend, "coinbase");
      pretend.step();
      assert.equal(pretend.connections, 1);
      await next.close();
    }),
);

Deno.test(
  "429, 418 and a page for people are answered to an upgrade and to a request as planned",
  strict,
  () =>
    pretending({ as: "binance" }, async (pretend) => {
      const url = `${pretend.socketUrl}/stream`;
      for (const [fault, status] of [["tooMany", 429], ["banned", 418], ["html", 200]] as const) {
        pretend.plant({ fault, at: "upgrade" });
        await assert.rejects(Client.to(url), new RegExp(`${status}`));
      }
      for (const [fault, status] of [["tooMany", 429], ["banned", 418], ["html", 502]] as const) {
        pretend.plant({ fault, at: "request" });
        const answer = await asked(pretend, "/api/v3/time");
        assert.equal(answer.status, status);
        if (fault === "html") assert.match(answer.body, /^<!DOCTYPE html>/);
        else assert.match(answer.headers.get("retry-after")!, /^\d+$/);
      }
      assert.equal((await asked(pretend, "/api/v3/time")).status, 200);
      assert.deepEqual(pretend.truth.faults.map(({ fault, about }) => [fault, "path" in about && about.path]), [
        ...["tooMany", "banned", "html"].map((fault) => [fault, "/stream"]),
        ...["tooMany", "banned", "html"].map((fault) => [fault, "/api/v3/time"]),
      ]);
      await (await Client.to(url)).close();
    }),
);

Deno.test(
  "a stale snapshot is older than the first change that the client heard",
  strict,
  () =>
    pretending({ as: "binance" }, async (pretend) => {
      steps(pretend, 50);
      const { client } = await listening(pretend, "binance");
      steps(pretend, 10);
      pretend.plant({ fault: "stale" });
      const path = "/api/v3/depth?symbol=BTCUSDT";
      const [stale, fresh] = [await asked(pretend, path), await asked(pretend, path)].map(({ body }) =>
        JSON.parse(body)
      );
      const [first] = (await soFar(client, "binance")).map((frame) => JSON.parse(frame).data).filter(({ U }) => U);
      assert.ok(stale.lastUpdateId < first.U - 1 && fresh.lastUpdateId >= first.u);
      await client.close();
    }),
);

Deno.test("kraken: a wrong checksum is wrong once", strict, () =>
  pretending({ as: "kraken" }, async (pretend) => {
    await pretending({ as: "kraken" }, async (sound) => {
      const [{ client }, { client: other }] = [await listening(pretend, "kraken"), await listening(sound, "kraken")];
      pretend.plant({ fault: "checksum", after: 1 });
      steps(pretend, 10);
      steps(sound, 10);
      const sums = async (client: Client) =>
        (await soFar(client, "kraken")).map((frame) => /"checksum":(\d+)/.exec(frame)?.[1]).filter((sum) =>
          sum !== undefined
        );
      const [mine, theirs] = [await sums(client), await sums(other)];
      assert.deepEqual(mine.map((sum, i) => sum === theirs[i]), mine.map((_, i) => i !== 1));
      await client.close();
      await other.close();
    });
  }));

Deno.test(
  "bybit: after a reset each depth begins anew with a snapshot of number 1",
  strict,
  () =>
    pretending({ as: "bybit" }, async (pretend) => {
      const { client } = await listening(pretend, "bybit");
      pretend.plant({ fault: "reset", after: 4 });
      steps(pretend, 60);
      const frames = (await soFar(client, "bybit")).map((frame) => JSON.parse(frame)).filter(({ topic }) =>
        topic.startsWith("orderbook.50")
      );
      const at = frames.findIndex(({ data }) => data.u === 1);
      assert.ok(at > 0);
      assert.deepEqual(frames.map(({ type }) => type), frames.map((_, i) => i === at ? "snapshot" : "delta"));
      assert.deepEqual(frames.slice(at).map(({ data }) => data.u), frames.slice(at).map((_, i) => i + 1));
      const made = new Made();
      for (const { data } of frames.slice(at)) {
        made.apply(data.b, data.a);
        made.assertIs(pretend.truth.book("BTCUSDT", data.u, 50), 50);
      }
      await client.close();
    }),
);

Deno.test(
  "binance: an end is announced behind a frame, and comes a minute later",
  strict,
  async () => {
    let time = START_MICROS;
    await pretending({ as: "binance", now: () => time }, async (pretend) => {
      const { client } = await listening(pretend, "binance");
      pretend.plant({ fault: "shutdown" });
      pretend.step();
      const frames = (await soFar(client, "binance")).map((frame) => JSON.parse(frame));
      assert.deepEqual(frames.filter(({ stream }) => stream === "!serverShutdown").map(({ data }) => data.e), [
        "serverShutdown",
      ]);
      time += 59_000_000;
      pretend.step();
      assert.equal(pretend.truth.faults.length, 1);
      time += 1_000_000;
      pretend.step();
      const { fault, code, connection } = pretend.truth.faults.at(-1)!;
      assert.deepEqual([fault, code, connection], ["close", 1001, 1]);
      await client.close();
      pretend.step();
      assert.equal(pretend.truth.faults.length, 2);
    });
  },
);

Deno.test(
  "a fault that the venue cannot have, an unknown venue and options out of range are misuse",
  strict,
  () =>
    pretending({ as: "kraken" }, async (pretend) => {
      assert.throws(
        () => pretend.plant({ fault: "reset" }),
        /^Misuse: Cannot plant fault "reset": kraken does not know it/,
      );
      await assert.rejects(
        Pretend.open({ as: "nyse" }),
        /Cannot pretend venue "nyse": it is unknown, must be one of binance,/,
      );
      await assert.rejects(Pretend.open({ as: "kraken", levels: 0 }), /must be an integer from 1 to 5000/);
      await assert.rejects(Pretend.open({ as: "kraken", mischief: 2 }), /must be a share from 0 to 1/);
      const port = Number(new URL(pretend.restUrl).port);
      await assert.rejects(Pretend.open({ as: "kraken", port }), /Cannot listen at "127.0.0.1:\d+": /);
    }),
);

Deno.test("seeded mischief strikes the same frames again, and all of it is in the truth", strict, async () => {
  const run = async (): Promise<{ deeds: Deed[]; frames: string[] }> => {
    const deeds: Deed[] = [];
    let frames: string[] = [];
    await pretending({ as: "binance", mischief: 0.2, seed: 3, noted: (deed) => deeds.push(deed) }, async (pretend) => {
      for (let tries = 0; pretend.came === 0 && tries < 20; tries++) {
        const { client } = await listening(pretend, "binance").catch(() => ({ client: null }));
        if (client === null) continue;
        // A line that is silent or over cannot be asked how far it is: the venue ends it.
        steps(pretend, 100);
        await pretend.close();
        await client.ended;
        frames = await client.texts(client.left);
      }
    });
    return { deeds, frames };
  };
  const [one, other] = [await run(), await run()];
  assert.deepEqual(other, one);
  assert.ok(one.deeds.some(({ deed }) => deed === "fault"));
  assert.ok(one.deeds.some(({ deed }) => deed === "trade") && one.deeds.some(({ deed }) => deed === "book"));
});

Deno.test(
  "the truth is bounded, and keeps a book of each instrument",
  strict,
  () =>
    pretending({ as: "binance", symbols: 4, booksMax: 20, tradesMax: 5 }, async (pretend) => {
      steps(pretend, 500);
      const kept = pretend.symbols.map((symbol) => pretend.truth.books(symbol).length);
      assert.ok(
        kept.every((count) => count >= 1) && kept.reduce((sum, count) => sum + count, 0) <= 20 + kept.length,
        `${kept}`,
      );
      assert.equal(pretend.truth.trades("BTCUSDT").length, 5);
      await Promise.resolve();
    }),
);

Deno.test(
  "a capture is played as it is, requests are answered by what was recorded, and nothing is added",
  strict,
  () =>
    pretending({ as: "bybit" }, async (pretend) => {
      pretend.play('{"recorded":0}');
      const client = await Client.to(`${pretend.socketUrl}/any/path`, {
        op: "subscribe",
        args: ["publicTrade.BTCUSDT"],
      });
      await pretend.joined;
      pretend.play('{"recorded":1}');
      pretend.play("not json, é");
      pretend.play('{"lastUpdateId":7}', "https://api.example.com/api/v3/depth?symbol=A&limit=5");
      assert.deepEqual(await client.texts(2), ['{"recorded":1}', "not json, é"]);
      assert.equal((await asked(pretend, "/api/v3/depth?symbol=A&limit=100")).body, '{"lastUpdateId":7}');
      assert.equal((await asked(pretend, "/else")).status, 404);
      assert.equal(client.left, 0);
      await client.close();
    }),
);
