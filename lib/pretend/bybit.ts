/**
 * Bybit v5 as it would speak: spot and linear, each on its own path. Every depth of a book numbers its own changes, a
 * frame 1 begins it anew, and depth 1 is sent whole each time. One bad topic refuses the whole request.
 *
 * **In** happenings and requests, **Out** frames and answers. **Knows** `speech`, `depth`, `decimal`, `history`.
 *
 * | asked for                                            | said                                            |
 * |------------------------------------------------------|-------------------------------------------------|
 * | `/v5/public/spot`, `/v5/public/linear`               | nothing until something is asked for            |
 * | `subscribe`, `unsubscribe`, `ping`                   | `success`, `ret_msg`; books before their answer on linear |
 * | `publicTrade.S`, `orderbook.1\|50\|200\|1000.S`      | trades; the best; changes                       |
 * | `orderbook`, `recent-trade`, `instruments-info`, `time` | below `/v5/market`                           |
 */
import { canonical } from "../decimal.ts";
import { cut, type Level, type Row } from "../depth.ts";
import type { Shown, Trade } from "../history.ts";
import {
  type Answer,
  type Floor,
  type Instrument,
  type RestAnswer,
  type Saying,
  shown,
  type Speech,
  type Topic,
} from "../speech.ts";

const DEPTHS = [1, 50, 200, 1_000];
/** Topics of one request on spot. */
const ARGS_MAX = 10;

export const speeches: readonly Speech[] = [speechOf("bybit", "spot"), speechOf("bybit-linear", "linear")];

function speechOf(name: string, category: "spot" | "linear"): Speech {
  const isSpot = category === "spot";
  const spell = isSpot ? canonical : (text: string) => text;
  return {
    name,
    quote: "USDT",
    symbolOf: (base, quote) => base + quote,
    spelling: { price: spell, size: spell },
    hasHoles: true,
    depths: DEPTHS,
    faults: ["reset"],
    pingSeconds: 0,
    connect: (url) => url.pathname === `/v5/public/${category}` ? { says: [] } : undefined,
    request: (message, line, floor) => {
      const said = (success: boolean, message: string, op: string, id: unknown): Saying => () =>
        JSON.stringify({
          success,
          ret_msg: message,
          conn_id: `d9avt8shteepr00gfc1g-${line.id}`,
          ...(isSpot ? id === undefined ? {} : { req_id: id } : { req_id: id ?? "" }),
          op,
        });
      const refused = (why: string, op = "", id?: unknown): Answer => ({ says: [said(false, why, op, id)] });
      let asked: { op?: unknown; args?: unknown; req_id?: unknown } | null;
      try {
        asked = JSON.parse(message);
      } catch {
        return refused("error:invalid json");
      }
      const { op, args, req_id: id } = asked ?? {};
      if (op === "ping") return { says: [said(true, "pong", "ping", id)] };
      if (op !== "subscribe" && op !== "unsubscribe") return refused("error:invalid op", shown(op), id);
      const keys: readonly unknown[] = Array.isArray(args) ? args : [];
      if (isSpot && keys.length > ARGS_MAX) return refused(`args size >${ARGS_MAX}`, op, id);
      const topics: Topic[] = [];
      for (const key of keys) {
        const topic = topicOf(shown(key), floor);
        if (topic === undefined) return refused(`error:handler not found,topic:${shown(key)}`, op, id);
        if (op === "subscribe" && line.topics.has(topic.key)) {
          return refused(`error:already subscribed,topic:${shown(key)}`, op, id);
        }
        topics.push(topic);
      }
      const answer = said(true, isSpot ? op : "", op, id);
      if (op === "unsubscribe") return { drop: topics, says: [answer] };
      const books = topics.filter(({ stream }) => stream === "book").map((topic): Saying => {
        const { told } = floor.instrument(topic.symbol)!;
        return () => bookFrame(topic, "snapshot", told, cut(told, topic.depth), floor.time);
      });
      return { add: topics, says: isSpot ? [answer, ...books] : [...books, answer] };
    },
    tell(happening, topic, _line, floor) {
      if (happening.stream === "trade") {
        const { trade } = happening;
        const ts = ms(floor.time);
        const data = [isSpot ? spotTrade(trade) : linearTrade(trade)];
        return JSON.stringify(
          isSpot ? { topic: topic.key, ts, type: "snapshot", data } : { topic: topic.key, type: "snapshot", ts, data },
        );
      }
      if (happening.stream === "quote") return undefined;
      const { before, book } = happening;
      const { depth } = topic;
      const isAnew = book.ids[depth] === 1 && before.ids[depth] !== 1;
      if (isAnew || (depth === 1 && book.ids[depth] !== before.ids[depth])) {
        return bookFrame(topic, "snapshot", book, cut(book, depth), floor.time);
      }
      const rows = happening.rows(depth);
      if (rows.length === 0) return undefined;
      const sides = { bids: changed(rows, "bid"), asks: changed(rows, "ask") };
      return bookFrame(topic, "delta", book, sides, floor.time);
    },
    beat: () => [],
    rest: (url, floor) => rest(url, floor, category),
    isBook: (url) => url.pathname === "/v5/market/orderbook",
  };
}

