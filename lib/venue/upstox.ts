/**
 * Upstox, as its market data feed v3 speaks of the exchanges of India: bytes of protobuf, whose frame is their base64, or
 * the same decoded to JSON. Its address is asked for anew before each connection, and requests that are no bytes it passes
 * over in silence. It answers none: whoever it knows has a snapshot, of all others it says nothing.
 *
 * **In** frames, **Out** quotes, books and volumes, of which `conflation` makes trades. **Knows** `venue`, `fields`, `tick`.
 *
 * | what it says          | recognised by                | kind          | becomes                                      | seen in |
 * |-----------------------|------------------------------|---------------|----------------------------------------------|---------|
 * | all that is so far    | no `type`, feeds             | `initialFeed` | as below                                     | I       |
 * | what changed          | `type` = live_feed           | `liveFeed`    | as below; currentTs is its time              | I, D    |
 * | five or thirty levels | marketFF.marketLevel         |               | book of all levels, and quote of the best    | I       |
 * | one level             | firstLevelWithGreeks         |               | quote                                        | D       |
 * | a side without price  | bidP, askP missing           |               | that level is left out: orders at any price  | golden  |
 * | an empty message      | `{}`, no rows                |               | nothing: what it has not is sent so as well  | golden  |
 * | volume of the day     | vtt, with ltp and ltt        |               | volume; its session is the day of ltt        | I, D    |
 * | greeks, oi, OHLC, sums| other fields                 |               | nothing                                      | I, D    |
 * | last prices alone     | ltpc, indexFF, no vtt        | `ltpc`        | nothing: not each trade is told, so that the sum of ltq is not what was traded | D |
 * | state of the segments | `type` = market_info         | `marketInfo`  | nothing: it names no instrument; live, that the connection stands, and who rests | I, D |
 * | of another type       | text for a number and so on  | `malformed`   | nothing of the whole frame                   | golden  |
 * | no base64, no protobuf|                              | `malformed`   | nothing                                      | golden  |
 * | no time of any clock  | no currentTs, none received  | `untimed`     | nothing: a time is never made up             | D       |
 * | anything else         | other `type`                 | `unknown`     | nothing                                      | golden  |
 *
 * Its numbers are doubles: their shortest text is exact. A zero is not on its wire, so zero says no more than a missing one.
 * I: upstox_v3_full_ICICIBANK_2025-03-19_decoded.jsonl. D: upstox_v3_doc_samples_decoded.jsonl. golden: testdata/venue/upstox.
 */
import { BinaryReader, WireType } from "@bufbuild/protobuf/wire";
import { type Fields, fieldsOf, headOf, isFields, type Levels, microsOf, plainDecimal, timesOf } from "../fields.ts";
import type { Tick } from "../tick.ts";
import type { Beat, Channel, Live, Mapped, Subscription, Venue, Volume } from "../venue.ts";

const KINDS = ["initialFeed", "liveFeed", "ltpc", "marketInfo", "malformed", "untimed", "unknown"] as const;
type Kind = typeof KINDS[number];

/** Bounds its connections: instruments of each mode that one may carry where all of it are of that mode. */
const KEYS_MAX = { full: 2_000, option_greeks: 3_000 } as const;
/** Instruments of one request; the venue bounds none. */
const KEYS_OF_REQUEST = 500;

/** All levels, or the best one; both tell the volume. Of a share nobody has seen the second, nor of it the first alone. */
const modeOf = (channels: readonly Channel[]): keyof typeof KEYS_MAX =>
  channels.includes("book") ? "full" : "option_greeks";

const live: Live = {
  channels: ["trade", "quote", "book"],
  // The only host that its answers were seen to name.
  base: "wss://wsfeeder-api.upstox.com",
  secret: "UPSTOX_TOKEN",
  path: () => "",
  authorize: {
    path: "/v3/feed/market-data-feed/authorize",
    address(answer) {
      const { data } = fieldsOf(answer) ?? {};
      const address = isFields(data) ? data.authorized_redirect_uri ?? data.authorizedRedirectUri : undefined;
      return typeof address === "string" ? address : null;
    },
  },
  takesBytes: true,
  subscribe: (subscription, id) => requests("sub", subscription, id, { mode: modeOf(subscription.channels) }),
  unsubscribe: (subscription, id) => requests("unsub", subscription, id),
  answer(frame) {
    const { type, feeds } = read(frame) ?? {};
    return isFields(feeds) && kindOf(type, feeds) === "initialFeed"
      ? { refused: null, symbols: Object.keys(feeds) }
      : null;
  },
  // The first field, 1, of value 2.
  isBeat: (frame) => frame.startsWith("CAI") || frame.startsWith('{"type":"market_info"'),
  resting,
  // It pings by frames of the socket, which nobody here sees; in a session whatever is traded at all moves within this.
  silentMs: 120_000,
  topicsMax: KEYS_MAX.full,
  symbolsMax: (channels) => KEYS_MAX[modeOf(channels)],
  // How often it may be spoken to is nowhere said.
  messagesPerSecond: 10,
  rest: { base: "https://api.upstox.com", requestsPerMinute: 60 },
};

