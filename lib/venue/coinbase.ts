/**
 * Coinbase, as it speaks on its two public websockets and in the answers of Exchange by REST. The Exchange feed is venue
 * `coinbase`, the Advanced Trade feed `coinbase-advanced`: two protocols for the same books.
 *
 * **In** frames, **Out** trades, quotes, books and deltas. **Knows** `venue`, `fields`, `tick`, `decimal`.
 *
 * | channel               | recognised by            | kind            | becomes                                     | seen in   |
 * |-----------------------|--------------------------|-----------------|---------------------------------------------|-----------|
 * | matches               | `type` = match           | `match`         | trade; `side` is the maker's: sell is a buy | E, X      |
 * |                       | `type` = last_match      | `lastMatch`     | trade: it may have come before              | E, X      |
 * | ticker, ticker_batch  | `type` = ticker          | `ticker`        | quote; its sequence is the ticker's         | golden    |
 * |                       | the same without sizes   | `unsized`       | nothing: half a quote is none               | E         |
 * | level2, level2_batch  | `type` = snapshot        | `snapshot`      | book; received time where it has none       | E         |
 * |                       | `type` = l2update        | `l2update`      | delta; nothing in it could show a loss      | E, X      |
 * | rfq_matches           | `type` = rfq_match       | `rfqMatch`      | nothing: ids of their own, off the book     | golden    |
 * | heartbeat, status     | `type`                   | `heartbeat`, `status` | nothing                               | golden    |
 * | answers               | `type`                   | `subscriptions`, `error` | nothing                            | E, X      |
 * | REST trades           | a list with trade_id     | `history`       | trades, `backfill`, where the request names the product | golden |
 * | REST book             | bids, asks, no `type`    | `productBook`   | book, the same                              | golden    |
 * | REST products         | a list, quote_increment  | `instruments`   | nothing                                     | golden    |
 * | REST refusal          | message alone            | `error`         | nothing                                     | golden    |
 * | market_trades         | `channel`                | `marketTrades`  | trades, the newest last; `side` as in match | A         |
 * | level2                | `channel` = l2_data      | `l2Data`        | book or delta; time of its newest level     | golden    |
 * | ticker                | `channel`                | `ticker`        | quote; its time is the frame's              | golden    |
 * |                       | the same without sizes   | `unsized`       | nothing: half a quote is none               | golden    |
 * | ticker_batch          | `channel`                | `tickerBatch`   | nothing: it never has a best bid and ask    | golden    |
 * | heartbeats, candles, status | `channel`          | `heartbeats`, `candles`, `status` | nothing                   | A, golden |
 * | answers               | `channel`, `type`        | `subscriptions`, `error` | nothing                            | A, golden |
 * | the other feed        | `type` or `channel`      | `foreign`       | nothing: another feed is another venue      | E, X, A   |
 * | known, fields missing | type of a field          | `malformed`     | nothing                                     | golden    |
 * | unreadable level      | size such as `0.-10000`  | `malformed`     | nothing of the whole frame                  | golden    |
 * | time of the year 1    | match, ticker, l2update  | `malformed`     | nothing: the venue's way to say none        | golden    |
 * | was not UTF-8         | U+FFFD                   | `malformed`     | nothing                                     | golden    |
 * | no time of any clock  | book, no received time   | `untimed`       | nothing: a time is never made up            | golden    |
 * | anything else         |                          | `unknown`       | nothing                                     | golden    |
 *
 * E: cryptofeed_exchange_COINBASE.ws.28.0.txt.gz (2021). X: coinbase_exchange_2026-08-25_frames.jsonl. A:
 * coinbase_advanced_2024-10-04_frames.jsonl. golden: testdata/venue/coinbase*.
 */
import { compare, isDecimal } from "../decimal.ts";
import {
  type Count,
  countOf,
  type Fields,
  fieldsOf,
  headOf,
  isFields,
  isNone,
  isUnsafe,
  type Levels,
  microsOfText,
  plainDecimal,
  sequenceOf,
  timesOf,
  wideFieldsOf,
  wideListOf,
} from "../fields.ts";
import { LEVELS_MAX, type Quote, type Tick, type Trade } from "../tick.ts";
import type { Channel, Instrument, InstrumentPage, Live, Mapped, Subscription, Venue } from "../venue.ts";

