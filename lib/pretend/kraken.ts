/**
 * Kraken's websocket v2 as it would speak: amounts as JSON numbers with all their digits, books cut to their depth and
 * followed by a checksum, an answer for each symbol.
 *
 * **In** happenings and requests, **Out** frames and answers. **Knows** `speech`, `depth`, `history`.
 *
 * | asked for                                          | said                                                           |
 * |----------------------------------------------------|----------------------------------------------------------------|
 * | `/v2`                                              | status; a heartbeat a second once something is subscribed      |
 * | `subscribe`, `unsubscribe`, `ping`                 | an answer per symbol, then its snapshot                        |
 * | `trade`, `ticker`, `book` (10, 25, 100, 500, 1000), `instrument` | trades; best and last; changes; precisions       |
 * | `Depth`, `Trades`, `AssetPairs`, `Time`            | below `/0/public`                                              |
 */
import { crc32 } from "node:zlib";
import { type Book, cut, type Level, type Row } from "../depth.ts";
import type { Shown, Trade } from "../history.ts";
import {
  type Answer,
  type Floor,
  type Instrument,
  type Line,
  type RestAnswer,
  type Saying,
  shown,
  type Speech,
  type Topic,
} from "../speech.ts";

const DEPTHS = [10, 25, 100, 500, 1_000];
/** Levels of each side that a checksum covers. */
const SUMMED = 10;
const QTY_DIGITS = 8;
const HISTORY = 50;
const INSTRUMENT = "instrument";

export const speeches: readonly Speech[] = [{
  name: "kraken",
  quote: "USD",
  symbolOf: (base, quote) => `${base}/${quote}`,
  spelling: {
    price: (text) => text,
    size: (text) => {
      const [whole, fraction = ""] = text.split(".");
      return `${whole}.${fraction.padEnd(QTY_DIGITS, "0")}`;
    },
  },
  hasHoles: false,
  depths: [],
  faults: ["checksum"],
  pingSeconds: 0,
  connect: (url, { id }) => {
    if (url.pathname !== "/v2") return undefined;
    const status = `{"version":"2.0.10","system":"online","api_version":"v2","connection_id":${
      17408390984690501469n + BigInt(id)
    }}`;
    return { says: [() => `{"channel":"status","type":"update","data":[${status}]}`] };
  },
  request,
  tell(happening, { key, symbol, depth }, _line, floor) {
    if (happening.stream === "trade" && key.startsWith("trade")) {
      return frame("trade", "update", tradeData(happening.trade));
    }
    const { book } = happening;
    if (happening.stream !== "book") {
      return frame("ticker", "update", tickerData(book, floor.instrument(symbol)!.trades));
    }
    const { before } = happening;
    // What only leaves the depth is not taken away: the client cuts it off.
    const after = cut(book, depth);
    const rows = happening.rows(depth).filter(({ side, price, size }) =>
      size !== null ||
      !isCutOff(side === "bid" ? after.bids : after.asks, side === "bid" ? before.bids : before.asks, price, depth)
    );
    if (rows.length === 0) return undefined;
    return frame("book", "update", bookData(book, sideRows(rows, "bid"), sideRows(rows, "ask"), book));
  },
  beat: ({ topics }) => topics.size === 0 ? [] : [() => '{"channel":"heartbeat"}'],
  rest,
  isBook: (url) => url.pathname === "/0/public/Depth",
  missum: (frame) => frame.replace(/"checksum":(\d+)/, (_, sum) => `"checksum":${(Number(sum) ^ 1) >>> 0}`),
}];

const isoOf = (micros: number): string =>
  `${new Date(Math.floor(micros / 1000)).toISOString().slice(0, -1)}${String(micros % 1000).padStart(3, "0")}Z`;

const frame = (channel: string, type: string, data: string): string =>
  `{"channel":"${channel}","type":"${type}","data":[${data}]}`;

/** Whether a level that is gone from the depth is worse than all that are left of a full one. */
function isCutOff(after: readonly Level[], before: readonly Level[], price: string, depth: number): boolean {
  if (after.length < depth) return false;
  const at = before.find((level) => level.price === price)!.steps;
  const [best, worst] = [after[0]!.steps, after.at(-1)!.steps];
  return best < worst ? at > worst : at < worst;
}