function requests(method: string, { symbols }: Subscription, id: number, how: object = {}): string[] {
  return Array.from({ length: Math.ceil(symbols.length / KEYS_OF_REQUEST) }, (_, i) => {
    const instrumentKeys = symbols.slice(i * KEYS_OF_REQUEST, (i + 1) * KEYS_OF_REQUEST);
    return JSON.stringify({ guid: String(id + i), method, data: { ...how, instrumentKeys } });
  });
}

export const venues: readonly Venue[] = [{
  name: "upstox",
  kinds: KINDS,
  disciplines: { trade: "none", quote: "none", book: "none", delta: "none", status: "none" },
  books: "whole",
  live,
  map(frame, receivedTime) {
    // Stands for bytes that were not UTF-8: what they said is not known.
    if (frame.includes("\ufffd")) return nothing("malformed");
    const response = read(frame);
    return response === undefined ? nothing("malformed") : mapped(response, receivedTime);
  },
}];

const read = (frame: string): Fields | undefined => frame.startsWith("{") ? fieldsOf(frame) : decoded(frame);

/** What is read of a message, by the numbers of its fields; others are skipped, also those that nobody knows yet. */
type Shape = { readonly [number: number]: readonly [name: string, type: keyof typeof WIRE, of?: Shape] };
const WIRE = {
  double: WireType.Bit64,
  int64: WireType.Varint,
  enum: WireType.Varint,
  text: WireType.LengthDelimited,
  message: WireType.LengthDelimited,
  list: WireType.LengthDelimited,
  map: WireType.LengthDelimited,
} as const;

const LTPC: Shape = { 1: ["ltp", "double"], 2: ["ltt", "int64"] };
const QUOTE: Shape = {
  1: ["bidQ", "int64"],
  2: ["bidP", "double"],
  3: ["askQ", "int64"],
  4: ["askP", "double"],
};
const MARKET: Shape = {
  1: ["ltpc", "message", LTPC],
  2: ["marketLevel", "message", { 1: ["bidAskQuote", "list", QUOTE] }],
  6: ["vtt", "int64"],
};
const FIRST_LEVEL: Shape = {
  1: ["ltpc", "message", LTPC],
  2: ["firstDepth", "message", QUOTE],
  4: ["vtt", "int64"],
};
const FEED: Shape = {
  2: ["fullFeed", "message", { 1: ["marketFF", "message", MARKET] }],
  3: ["firstLevelWithGreeks", "message", FIRST_LEVEL],
};
const RESPONSE: Shape = {
  1: ["type", "enum"],
  2: ["feeds", "map", { 1: ["key", "text"], 2: ["value", "message", FEED] }],
  3: ["currentTs", "int64"],
  // States are kept as their numbers.
  4: ["marketInfo", "message", { 1: ["segmentStatus", "map", { 1: ["key", "text"], 2: ["value", "int64"] }] }],
};
/** Values of `type`, the only enum whose names are known here; a later one is its number. */
const TYPES = ["initial_feed", "live_feed", "market_info"];

/** What the bytes say, in the form that protobuf gives its messages in JSON; undefined where they are no message. */
function decoded(base64: string): Fields | undefined {
  try {
    const bytes = Uint8Array.fromBase64(base64);
    return bytes.length === 0 ? undefined : message(new BinaryReader(bytes), RESPONSE, bytes.length, {});
  } catch {
    // No base64, bytes that end too early, text that is not UTF-8.
    return undefined;
  }
}

