/**
 * Bybit, as it speaks on the public websockets of its v5 interface. Spot is venue `bybit`, perpetuals and futures settled
 * in USDT or USDC `bybit-linear`: both say the same, under the same symbols, and the connection alone tells them apart.
 *
 * **In** frames, **Out** trades, quotes, books and deltas. **Knows** `venue`, `fields`, `tick`.
 *
 * | channel               | recognised by            | kind             | becomes                                    | seen in  |
 * |-----------------------|--------------------------|------------------|--------------------------------------------|----------|
 * | `publicTrade`         | topic                    | `publicTrade`    | a trade each; T is its time, S its taker   | L, P     |
 * | `orderbook.1`         | topic                    | `orderbook1`     | quote; its time is cts, else ts            | 1, 2, L  |
 * | `orderbook.50` …      | topic, type snapshot     | `orderbook`      | book; its time is cts, else ts             | B        |
 * |                       | u = 1, whatever its type | `orderbook`      | book: the service began anew               | golden   |
 * |                       | topic, type delta        | `orderbook`      | delta; u follows the last by one           | B, L, P  |
 * | `orderbook.rpi`       | topic                    | `orderbookRpi`   | nothing: its levels hold two sizes         | golden   |
 * | `orderbook.full`      | topic                    | `orderbookFull`  | nothing: it begins with a REST answer      | golden   |
 * | `tickers`, `kline`    | topic                    | `tickers`, `kline` | nothing: derived from trades and books   | golden   |
 * | `allLiquidation`      | topic                    | `allLiquidation` | nothing: the fills come as trades          | golden   |
 * | `priceLimit`, `insurance`, `adlAlert` | topic    | the same         | nothing: neither trade nor book            | golden   |
 * | answers               | success true; false      | `ack`, `error`   | nothing                                    | 1, 2, P  |
 * | heartbeats            | ret_msg or op is pong    | `pong`           | nothing                                    | golden   |
 * | REST                  | retCode 0; any other     | `response`, `error` | nothing: no book begins with one        | golden   |
 * | known, fields missing | type or size of a field  | `malformed`      | nothing                                    | golden   |
 * | was not UTF-8         | U+FFFD                   | `malformed`      | nothing                                    | golden   |
 * | anything else         |                          | `unknown`        | nothing                                    | golden   |
 *
 * 1, 2: cryptofeed_v5_orderbook1_2025-06-13_BYBIT.ws.1.0.txt (linear) and .ws.2.0.txt (spot). L:
 * bybit_v5_linear_2025-09-26_frames.txt. B: bybit_v5_spot_orderbook50_2026-03-17_frames.jsonl. P:
 * bybit_v5_spot_2026-09-20_frames.jsonl. golden: testdata/venue/bybit*.
 */
import {
  type Count,
  countOf,
  type Fields,
  fieldsOf,
  headOf,
  isFields,
  isLevels,
  isNone,
  isUnsafe,
  type Levels,
  microsOf,
  plainDecimal,
  sequenceOf,
  type Times,
  wideFieldsOf,
} from "../fields.ts";
import type { Tick, Trade } from "../tick.ts";
import type { Channel, Instrument, InstrumentPage, Live, Mapped, Subscription, Venue } from "../venue.ts";

const KINDS = [
  "publicTrade",
  "orderbook1",
  "orderbook",
  "orderbookRpi",
  "orderbookFull",
  "tickers",
  "kline",
  "allLiquidation",
  "priceLimit",
  "insurance",
  "adlAlert",
  "ack",
  "pong",
  "response",
  "error",
  "malformed",
  "unknown",
] as const;
type Kind = typeof KINDS[number];

/** Frames that give no tick, by the beginning of their topic. */
const SILENT: readonly (readonly [topic: string, kind: Kind])[] = [
  ["tickers.", "tickers"],
  ["kline.", "kline"],
  ["allLiquidation.", "allLiquidation"],
  ["priceLimit.", "priceLimit"],
  ["insurance.", "insurance"],
  ["adlAlert.", "adlAlert"],
  ["orderbook.rpi.", "orderbookRpi"],
  ["orderbook.full.", "orderbookFull"],
];

export const venues: readonly Venue[] = [marketOf("bybit", "spot"), marketOf("bybit-linear", "linear")];

type Category = "spot" | "linear";

function marketOf(name: string, category: Category): Venue {
  return {
    name,
    kinds: KINDS,
    // Trades have ids and no counter. `u` counts the messages of one topic, but is 1 again after a restart of the service
    // and goes on elsewhere after a subscription anew, and depth 1 repeats it: only whoever keeps the book knows when.
    disciplines: { trade: "none", quote: "none", book: "none", delta: "none", status: "none" },
    books: "chain",
    live: liveOf(category),
    map(frame, receivedTime) {
      // Stands for bytes that were not UTF-8: what they said is not known, and two of them would look the same.
      if (frame.includes("\ufffd")) return nothing("malformed");
      const plain = fieldsOf(frame);
      if (plain === undefined) return nothing("malformed");
      const isWide = isFields(plain.data) && isUnsafe(plain.data.u);
      return mapped(isWide ? wideFieldsOf(frame)! : plain, name, receivedTime);
    },
    instruments: (answer) => instrumentsOf(answer, category),
  };
}

