/**
 * Coinbase as it would speak: the Exchange feed, whose books have neither number nor checksum, and the Advanced Trade
 * feed, which numbers all frames of a connection. Sides of trades are the maker's on both, but for the ticker's.
 *
 * **In** happenings and requests, **Out** frames and answers. **Knows** `speech`, `depth`, `decimal`, `history`.
 *
 * | asked for                                                     | said                                                 |
 * |---------------------------------------------------------------|------------------------------------------------------|
 * | Exchange: `matches`, `ticker`, `level2_batch`, `heartbeat`    | `last_match`, matches; at trades; snapshot, changes  |
 * | `level2`, `level3`, `full`                                    | an error: who asks must be known                     |
 * | Advanced: `market_trades`, `ticker`, `level2`, `heartbeats`   | the last trades, trades; best; snapshot, changes     |
 * | Exchange REST: `products`, `book`, `trades`, `time`           | below `/products`; trades newest first               |
 * | Advanced REST: `products`, `product_book`, `ticker`           | below `/api/v3/brokerage/market`                     |
 */
import { canonical } from "../decimal.ts";
import { cut, type Level, type Row, rowsOf } from "../depth.ts";
import type { Shown, Trade } from "../history.ts";
import {
  type Answer,
  type Happening,
  type Instrument,
  type Line,
  type RestAnswer,
  type Saying,
  shown,
  type Speech,
  type Topic,
} from "../speech.ts";

const COMMON = {
  quote: "USD",
  symbolOf: (base: string, quote: string) => `${base}-${quote}`,
  spelling: { price: (text: string) => text, size: canonical },
  hasHoles: true,
  depths: [],
  faults: [],
  pingSeconds: 0,
} as const;

const isoOf = (micros: number): string =>
  `${new Date(Math.floor(micros / 1000)).toISOString().slice(0, -1)}${String(micros % 1000).padStart(3, "0")}Z`;
const maker = (side: Trade["side"]): "buy" | "sell" => side === "buy" ? "sell" : "buy";
const pairs = (levels: readonly Level[]): [string, string][] => levels.map(({ price, size }) => [price, size]);
/** The product's sequence of all that happens: what a channel tells leaves holes in it. */
const sequenceOf = (event: number): number => 134_905_860_000 + event * 3;
const orderId = (id: number, who: number): string =>
  `f07e510f-4edf-469d-b84${who}-${id.toString(16).padStart(12, "0")}`;

interface Asked {
  readonly type?: unknown;
  readonly product_ids?: unknown;
  readonly channels?: unknown;
  readonly channel?: unknown;
}

function askedOf(message: string): Asked {
  try {
    return JSON.parse(message) ?? {};
  } catch {
    return {};
  }
}
const texts = (list: unknown): readonly string[] =>
  Array.isArray(list) ? list.filter((each) => typeof each === "string") : [];
const refused = (message: string, reason: string): Answer => ({
  says: [() => JSON.stringify({ type: "error", message, ...(reason === "" ? {} : { reason }) })],
  isUncounted: true,
});

/** Names of channels as the Exchange echoes them, and what they say. */
const CHANNELS: Readonly<Record<string, { readonly echo: string; readonly stream: Topic["stream"] }>> = {
  matches: { echo: "matches", stream: "trade" },
  ticker: { echo: "ticker", stream: "trade" },
  level2_batch: { echo: "level2_50", stream: "book" },
  level2_50: { echo: "level2_50", stream: "book" },
  heartbeat: { echo: "heartbeat", stream: null },
};
const SECRET = ["level2", "level3", "full"];

