/**
 * Binance as it would speak: spot with ids of the book that leave no hole, USD-M futures with each change naming the one
 * before. A stream that does not exist is acknowledged and stays silent.
 *
 * **In** happenings and requests, **Out** frames and answers. **Knows** `speech`, `depth`, `history`.
 *
 * | asked for                                         | said                                                            |
 * |---------------------------------------------------|-----------------------------------------------------------------|
 * | `/ws`, `/stream`, streams in path or query        | raw and combined; futures also below `/public` and `/market`    |
 * | `SUBSCRIBE`, `UNSUBSCRIBE`, `LIST_SUBSCRIPTIONS`, `SET_PROPERTY`, `GET_PROPERTY` | result or error                  |
 * | `@trade`, `@bookTicker`, `@depth`, `@depth5\|10\|20` | trades; the best, when it changed; changes; the best levels   |
 * | `depth`, `trades`, `historicalTrades`, `exchangeInfo`, `time`, `ping` | below `/api/v3`, `/fapi/v1`                 |
 */
import { cut, type Level, type Row } from "../depth.ts";
import type { Shown, Trade } from "../history.ts";
import type { Answer, Floor, Instrument, Line, RestAnswer, Saying, Speech, Topic } from "../speech.ts";

const LIMIT_MAX = 1_000;
const INVALID_SYMBOL: RestAnswer = { status: 400, body: { code: -1121, msg: "Invalid symbol." } };

export const speeches: readonly Speech[] = [speechOf("binance", false), speechOf("binance-usdm", true)];

function speechOf(name: string, isFutures: boolean): Speech {
  // Spot writes eight digits after the point, whatever the price step is.
  const spell = isFutures ? (text: string) => text : (text: string) => {
    const [whole, fraction = ""] = text.split(".");
    return `${whole}.${fraction.padEnd(8, "0")}`;
  };
  const none = spell("0");
  const api = isFutures ? "/fapi/v1/" : "/api/v3/";
  const rowsOf = (rows: readonly Row[], side: Row["side"]) =>
    rows.filter((row) => row.side === side).map(({ price, size }) => [price, size ?? none]);
  const wrapped = (stream: string, line: Line, data: unknown): string =>
    JSON.stringify(line.modes.has("combined") ? { stream, data } : data);

  return {
    name,
    quote: "USDT",
    symbolOf: (base, quote) => base + quote,
    spelling: { price: spell, size: spell },
    hasHoles: isFutures,
    depths: [],
    faults: isFutures ? [] : ["shutdown"],
    pingSeconds: isFutures ? 180 : 20,
    connect(url, _line, floor) {
      const path = isFutures ? url.pathname.replace(/^\/(public|market)(?=\/)/, "") : url.pathname;
      const [, way, rest = ""] = /^\/(ws|stream)(?:\/(.*))?$/.exec(path) ?? [];
      if (way === undefined) return undefined;
      const named = rest + (url.searchParams.get("streams") ?? "");
      const add = named === "" ? [] : named.split("/").map((key) => topicOf(key, floor));
      const modes = {
        combined: way === "stream",
        micros: /^microsecond$/i.test(url.searchParams.get("timeUnit") ?? ""),
      };
      return { add, modes, says: [] };
    },
    request,
    tell(happening, { key, depth }, line) {
      const time = (micros: number): number => line.modes.has("micros") ? micros : Math.floor(micros / 1000);
      if (happening.stream === "trade") return wrapped(key, line, tradeOf(happening.trade, time));
      const { book } = happening;
      const { symbol: s, id: u, firstId: U, previousId: pu } = book;
      const [E, T] = [time(book.time), time(book.time)];
      if (happening.stream === "quote") {
        const [bid, ask] = [book.bids[0]!, book.asks[0]!];
        const best = { u, s, b: bid.price, B: bid.size, a: ask.price, A: ask.size };
        return wrapped(key, line, isFutures ? { e: "bookTicker", ...best, T, E } : best);
      }
      if (depth < Infinity) {
        const { bids, asks } = levelsOf(book, depth);
        const whole = { e: "depthUpdate", E, T, s, U, u, pu, b: bids, a: asks };
        return wrapped(key, line, isFutures ? whole : { lastUpdateId: u, bids, asks });
      }
      const rows = happening.rows(Infinity);
      const [b, a] = [rowsOf(rows, "bid"), rowsOf(rows, "ask")];
      return wrapped(
        key,
        line,
        isFutures ? { e: "depthUpdate", E, T, s, U, u, pu, b, a } : {
          ...{ e: "depthUpdate", E, s, U, u, b, a },
        },
      );
    },
    beat: () => [],
    rest(url, floor) {
      if (!url.pathname.startsWith(api)) return undefined;
      const { searchParams: asked } = url;
      const what = url.pathname.slice(api.length);
      const time = Math.floor(floor.time / 1000);
      if (what === "ping") return { status: 200, body: {} };
      if (what === "time") return { status: 200, body: { serverTime: time } };
      if (what === "exchangeInfo") return { status: 200, body: infoOf(floor, time) };
      const instrument = floor.instrument(asked.get("symbol") ?? "");
      const limit = Number(asked.get("limit") ?? (what === "depth" ? 100 : 500));
      if (!["depth", "trades", "historicalTrades"].includes(what)) return undefined;
      if (instrument === undefined) return INVALID_SYMBOL;
      const limitMax = what === "depth" && !isFutures ? 5_000 : LIMIT_MAX;
      if (!(Number.isInteger(limit) && limit > 0 && limit <= limitMax)) {
        return { status: 400, body: { code: -1130, msg: "Data sent for parameter 'limit' is not valid." } };
      }
      if (what === "depth") {
        const { book } = instrument;
        const times = isFutures ? { E: time, T: Math.floor(book.time / 1000) } : {};
        return { status: 200, body: { lastUpdateId: book.id, ...times, ...levelsOf(book, limit) } };
      }
      const from = asked.get("fromId");
      const { trades } = instrument;
      const chosen = what === "historicalTrades" && from !== null
        ? trades.filter(({ id }) => id >= Number(from)).slice(0, limit)
        : trades.slice(-limit);
      return { status: 200, body: chosen.map((trade) => pastOf(trade, isFutures)) };
    },
    isBook: (url) => url.pathname === `${api}depth`,
    shutdown: (line, time) => wrapped("!serverShutdown", line, { e: "serverShutdown", E: Math.floor(time / 1000) }),
  };

  function tradeOf({ symbol, id, time, price, size, side }: Trade, unit: (micros: number) => number) {
    const [E, m] = [unit(time), side === "sell"];
    return isFutures
      ? { e: "trade", E, T: E, s: symbol, t: id, p: price, q: size, X: "MARKET", m }
      : { e: "trade", E, s: symbol, t: id, p: price, q: size, T: E, m, M: true };
  }
}