const rowText = ({ price, size }: { readonly price: string; readonly size: string | null }): string =>
  `{"price":${price},"qty":${size ?? `0.${"0".repeat(QTY_DIGITS)}`}}`;
const sideRows = (rows: readonly Row[], side: Row["side"]): string =>
  rows.filter((row) => row.side === side).map(rowText).join(",");

/** CRC-32 over the ten best asks and then the ten best bids, without points and leading zeros. */
function checksumOf({ bids, asks }: Pick<Book, "bids" | "asks">): number {
  const digits = (text: string): string => text.replace(".", "").replace(/^0+/, "");
  const side = (levels: readonly Level[]): string =>
    levels.slice(0, SUMMED).map(({ price, size }) => digits(price) + digits(size)).join("");
  return crc32(side(asks) + side(bids));
}

function bookData({ symbol }: Shown, bids: string, asks: string, summed: Shown): string {
  return `{"symbol":${JSON.stringify(symbol)},"bids":[${bids}],"asks":[${asks}],"checksum":${
    checksumOf(summed)
  },"timestamp":"${isoOf(summed.time)}"}`;
}

function tradeData({ symbol, side, price, size, id, time }: Trade): string {
  return `{"symbol":${
    JSON.stringify(symbol)
  },"side":"${side}","price":${price},"qty":${size},"ord_type":"market","trade_id":${id},"timestamp":"${isoOf(time)}"}`;
}

function tickerData({ symbol, bids, asks, time }: Shown, trades: readonly Trade[]): string {
  const [bid, ask] = [bids[0]!, asks[0]!];
  const best = `"bid":${bid.price},"bid_qty":${bid.size},"ask":${ask.price},"ask_qty":${ask.size}`;
  return `{"symbol":${JSON.stringify(symbol)},${best},"last":${trades.at(-1)?.price ?? bid.price},"timestamp":"${
    isoOf(time)
  }"}`;
}

function instrumentFrame({ instruments }: Floor): string {
  const pairs = instruments.map(({ symbol, base, quote, listing: { scale, tickSize } }) =>
    `{"symbol":${
      JSON.stringify(symbol)
    },"base":"${base}","quote":"${quote}","status":"online","qty_precision":${QTY_DIGITS},"qty_increment":1e-08,"price_precision":${scale},"price_increment":${tickSize}}`
  );
  return `{"channel":"instrument","type":"snapshot","data":{"assets":[],"pairs":[${pairs.join(",")}]}}`;
}

interface Asked {
  readonly method?: unknown;
  readonly params?: {
    readonly channel?: unknown;
    readonly symbol?: unknown;
    readonly depth?: unknown;
    readonly snapshot?: unknown;
    readonly event_trigger?: unknown;
  };
  readonly req_id?: unknown;
}

function request(message: string, line: Line, floor: Floor): Answer {
  const time = isoOf(floor.time);
  const times = { time_in: time, time_out: time };
  const refused = (error: string, about: object = {}): Saying => () =>
    JSON.stringify({ error, ...about, success: false, ...times });
  let asked: Asked | null;
  try {
    asked = JSON.parse(message);
  } catch {
    return { says: [refused("Malformed request")] };
  }
  const { method, params, req_id } = asked ?? {};
  const id = Number.isSafeInteger(req_id) ? { req_id } : {};
  if (method === "ping") return { says: [() => JSON.stringify({ method: "pong", ...id, ...times })] };
  if (method !== "subscribe" && method !== "unsubscribe") {
    return { says: [refused("Unsupported method", { method: shown(method), ...id })] };
  }
  const { channel, symbol: list, depth = 10, snapshot, event_trigger = "trades" } = params ?? {};
  const isOn = method === "subscribe";
  if (channel === INSTRUMENT) {
    const topic: Topic = { key: INSTRUMENT, symbol: "", stream: null, depth: Infinity };
    const answer = () =>
      JSON.stringify({ method, result: { channel, snapshot: true }, success: true, ...times, ...id });
    return isOn ? { add: [topic], says: [answer, () => instrumentFrame(floor)] } : { drop: [topic], says: [answer] };
  }
  if (channel !== "trade" && channel !== "ticker" && channel !== "book") {
    return { says: [refused(`Unsupported channel ${shown(channel)}`, { method, ...id })] };
  }
  if (channel === "book" && !DEPTHS.includes(depth as number)) {
    return { says: [refused("Subscription depth not supported", { method, ...id })] };
  }
  const topics: Topic[] = [];
  const says: Saying[] = [];
  for (const symbol of Array.isArray(list) ? list : []) {
    const instrument = floor.instrument(symbol);
    const about = { method, symbol, ...id };
    if (instrument === undefined) {
      says.push(refused(`Currency pair not supported ${shown(symbol)}`, about));
      continue;
    }
    const key = channel === "book" ? `book/${depth}/${symbol}` : `${channel}/${symbol}`;
    if (line.topics.has(key) === isOn) {
      says.push(refused(isOn ? "Already subscribed" : "Subscription Not Found", about));
      continue;
    }
    const hears = { trade: "trade", book: "book", ticker: event_trigger === "bbo" ? "quote" : "trade" } as const;
    topics.push({ key, symbol, stream: hears[channel], depth: channel === "book" ? depth as number : Infinity });
    const result = {
      channel,
      ...(channel === "book" ? { depth } : {}),
      ...(channel === "ticker" ? { event_trigger } : {}),
      snapshot: snapshot ?? channel !== "trade",
      symbol,
    };
    says.push(() => JSON.stringify({ method, result, success: true, ...times, ...id }));
    if (isOn && result.snapshot === true) says.push(() => snapshotOf(channel, instrument, depth as number));
  }
  return isOn ? { add: topics, says } : { drop: topics, says };
}

