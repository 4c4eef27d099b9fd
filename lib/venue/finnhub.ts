/**
 * Finnhub, as it speaks on its public websocket: trades of shares, currencies and crypto that it heard elsewhere.
 *
 * **In** frames, **Out** trades. **Knows** `venue`, `fields`, `tick`.
 *
 * | channel               | recognised by             | kind          | becomes                                          | seen in |
 * |-----------------------|---------------------------|---------------|--------------------------------------------------|---------|
 * | trades                | `type` = trade            | `trade`       | a trade a row, t its time; no id, no side        | A, M    |
 * | the same row twice    | all fields equal          | `trade`       | two trades: nothing tells them from one another  | A       |
 * | conditions            | `c`                       | `trade`       | the codes; null or missing (crypto, old frames): absent | A, M |
 * | a price, no trade     | v = 0 (currencies)        | `priceUpdate` | no tick; where others traded, the frame is `trade` | golden |
 * | keep-alive            | `type` = ping             | `ping`        | nothing                                          | M       |
 * | refusals              | `type` = error            | `error`       | nothing                                          | M       |
 * | news, press releases  | `type` = news, pr         | `news`, `pr`  | nothing                                          | golden  |
 * | known, fields missing | type or size of a field   | `malformed`   | nothing of the whole frame                       | golden  |
 * | was not UTF-8         | U+FFFD                    | `malformed`   | nothing                                          | golden  |
 * | anything else         |                           | `unknown`     | nothing                                          | golden  |
 *
 * A: finnhub_trades_AAPL_2023-03-31_raw_frames.jsonl. M: finnhub_misc_messages.jsonl. golden: testdata/venue/finnhub.
 */
import { exactReader, type Fields, fieldsOf, isFields, isNone, microsOf, plainDecimal } from "../fields.ts";
import type { Tick } from "../tick.ts";
import type { Live, Mapped, Subscription, Venue } from "../venue.ts";

const KINDS = ["trade", "priceUpdate", "ping", "error", "news", "pr", "malformed", "unknown"] as const;
type Kind = typeof KINDS[number];

/** Frames that give no tick, by their type. */
const SILENT: Readonly<Record<string, Kind>> = { ping: "ping", error: "error", news: "news", pr: "pr" };

const live: Live = {
  channels: ["trade"],
  base: "wss://ws.finnhub.io",
  secret: "FINNHUB_TOKEN",
  path: (_subscription, token) => `/?token=${encodeURIComponent(token ?? "")}`,
  subscribe: (subscription) => requests("subscribe", subscription),
  unsubscribe: (subscription) => requests("unsubscribe", subscription),
  // Nothing is acknowledged, and a symbol that it does not know merely has no trades.
  answer(frame) {
    const { type, msg } = fieldsOf(frame) ?? {};
    return type === "error" ? { refused: String(msg), symbols: [] } : null;
  },
  silentMs: 120_000,
  topicsMax: 50,
  // How often it may be spoken to is nowhere said; fifty symbols take five seconds so.
  messagesPerSecond: 10,
};

/** One symbol a message is all that it takes. */
const requests = (type: string, { symbols }: Subscription): string[] =>
  symbols.map((symbol) => JSON.stringify({ type, symbol }));

const read = exactReader(["p", "v"]);

export const venues: readonly Venue[] = [{
  name: "finnhub",
  kinds: KINDS,
  disciplines: { trade: "none", quote: "none", book: "none", delta: "none", status: "none" },
  books: "none",
  live,
  map(frame, receivedTime) {
    // Stands for bytes that were not UTF-8: what they said is not known.
    if (frame.includes("\ufffd")) return nothing("malformed");
    const fields = read(frame);
    if (fields === undefined) return nothing("malformed");
    const { type, data } = fields;
    if (type === "trade") return trades(data, receivedTime);
    return nothing(typeof type === "string" && Object.hasOwn(SILENT, type) ? SILENT[type]! : "unknown");
  },
}];

function trades(rows: unknown, received: number | null): Mapped {
  if (!Array.isArray(rows)) return nothing("malformed");
  const ticks: Tick[] = [];
  for (const row of rows) {
    const tick = isFields(row) ? trade(row, received) : undefined;
    if (tick === undefined) return nothing("malformed");
    if (tick !== null) ticks.push(tick);
  }
  return ticks.length > 0 || rows.length === 0 ? { kind: "trade" satisfies Kind, ticks } : nothing("priceUpdate");
}

/** The row's trade; null where nothing was traded, undefined where a field is missing or of another type. */
function trade({ s: symbol, p, v, t, c }: Fields, received: number | null): Tick | null | undefined {
  const price = plainDecimal(p), size = plainDecimal(v);
  const eventTime = microsOf(t);
  if (typeof symbol !== "string" || price === undefined || size === undefined || eventTime === undefined) {
    return undefined;
  }
  const conditions = c ?? undefined;
  if (conditions !== undefined && !isTexts(conditions)) return undefined;
  if (isNone(size)) return null;
  const head = { type: "trade", venue: "finnhub", symbol, eventTime, receivedTime: received ?? eventTime } as const;
  return conditions === undefined
    ? { ...head, sequence: null, id: null, price, size, side: "unknown" }
    : { ...head, sequence: null, id: null, price, size, side: "unknown", conditions };
}

const isTexts = (v: unknown): v is string[] => Array.isArray(v) && v.every((text) => typeof text === "string");

const NOTHING: readonly Tick[] = [];

function nothing(kind: Kind): Mapped {
  return { kind, ticks: NOTHING };
}
