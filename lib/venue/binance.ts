/**
 * Binance spot, as it speaks on its public websocket: combined (`{"stream","data"}`) and raw frames alike.
 *
 * **In** frames, **Out** trades, quotes, books and deltas of venue `binance`. **Knows** `venue`, `tick`, `decimal`.
 *
 * | channel               | recognised by            | kind             | becomes                                    | seen in  |
 * |-----------------------|--------------------------|------------------|--------------------------------------------|----------|
 * | `@trade`              | `e` = trade              | `trade`          | trade; T is its time, `m` true is a sell   | S, golden|
 * | `@bookTicker`         | keys u, s, b, B, a, A    | `bookTicker`     | quote without a venue time                 | S, C     |
 * | `@depth`              | `e` = depthUpdate        | `depthUpdate`    | delta; E is its time                       | S, C     |
 * | `@depth5`, 10, 20     | stream and lastUpdateId  | `partialDepth`   | book; symbol from the stream, no time      | golden   |
 * | REST depth            | lastUpdateId alone       | `snapshot`       | nothing: it names no symbol                | S        |
 * | `@aggTrade`           | `e`                      | `aggTrade`       | nothing: the same fills come as trades     | C        |
 * | `@kline_*`, tickers   | `e`                      | `kline`, `ticker`| nothing: derived from trades               | C, golden|
 * | answers               | result; code or error    | `ack`, `error`   | nothing                                    | golden   |
 * | maintenance           | `e` = serverShutdown     | `serverShutdown` | nothing: it names no symbol                | golden   |
 * | futures               | X, pu, or T on bookTicker| `foreign`        | nothing: another market is another venue   | U        |
 * | known, fields missing | type or size of a field  | `malformed`      | nothing                                    | golden   |
 * | ids that fall         | U above u                | `malformed`      | nothing                                    | golden   |
 * | was not UTF-8         | U+FFFD                   | `malformed`      | nothing                                    | hostile  |
 * | no time of any clock  | plain line of bookTicker | `untimed`        | nothing: a time is never made up           | golden   |
 * | anything else         |                          | `unknown`        | nothing                                    | golden   |
 *
 * S: hftbacktest_spot_btcusdt_20240808.jsonl.gz, lines 1 (depth), 3 (bookTicker). C: cryptofeed_BINANCE.ws.1.0.txt.
 * U: hftbacktest_usdm_btcusdt_20240808.jsonl.gz. golden: testdata/frames/binance.
 */
import { isDecimal, sign } from "../decimal.ts";
import { isMicros, type Tick } from "../tick.ts";
import type { Mapped, Venue } from "../venue.ts";

const KINDS = [
  "trade",
  "bookTicker",
  "depthUpdate",
  "partialDepth",
  "snapshot",
  "aggTrade",
  "kline",
  "ticker",
  "ack",
  "error",
  "serverShutdown",
  "foreign",
  "malformed",
  "untimed",
  "unknown",
] as const;
type Kind = typeof KINDS[number];
type Fields = Readonly<Record<string, unknown>>;
type Levels = [string, string][];

const VENUE = "binance";
const TICKERS = new Set(["24hrTicker", "24hrMiniTicker", "1hTicker", "4hTicker", "1dTicker", "avgPrice"]);

export const venue: Venue = {
  name: VENUE,
  kinds: KINDS,
  // Trade ids rise by one a symbol. `u` counts every change of the book, of which a bookTicker shows only some; a
  // depth event's chain lies in firstId and lastId, its sequence only rises. An unchanged book is sent again as it is.
  disciplines: { trade: "contiguous", quote: "rising", book: "none", delta: "rising", status: "none" },
  map(frame, receivedTime) {
    // Stands for bytes that were not UTF-8: what they said is not known, and two of them would look the same.
    if (frame.includes("\ufffd")) return nothing("malformed");
    const opened = open(frame, false);
    if (opened === undefined) return nothing("malformed");
    const { data } = opened;
    if (!unsafe(data.t) && !unsafe(data.u) && !unsafe(data.U) && !unsafe(data.lastUpdateId)) {
      return mapped(opened, receivedTime);
    }
    const exact = open(frame, true);
    return exact === undefined ? nothing("malformed") : mapped(exact, receivedTime);
  },
};

interface Opened {
  /** Name of the stream in a combined frame. */
  readonly stream: string | undefined;
  readonly data: Fields;
}

/** The frame's object, out of its envelope. `exact` keeps integers beyond 2^53 as their text, at five times the cost. */
function open(frame: string, exact: boolean): Opened | undefined {
  let value: unknown;
  try {
    value = exact ? JSON.parse(frame, exactly) : JSON.parse(frame);
  } catch {
    // A reviver also fails, with RangeError, on nesting deeper than the stack.
    return undefined;
  }
  if (!isFields(value)) return { stream: undefined, data: {} };
  if (typeof value.stream !== "string" || !isFields(value.data)) return { stream: undefined, data: value };
  return { stream: value.stream, data: value.data };
}

function exactly(_key: string, value: unknown, context?: { readonly source?: string }): unknown {
  return unsafe(value) && context?.source !== undefined && /^\d{1,128}$/.test(context.source) ? context.source : value;
}

function mapped({ stream, data }: Opened, received: number | null): Mapped {
  switch (data.e) {
    case "trade":
      return trade(data, received);
    case "depthUpdate":
      return depth(data, received);
    case "bookTicker":
      return nothing("foreign");
    case "aggTrade":
    case "kline":
    case "serverShutdown":
      return nothing(data.e);
    case undefined:
      break;
    default:
      return nothing(typeof data.e === "string" && TICKERS.has(data.e) ? "ticker" : "unknown");
  }
  if (data.lastUpdateId !== undefined) return stream === undefined ? nothing("snapshot") : book(data, stream, received);
  if (data.u !== undefined && (data.b !== undefined || data.a !== undefined)) return quote(data, received);
  if (data.error !== undefined || (data.code !== undefined && data.msg !== undefined)) return nothing("error");
  return nothing(data.result !== undefined ? "ack" : "unknown");
}