const ms = (micros: number): number => Math.floor(micros / 1000);
const changed = (rows: readonly Row[], side: Row["side"]) =>
  rows.filter((row) => row.side === side).map(({ price, size }) => ({ price, size: size ?? "0" }));
type Pairs = readonly Pick<Level, "price" | "size">[];
const pairs = (levels: Pairs) => levels.map(({ price, size }) => [price, size]);

function bookFrame(
  { key, depth, symbol }: Topic,
  type: string,
  book: Shown,
  sides: { readonly bids: Pairs; readonly asks: Pairs },
  time: number,
): string {
  const data = { s: symbol, b: pairs(sides.bids), a: pairs(sides.asks), u: book.ids[depth], seq: seqOf(book.event) };
  return JSON.stringify({ topic: key, ts: ms(time), type, data, cts: ms(book.time) });
}

/** One sequence of all that happens. */
const seqOf = (event: number): number => 178_000_000_000 + event;
/** A trade id beyond 2^53, as spot has it. */
const spotId = (id: number): string => String(2_280_000_000_000_000_000n + BigInt(id));
const linearId = (id: number): string => `a9188a0a-82bc-50de-be60-${id.toString(16).padStart(12, "0")}`;
const sideOf = (side: Trade["side"]): string => side === "buy" ? "Buy" : "Sell";

function spotTrade({ id, time, price, size, side, symbol, event }: Trade) {
  return {
    ...{
      i: spotId(id),
      T: ms(time),
      p: price,
      v: size,
      S: sideOf(side),
      seq: seqOf(event),
      s: symbol,
      BT: false,
      RPI: false,
    },
  };
}

function linearTrade({ id, time, price, size, side, symbol, event }: Trade) {
  const known = { T: ms(time), s: symbol, S: sideOf(side), v: size, p: price };
  const tick = side === "buy" ? "PlusTick" : "MinusTick";
  return { ...known, L: tick, i: linearId(id), BT: false, RPI: false, seq: seqOf(event) };
}

function topicOf(key: string, floor: Floor): Topic | undefined {
  const [, trade, depth, symbol = ""] = /^(?:(publicTrade)|orderbook\.(1|50|200|1000))\.([^.]+)$/.exec(key) ?? [];
  if (floor.instrument(symbol) === undefined) return undefined;
  return { key, symbol, stream: trade === undefined ? "book" : "trade", depth: Number(depth ?? Infinity) };
}

function rest(url: URL, floor: Floor, category: string): RestAnswer | undefined {
  const { searchParams: asked, pathname } = url;
  const answered = (retCode: number, retMsg: string, result: unknown): RestAnswer => ({
    status: 200,
    body: { retCode, retMsg, result, retExtInfo: {}, time: ms(floor.time) },
  });
  const done = (result: unknown): RestAnswer => answered(0, "OK", result);
  if (pathname === "/v5/market/time") return done({ timeSecond: String(Math.floor(floor.time / 1e6)) });
  const what = /^\/v5\/market\/(orderbook|recent-trade|instruments-info)$/.exec(pathname)?.[1];
  if (what === undefined) return undefined;
  if (asked.get("category") !== category) return answered(10001, "params error: Category is invalid", {});
  const symbol = asked.get("symbol");
  const instrument = symbol === null ? undefined : floor.instrument(symbol);
  if (symbol !== null && instrument === undefined) return answered(10001, "Not supported symbols", {});
  if (what === "instruments-info") {
    const list = (instrument === undefined ? floor.instruments : [instrument]).map(infoOf);
    return done({ category, list, nextPageCursor: "" });
  }
  if (instrument === undefined) return answered(10001, "params error: symbol is missing", {});
  const limit = Math.min(1_000, Math.max(1, Number(asked.get("limit") ?? (what === "orderbook" ? 25 : 60)) || 1));
  if (what === "orderbook") {
    // A book that was not told has no number; the one told last has.
    const book = instrument.book.ids[1_000] === undefined ? instrument.told : instrument.book;
    const { bids, asks } = cut(book, limit);
    const times = { ts: ms(floor.time), cts: ms(book.time) };
    return done({ s: symbol, b: pairs(bids), a: pairs(asks), ...times, u: book.ids[1_000], seq: seqOf(book.event) });
  }
  const list = instrument.trades.slice(-limit).toReversed().map(({ id, price, size, side, time, event }) => ({
    execId: category === "spot" ? spotId(id) : linearId(id),
    ...{
      symbol,
      price,
      size,
      side: sideOf(side),
      time: String(ms(time)),
      isBlockTrade: false,
      seq: String(seqOf(event)),
    },
  }));
  return done({ category, list });
}

function infoOf({ symbol, base, quote, listing }: Instrument) {
  const lot = { basePrecision: listing.lot, qtyStep: listing.lot };
  const filters = { lotSizeFilter: lot, priceFilter: { tickSize: listing.tickSize } };
  return { symbol, baseCoin: base, quoteCoin: quote, status: "Trading", ...filters };
}
