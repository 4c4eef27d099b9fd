/**
 * The one thing that travels: a trade, a quote, a book, a delta or a status, one JSON object a message.
 *
 * `Tick` is the zod schema, from which every type is inferred; `isTick` is the same judgement, compiled by hand for the
 * hot path and proven equal to the schema in `tick_test.ts`.
 *
 * **Knows** `decimal`.
 */
import { z } from "@zod/zod";
import { DECIMAL_PATTERN, isDecimal } from "./decimal.ts";

const SYMBOL = /^(?!.*\.\.)[\p{L}\p{N}][^\p{C}\p{Zl}\p{Zp}\\]{0,63}$/u;
const SYMBOL_PLAIN = /^[A-Za-z0-9][A-Za-z0-9 :|/_-]{0,63}$/;
const VENUE = /^[a-z][a-z0-9-]{0,31}$/;
const FRAME = /^[\w.-]{1,64}\/\d{1,15}$/;
const FIRST = /^ticks\.raw\/(?:0|[1-9]\d{0,8})\/(?:0|[1-9]\d{0,14})$/;
const RULE = /^[a-z][a-z-]{0,31}$/;
const TEXT = /^[^\p{C}\p{Zl}\p{Zp}]{1,128}$/u;
const TEXT_PLAIN = /^[A-Za-z0-9._:-]{1,128}$/;
/** Levels of one side that a message may carry. */
export const LEVELS_MAX = 10_000;
const CONDITIONS_MAX = 32;
/**
 * Times are µs from September 2001 on and before 2100: between these a time in seconds, ms or ns that was taken for µs
 * falls out, and so does what a broken clock says.
 */
export const TIME_MIN = 1e15, TIME_END = Date.UTC(2100, 0) * 1000;

/** Aggressor's side. */
export const SIDES = ["buy", "sell", "unknown"] as const;
/** Where a tick came from when it did not come live from the venue; `built` from the order book that was kept of it. */
export const SOURCES = ["backfill", "redrive", "conflated", "built"] as const;
/** Where a number may stand in its series; `sequence` says what each means. */
export const PLACES = ["none", "onward", "reordered", "duplicate", "backwards", "reset"] as const;
/** Rules that a redriven tick may say that it broke. */
const BROKE_MAX = 16;
/** Sources that say how a tick was made, which it still was when it is redriven. */
const MADE = ["conflated", "built"] as const;
/** What a collector knows about its connection, and a venue about its trading. */
export const STATES = [
  "connected",
  "subscribed",
  "silent",
  "disconnected",
  "gap",
  "trading",
  "halted",
  "auction",
  "maintenance",
  "closed",
] as const;
/** Every type of tick, in the order of the tables. */
export const TYPES = ["trade", "quote", "book", "delta", "status"] as const;

const decimal = z.string().regex(DECIMAL_PATTERN);
const micros = z.int().min(TIME_MIN).lt(TIME_END);
const count = z.int().min(0);
const text = z.string().regex(TEXT);
const levels = z.array(z.tuple([decimal, decimal])).max(LEVELS_MAX);

/** Of a redriven tick: whence, and how often. */
const Redriven = z.strictObject({
  /** Its first raw message, `topic/partition/offset`. */
  first: z.string().regex(FIRST),
  /** How often it was redriven, this time included. */
  replays: z.int().min(1),
  /** Rules that remember and that it broke when it came before: what they remembered has gone by. */
  broke: z.array(z.string().regex(RULE)).min(1).max(BROKE_MAX).optional(),
  /** Its series had not begun when it first came, or nobody could say which numbers these were. */
  unplaced: z.literal(true).optional(),
  /** Its own source, where that says how it was made. */
  made: z.enum(MADE).optional(),
});
export type Redriven = Readonly<z.infer<typeof Redriven>>;

const common = {
  venue: z.string().regex(VENUE),
  symbol: z.string().regex(SYMBOL),
  eventTime: micros,
  receivedTime: micros,
  timeSource: z.literal("received").optional(),
  sequence: count.nullable(),
  id: text.nullable(),
  source: z.enum(SOURCES).optional(),
  frame: z.string().regex(FRAME).optional(),
  redriven: Redriven.optional(),
};

/** One execution. `side` is the aggressor's. Times are µs since the epoch, amounts exact decimal text. */
export const Trade = z.strictObject({
  type: z.literal("trade"),
  ...common,
  price: decimal,
  size: decimal,
  side: z.enum(SIDES),
  conditions: z.array(text).max(CONDITIONS_MAX).optional(),
});

