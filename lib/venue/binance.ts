/**
 * Binance, as it speaks on its public websockets and in its REST answers: combined (`{"stream","data"}`) and raw frames
 * alike. Spot is venue `binance`, USD-M futures `binance-usdm`.
 *
 * **In** frames, **Out** trades, quotes, books and deltas. **Knows** `venue`, `fields`, `tick`.
 *
 * | channel               | recognised by            | kind             | becomes                                    | seen in  |
 * |-----------------------|--------------------------|------------------|--------------------------------------------|----------|
 * | `@trade`              | `e` = trade              | `trade`          | trade; T is its time, `m` true is a sell   | S, U     |
 * |                       | X other than MARKET      | `otherTrade`     | nothing: no match of the book (futures)    | golden   |
 * | `@bookTicker`         | keys u, s, b, B, a, A    | `bookTicker`     | quote; futures: T is its time, spot: none  | S, C, U  |
 * | `@depth`              | `e` = depthUpdate        | `depthUpdate`    | delta; its time is T (futures), else E     | S, C, U  |
 * | `@depth5`, 10, 20     | stream's name            | `partialDepth`   | book; symbol from the stream               | golden   |
 * | REST depth            | lastUpdateId, no stream  | `snapshot`       | book, where the request names the symbol   | S, C, U  |
 * | REST trades           | a list, id and isBuyerMaker | `history`     | trades, `backfill`; the request names the symbol | golden |
 * | `@aggTrade`           | `e`                      | `aggTrade`       | nothing: the same fills come as trades     | C        |
 * | `@kline_*`, tickers   | `e`                      | `kline`, `ticker`| nothing: derived from trades               | C, golden|
 * | `@markPrice`, `@forceOrder` | `e`                | `markPrice`, `liquidation` | nothing: no trade of the book    | golden   |
 * | answers               | result; code or error    | `ack`, `error`   | nothing                                    | golden   |
 * | REST exchangeInfo     | symbols                  | `exchangeInfo`   | nothing: instruments, and what they allow  | golden   |
 * | maintenance           | `e` = serverShutdown     | `serverShutdown` | nothing: the connection is about to end    | golden   |
 * | the other market      | X, pu, T on bookTicker   | `foreign`        | nothing: another market is another venue   | S, U     |
 * | known, fields missing | type or size of a field  | `malformed`      | nothing                                    | golden   |
 * | ids that fall         | U above u                | `malformed`      | nothing                                    | golden   |
 * | was not UTF-8         | U+FFFD                   | `malformed`      | nothing                                    | hostile  |
 * | no time of any clock  | spot, no received time   | `untimed`        | nothing: a time is never made up           | golden   |
 * | anything else         |                          | `unknown`        | nothing                                    | golden   |
 *
 * S: hftbacktest_spot_btcusdt_20240808.jsonl.gz, lines 1 (depth), 3 (bookTicker). C: cryptofeed_BINANCE.ws.1.0.txt and
 * .http.0.0.txt. U: hftbacktest_usdm_btcusdt_20240808.jsonl.gz. golden: testdata/venue/binance*.
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
  microsOf,
  plainDecimal,
  sequenceOf,
  timesOf,
  wideFieldsOf,
  wideListOf,
} from "../fields.ts";
import type { Tick } from "../tick.ts";
import type { Instrument, InstrumentPage, Live, Mapped, Subscription, Venue } from "../venue.ts";

const KINDS = [
  "trade",
  "otherTrade",
  "bookTicker",
  "depthUpdate",
  "partialDepth",
  "snapshot",
  "history",
  "aggTrade",
  "kline",
  "ticker",
  "markPrice",
  "liquidation",
  "ack",
  "error",
  "serverShutdown",
  "exchangeInfo",
  "foreign",
  "malformed",
  "untimed",
  "unknown",
] as const;
type Kind = typeof KINDS[number];

/** Frames that give no tick, by their event. */
const SILENT: Readonly<Record<string, Kind>> = {
  aggTrade: "aggTrade",
  kline: "kline",
  serverShutdown: "serverShutdown",
  markPriceUpdate: "markPrice",
  forceOrder: "liquidation",
  "24hrTicker": "ticker",
  "24hrMiniTicker": "ticker",
  "1hTicker": "ticker",
  "4hTicker": "ticker",
  "1dTicker": "ticker",
  avgPrice: "ticker",
};

