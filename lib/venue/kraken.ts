/**
 * Kraken, as it speaks on its public spot websocket v2 and in its REST answers.
 *
 * **In** frames, **Out** trades, quotes, books and deltas. **Knows** `venue`, `fields`, `tick`, `checksum`, `decimal`.
 *
 * | channel               | recognised by             | kind            | becomes                                      | seen in   |
 * |-----------------------|---------------------------|-----------------|----------------------------------------------|-----------|
 * | `trade`               | `channel`                 | `trade`         | trades; side is the taker's, ord_type a      | S         |
 * |                       |                           |                 | condition; a snapshot is history             |           |
 * | `ticker`              | `channel`                 | `ticker`        | quote; of older frames, without a time       | S, golden |
 * | `book`                | `type` = snapshot         | `bookSnapshot`  | book and checksum; until 2023 without a time | S, D      |
 * |                       | `type` = update           | `bookUpdate`    | delta and checksum; rows in the order sent   | D         |
 * | `ohlc`                | `channel`                 | `ohlc`          | nothing: derived from trades                 | golden    |
 * | `instrument`          | `channel`                 | `instrument`    | nothing: pairs, their precisions and states  | D         |
 * | `status`              | `channel`                 | `status`        | nothing: it names no symbol                  | S, D      |
 * | `heartbeat`           | `channel`                 | `heartbeat`     | nothing: each second                         | S, D      |
 * | answers               | `method` = pong           | `pong`          | nothing                                      | golden    |
 * |                       | `success` true, a symbol  | `ack`           | nothing                                      | S, D      |
 * |                       | `success` false           | `error`         | nothing: one symbol, or all, were refused    | S         |
 * | REST AssetPairs       | `altname` in its result   | `assetPairs`    | nothing: instruments                         | golden    |
 * | REST errors           | `error` is a list of some | `error`         | nothing                                      | golden    |
 * | known, fields missing | type or form of a field   | `malformed`     | nothing                                      | golden    |
 * | was not UTF-8         | U+FFFD                    | `malformed`     | nothing                                      | golden    |
 * | no time of any clock  | neither its own nor ours  | `untimed`       | nothing: a time is never made up             | golden    |
 * | anything else         |                           | `unknown`       | nothing                                      | golden    |
 *
 * S: kraken_v2_single_frames_2025-2026.jsonl. D: kraken_v2_btcusd_depth25_2026-08-26_raw_frames_first50.jsonl.
 * golden: testdata/venue/kraken.
 */
import { checksumOf } from "../checksum.ts";
import { FRACTION_DIGITS_MAX } from "../decimal.ts";
import {
  type Count,
  countOf,
  exactReader,
  type Fields,
  fieldsOf,
  headOf,
  isFields,
  isNone,
  type Levels,
  microsOfText,
  plainDecimal,
  sequenceOf,
  type Times,
  timesOf,
} from "../fields.ts";
import type { Tick } from "../tick.ts";
import type { Channel, Instrument, InstrumentPage, Live, Mapped, Subscription, Venue } from "../venue.ts";

const KINDS = [
  "trade",
  "ticker",
  "bookSnapshot",
  "bookUpdate",
  "ohlc",
  "instrument",
  "status",
  "heartbeat",
  "pong",
  "ack",
  "error",
  "assetPairs",
  "malformed",
  "untimed",
  "unknown",
] as const;
type Kind = typeof KINDS[number];

const VENUE = "kraken";
/** Amounts are JSON numbers, and the checksum is over their digits as they were sent. */
const read = exactReader(["price", "qty", "bid", "bid_qty", "ask", "ask_qty", "trade_id", "checksum"]);

/** Levels a side. The checksum covers ten of them at any depth: of a book of ten it proves all. */
const DEPTH = 10;
/** Instruments named in one request: the venue answers for each, and bounds no request. */
const SYMBOLS_AT_ONCE = 100;

/** What names our channels to the venue, when they are begun and when they are ended. */
const NAMED: Readonly<Record<Channel, { readonly channel: string; readonly depth?: number }>> = {
  trade: { channel: "trade" },
  quote: { channel: "ticker" },
  book: { channel: "book", depth: DEPTH },
};
/**
 * What is said besides when they are begun. The last fifty trades come first, which fills a short hole after a break, as
 * nothing else can here; a quote comes on every change of the best prices, not on trades alone.
 */
const WANTED: Readonly<Record<Channel, Fields>> = {
  trade: { snapshot: true },
  quote: { event_trigger: "bbo", snapshot: true },
  book: { snapshot: true },
};

function requests({ symbols, channels }: Subscription, id: number, method: "subscribe" | "unsubscribe"): string[] {
  const made: string[] = [];
  for (const channel of channels) {
    for (let at = 0; at < symbols.length; at += SYMBOLS_AT_ONCE) {
      const symbol = symbols.slice(at, at + SYMBOLS_AT_ONCE);
      const params = { ...NAMED[channel], symbol, ...(method === "subscribe" ? WANTED[channel] : {}) };
      made.push(JSON.stringify({ method, params, req_id: id + made.length }));
    }
  }
  return made;
}