const TOPICS: Readonly<Record<Channel, string>> = {
  trade: "publicTrade.",
  quote: "orderbook.1.",
  book: "orderbook.50.",
};
/** A topic of ours, wherever the venue's words name it: `…,topic:orderbook.1.X` and `… :[orderbook.1.X]`. */
const NAMED = /(?:publicTrade|orderbook\.\d+)\.([^\s,\]]+)/;

function liveOf(category: Category): Live {
  // One topic that the venue refuses takes all others of its request along. So each instrument has a request of its own:
  // a refusal is about it alone. That is also far below the 10 topics that a request may have on spot.
  const requests = (op: string, { symbols, channels }: Subscription, id: number): string[] =>
    symbols.map((symbol, i) =>
      JSON.stringify({ req_id: String(id + i), op, args: channels.map((channel) => TOPICS[channel] + symbol) })
    );
  return {
    channels: ["trade", "quote", "book"],
    base: "wss://stream.bybit.com",
    path: () => `/v5/public/${category}`,
    subscribe: (subscription, id) => requests("subscribe", subscription, id),
    unsubscribe: (subscription, id) => requests("unsubscribe", subscription, id),
    answer(frame) {
      const { success, op, ret_msg: said, req_id } = fieldsOf(frame) ?? {};
      const request = typeof req_id === "string" && /^\d{1,15}$/.test(req_id) ? { id: Number(req_id) } : {};
      if (success === true) return op === "subscribe" || op === "unsubscribe" ? { refused: null, ...request } : null;
      if (success !== false) return null;
      const symbol = NAMED.exec(String(said))?.[1];
      return { refused: String(said), ...(symbol === undefined ? request : { symbols: [symbol] }) };
    },
    heartbeat: { message: '{"op":"ping"}', everyMs: 20_000 },
    isBeat: (frame) => frame.length < 256 && /"(?:op|ret_msg)":"pong"/.test(frame),
    // Three heartbeats without an answer.
    silentMs: 60_000,
    // All topics of a connection may have 21,000 characters: 42 each with quotes and comma, a symbol of 26 in the longest.
    topicsMax: 500,
    // The venue bounds none; it took 200 requests at once.
    messagesPerSecond: 20,
    rest: {
      base: "https://api.bybit.com",
      // Spot answers with all at once and knows no limit. Trades are there only as the latest, not from an id on.
      instruments: (next) =>
        `/v5/market/instruments-info?category=${category}${category === "linear" ? "&limit=1000" : ""}${
          next === undefined ? "" : `&cursor=${cursorOf(next)}`
        }`,
      requestsPerMinute: 120,
    },
  };
}

function mapped(value: Fields, venue: string, received: number | null): Mapped {
  const { topic } = value;
  if (typeof topic !== "string") return nothing(controlOf(value));
  if (topic.startsWith("publicTrade.")) return trades(value, venue, received);
  if (topic.startsWith("orderbook.1.")) return quote(value, venue, received);
  if (/^orderbook\.[1-9]\d{1,4}\./.test(topic)) return depth(value, venue, received);
  return nothing(SILENT.find(([beginning]) => topic.startsWith(beginning))?.[1] ?? "unknown");
}

/** What gives no tick and has no topic. */
function controlOf({ success, op, ret_msg: said, retCode }: Fields): Kind {
  if (op === "pong" || said === "pong") return "pong";
  if (typeof success === "boolean") return success ? "ack" : "error";
  if (typeof retCode === "number") return retCode === 0 ? "response" : "error";
  return "unknown";
}

const CONDITIONS = [["BT", "block"], ["RPI", "rpi"]] as const;

function trades({ data, ts }: Fields, venue: string, received: number | null): Mapped {
  if (!Array.isArray(data)) return nothing("malformed");
  const sent = received ?? microsOf(ts);
  const ticks: Tick[] = [];
  for (const entry of data) {
    const tick = isFields(entry) ? trade(entry, venue, sent) : undefined;
    // What one of them was is not known, so nor is what the frame was.
    if (tick === undefined) return nothing("malformed");
    ticks.push(tick);
  }
  return { kind: "publicTrade" satisfies Kind, ticks };
}