/** Kinds of Exchange's frames, by their `type`. */
const TYPES = {
  match: "match",
  last_match: "lastMatch",
  ticker: "ticker",
  snapshot: "snapshot",
  l2update: "l2update",
  rfq_match: "rfqMatch",
  heartbeat: "heartbeat",
  status: "status",
  subscriptions: "subscriptions",
  error: "error",
} as const;
/** Kinds of Advanced Trade's frames, by their `channel`. */
const ENVELOPES = {
  market_trades: "marketTrades",
  l2_data: "l2Data",
  ticker: "ticker",
  ticker_batch: "tickerBatch",
  heartbeats: "heartbeats",
  candles: "candles",
  status: "status",
  subscriptions: "subscriptions",
} as const;
const EXCHANGE_KINDS = [
  ...Object.values(TYPES),
  ...["history", "productBook", "instruments", "unsized", "foreign", "malformed", "untimed", "unknown"] as const,
];
const ADVANCED_KINDS = [
  ...Object.values(ENVELOPES),
  ...["error", "unsized", "foreign", "malformed", "unknown"] as const,
];
type ExchangeKind = typeof EXCHANGE_KINDS[number];
type AdvancedKind = typeof ADVANCED_KINDS[number];

/** The aggressor's side by the maker's, who was on the other. */
const AGGRESSORS = { buy: "sell", sell: "buy", BUY: "sell", SELL: "buy" } as const;

/** What a table says of a stranger's word. */
function entryOf<T>(table: Readonly<Record<string, T>>, word: unknown): T | undefined {
  return typeof word === "string" && Object.hasOwn(table, word) ? table[word] : undefined;
}

/** What is known of a frame besides its text. */
interface Context {
  readonly venue: string;
  readonly received: number | null;
}
/** The same of a frame that has a time of its own besides those of its events, µs. */
interface OwnContext extends Context {
  readonly own: number;
}

/** Products named in one request: the venue bounds none, but a line of them all would be long. */
const PRODUCTS_AT_ONCE = 100;
/** Both feeds say something every second, once a heartbeat is subscribed. */
const SILENT_MS = 10_000;
const TRADES_AT_ONCE = 1_000;

export const venues: readonly Venue[] = [
  {
    name: "coinbase",
    kinds: EXCHANGE_KINDS,
    // Trade ids rise by one a product. The sequence is that of the full channel, of which the ticker shows only some.
    disciplines: { trade: "contiguous", quote: "rising", book: "none", delta: "none", status: "none" },
    books: "trust",
    live: exchangeLive(),
    map(frame, receivedTime, symbol) {
      // Stands for bytes that were not UTF-8: what they said is not known, and two of them would look the same.
      if (frame.includes("\ufffd")) return UNREAD;
      const context = { venue: "coinbase", received: receivedTime };
      const plain = fieldsOf(frame);
      if (plain === undefined) return answered(wideListOf(frame), symbol, context);
      const isWide = isUnsafe(plain.trade_id) || isUnsafe(plain.sequence);
      const fields = isWide ? wideFieldsOf(frame) : plain;
      return fields === undefined ? UNREAD : exchanged(fields, symbol, context);
    },
    instruments: productsOf,
    symbolOf(request) {
      return /^\/products\/([\w.-]{1,64})\/(?:trades|book)$/.exec(URL.parse(request)?.pathname ?? "")?.[1];
    },
  },
  {
    name: "coinbase-advanced",
    kinds: ADVANCED_KINDS,
    // The numbers of this feed are the connection's, not the ticks'.
    disciplines: { trade: "contiguous", quote: "none", book: "none", delta: "none", status: "none" },
    books: "connection",
    live: advancedLive(),
    map(frame, receivedTime) {
      if (frame.includes("\ufffd")) return nothing("malformed");
      const fields = fieldsOf(frame);
      if (fields === undefined) return nothing("malformed");
      const mapped = advanced(fields, { venue: "coinbase-advanced", received: receivedTime });
      // Of a malformed frame as well: that it came is known.
      const number = countOf(fields.sequence_num);
      return typeof number === "number" ? { ...mapped, number } : mapped;
    },
  },
];