export const venues: readonly Venue[] = [marketOf("binance", false), marketOf("binance-usdm", true)];

function marketOf(name: string, isFutures: boolean): Venue {
  return {
    name,
    kinds: KINDS.filter((kind) =>
      isFutures || (kind !== "otherTrade" && kind !== "markPrice" && kind !== "liquidation")
    ),
    // Trade ids rise by one a symbol. `u` counts every change of the book, of which a bookTicker shows only some; a
    // depth event's chain lies in its ids, its sequence only rises. An unchanged book is sent again as it is.
    disciplines: { trade: "contiguous", quote: "rising", book: "none", delta: "rising", status: "none" },
    books: isFutures ? "link" : "splice",
    live: liveOf(isFutures),
    map(frame, receivedTime, symbol) {
      // Stands for bytes that were not UTF-8: what they said is not known, and two of them would look the same.
      if (frame.includes("\ufffd")) return nothing("malformed");
      if (frame.charCodeAt(0) === 91) {
        return history(wideListOf(frame), { venue: name, isFutures, received: receivedTime, symbol });
      }
      const plain = opened(fieldsOf(frame));
      if (plain === undefined) return nothing("malformed");
      const { t, u, U, pu, lastUpdateId } = plain.data;
      const isWide = isUnsafe(t) || isUnsafe(u) || isUnsafe(U) || isUnsafe(pu) || isUnsafe(lastUpdateId);
      const exact = isWide ? opened(wideFieldsOf(frame)) : plain;
      if (exact === undefined) return nothing("malformed");
      return mapped(exact, { venue: name, isFutures, received: receivedTime, symbol });
    },
    instruments: instrumentsOf,
    symbolOf(request) {
      return URL.parse(request)?.searchParams.get("symbol") ?? undefined;
    },
  };
}

const STREAMS = { trade: "trade", quote: "bookTicker", book: "depth@100ms" } as const;
/** Streams named in one request: the venue bounds none, but a line of them all would be long. */
const STREAMS_AT_ONCE = 100;

function liveOf(isFutures: boolean): Live {
  const streamsOf = ({ symbols, channels }: Subscription): string[] =>
    symbols.flatMap((symbol) => channels.map((channel) => `${symbol.toLowerCase()}@${STREAMS[channel]}`));
  const requests = (method: string, subscription: Subscription, id: number): string[] => {
    const streams = streamsOf(subscription);
    const made: string[] = [];
    for (let at = 0; at < streams.length; at += STREAMS_AT_ONCE) {
      made.push(JSON.stringify({ method, params: streams.slice(at, at + STREAMS_AT_ONCE), id: id + made.length }));
    }
    return made;
  };
  const depth = isFutures ? "/fapi/v1/depth?limit=1000&symbol=" : "/api/v3/depth?limit=5000&symbol=";
  const api = isFutures ? "/fapi/v1" : "/api/v3";
  return {
    channels: ["trade", "quote", "book"],
    // Streams are named in lower case, whatever was asked for.
    spelled: (symbol) => symbol.toUpperCase(),
    base: isFutures ? "wss://fstream.binance.com" : "wss://stream.binance.com:9443",
    path: () => "/stream",
    subscribe: (subscription, id) => requests("SUBSCRIBE", subscription, id),
    unsubscribe: (subscription, id) => requests("UNSUBSCRIBE", subscription, id),
    answer(frame) {
      const { result, error, code, msg, id } = fieldsOf(frame) ?? {};
      const request = typeof id === "number" ? { id } : {};
      if (result === null) return { refused: null, ...request };
      const said = isFields(error) ? error.msg : code !== undefined ? msg : undefined;
      return said === undefined ? null : { refused: String(said), ...request };
    },
    // The venue's own pings are answered by the socket, which shows them to nobody: quiet instruments are asked about.
    heartbeat: { message: '{"method":"LIST_SUBSCRIPTIONS","id":0}', everyMs: 20_000 },
    isBeat: (frame) => frame.startsWith('{"result":['),
    // Spot says so before maintenance, as a stream of its own that nobody asks for.
    ...(!isFutures && { isEnding: (frame) => frame.length < 256 && frame.includes('"e":"serverShutdown"') }),
    silentMs: 60_000,
    lifetimeMs: 24 * 3_600_000,
    topicsMax: isFutures ? 200 : 1_024,
    messagesPerSecond: isFutures ? 10 : 5,
    rest: {
      base: isFutures ? "https://fapi.binance.com" : "https://api.binance.com",
      snapshot: (symbol) => depth + encodeURIComponent(symbol),
      trades: (symbol, fromId) =>
        `${api}/historicalTrades?limit=1000&symbol=${encodeURIComponent(symbol)}&fromId=${encodeURIComponent(fromId)}`,
      // Who may trade what is most of the answer on spot, and nobody asks for it here.
      instruments: () => `${api}/exchangeInfo${isFutures ? "" : "?showPermissionSets=false"}`,
      requestsPerMinute: isFutures ? 100 : 24,
    },
  };
}