function trade(entry: Fields, venue: string, sent: number | undefined): Trade | undefined {
  const { s: symbol, S: taker, p: price, v: size, i: id } = entry;
  const eventTime = microsOf(entry.T);
  const conditions: string[] = [];
  for (const [flag, condition] of CONDITIONS) {
    const isSet = entry[flag] ?? false;
    if (typeof isSet !== "boolean") return undefined;
    if (isSet) conditions.push(condition);
  }
  if (
    typeof symbol !== "string" || typeof price !== "string" || typeof size !== "string" || typeof id !== "string" ||
    (taker !== "Buy" && taker !== "Sell") || eventTime === undefined
  ) return undefined;
  const receivedTime = sent ?? eventTime, side = taker === "Buy" ? "buy" : "sell";
  const tick = {
    type: "trade",
    venue,
    symbol,
    eventTime,
    receivedTime,
    sequence: null,
    id,
    price,
    size,
    side,
  } as const;
  return conditions.length > 0 ? { ...tick, conditions } : tick;
}

/** A message of any depth. */
interface Message {
  readonly symbol: string;
  readonly times: Times;
  /** Number of the message in its topic. */
  readonly count: Count;
  readonly bids: Levels;
  readonly asks: Levels;
  /** Whether it says all that there is, not only what has changed. */
  readonly isWhole: boolean;
}

function messageOf({ type, data, ts, cts }: Fields, received: number | null): Message | undefined {
  if (!isFields(data)) return undefined;
  const { s: symbol, b: bids, a: asks } = data;
  const count = countOf(data.u);
  // `cts` is the time of the engine, as that of trades; `ts` is when the message was made.
  const eventTime = microsOf(cts ?? ts);
  if (
    typeof symbol !== "string" || !isLevels(bids) || !isLevels(asks) || count === undefined ||
    eventTime === undefined || (type !== "snapshot" && type !== "delta")
  ) return undefined;
  const times = { eventTime, receivedTime: received ?? microsOf(ts) ?? eventTime };
  return { symbol, times, count, bids, asks, isWhole: type === "snapshot" || count === 1 };
}

function quote(value: Fields, venue: string, received: number | null): Mapped {
  const message = messageOf(value, received);
  if (message === undefined || !message.isWhole) return nothing("malformed");
  const { symbol, times, count, bids, asks } = message;
  if (bids.length > 1 || asks.length > 1) return nothing("malformed");
  const [bidPrice, bidSize] = best(bids), [askPrice, askSize] = best(asks);
  return {
    kind: "orderbook1" satisfies Kind,
    ticks: [{ ...headOf("quote", venue, symbol, times, count), bidPrice, bidSize, askPrice, askSize }],
  };
}

/** Price and size of the best level; null both where there is none. */
function best([level]: Levels): readonly [string | null, string | null] {
  return level === undefined || isNone(level[1]) ? [null, null] : level;
}

function depth(value: Fields, venue: string, received: number | null): Mapped {
  const message = messageOf(value, received);
  if (message === undefined) {
    const named = isFields(value.data) ? value.data.s : undefined;
    return typeof named === "string" ? { ...nothing("malformed"), unread: [named] } : nothing("malformed");
  }
  const { symbol, times, count, bids, asks, isWhole } = message;
  const kind = "orderbook" satisfies Kind;
  if (isWhole) return { kind, ticks: [{ ...headOf("book", venue, symbol, times, count), bids, asks }] };
  // A change follows a message, so it is never the first.
  if (count === 0) return { ...nothing("malformed"), unread: [symbol] };
  const id = sequenceOf(count);
  const ids = { firstId: id, lastId: id, previousId: id === null ? null : id - 1 };
  return { kind, ticks: [{ ...headOf("delta", venue, symbol, times, count), bids, asks, ...ids }] };
}

/** The venue's cursors come escaped as they are to be sent; what is not is escaped here. */
const cursorOf = (next: string): string => /^(?:[\w.~-]|%[\da-fA-F]{2})*$/.test(next) ? next : encodeURIComponent(next);

function instrumentsOf(answer: string, category: Category): InstrumentPage | null {
  const { retCode, result } = fieldsOf(answer) ?? {};
  if (retCode !== 0 || !isFields(result) || result.category !== category || !Array.isArray(result.list)) return null;
  const instruments: Instrument[] = [];
  for (const entry of result.list) {
    if (!isFields(entry) || typeof entry.symbol !== "string") continue;
    const { symbol, status, priceFilter: price, lotSizeFilter: lot } = entry;
    instruments.push({
      symbol,
      tickSize: plainDecimal(isFields(price) ? price.tickSize : undefined) ?? null,
      lot: plainDecimal(isFields(lot) ? lot[category === "spot" ? "basePrecision" : "qtyStep"] : undefined) ?? null,
      status: status === "Trading" ? "trading" : status === "Closed" ? "closed" : "halted",
    });
  }
  const { nextPageCursor: next } = result;
  return { instruments, ...(typeof next === "string" && next !== "" && { next }) };
}

const NOTHING: readonly Tick[] = [];

function nothing(kind: Kind): Mapped {
  return { kind, ticks: NOTHING };
}