const exchange: Speech = {
  name: "coinbase",
  ...COMMON,
  connect: (url) => url.pathname === "/" ? { says: [] } : undefined,
  request(message, line, floor) {
    const { type, product_ids, channels } = askedOf(message);
    if (type !== "subscribe" && type !== "unsubscribe") return refused("Malformed JSON", "unknown type");
    const topics: Topic[] = [];
    for (const each of Array.isArray(channels) ? channels : []) {
      const name: string = typeof each === "string" ? each : shown(each?.name);
      if (SECRET.includes(name)) {
        return refused("Failed to subscribe", "level2, level3, and full channels now require authentication");
      }
      const channel = Object.hasOwn(CHANNELS, name) ? CHANNELS[name]! : undefined;
      if (channel === undefined) return refused("Failed to subscribe", `${name} is not a valid channel`);
      for (const symbol of [...texts(product_ids), ...texts(each?.product_ids)]) {
        if (floor.instrument(symbol) === undefined) {
          return refused("Failed to subscribe", `${symbol} is not a valid product`);
        }
        topics.push({ key: `${channel.echo}/${symbol}`, symbol, stream: channel.stream, depth: Infinity });
      }
    }
    if (type === "unsubscribe") return { drop: topics, says: [subscriptions] };
    const added = topics.filter(({ key }) => !line.topics.has(key));
    const first = added.flatMap(({ key, symbol }): Saying[] => {
      const { told, trades } = floor.instrument(symbol)!;
      if (key.startsWith("level2")) {
        const [bids, asks] = [pairs(told.bids), pairs(told.asks)];
        return [() => JSON.stringify({ type: "snapshot", product_id: symbol, bids, asks, time: isoOf(told.time) })];
      }
      const last = trades.at(-1);
      if (last === undefined) return [];
      if (key.startsWith("matches")) return [() => match("last_match", last)];
      return key.startsWith("ticker") ? [() => ticker(last, told)] : [];
    });
    return { add: added, says: [subscriptions, ...first] };
  },
  tell(happening, { key, symbol }) {
    if (happening.stream === "quote") return undefined;
    if (happening.stream === "trade") {
      const { trade, book } = happening;
      return key.startsWith("ticker") ? ticker(trade, book) : match("match", trade);
    }
    const rows = toldBy(happening);
    if (rows.length === 0) return undefined;
    const changes = rows.map(({ side, price, size }) => [side === "bid" ? "buy" : "sell", price, size ?? "0"]);
    return JSON.stringify({ type: "l2update", product_id: symbol, changes, time: isoOf(happening.book.time) });
  },
  beat({ topics }, floor) {
    const beating = [...topics.values()].filter(({ stream }) => stream === null);
    return beating.map(({ symbol }): Saying => () => {
      const { told, trades } = floor.instrument(symbol)!;
      const [sequence, last_trade_id] = [sequenceOf(told.event), trades.at(-1)?.id ?? 0];
      return JSON.stringify({
        type: "heartbeat",
        last_trade_id,
        product_id: symbol,
        sequence,
        time: isoOf(floor.time),
      });
    });
  },
  rest(url, floor) {
    if (url.pathname === "/time") return { status: 200, body: { iso: isoOf(floor.time), epoch: floor.time / 1e6 } };
    if (url.pathname === "/products") return { status: 200, body: floor.instruments.map(product) };
    const [, id = "", what] = /^\/products\/([^/]+)\/(book|trades)$/.exec(url.pathname) ?? [];
    if (what === undefined) return undefined;
    const instrument = floor.instrument(id);
    if (instrument === undefined) return { status: 404, body: { message: "NotFound" } };
    const { book } = instrument;
    if (what === "trades") return pastTrades(instrument, url.searchParams);
    const { bids, asks } = cut(book, url.searchParams.get("level") === "2" ? Infinity : 1);
    const rows = (levels: readonly Level[]) => levels.map(({ price, size }) => [price, size, 1]);
    const body = { bids: rows(bids), asks: rows(asks), sequence: sequenceOf(book.event), time: isoOf(book.time) };
    return { status: 200, body };
  },
  isBook: (url) => /^\/products\/[^/]+\/book$/.test(url.pathname),
};

function subscriptions({ topics }: Line): string {
  const byName = new Map<string, string[]>();
  for (const { key, symbol } of topics.values()) {
    const name = key.split("/", 1)[0]!;
    byName.set(name, [...byName.get(name) ?? [], symbol]);
  }
  const channels = [...byName].map(([name, product_ids]) => ({ name, product_ids, account_ids: null }));
  return JSON.stringify({ type: "subscriptions", channels });
}

function match(type: "match" | "last_match", { id, symbol, side, size, price, time, event }: Trade): string {
  const orders = { maker_order_id: orderId(id, 0), taker_order_id: orderId(id, 1) };
  const what = { side: maker(side), size, price, product_id: symbol };
  return JSON.stringify({ type, trade_id: id, ...orders, ...what, sequence: sequenceOf(event), time: isoOf(time) });
}