function* portionsOf(symbols: readonly string[]): Generator<readonly string[]> {
  for (let at = 0; at < symbols.length; at += PRODUCTS_AT_ONCE) yield symbols.slice(at, at + PRODUCTS_AT_ONCE);
}

function exchangeLive(): Live {
  // A ticker comes with each match, so a quote that moves between two matches is not seen: the book is. The other level2
  // wants a key.
  const names: Readonly<Record<Channel, string>> = { trade: "matches", quote: "ticker", book: "level2_batch" };
  const requests = (type: string, { symbols, channels: wanted }: Subscription): string[] => {
    const channels = [...wanted.map((channel) => names[channel]), "heartbeat"];
    return Array.from(portionsOf(symbols), (product_ids) => JSON.stringify({ type, product_ids, channels }));
  };
  return {
    channels: ["trade", "quote", "book"],
    base: "wss://ws-feed.exchange.coinbase.com",
    path: () => "/",
    subscribe: (subscription) => requests("subscribe", subscription),
    unsubscribe: (subscription) => requests("unsubscribe", subscription),
    // One product that it does not know makes it refuse the whole request, so a refusal is of no symbol alone. Names of
    // channels come back as others (level2_batch as level2_50): the answer alone counts.
    answer: answerOf,
    isBeat: (frame) => frame.startsWith('{"type":"heartbeat"'),
    silentMs: SILENT_MS,
    topicsMax: 300,
    messagesPerSecond: 8,
    rest: {
      base: "https://api.exchange.coinbase.com",
      snapshot: (symbol) => `/products/${encodeURIComponent(symbol)}/book?level=2`,
      // `after` means older than, and what comes are the newest of these: it names the end of the page, not its start. A
      // page that ends beyond the newest trade begins before the one asked for.
      trades: (symbol, fromId) =>
        `/products/${encodeURIComponent(symbol)}/trades?limit=${TRADES_AT_ONCE}&after=${
          BigInt(fromId) + BigInt(TRADES_AT_ONCE)
        }`,
      instruments: () => "/products",
      // Half of what it allows.
      requestsPerMinute: 300,
    },
  };
}

function advancedLive(): Live {
  const names: Readonly<Record<Channel, string>> = { trade: "market_trades", quote: "ticker", book: "level2" };
  const requests = (type: string, { symbols, channels }: Subscription): string[] =>
    channels.flatMap((channel) =>
      Array.from(
        portionsOf(symbols),
        (product_ids) => JSON.stringify({ type, product_ids, channel: names[channel] }),
      )
    );
  return {
    channels: ["trade", "quote", "book"],
    base: "wss://advanced-trade-ws.coinbase.com",
    path: () => "/",
    // A channel on which nothing happens is closed within 90 s, unless heartbeats come too.
    subscribe: (subscription) => [
      JSON.stringify({ type: "subscribe", channel: "heartbeats" }),
      ...requests("subscribe", subscription),
    ],
    // Heartbeats are the connection's: whatever else it carries needs them still.
    unsubscribe: (subscription) => requests("unsubscribe", subscription),
    answer: answerOf,
    isBeat: (frame) => frame.startsWith('{"channel":"heartbeats"'),
    silentMs: SILENT_MS,
    // A book comes whole in a frame of several MB, so few share a connection.
    topicsMax: 60,
    messagesPerSecond: 8,
  };
}

function answerOf(frame: string): { readonly refused: string | null } | null {
  const { type, channel, message, reason } = fieldsOf(frame) ?? {};
  if (type === "subscriptions" || channel === "subscriptions") return { refused: null };
  if (type !== "error") return null;
  return { refused: [message, reason].filter((said) => typeof said === "string").join(": ") };
}