/** Reads a message up to its end into `into`. @throws {Error} when it is none */
function message(reader: BinaryReader, shape: Shape, end: number, into: Record<string, unknown>): Fields {
  while (reader.pos < end) {
    const [number, wire] = reader.tag();
    const field = shape[number];
    if (field === undefined || wire !== WIRE[field[1]]) {
      reader.skip(wire, number);
      continue;
    }
    const [name, type, of = {}] = field;
    if (type === "double") into[name] = reader.double();
    else if (type === "int64") into[name] = String(reader.int64());
    else if (type === "text") into[name] = reader.string(true);
    else if (type === "enum") {
      const value = reader.int32();
      into[name] = TYPES[value] ?? value;
    } else {
      const ends = reader.uint32() + reader.pos;
      // A name has one type, so what stands there already is of this one. What comes twice is one message.
      if (type === "message") message(reader, of, ends, (into[name] ??= {}) as Record<string, unknown>);
      else if (type === "list") ((into[name] ??= []) as Fields[]).push(message(reader, of, ends, {}));
      else {
        const { key = "", value = {} } = message(reader, of, ends, {});
        ((into[name] ??= Object.create(null)) as Record<string, unknown>)[String(key)] = value;
      }
    }
  }
  if (reader.pos > end) throw new RangeError("a field ends after the message that it is in");
  return into;
}

function mapped({ type, feeds, currentTs }: Fields, received: number | null): Mapped {
  const kind = kindOf(type, feeds);
  if (kind !== "initialFeed" && kind !== "liveFeed") return nothing(kind);
  if (!isFields(feeds)) return nothing("malformed");
  const heard: Heard[] = [];
  for (const symbol of Object.keys(feeds)) {
    const one = heardOf(symbol, feeds[symbol]);
    if (one === undefined) return nothing("malformed");
    if (one !== null) heard.push(one);
  }
  if (heard.length === 0) return nothing("ltpc");
  const times = timesOf(timeOf(currentTs), received);
  if (times === undefined) return nothing("untimed");
  const ticks: Tick[] = [];
  const volumes: Volume[] = [];
  for (const { symbol, depth, isWhole, volume } of heard) {
    if (depth !== null) {
      const [bidPrice, bidSize] = depth.bids[0] ?? [null, null];
      const [askPrice, askSize] = depth.asks[0] ?? [null, null];
      ticks.push({ ...headOf("quote", "upstox", symbol, times, null), bidPrice, bidSize, askPrice, askSize });
      if (isWhole) ticks.push({ ...headOf("book", "upstox", symbol, times, null), bids: depth.bids, asks: depth.asks });
    }
    if (volume !== null) volumes.push({ symbol, receivedTime: times.receivedTime, ...volume });
  }
  return volumes.length === 0 ? { kind, ticks } : { kind, ticks, volumes };
}

function kindOf(type: unknown, feeds: unknown): Kind {
  switch (type) {
    case undefined:
      // The first value of an enum is a zero, and so not on the wire.
      return feeds === undefined ? "unknown" : "initialFeed";
    case "initial_feed":
      return "initialFeed";
    case "live_feed":
      return "liveFeed";
    case "market_info":
      return "marketInfo";
    default:
      return "unknown";
  }
}

/** What a frame says of one instrument. */
interface Heard {
  readonly symbol: string;
  readonly depth: Depth | null;
  /** Whether that is all of the book that there is to be had, or its best level alone. */
  readonly isWhole: boolean;
  readonly volume: Pick<Volume, "price" | "total" | "tradedAt" | "session"> | null;
}
interface Depth {
  readonly bids: Levels;
  readonly asks: Levels;
}

/** Null where nothing is said but the last price, undefined where something is of another type. */
function heardOf(symbol: string, feed: unknown): Heard | null | undefined {
  if (!isFields(feed)) return undefined;
  const isWhole = feed.fullFeed !== undefined;
  const detail = isWhole ? innerOf(innerOf(feed, "fullFeed"), "marketFF") : innerOf(feed, "firstLevelWithGreeks");
  const level = innerOf(detail, isWhole ? "marketLevel" : "firstDepth");
  const depth = level && depthOf(isWhole ? level.bidAskQuote ?? NO_ROWS : [level]);
  const volume = volumeOf(innerOf(detail, "ltpc"), detail?.vtt);
  if (detail === undefined || depth === undefined || volume === undefined) return undefined;
  // One level that has no price is no more than an empty message.
  const isEmpty = depth === null || !isWhole && depth.bids.length + depth.asks.length === 0;
  return isEmpty && volume === null ? null : { symbol, depth: isEmpty ? null : depth, isWhole, volume };
}