function ticker({ id, symbol, side, size, price, time, event }: Trade, { bids, asks }: Shown): string {
  const [bid, ask] = [bids[0]!, asks[0]!];
  const best = { best_bid: bid.price, best_bid_size: bid.size, best_ask: ask.price, best_ask_size: ask.size };
  const head = { type: "ticker", sequence: sequenceOf(event), product_id: symbol, price };
  return JSON.stringify({ ...head, ...best, side, time: isoOf(time), trade_id: id, last_size: size });
}

function product({ symbol, base, quote, listing }: Instrument) {
  const steps = { quote_increment: listing.tickSize, base_increment: listing.lot };
  return { id: symbol, base_currency: base, quote_currency: quote, ...steps, status: "online" };
}

/** Newest first: those older than `after`, those newer than `before`. */
function pastTrades({ trades }: Instrument, asked: URLSearchParams): RestAnswer {
  const limit = Math.max(1, Math.min(1_000, Number(asked.get("limit") ?? 1_000) || 1));
  const [before, after] = [Number(asked.get("before") ?? 0), Number(asked.get("after") ?? Infinity)];
  const chosen = trades.filter(({ id }) => id > before && id < after).slice(-limit).toReversed();
  const body = chosen.map(({ id, side, size, price, time }) => ({
    ...{ trade_id: id, side: maker(side), size, price, time: isoOf(time) },
  }));
  const [newest, oldest] = [chosen[0], chosen.at(-1)];
  const headers: Record<string, string> = newest && oldest
    ? { "cb-before": String(newest.id), "cb-after": String(oldest.id) }
    : {};
  return { status: 200, body, headers };
}

/** The Advanced Trade feed's channels, what they say and under which name. */
const ADVANCED: Readonly<Record<string, { readonly echo: string; readonly stream: Topic["stream"] }>> = {
  market_trades: { echo: "market_trades", stream: "trade" },
  ticker: { echo: "ticker", stream: "quote" },
  level2: { echo: "level2", stream: "book" },
  heartbeats: { echo: "heartbeats", stream: null },
};
/** Trades of a snapshot. */
const RECENT = 100;
const MARKET = "/api/v3/brokerage/market/";