function exchanged(data: Fields, symbol: string | undefined, context: Context): Mapped {
  const kind = entryOf(TYPES, data.type);
  switch (kind) {
    case "match":
    case "lastMatch": {
      const trade = tradeOf(data, data.product_id, context);
      return trade === undefined ? nothing("malformed") : { kind, ticks: [trade] };
    }
    case "ticker":
      return ticker(data, context);
    case "snapshot":
    case "l2update": {
      const { product_id: product } = data;
      if (typeof product !== "string") return UNREAD;
      const mapped = kind === "snapshot" ? book(data, kind, product, null, context) : l2update(data, product, context);
      // A change may have been in it, and nothing will show that it is missing.
      return mapped.kind === "malformed" ? { ...mapped, unread: [product] } : mapped;
    }
    case undefined:
      break;
    default:
      return nothing(kind);
  }
  if (entryOf(ENVELOPES, data.channel) !== undefined) return nothing("foreign");
  if (data.type !== undefined) return nothing("unknown");
  if (data.bids !== undefined && data.asks !== undefined) {
    const count = countOf(data.sequence);
    return count === undefined ? nothing("malformed") : book(data, "productBook", symbol, count, context);
  }
  return nothing(typeof data.message === "string" ? "error" : "unknown");
}

/** A list, which only REST answers with. Trades come newest first. */
function answered(list: readonly unknown[] | undefined, symbol: string | undefined, context: Context): Mapped {
  if (list === undefined) return UNREAD;
  const [first] = list;
  if (isFields(first) && first.quote_increment !== undefined) return nothing("instruments");
  if (first !== undefined && !(isFields(first) && first.trade_id !== undefined)) return nothing("unknown");
  if (symbol === undefined) return nothing("history");
  const ticks = tradesOf(list, () => symbol, context, "backfill");
  return ticks === undefined ? nothing("malformed") : { kind: "history" satisfies ExchangeKind, ticks };
}

function ticker(data: Fields, { venue, received }: Context): Mapped {
  const { product_id: symbol, time, best_bid: bid, best_bid_size: bids, best_ask: ask, best_ask_size: asks } = data;
  const eventTime = microsOfText(time);
  const count = countOf(data.sequence);
  if (typeof symbol !== "string" || eventTime === undefined || count === undefined) return nothing("malformed");
  const sides = sidesOf(bid, bids, ask, asks);
  if (typeof sides === "string") return nothing(sides);
  const times = { eventTime, receivedTime: received ?? eventTime };
  return {
    kind: "ticker" satisfies ExchangeKind,
    ticks: [{ ...headOf("quote", venue, symbol, times, count), ...sides }],
  };
}

function l2update(data: Fields, symbol: string, { venue, received }: Context): Mapped {
  const { changes } = data;
  const eventTime = microsOfText(data.time);
  if (!Array.isArray(changes) || eventTime === undefined) return nothing("malformed");
  const bids: Levels = [], asks: Levels = [];
  for (const change of changes) {
    const [side, price, size] = Array.isArray(change) ? change : [];
    const levels = side === "buy" ? bids : side === "sell" ? asks : undefined;
    if (levels === undefined || !isAmount(price) || !isAmount(size)) return nothing("malformed");
    levels.push([price, size]);
  }
  const times = { eventTime, receivedTime: received ?? eventTime };
  return {
    kind: "l2update" satisfies ExchangeKind,
    ticks: [{ ...headOf("delta", venue, symbol, times, null), bids, asks, ...UNNUMBERED }],
  };
}

/** A book as Exchange sends it. The time is the venue's where it says one that is any, else ours. */
function book(
  data: Fields,
  kind: ExchangeKind,
  symbol: string | undefined,
  count: Count | null,
  { venue, received }: Context,
): Mapped {
  const bids = levelsOf(data.bids), asks = levelsOf(data.asks);
  if (bids === undefined || asks === undefined) return nothing("malformed");
  if (symbol === undefined) return nothing(kind);
  const times = timesOf(microsOfText(data.time), received);
  if (times === undefined) return nothing("untimed");
  return {
    kind,
    ticks: [{ ...headOf("book", venue, symbol, times, count), bids: best(bids, -1), asks: best(asks, 1) }],
  };
}