const live: Live = {
  channels: ["trade", "quote", "book"],
  base: "wss://ws.kraken.com",
  path: () => "/v2",
  subscribe: (subscription, id) => requests(subscription, id, "subscribe"),
  unsubscribe: (subscription, id) => requests(subscription, id, "unsubscribe"),
  answer(frame) {
    // Asked of every frame, nearly all of which are market data.
    if (!frame.includes('"success"')) return null;
    const { method, success, error, result, symbol } = fieldsOf(frame) ?? {};
    if (success !== false && (success !== true || (method !== "subscribe" && method !== "unsubscribe"))) return null;
    const refused = success ? null : typeof error === "string" ? error : "no reason was given";
    const named = isFields(result) ? result.symbol : symbol;
    return typeof named === "string" ? { refused, symbols: [named] } : { refused };
  },
  // Without a subscription a connection is closed after about a minute; with one it hears a heartbeat each second.
  heartbeat: { message: '{"method":"ping"}', everyMs: 30_000 },
  isBeat: (frame) => frame.startsWith('{"channel":"heartbeat"') || frame.startsWith('{"method":"pong"'),
  silentMs: 10_000,
  // The vendor names no bounds but one, 200 instruments, for a channel that is not used here; messages are bounded by load.
  topicsMax: 600,
  messagesPerSecond: 5,
  rest: {
    base: "https://api.kraken.com",
    // No `trades`: the venue serves them from a time on, never from an id.
    instruments: () => "/0/public/AssetPairs",
    requestsPerMinute: 20,
  },
};

export const venues: readonly Venue[] = [{
  name: VENUE,
  kinds: KINDS,
  // Trade ids rise by one a symbol. Nothing else is numbered.
  disciplines: { trade: "contiguous", quote: "none", book: "none", delta: "none", status: "none" },
  books: "checksum",
  depths: [10, 25, 100, 500, 1_000],
  checksum: checksumOf,
  live,
  map(frame, receivedTime) {
    // Stands for bytes that were not UTF-8: what they said is not known, and two of them would look the same.
    if (frame.includes("\ufffd")) return nothing("malformed");
    const fields = read(frame);
    return fields === undefined ? nothing("malformed") : mapped(fields, receivedTime);
  },
  instruments: pairsOf,
}];

function mapped(frame: Fields, received: number | null): Mapped {
  switch (frame.channel) {
    case "book":
      return frame.type === "snapshot" ? books(frame, received, "bookSnapshot") : books(frame, received, "bookUpdate");
    case "trade":
      return ticksOf(frame, received, "trade", trade);
    case "ticker":
      return ticksOf(frame, received, "ticker", quote);
    case "ohlc":
    case "instrument":
    case "status":
    case "heartbeat":
      return nothing(frame.channel);
    case undefined:
      return nothing(answerKindOf(frame));
    default:
      return nothing("unknown");
  }
}

function answerKindOf({ method, success, error, result }: Fields): Kind {
  if (method === "pong") return "pong";
  if (success === false) return "error";
  if (success === true && typeof method === "string") return "ack";
  if (!Array.isArray(error)) return "unknown";
  if (error.length > 0) return "error";
  const [pair] = isFields(result) ? Object.values(result) : [];
  return isFields(pair) && typeof pair.altname === "string" ? "assetPairs" : "unknown";
}

/** A tick of each entry of the frame; none of a frame that has a bad one. */
function ticksOf(
  { type, data }: Fields,
  received: number | null,
  kind: Kind,
  tickOf: (entry: Fields, times: Times) => Tick | undefined,
): Mapped {
  if ((type !== "snapshot" && type !== "update") || !Array.isArray(data)) return nothing("malformed");
  const ticks: Tick[] = [];
  let clock = received;
  for (const entry of data as readonly unknown[]) {
    if (!isFields(entry)) return nothing("malformed");
    const eventTime = microsOfText(entry.timestamp);
    if (eventTime === undefined && entry.timestamp !== undefined) return nothing("malformed");
    // Where nobody noted when the frame came, its first event tells.
    clock ??= eventTime ?? null;
    const times = timesOf(eventTime, clock);
    if (times === undefined) return nothing("untimed");
    const tick = tickOf(entry, times);
    if (tick === undefined) return nothing("malformed");
    ticks.push(tick);
  }
  return { kind, ticks };
}

/** The counter that a number's text is. */
function countOfText(text: unknown): Count | undefined {
  const value = Number(text);
  return countOf(Number.isSafeInteger(value) && String(value) === text ? value : text);
}