/** Top of book. Price and size of an empty side are both null. */
export const Quote = z.strictObject({
  type: z.literal("quote"),
  ...common,
  bidPrice: decimal.nullable(),
  bidSize: decimal.nullable(),
  askPrice: decimal.nullable(),
  askSize: decimal.nullable(),
}).refine((q) => (q.bidPrice === null) === (q.bidSize === null) && (q.askPrice === null) === (q.askSize === null), {
  message: "price and size of a side must both be null or both be given",
});

/** Depth snapshot: `[price, size]` pairs, best first, never padded. */
export const Book = z.strictObject({ type: z.literal("book"), ...common, bids: levels, asks: levels });

/** Depth change: size 0 deletes a level. */
export const Delta = z.strictObject({
  type: z.literal("delta"),
  ...common,
  bids: levels,
  asks: levels,
  firstId: count.nullable(),
  lastId: count.nullable(),
  previousId: count.nullable(),
});

/** What the collector knows about its connection, or the venue about its trading. */
export const Status = z.strictObject({
  type: z.literal("status"),
  ...common,
  state: z.enum(STATES),
  firstId: count.nullable(),
  lastId: count.nullable(),
  detail: text.nullable(),
});

/** What travels on `ticks.raw`. */
export const Tick = z.discriminatedUnion("type", [Trade, Quote, Book, Delta, Status])
  .refine((t) => t.timeSource === undefined || t.eventTime === t.receivedTime, {
    message: "a time that is our own must be the time of receipt",
  })
  .refine((t) => t.redriven === undefined || t.source === "redrive", {
    message: "what was redriven must say so in its source",
  });
export type Trade = Readonly<z.infer<typeof Trade>>;
export type Quote = Readonly<z.infer<typeof Quote>>;
export type Book = Readonly<z.infer<typeof Book>>;
export type Delta = Readonly<z.infer<typeof Delta>>;
export type Status = Readonly<z.infer<typeof Status>>;
export type Tick = Trade | Quote | Book | Delta | Status;
export type TickType = Tick["type"];

/** What travels on `ticks.valid`: the tick, where it stood in `ticks.raw`, and what was noticed and let pass. */
export type ValidTick = Tick & {
  /** Offset of the raw message in the same partition. */
  readonly origin: number;
  /** Origin of the message before it in the same output and partition; -1 for the first. */
  readonly previous: number;
  /** Names of the flagging rules that it broke, in table order. */
  readonly flags?: readonly string[];
};

/** What travels on `ticks.rejected`: the original message, untouched, and every rule that it broke. */
export const Rejected = z.strictObject({
  topic: z.string(),
  partition: count,
  origin: count,
  previous: z.int().min(-1),
  /** The message's key, its control characters escaped where it holds what not every store can. */
  key: z.string().nullable(),
  /** The first broken rule in table order. */
  reason: z.string(),
  /** Every broken rule that keeps the message from passing, in table order. */
  reasons: z.array(z.string()).min(1),
  /** `quarantine` where all of these only set it apart to be looked at. Messages of earlier versions do not say it. */
  severity: z.enum(["reject", "quarantine"]).default("reject"),
  /** The rules in force: code version, `@`, offset of the last control record (absent before the first). */
  rules: z.string(),
  /** How often the message was redriven. */
  replays: count,
  /** Where a tick stood in its series; null for what is no tick. Messages of earlier versions do not say it. */
  standing: z.enum(PLACES).nullable().default(null),
  /**
   * The original text; null where the bytes are not UTF-8, hold a NUL, or are so many that escapes could burst a message.
   * Of one that is too large to be carried at all, its length and SHA-256: `{"bytes":3145728,"sha256":"…"}`.
   */
  raw: z.string().nullable(),
  /** The original bytes; null where `raw` holds them. Where both are there, the first bytes alone. */
  rawBase64: z.string().nullable(),
});
export type Rejected = Readonly<z.infer<typeof Rejected>>;

/** UTF-16 units of a key at most: more than a venue and a symbol can have that are any. */
const KEY_LENGTH_MAX = 256;

/** The message key: order holds per key, and the key decides the partition. */
export function keyOf(tick: { readonly venue: string; readonly symbol: string }): string {
  const key = `${tick.venue}:${tick.symbol}`;
  return key.length <= KEY_LENGTH_MAX ? key : key.slice(0, KEY_LENGTH_MAX);
}