function advanced(fields: Fields, { venue, received }: Context): Mapped {
  const kind = entryOf(ENVELOPES, fields.channel);
  if (kind === undefined) {
    if (fields.channel !== undefined) return nothing("unknown");
    if (fields.type === "error") return nothing("error");
    return nothing(entryOf(TYPES, fields.type) === undefined ? "unknown" : "foreign");
  }
  const map = kind === "marketTrades" ? marketTrades : kind === "l2Data" ? l2Data : kind === "ticker" ? tickers : null;
  if (map === null) return nothing(kind);
  const own = microsOfText(fields.timestamp);
  const { events } = fields;
  const malformed = kind === "l2Data" ? { ...nothing("malformed"), unread: productsIn(events) } : nothing("malformed");
  if (own === undefined || countOf(fields.sequence_num) === undefined || !Array.isArray(events)) return malformed;
  const ticks: Tick[] = [];
  for (const event of events) {
    const made = isFields(event) ? map(event, { venue, received, own }) : "malformed";
    if (typeof made === "string") return made === "malformed" ? malformed : nothing(made);
    for (const tick of made) ticks.push(tick);
  }
  return { kind, ticks };
}

/** The products that events name; none where one of them does not. */
function productsIn(events: unknown): readonly string[] {
  if (!Array.isArray(events)) return [];
  const products = events.map((event) => isFields(event) ? event.product_id : undefined);
  return products.every((product) => typeof product === "string") ? products : [];
}

/** What one event of an envelope becomes, or why the frame becomes nothing. */
type Made = readonly Tick[] | "malformed" | "unsized";

function marketTrades(event: Fields, context: OwnContext): Made {
  if (!Array.isArray(event.trades)) return "malformed";
  return tradesOf(event.trades, (row) => row.product_id, context) ?? "malformed";
}

function l2Data(event: Fields, { venue, received, own }: OwnContext): Made {
  const { type, product_id: symbol, updates } = event;
  if (typeof symbol !== "string" || !Array.isArray(updates)) return "malformed";
  const bids: Levels = [], asks: Levels = [];
  let last: unknown, eventTime = 0;
  for (const update of updates) {
    if (!isFields(update)) return "malformed";
    const { side, price_level: price, new_quantity: size, event_time: time } = update;
    const levels = side === "bid" ? bids : side === "offer" ? asks : undefined;
    if (levels === undefined || !isAmount(price) || !isAmount(size)) return "malformed";
    levels.push([price, size]);
    // The same for many in a row. A level of a snapshot may have that of 1970, which is none.
    if (time !== last) eventTime = Math.max(eventTime, microsOfText(time) ?? 0);
    last = time;
  }
  // The engine's clock, which trades have as well; the frame's own is when it was sent, after what they were collected.
  if (eventTime === 0) eventTime = own;
  const times = { eventTime, receivedTime: received ?? own };
  if (type === "snapshot") {
    return [{ ...headOf("book", venue, symbol, times, null), bids: best(bids, -1), asks: best(asks, 1) }];
  }
  if (type !== "update") return "malformed";
  return [{ ...headOf("delta", venue, symbol, times, null), bids, asks, ...UNNUMBERED }];
}

function tickers(event: Fields, { venue, received, own }: OwnContext): Made {
  if (!Array.isArray(event.tickers)) return "malformed";
  const ticks: Tick[] = [];
  for (const row of event.tickers) {
    if (!isFields(row) || typeof row.product_id !== "string") return "malformed";
    const sides = sidesOf(row.best_bid, row.best_bid_quantity, row.best_ask, row.best_ask_quantity);
    if (typeof sides === "string") return sides;
    const times = { eventTime: own, receivedTime: received ?? own };
    ticks.push({ ...headOf("quote", venue, row.product_id, times, null), ...sides });
  }
  return ticks;
}

/** A match, whatever it is wrapped in; undefined where it is none. */
function tradeOf(
  row: Fields,
  symbol: unknown,
  { venue, received, own }: Context & Partial<OwnContext>,
  source?: "backfill",
): Trade | undefined {
  const { price, size } = row;
  const eventTime = microsOfText(row.time);
  const count = tradeIdOf(row.trade_id);
  const side = entryOf(AGGRESSORS, row.side);
  if (
    typeof symbol !== "string" || typeof price !== "string" || typeof size !== "string" || side === undefined ||
    eventTime === undefined || count === undefined
  ) return undefined;
  const receivedTime = received ?? own ?? eventTime;
  const identity = { sequence: sequenceOf(count), id: String(count), ...(source === undefined ? {} : { source }) };
  return { type: "trade", venue, symbol, eventTime, receivedTime, ...identity, price, size, side };
}