/** What is known of a frame besides its text. */
interface Context {
  readonly venue: string;
  readonly isFutures: boolean;
  readonly received: number | null;
  readonly symbol: string | undefined;
}

interface Opened {
  /** Name of the stream in a combined frame. */
  readonly stream: string | undefined;
  readonly data: Fields;
}

/** The frame's object, out of its envelope. */
function opened(value: Fields | undefined): Opened | undefined {
  if (value === undefined) return undefined;
  if (typeof value.stream !== "string" || !isFields(value.data)) return { stream: undefined, data: value };
  return { stream: value.stream, data: value.data };
}

function mapped({ stream, data }: Opened, context: Context): Mapped {
  switch (data.e) {
    case "trade":
      return trade(data, context);
    case "depthUpdate":
      return depth(data, stream, context);
    case "bookTicker":
      return context.isFutures ? quote(data, context) : nothing("foreign");
    case undefined:
      break;
    default:
      return nothing(typeof data.e === "string" && Object.hasOwn(SILENT, data.e) ? SILENT[data.e]! : "unknown");
  }
  if (data.lastUpdateId !== undefined) {
    const symbol = stream === undefined ? context.symbol : symbolOfStream(stream);
    return book(data, stream === undefined ? "snapshot" : "partialDepth", symbol, context);
  }
  if (data.u !== undefined && (data.b !== undefined || data.a !== undefined)) return quote(data, context);
  if (Array.isArray(data.symbols)) return nothing("exchangeInfo");
  if (data.error !== undefined || (data.code !== undefined && data.msg !== undefined)) return nothing("error");
  return nothing(data.result !== undefined ? "ack" : "unknown");
}

const symbolOfStream = (stream: string): string => stream.split("@", 1)[0]!.toUpperCase();

function trade(data: Fields, { venue, isFutures, received }: Context): Mapped {
  if ((data.X !== undefined) !== isFutures) return nothing("foreign");
  const { s: symbol, p: price, q: size, m: sold } = data;
  const eventTime = microsOf(data.T);
  const count = countOf(data.t);
  if (
    typeof symbol !== "string" || typeof price !== "string" || typeof size !== "string" || typeof sold !== "boolean" ||
    eventTime === undefined || count === undefined
  ) return nothing("malformed");
  // Insurance fund and the like: the book was not touched.
  if (isFutures && data.X !== "MARKET") return nothing("otherTrade");
  const receivedTime = received ?? microsOf(data.E) ?? eventTime;
  const sequence = sequenceOf(count), id = String(count);
  const side = sold ? "sell" : "buy";
  return {
    kind: "trade" satisfies Kind,
    ticks: [{ type: "trade", venue, symbol, eventTime, receivedTime, sequence, id, price, size, side }],
  };
}

function history(rows: readonly unknown[] | undefined, { venue, received, symbol }: Context): Mapped {
  if (rows === undefined) return nothing("malformed");
  const ticks: Tick[] = [];
  for (const row of rows) {
    if (!isFields(row)) return nothing("malformed");
    const { price, qty: size, isBuyerMaker: sold } = row;
    const eventTime = microsOf(row.time);
    const count = countOf(row.id);
    if (
      typeof price !== "string" || typeof size !== "string" || typeof sold !== "boolean" || eventTime === undefined ||
      count === undefined
    ) return nothing("malformed");
    if (symbol === undefined) continue;
    const sequence = sequenceOf(count), id = String(count);
    ticks.push({
      ...{ type: "trade", venue, symbol, eventTime, receivedTime: received ?? eventTime, sequence, id },
      ...{ source: "backfill", price, size, side: sold ? "sell" : "buy" },
    });
  }
  return { kind: "history" satisfies Kind, ticks };
}