function snapshotOf(channel: "trade" | "ticker" | "book", { told, book, trades }: Instrument, depth: number): string {
  if (channel === "trade") return frame("trade", "snapshot", trades.slice(-HISTORY).map(tradeData).join(","));
  if (channel === "ticker") return frame("ticker", "snapshot", tickerData(book, trades));
  const { bids, asks } = cut(told, depth);
  return frame("book", "snapshot", bookData(told, bids.map(rowText).join(","), asks.map(rowText).join(","), told));
}

function rest(url: URL, floor: Floor): RestAnswer | undefined {
  const what = /^\/0\/public\/(Depth|Trades|AssetPairs|Time)$/.exec(url.pathname)?.[1];
  if (what === undefined) return undefined;
  const done = (result: unknown): RestAnswer => ({ status: 200, body: { error: [], result } });
  const seconds = (micros: number): number => micros / 1e6;
  if (what === "Time") return done({ unixtime: Math.floor(floor.time / 1e6), rfc1123: "" });
  if (what === "AssetPairs") {
    return done(Object.fromEntries(floor.instruments.map(({ symbol, base, quote, listing: { scale, tickSize } }) => {
      const digits = { pair_decimals: scale, lot_decimals: QTY_DIGITS, tick_size: tickSize };
      return [base + quote, { altname: base + quote, wsname: symbol, base, quote, ...digits, status: "online" }];
    })));
  }
  const asked = url.searchParams.get("pair") ?? "";
  const instrument = floor.instruments.find(({ symbol, base, quote }) => symbol === asked || base + quote === asked);
  if (instrument === undefined) return { status: 200, body: { error: ["EQuery:Unknown asset pair"] } };
  const count = Number(url.searchParams.get("count") ?? (what === "Depth" ? 100 : 1_000));
  if (what === "Depth") {
    const { bids, asks } = cut(instrument.book, Math.max(1, Math.min(500, count || 1)));
    const rows = (levels: readonly Level[]) =>
      levels.map(({ price, size }) => [price, size, Math.floor(seconds(instrument.book.time))]);
    return done({ [instrument.symbol]: { asks: rows(asks), bids: rows(bids) } });
  }
  const since = url.searchParams.get("since");
  // Nanoseconds beyond what a number holds exactly.
  const newer = since === null || !/^\d{1,20}$/.test(since)
    ? instrument.trades.slice(-1_000)
    : instrument.trades.filter(({ time }) => BigInt(time) * 1000n > BigInt(since));
  const chosen = newer.slice(0, Math.max(1, Math.min(1_000, count || 1)));
  const rows = chosen.map(({ price, size, time, side, id }) => [price, size, seconds(time), side[0], "m", "", id]);
  const last = chosen.at(-1)?.time ?? floor.time;
  return done({ [instrument.symbol]: rows, last: String(BigInt(last) * 1000n) });
}