/** Whether `v` is a time: whole µs since the epoch, of a year in which there are markets to record. */
export const isMicros = (v: unknown): v is number =>
  Number.isSafeInteger(v) && (v as number) >= TIME_MIN && (v as number) < TIME_END;
const isCount = (v: unknown): boolean => v === null || Number.isSafeInteger(v) && (v as number) >= 0;
const isAmount = (v: unknown): v is string => typeof v === "string" && isDecimal(v);
const isText = (v: unknown): v is string => typeof v === "string" && (TEXT_PLAIN.test(v) || TEXT.test(v));
/** Whether `v` is a symbol as a venue may write it. */
export const isSymbol = (v: unknown): v is string => typeof v === "string" && (SYMBOL_PLAIN.test(v) || SYMBOL.test(v));
/** Whether `v` names a venue. */
export const isVenue = (v: unknown): v is string => typeof v === "string" && VENUE.test(v);
const isLevels = (v: unknown): boolean =>
  Array.isArray(v) && v.length <= LEVELS_MAX &&
  v.every((l) => Array.isArray(l) && l.length === 2 && isAmount(l[0]) && isAmount(l[1]));
const isSide = (price: unknown, size: unknown): boolean =>
  price === null ? size === null : isAmount(price) && isAmount(size);

const isRules = (v: unknown): boolean =>
  Array.isArray(v) && v.length >= 1 && v.length <= BROKE_MAX &&
  v.every((name) => typeof name === "string" && RULE.test(name));

/** Whether `v` says whence a redriven tick is. Equal to the schema. */
export function isRedriven(v: unknown): v is Redriven {
  if (typeof v !== "object" || v === null) return false;
  const { first, replays, broke, unplaced, made, ...rest } = v as Record<string, unknown>;
  return typeof first === "string" && FIRST.test(first) && Number.isSafeInteger(replays) && replays as number >= 1 &&
    (broke === undefined || isRules(broke)) && (unplaced === undefined || unplaced === true) &&
    (made === undefined || (MADE as readonly unknown[]).includes(made)) && Object.keys(rest).length === 0;
}

/** Whether `value`, parsed from JSON, is a tick. Equal to `Tick.safeParse(value).success`. */
export function isTick(value: unknown): value is Tick {
  if (typeof value !== "object" || value === null) return false;
  const t = value as Record<string, unknown>;
  if (!isVenue(t.venue) || !isSymbol(t.symbol) || !isMicros(t.eventTime) || !isMicros(t.receivedTime)) return false;
  if (!isCount(t.sequence) || !(t.id === null || isText(t.id))) return false;
  let fields = 7;
  if (t.timeSource !== undefined) {
    if (t.timeSource !== "received" || t.eventTime !== t.receivedTime) return false;
    fields++;
  }
  if (t.source !== undefined) {
    if (!(SOURCES as readonly unknown[]).includes(t.source)) return false;
    fields++;
  }
  if (t.frame !== undefined) {
    if (typeof t.frame !== "string" || !FRAME.test(t.frame)) return false;
    fields++;
  }
  if (t.redriven !== undefined) {
    if (t.source !== "redrive" || !isRedriven(t.redriven)) return false;
    fields++;
  }
  switch (t.type) {
    case "trade":
      if (!isAmount(t.price) || !isAmount(t.size) || !(t.side === "buy" || t.side === "sell" || t.side === "unknown")) {
        return false;
      }
      fields += 3;
      if (t.conditions !== undefined) {
        const list = t.conditions;
        if (!Array.isArray(list) || list.length > CONDITIONS_MAX || !list.every(isText)) return false;
        fields++;
      }
      break;
    case "quote":
      if (!isSide(t.bidPrice, t.bidSize) || !isSide(t.askPrice, t.askSize)) return false;
      fields += 4;
      break;
    case "book":
      if (!isLevels(t.bids) || !isLevels(t.asks)) return false;
      fields += 2;
      break;
    case "delta":
      if (!isLevels(t.bids) || !isLevels(t.asks)) return false;
      if (!isCount(t.firstId) || !isCount(t.lastId) || !isCount(t.previousId)) return false;
      fields += 5;
      break;
    case "status":
      if (!(STATES as readonly unknown[]).includes(t.state) || !isCount(t.firstId) || !isCount(t.lastId)) return false;
      if (!(t.detail === null || isText(t.detail))) return false;
      fields += 4;
      break;
    default:
      return false;
  }
  for (const key in t) {
    if (t[key] !== undefined) fields--;
    else return false;
  }
  return fields === 0;
}