/** Trades of a list that has the newest first, the newest last; undefined where one of them is none. */
function tradesOf(
  rows: readonly unknown[],
  symbolOf: (row: Fields) => unknown,
  context: Context,
  source?: "backfill",
): readonly Trade[] | undefined {
  const trades: Trade[] = [];
  for (const row of rows) {
    const trade = isFields(row) ? tradeOf(row, symbolOf(row), context, source) : undefined;
    if (trade === undefined) return undefined;
    trades.push(trade);
  }
  return trades.reverse();
}

/** The counter that a trade id is: a number on Exchange, its digits on Advanced Trade. */
function tradeIdOf(id: unknown): Count | undefined {
  if (typeof id !== "string") return countOf(id);
  return /^(?:0|[1-9]\d{0,127})$/.test(id) ? countOf(Number(id)) ?? countOf(id) : undefined;
}

type Sides = Pick<Quote, "bidPrice" | "bidSize" | "askPrice" | "askSize">;

/** Both sides of a quote, or why there is none. */
function sidesOf(bid: unknown, bids: unknown, ask: unknown, asks: unknown): Sides | "unsized" | "malformed" {
  if (typeof bid !== "string" || typeof ask !== "string") return "malformed";
  if (bids === undefined || asks === undefined) return "unsized";
  if (typeof bids !== "string" || typeof asks !== "string") return "malformed";
  const noBid = isNone(bids), noAsk = isNone(asks);
  return {
    bidPrice: noBid ? null : bid,
    bidSize: noBid ? null : bids,
    askPrice: noAsk ? null : ask,
    askSize: noAsk ? null : asks,
  };
}

const UNNUMBERED = { firstId: null, lastId: null, previousId: null } as const;

const isAmount = (v: unknown): v is string => typeof v === "string" && isDecimal(v);

/** Price and size of each row; undefined where one cannot be read. By REST a third element counts the orders. */
function levelsOf(rows: unknown): Levels | undefined {
  if (!Array.isArray(rows)) return undefined;
  const levels: Levels = [];
  for (const row of rows) {
    if (!Array.isArray(row) || !isAmount(row[0]) || !isAmount(row[1])) return undefined;
    levels.push([row[0], row[1]]);
  }
  return levels;
}

/**
 * As many levels as a message may carry, best first: prices rise for `direction` 1 and fall for -1. Whole books are sent,
 * of which the far end has a part that never trades; what lies beyond is unknown to whoever reads the tick.
 */
function best(levels: Levels, direction: 1 | -1): Levels {
  const order = ([a]: Levels[number], [b]: Levels[number]) => compare(a, b) * direction;
  const isOrdered = levels.every((level, i) => i === 0 || order(levels[i - 1]!, level) <= 0);
  if (!isOrdered) levels.sort(order);
  return levels.length > LEVELS_MAX ? levels.slice(0, LEVELS_MAX) : levels;
}

/** What keeps a product that is online from trading freely. */
const RESTRAINTS = ["trading_disabled", "cancel_only", "post_only", "auction_mode"] as const;

function productsOf(answer: string): InstrumentPage | null {
  const list = wideListOf(answer);
  if (list === undefined) return null;
  const instruments: Instrument[] = [];
  for (const entry of list) {
    if (!isFields(entry) || typeof entry.id !== "string") continue;
    const { id: symbol, status, quote_increment: tickSize, base_increment: lot } = entry;
    const isFree = status === "online" && RESTRAINTS.every((name) => entry[name] !== true);
    instruments.push({
      symbol,
      tickSize: plainDecimal(tickSize) ?? null,
      lot: plainDecimal(lot) ?? null,
      status: isFree ? "trading" : status === "delisted" ? "closed" : "halted",
    });
  }
  return { instruments };
}

const NOTHING: readonly Tick[] = [];
/** Of the Exchange feed, what could be anything: it numbers nothing that would show what is missing. */
const UNREAD: Mapped = { kind: "malformed" satisfies ExchangeKind, ticks: NOTHING, unread: [] };

function nothing(kind: ExchangeKind | AdvancedKind): Mapped {
  return { kind, ticks: NOTHING };
}