/** The message in a field: an empty one where it is missing, undefined where it is of another type. */
function innerOf(fields: Fields | undefined, name: string): Fields | undefined {
  const value = fields?.[name];
  if (isFields(value)) return value;
  return fields !== undefined && value === undefined ? NOTHING_SAID : undefined;
}
const NOTHING_SAID: Fields = {};
const NO_ROWS: readonly Fields[] = [];

/** The levels of the rows, best first; null where there are no rows, undefined where they are of another type. */
function depthOf(rows: unknown): Depth | null | undefined {
  if (!Array.isArray(rows)) return undefined;
  if (rows.length === 0) return null;
  const bids: Levels = [], asks: Levels = [];
  for (const row of rows) {
    if (!isFields(row)) return undefined;
    const bid = priceOf(row.bidP), bidSize = quantityOf(row.bidQ);
    const ask = priceOf(row.askP), askSize = quantityOf(row.askQ);
    if (bid === undefined || bidSize === undefined || ask === undefined || askSize === undefined) return undefined;
    if (bid !== null && bidSize !== null) bids.push([bid, bidSize]);
    if (ask !== null && askSize !== null) asks.push([ask, askSize]);
  }
  return { bids, asks };
}

const DAY = 86_400_000_000;
/** All of its exchanges are in one time zone, which has no summer, and their sessions end before midnight. */
const INDIA = 19_800_000_000;

/** When each segment must speak, minutes of the day in India, Monday to Friday: where others trade longer, these do for sure. */
const SESSIONS: readonly (readonly [segment: RegExp, opens: number, closes: number])[] = [
  [/^(?:MCX_|NSE_COM)/, 9 * 60, 23 * 60 + 30],
  [/^(?:NCD|BCD)_/, 9 * 60, 17 * 60],
  [/^/, 9 * 60 + 15, 15 * 60 + 30],
];
/** NORMAL_CLOSE by number and by name. */
const CLOSED: readonly unknown[] = ["3", "NORMAL_CLOSE"];

/** Who is outside of its session, or said in it to be closed, as on a holiday: none is told when it opens. */
function resting(time: number, beat: Beat | null): (symbol: string) => boolean {
  const placeOf = (at: number) => ({ day: Math.floor((at + INDIA) / DAY), minute: (at + INDIA) % DAY / 60_000_000 });
  const now = placeOf(time), said = placeOf(beat?.receivedTime ?? 0);
  const states = innerOf(innerOf(beat === null ? undefined : read(beat.frame), "marketInfo"), "segmentStatus");
  // The first of January 1970 was a Thursday.
  const isWeekend = [0, 6].includes((now.day + 4) % 7);
  return (symbol) => {
    const segment = symbol.split("|", 1)[0]!;
    const [, opens, closes] = SESSIONS.find(([pattern]) => pattern.test(segment))!;
    const isOutside = isWeekend || now.minute < opens || now.minute >= closes;
    const isSaid = said.day === now.day && said.minute >= opens;
    return isOutside || isSaid && CLOSED.includes(states?.[segment]);
  };
}

/** Null where it is not all there, undefined where something is of another type. */
function volumeOf(ltpc: Fields | undefined, vtt: unknown): Heard["volume"] | undefined {
  const price = priceOf(ltpc?.ltp), total = quantityOf(vtt), tradedAt = timeOf(ltpc?.ltt);
  if (ltpc === undefined || price === undefined || total === undefined) return undefined;
  if (price === null || total === null || tradedAt === undefined) return null;
  return { price, total, tradedAt, session: Math.floor((tradedAt + INDIA) / DAY) };
}

/** A double's shortest text; null where it is zero or missing, undefined where it is no number. */
function priceOf(value: unknown): string | null | undefined {
  if (value === undefined || value === 0) return null;
  return typeof value === "number" ? plainDecimal(String(value)) : undefined;
}

/** The text of an int64; null where it is zero or missing, undefined where it is no quantity. */
function quantityOf(value: unknown): string | null | undefined {
  if (value === undefined || value === 0 || value === "0") return null;
  const text = Number.isSafeInteger(value) ? String(value) : value;
  return typeof text === "string" && /^[1-9]\d{0,18}$/.test(text) ? text : undefined;
}

/** µs of an int64 of ms; undefined for what is no time. */
function timeOf(value: unknown): number | undefined {
  return microsOf(typeof value === "string" && /^\d{13,16}$/.test(value) ? Number(value) : value);
}

const NOTHING: readonly Tick[] = [];

function nothing(kind: Kind): Mapped {
  return { kind, ticks: NOTHING };
}