function quote(data: Fields, { venue, isFutures, received }: Context): Mapped {
  if ((data.T !== undefined) !== isFutures) return nothing("foreign");
  const { s: symbol, b: bid, B: bids, a: ask, A: asks } = data;
  const count = countOf(data.u);
  const eventTime = microsOf(data.T);
  if (
    typeof symbol !== "string" || typeof bid !== "string" || typeof bids !== "string" || typeof ask !== "string" ||
    typeof asks !== "string" || count === undefined || (isFutures && eventTime === undefined)
  ) return nothing("malformed");
  const times = timesOf(eventTime, received);
  if (times === undefined) return nothing("untimed");
  const noBid = isNone(bids), noAsk = isNone(asks);
  return {
    kind: "bookTicker" satisfies Kind,
    ticks: [{
      ...headOf("quote", venue, symbol, times, count),
      bidPrice: noBid ? null : bid,
      bidSize: noBid ? null : bids,
      askPrice: noAsk ? null : ask,
      askSize: noAsk ? null : asks,
    }],
  };
}

function depth(data: Fields, stream: string | undefined, { venue, isFutures, received }: Context): Mapped {
  if ((data.pu !== undefined) !== isFutures) return nothing("foreign");
  const { s: symbol, b: bids, a: asks } = data;
  const eventTime = microsOf(isFutures ? data.T : data.E);
  const first = countOf(data.U), last = countOf(data.u);
  const previous = isFutures ? countOf(data.pu) : null;
  if (
    typeof symbol !== "string" || !isLevels(bids) || !isLevels(asks) || eventTime === undefined ||
    first === undefined || last === undefined || previous === undefined || isAbove(first, last)
  ) return typeof symbol === "string" ? { ...nothing("malformed"), unread: [symbol] } : nothing("malformed");
  const times = { eventTime, receivedTime: received ?? microsOf(data.E) ?? eventTime };
  // Futures send the best levels in the shape of a change; the stream's name alone tells.
  if (stream !== undefined && /@depth\d/.test(stream.replace(/@\d+ms$/, "")) && isFutures) {
    return {
      kind: "partialDepth" satisfies Kind,
      ticks: [{ ...headOf("book", venue, symbol, times, last), bids, asks }],
    };
  }
  return {
    kind: "depthUpdate" satisfies Kind,
    ticks: [{
      ...headOf("delta", venue, symbol, times, last),
      bids,
      asks,
      firstId: sequenceOf(first),
      lastId: sequenceOf(last),
      previousId: previous === null ? null : sequenceOf(previous),
    }],
  };
}

const isAbove = (a: Count, b: Count): boolean =>
  typeof a === "number" && typeof b === "number" ? a > b : BigInt(a) > BigInt(b);

function book(data: Fields, kind: Kind, symbol: string | undefined, { venue, received }: Context): Mapped {
  const { bids, asks } = data;
  const count = countOf(data.lastUpdateId);
  if (!isLevels(bids) || !isLevels(asks) || count === undefined) return nothing("malformed");
  if (symbol === undefined) return nothing(kind);
  const times = timesOf(microsOf(data.T), received);
  if (times === undefined) return nothing("untimed");
  return { kind, ticks: [{ ...headOf("book", venue, symbol, times, count), bids, asks }] };
}

/** Status of what will not trade again. */
const CLOSED: readonly unknown[] = ["CLOSE", "DELIVERED"];

function instrumentsOf(answer: string): InstrumentPage | null {
  const { symbols } = fieldsOf(answer) ?? {};
  if (!Array.isArray(symbols)) return null;
  const instruments: Instrument[] = [];
  for (const entry of symbols) {
    if (!isFields(entry) || typeof entry.symbol !== "string") continue;
    const { symbol, status, filters } = entry;
    instruments.push({
      symbol,
      tickSize: stepOf(filters, "PRICE_FILTER", "tickSize"),
      lot: stepOf(filters, "LOT_SIZE", "stepSize"),
      status: status === "TRADING" ? "trading" : CLOSED.includes(status) ? "closed" : "halted",
    });
  }
  return { instruments };
}

/** What a filter allows steps of. */
function stepOf(filters: unknown, type: string, name: string): string | null {
  const all: readonly unknown[] = Array.isArray(filters) ? filters : [];
  const filter = all.filter(isFields).find(({ filterType }) => filterType === type);
  return plainDecimal(filter?.[name]) ?? null;
}

const NOTHING: readonly Tick[] = [];

function nothing(kind: Kind): Mapped {
  return { kind, ticks: NOTHING };
}