function trade(entry: Fields, times: Times): Tick | undefined {
  const { symbol, side, ord_type } = entry;
  const price = plainDecimal(entry.price), size = plainDecimal(entry.qty);
  const count = countOfText(entry.trade_id);
  if (
    typeof symbol !== "string" || (side !== "buy" && side !== "sell") || price === undefined || size === undefined ||
    count === undefined || times.timeSource !== undefined || (ord_type !== undefined && typeof ord_type !== "string")
  ) return undefined;
  const sequence = sequenceOf(count), id = String(count);
  const conditions = ord_type === undefined ? {} : { conditions: [ord_type] };
  return { type: "trade", venue: VENUE, symbol, ...times, sequence, id, price, size, side, ...conditions };
}

function quote(entry: Fields, times: Times): Tick | undefined {
  const { symbol } = entry;
  const bidPrice = plainDecimal(entry.bid), bidSize = plainDecimal(entry.bid_qty);
  const askPrice = plainDecimal(entry.ask), askSize = plainDecimal(entry.ask_qty);
  if (
    typeof symbol !== "string" || bidPrice === undefined || bidSize === undefined || askPrice === undefined ||
    askSize === undefined
  ) return undefined;
  const noBid = isNone(bidSize), noAsk = isNone(askSize);
  return {
    ...headOf("quote", VENUE, symbol, times, null),
    bidPrice: noBid ? null : bidPrice,
    bidSize: noBid ? null : bidSize,
    askPrice: noAsk ? null : askPrice,
    askSize: noAsk ? null : askSize,
  };
}

function books(frame: Fields, received: number | null, kind: "bookSnapshot" | "bookUpdate"): Mapped {
  const checksums: number[] = [];
  const made = ticksOf(frame, received, kind, (entry, times) => {
    const { symbol } = entry;
    const bids = levelsOf(entry.bids), asks = levelsOf(entry.asks);
    const checksum = countOfText(entry.checksum);
    if (
      typeof symbol !== "string" || bids === undefined || asks === undefined || typeof checksum !== "number" ||
      checksum >= 2 ** 32
    ) return undefined;
    checksums.push(checksum);
    return kind === "bookSnapshot"
      ? { ...headOf("book", VENUE, symbol, times, null), bids, asks }
      : { ...headOf("delta", VENUE, symbol, times, null), bids, asks, firstId: null, lastId: null, previousId: null };
  });
  if (made.kind === kind) return { ...made, checksums };
  const entries: readonly unknown[] = Array.isArray(frame.data) ? frame.data : [];
  const unread = entries.map((entry) => isFields(entry) ? entry.symbol : undefined)
    .filter((symbol) => typeof symbol === "string");
  // Of whom it does not name, the next frame's checksum tells.
  return unread.length === 0 ? made : { ...made, unread };
}

/** Pairs of one side, in the order in which they were sent. */
function levelsOf(side: unknown): Levels | undefined {
  if (!Array.isArray(side)) return undefined;
  const levels: Levels = [];
  for (const level of side as readonly unknown[]) {
    if (!isFields(level)) return undefined;
    const price = plainDecimal(level.price), size = plainDecimal(level.qty);
    if (price === undefined || size === undefined) return undefined;
    levels.push([price, size]);
  }
  return levels;
}

/** REST names assets by old codes that the websocket no longer knows. */
const CODES: Readonly<Record<string, string>> = { XBT: "BTC", XDG: "DOGE" };
/** Statuses in which orders meet. */
const OPEN: readonly unknown[] = ["online", "limit_only", "reduce_only"];

function pairsOf(answer: string): InstrumentPage | null {
  const { error, result } = fieldsOf(answer) ?? {};
  if (!Array.isArray(error) || error.length > 0 || !isFields(result)) return null;
  const instruments: Instrument[] = [];
  for (const pair of Object.values(result)) {
    // What has no such name is not on the websocket.
    if (!isFields(pair) || typeof pair.wsname !== "string") continue;
    const { wsname, tick_size: tickSize, pair_decimals: priceDigits, lot_decimals: sizeDigits, status } = pair;
    instruments.push({
      symbol: wsname.split("/").map((code) => Object.hasOwn(CODES, code) ? CODES[code] : code).join("/"),
      tickSize: plainDecimal(tickSize) ?? stepOf(priceDigits),
      lot: stepOf(sizeDigits),
      status: OPEN.includes(status) ? "trading" : status === "delisted" ? "closed" : "halted",
    });
  }
  return { instruments };
}

/** One in the last of so many digits after the point. */
function stepOf(digits: unknown): string | null {
  if (!Number.isInteger(digits) || (digits as number) < 0 || (digits as number) > FRACTION_DIGITS_MAX) return null;
  return digits === 0 ? "1" : `0.${"1".padStart(digits as number, "0")}`;
}

const NOTHING: readonly Tick[] = [];

function nothing(kind: Kind): Mapped {
  return { kind, ticks: NOTHING };
}