const advanced: Speech = {
  name: "coinbase-advanced",
  ...COMMON,
  connect: (url) => url.pathname === "/" ? { says: [] } : undefined,
  request(message, line, floor) {
    const { type, product_ids, channel: name } = askedOf(message);
    if (type !== "subscribe" && type !== "unsubscribe") return refused("unsupported message type", "");
    const channel = typeof name === "string" && Object.hasOwn(ADVANCED, name) ? ADVANCED[name]! : undefined;
    if (channel === undefined) return refused(`unsupported channel ${shown(name)}`, "");
    const symbols = channel.stream === null ? [""] : texts(product_ids);
    const unknown = symbols.find((symbol) => symbol !== "" && floor.instrument(symbol) === undefined);
    if (unknown !== undefined) return refused(`product ${unknown} is not found`, "");
    const topics = symbols.map((symbol) => ({
      key: `${name}/${symbol}`,
      symbol,
      stream: channel.stream,
      depth: Infinity,
    }));
    const { time } = floor;
    const answer: Saying = (line) => envelope("subscriptions", [{ subscriptions: subscribed(line) }], line, time);
    if (type === "unsubscribe") return { drop: topics, says: [answer] };
    const added = topics.filter(({ key }) => !line.topics.has(key));
    const first = added.flatMap(({ symbol, stream }): Saying[] => {
      const instrument = floor.instrument(symbol);
      if (instrument === undefined) return [];
      const { told, book, trades } = instrument;
      if (stream === "quote") return [(line) => envelope("ticker", [bestOf("snapshot", instrument, book)], line, time)];
      if (stream === "trade") {
        const recent = trades.slice(-RECENT).toReversed().map(tradeOf);
        return [(line) => envelope("market_trades", [{ type: "snapshot", trades: recent }], line, time)];
      }
      const at = isoOf(told.time);
      const rows = (side: string, levels: readonly Level[]) =>
        levels.map(({ price, size }) => ({ side, event_time: at, price_level: price, new_quantity: size }));
      const updates = [...rows("bid", told.bids), ...rows("offer", told.asks)];
      return [(line) => envelope("l2_data", [{ type: "snapshot", product_id: symbol, updates }], line, time)];
    });
    // What it knows already comes before the answer.
    return { add: added, says: [...first, answer] };
  },
  tell(happening, { symbol }, line, floor) {
    if (happening.stream === "trade") {
      return envelope("market_trades", [{ type: "update", trades: [tradeOf(happening.trade)] }], line, floor.time);
    }
    const { book } = happening;
    if (happening.stream === "quote") {
      return envelope("ticker", [bestOf("update", floor.instrument(symbol)!, book)], line, floor.time);
    }
    const rows = toldBy(happening);
    if (rows.length === 0) return undefined;
    const at = isoOf(book.time);
    const updates = rows.map(({ side, price, size }: Row) => ({
      ...{ side: side === "bid" ? "bid" : "offer", event_time: at, price_level: price, new_quantity: size ?? "0" },
    }));
    return envelope("l2_data", [{ type: "update", product_id: symbol, updates }], line, floor.time);
  },
  beat({ topics }, { time }, beats) {
    if (!topics.has("heartbeats/")) return [];
    const at = isoOf(time).replace("T", " ").replace("Z", "");
    const event = { current_time: `${at}000 +0000 UTC m=+${beats}.000000001`, heartbeat_counter: beats };
    return [(line) => envelope("heartbeats", [event], line, time)];
  },
  rest(url, floor) {
    if (!url.pathname.startsWith(MARKET)) return undefined;
    const what = url.pathname.slice(MARKET.length);
    if (what === "products") {
      const products = floor.instruments.map((each) => ({ product_id: each.symbol, ...product(each) }));
      return { status: 200, body: { products, num_products: products.length } };
    }
    const id = what === "product_book"
      ? url.searchParams.get("product_id") ?? ""
      : /^products\/([^/]+)\/ticker$/.exec(what)?.[1] ?? "";
    const instrument = floor.instrument(id);
    if (instrument === undefined) {
      return { status: 404, body: { error: "NOT_FOUND", message: "valid product_id is required" } };
    }
    const limit = Math.max(1, Math.min(1_000, Number(url.searchParams.get("limit") ?? RECENT) || 1));
    if (what !== "product_book") {
      const [bid, ask] = [instrument.book.bids[0]!, instrument.book.asks[0]!];
      const trades = instrument.trades.slice(-limit).toReversed().map(tradeOf);
      return { status: 200, body: { trades, best_bid: bid.price, best_ask: ask.price } };
    }
    const { bids, asks } = cut(instrument.book, limit);
    const rows = (levels: readonly Level[]) => levels.map(({ price, size }) => ({ price, size }));
    const pricebook = { product_id: id, bids: rows(bids), asks: rows(asks), time: isoOf(instrument.book.time) };
    return { status: 200, body: { pricebook } };
  },
  isBook: (url) => url.pathname === `${MARKET}product_book`,
};

function envelope(channel: string, events: readonly unknown[], { written }: Line, time: number): string {
  const timestamp = isoOf(time).replace("Z", "000Z");
  return JSON.stringify({ channel, timestamp, sequence_num: written, events });
}

function subscribed({ topics }: Line): Record<string, string[]> {
  const all: Record<string, string[]> = {};
  for (const { key, symbol } of topics.values()) (all[key.split("/", 1)[0]!] ??= []).push(symbol || "heartbeats");
  return all;
}

function tradeOf({ symbol, id, price, size, time, side }: Trade) {
  const what = { product_id: symbol, trade_id: String(id), price, size };
  return { ...what, time: isoOf(time), side: maker(side).toUpperCase() };
}

function bestOf(type: string, { trades }: Instrument, { symbol, bids, asks }: Shown) {
  const [bid, ask] = [bids[0]!, asks[0]!];
  const best = { best_bid: bid.price, best_bid_quantity: bid.size, best_ask: ask.price, best_ask_quantity: ask.size };
  return { type, tickers: [{ type: "ticker", product_id: symbol, price: trades.at(-1)?.price ?? bid.price, ...best }] };
}

/** What came and went since the book was told last is not said: its snapshots are of what was told. */
const toldBy = ({ before, book }: Happening & { stream: "book" }): readonly Row[] => rowsOf(before, book);

export const speeches: readonly Speech[] = [exchange, advanced];