const pairs = (levels: readonly Level[]): [string, string][] => levels.map(({ price, size }) => [price, size]);

function levelsOf(book: Shown, depth: number) {
  const { bids, asks } = cut(book, depth);
  return { bids: pairs(bids), asks: pairs(asks) };
}

/** A trade as REST knows it. */
function pastOf({ id, time, price, size, side }: Trade, isFutures: boolean) {
  const past = { id, price, qty: size, time: Math.floor(time / 1000), isBuyerMaker: side === "sell" };
  return isFutures ? past : { ...past, isBestMatch: true };
}

function infoOf({ instruments }: Floor, serverTime: number) {
  const symbols = instruments.map(({ symbol, base, quote, listing }: Instrument) => ({
    symbol,
    status: "TRADING",
    baseAsset: base,
    quoteAsset: quote,
    filters: [
      { filterType: "PRICE_FILTER", tickSize: listing.tickSize },
      { filterType: "LOT_SIZE", stepSize: listing.lot },
    ],
  }));
  return { timezone: "UTC", serverTime, symbols };
}

function topicOf(key: string, floor: Floor): Topic {
  const [, symbol = "", name = "", depth] = /^([^@]*)@(trade|bookTicker|depth)(\d+)?(?:@\d+ms)?$/.exec(key) ?? [];
  const exists = symbol === symbol.toLowerCase() && floor.instrument(symbol.toUpperCase()) !== undefined;
  const streams = { trade: "trade", bookTicker: "quote", depth: "book" } as const;
  return {
    key,
    symbol: symbol.toUpperCase(),
    stream: exists ? streams[name as keyof typeof streams] ?? null : null,
    depth: depth === undefined ? Infinity : Number(depth),
  };
}

function request(message: string, _line: Line, floor: Floor): Answer {
  const refused = (code: number, msg: string, id?: unknown): Answer => ({
    says: [() => JSON.stringify({ code, msg, ...(id === undefined ? {} : { id }) })],
  });
  let asked: { method?: unknown; params?: unknown; id?: unknown } | null;
  try {
    asked = JSON.parse(message);
  } catch {
    return refused(3, "Invalid JSON: expected value at line 1 column 1");
  }
  const { method, params, id } = asked ?? {};
  const isId = Number.isSafeInteger(id) || id === null || (typeof id === "string" && id.length <= 36);
  if (!isId) return refused(2, "Invalid request: request ID must be an unsigned integer or a string");
  const list: readonly unknown[] = Array.isArray(params) ? params : [];
  const says: Saying[] = [() => JSON.stringify({ result: null, id })];
  const result = (value: (line: Line) => unknown): Answer => ({
    says: [(line) => JSON.stringify({ result: value(line), id })],
  });
  switch (method) {
    case "SUBSCRIBE":
    case "UNSUBSCRIBE": {
      if (list.length === 0 || !list.every((each) => typeof each === "string")) {
        return refused(2, "Invalid request: missing field `params`", id);
      }
      const topics = list.map((key) => topicOf(key, floor));
      return method === "SUBSCRIBE" ? { add: topics, says } : { drop: topics, says };
    }
    case "LIST_SUBSCRIPTIONS":
      return result((line) => [...line.topics.keys()]);
    case "GET_PROPERTY":
      return list[0] === "combined" ? result((line) => line.modes.has("combined")) : refused(0, "Unknown property", id);
    case "SET_PROPERTY":
      if (list[0] !== "combined") return refused(0, "Unknown property", id);
      if (typeof list[1] !== "boolean") return refused(1, "Invalid value type: expected Boolean", id);
      return { modes: { combined: list[1] }, says };
    default:
      return refused(2, "Invalid request: unknown variant", id);
  }
}