function trade(data: Fields, received: number | null): Mapped {
  if (data.X !== undefined) return nothing("foreign");
  const { s: symbol, p: price, q: size, m: sold } = data;
  const eventTime = microsOf(data.T);
  const count = countOf(data.t);
  if (
    typeof symbol !== "string" || typeof price !== "string" || typeof size !== "string" || typeof sold !== "boolean" ||
    eventTime === undefined || count === undefined
  ) return nothing("malformed");
  const receivedTime = received ?? microsOf(data.E) ?? eventTime;
  const { sequence } = count;
  const id = count.text;
  const side = sold ? "sell" : "buy";
  return {
    kind: "trade" satisfies Kind,
    ticks: [{ type: "trade", venue: VENUE, symbol, eventTime, receivedTime, sequence, id, price, size, side }],
  };
}

function quote(data: Fields, received: number | null): Mapped {
  if (data.T !== undefined) return nothing("foreign");
  const { s: symbol, b: bid, B: bids, a: ask, A: asks } = data;
  const count = countOf(data.u);
  if (
    typeof symbol !== "string" || typeof bid !== "string" || typeof bids !== "string" || typeof ask !== "string" ||
    typeof asks !== "string" || count === undefined
  ) return nothing("malformed");
  if (received === null) return nothing("untimed");
  const noBid = isNone(bids), noAsk = isNone(asks);
  return {
    kind: "bookTicker" satisfies Kind,
    ticks: [{
      type: "quote",
      venue: VENUE,
      symbol,
      eventTime: received,
      receivedTime: received,
      timeSource: "received",
      ...identity(count),
      bidPrice: noBid ? null : bid,
      bidSize: noBid ? null : bids,
      askPrice: noAsk ? null : ask,
      askSize: noAsk ? null : asks,
    }],
  };
}

function depth(data: Fields, received: number | null): Mapped {
  if (data.pu !== undefined) return nothing("foreign");
  const { s: symbol, b: bids, a: asks } = data;
  const eventTime = microsOf(data.E);
  const first = countOf(data.U), last = countOf(data.u);
  if (
    typeof symbol !== "string" || !isLevels(bids) || !isLevels(asks) || eventTime === undefined ||
    first === undefined || last === undefined || BigInt(first.text) > BigInt(last.text)
  ) return nothing("malformed");
  return {
    kind: "depthUpdate" satisfies Kind,
    ticks: [{
      type: "delta",
      venue: VENUE,
      symbol,
      eventTime,
      receivedTime: received ?? eventTime,
      ...identity(last),
      bids,
      asks,
      firstId: first.sequence,
      lastId: last.sequence,
      previousId: null,
    }],
  };
}

function book(data: Fields, stream: string, received: number | null): Mapped {
  const { bids, asks } = data;
  const count = countOf(data.lastUpdateId);
  if (!isLevels(bids) || !isLevels(asks) || count === undefined) return nothing("malformed");
  if (received === null) return nothing("untimed");
  return {
    kind: "partialDepth" satisfies Kind,
    ticks: [{
      type: "book",
      venue: VENUE,
      symbol: stream.split("@", 1)[0]!.toUpperCase(),
      eventTime: received,
      receivedTime: received,
      timeSource: "received",
      ...identity(count),
      bids,
      asks,
    }],
  };
}

const NOTHING: readonly Tick[] = [];

function nothing(kind: Kind): Mapped {
  return { kind, ticks: NOTHING };
}

/** A counter: a safe integer and its text; beyond 2^53 the text alone. */
interface Count {
  readonly sequence: number | null;
  readonly text: string;
}

function countOf(value: unknown): Count | undefined {
  if (typeof value === "string") return /^\d{16,128}$/.test(value) ? { sequence: null, text: value } : undefined;
  if (!Number.isSafeInteger(value) || (value as number) < 0) return undefined;
  return { sequence: value as number, text: String(value) };
}

/** Sequence and id of what has no trade id: the id speaks only where the sequence cannot. */
function identity({ sequence, text }: Count): { readonly sequence: number | null; readonly id: string | null } {
  return { sequence, id: sequence === null ? text : null };
}

/**
 * µs of a time in ms or in µs (`timeUnit=MICROSECOND`, archives since 2025). The two magnitudes are 10^12 … 10^13 and
 * 10^15 … 10^16 between 2001 and 2286, so neither passes for the other; what is neither, or no time of a tick, is no time.
 */
function microsOf(value: unknown): number | undefined {
  if (!Number.isSafeInteger(value)) return undefined;
  const time = value as number;
  const micros = time < 1e13 ? time * 1000 : time;
  return isMicros(micros) ? micros : undefined;
}

const isFields = (v: unknown): v is Fields => typeof v === "object" && v !== null && !Array.isArray(v);
const unsafe = (v: unknown): boolean => typeof v === "number" && !Number.isSafeInteger(v);
/** A size of zero says that the side is absent; an empty text says nothing and is left to be judged. */
const isNone = (size: string): boolean => size.charCodeAt(0) === 48 && isDecimal(size) && sign(size) === 0;
const isLevels = (v: unknown): v is Levels =>
  Array.isArray(v) &&
  v.every((l) => Array.isArray(l) && l.length === 2 && typeof l[0] === "string" && typeof l[1] === "string");
