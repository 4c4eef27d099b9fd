/**
 * What makes one tick sound: one table of rules in the order in which they are named, and the limits and instruments
 * that a control record of the log brings into force. The names become labels and stored reasons and never change.
 *
 * **In** the evidence on one message, **Out** per rule whether the message breaks it.
 * **Knows** `tick`, `decimal`, `sequence`.
 */
import { z } from "@zod/zod";
import { compare, fits, type Grid, gridOf, isDecimal, sign, TRAIT, traitsOf } from "./decimal.ts";
import type { Place } from "./sequence.ts";
import { isMicros, isSymbol, isVenue, type Tick } from "./tick.ts";

/** Version of the code of these rules and of `sequence`. Another number may judge the same log differently. */
export const RULES_VERSION = "3";
/** Instruments of all venues that may be in force at once. */
export const INSTRUMENTS_MAX = 20_000;

const step = z.string().refine((v) => isDecimal(v) && fits(v) && sign(v) > 0, {
  message: "must be a decimal above zero that fits 26.12 digits",
});
/** An instrument as a control record names it. */
export const Instrument = z.strictObject({
  symbol: z.string().refine(isSymbol, { message: "must be a symbol" }),
  /** Every price is a whole multiple of it. */
  tickSize: step,
  /** Every size is a whole multiple of it. */
  lot: step,
  /** Whether it may trade at zero and below. */
  negative: z.boolean(),
});
/** What the rules know of an instrument. */
export type Instrument = Readonly<z.infer<typeof Instrument>>;

/** Control record: limits that change; those that are not named stay as they are. */
export const LimitsControl = z.strictObject({
  control: z.literal("limits"),
  futureMsMax: z.int().min(0).max(86_400_000).optional(),
  lateMsMax: z.int().min(0).max(86_400_000).optional(),
  windowMax: z.int().min(1).max(16_384).optional(),
});
const time = z.int().refine(isMicros, { message: "must be a time in µs" });
/**
 * Control record: all instruments of one venue; those that it named before and does not name now become unknown. With
 * `since` that holds for events from then on, and what held before holds for those before `until`: between the two times
 * what has changed is not known, so nothing is held against it. `until` is `since` where it is absent; without both the
 * record speaks of all events.
 */
export const InstrumentsControl = z.strictObject({
  control: z.literal("instruments"),
  venue: z.string().refine(isVenue, { message: "must be a venue" }),
  since: time.optional(),
  until: time.optional(),
  instruments: z.array(Instrument).max(INSTRUMENTS_MAX),
}).refine(({ since, until }) => until === undefined || since !== undefined && until <= since, {
  path: ["until"],
  message: "must be at most since",
});
/** What a control message of `ticks.raw` says, as JSON. */
export const Control = z.discriminatedUnion("control", [LimitsControl, InstrumentsControl]);
export type Control = Readonly<z.infer<typeof Control>>;

/** The limits in force. */
export interface Limits {
  /** How far an event may lie ahead of its own receipt, ms. */
  readonly futureMsMax: number;
  /** How far an event may lie behind the newest of its instrument, and how long a hole waits for its tick, ms. */
  readonly lateMsMax: number;
  /** Numbers of a series that are remembered, counted back from its highest. */
  readonly windowMax: number;
}
/** In force until a control record says otherwise. */
export const LIMITS: Limits = { futureMsMax: 5_000, lateMsMax: 1_000, windowMax: 1_024 };

/** An instrument in force, its steps made ready. */
export interface Terms {
  readonly tickSize: Grid;
  readonly lot: Grid;
  readonly negative: boolean;
}
/** Whether both say the same. */
export function isSameTerms(a: Terms, b: Terms): boolean {
  return a.tickSize.step === b.tickSize.step && a.lot.step === b.lot.step && a.negative === b.negative;
}
/** Makes an instrument's steps ready. */
export function termsOf(instrument: Instrument): Terms {
  return { tickSize: gridOf(instrument.tickSize), lot: gridOf(instrument.lot), negative: instrument.negative };
}

/** A tick and everything that the rules may know about it: nothing here depends on a clock. */
export interface Evidence {
  readonly tick: Tick;
  /** Null where the instrument is unknown. */
  readonly terms: Terms | null;
  readonly limits: Limits;
  /** What is true of some price, and of some size: bits of `TRAIT`. */
  readonly prices: number;
  readonly sizes: number;
  /** Sign of best ask less best bid; 1 where a side is empty, the tick has none, or an amount does not fit. */
  readonly spread: number;
  /** Highest event time of the instrument so far, µs; -1 before the first. */
  readonly watermark: number;
  /** Where its sequence stands in its series. */
  readonly place: Place;
  /** The window has closed over a hole of its series, and no tick before has said so. */
  readonly gap: boolean;
}

/** How a rule treats the message that breaks it. */
export type Severity = "reject" | "flag";
export interface Rule {
  readonly name: string;
  /** For people: what is wrong with a message that breaks it. */
  readonly why: string;
  readonly severity: Severity;
}
/** A rule on a message that is a tick. */
export interface TickRule extends Rule {
  /** Whether the tick breaks it. */
  readonly test: (evidence: Evidence) => boolean;
}

/** Whether what is wanted comes live: neither fetched afterwards nor redriven, so that its place in time means something. */
export const isLive = (tick: Tick): boolean => tick.source !== "backfill" && tick.source !== "redrive";

const reject = (name: string, why: string, test: TickRule["test"]): TickRule => ({
  ...{ name, why, severity: "reject", test },
});
const flag = (name: string, why: string, test: TickRule["test"]): TickRule => ({ name, why, severity: "flag", test });

/** Rules on the message itself. One that breaks them is no tick, so nothing further is asked. */
export const MESSAGE_RULES = {
  malformed: {
    name: "malformed",
    why: "not JSON, not UTF-8, larger than 1 MiB, or nested deeper than 16",
    severity: "reject",
  },
  shape: {
    name: "shape",
    why: "not a tick: a field is missing, unknown, of another kind, or there twice",
    severity: "reject",
  },
} as const satisfies Readonly<Record<string, Rule>>;

/** Rules on one tick by itself: asked before its sequence, and what breaks them cannot carry its series far ahead. */
export const TICK_RULES: readonly TickRule[] = [
  reject("precision", "a decimal does not fit 26 digits before the point and 12 after", (e) => {
    return ((e.prices | e.sizes) & TRAIT.imprecise) !== 0;
  }),
  reject("price", "a price is zero or negative, which its instrument does not allow", (e) => {
    return (e.prices & (TRAIT.zero | TRAIT.negative)) !== 0 && !(e.terms !== null && e.terms.negative);
  }),
  reject("size", "a size is negative, or zero where nothing can have that size", ({ sizes, tick }) => {
    if ((sizes & TRAIT.negative) !== 0) return true;
    return (sizes & TRAIT.zero) !== 0 && tick.type !== "delta";
  }),
  // Orders that rest in a book may be older than the steps in force; without one of its changes a book would be wrong.
  reject("grid", "a price is no multiple of the tick size, or a size no multiple of the lot", (e) => {
    return ((e.prices | e.sizes) & TRAIT.offGrid) !== 0 && e.tick.type !== "book" && e.tick.type !== "delta";
  }),
  reject("crossed", "the best bid is above the best ask", (e) => e.spread < 0),
  reject("future", "it happened further after its own receipt than clocks may differ", ({ tick, limits }) => {
    return tick.eventTime - tick.receivedTime > limits.futureMsMax * 1_000;
  }),
];

/** Rules on a tick's place in its series. */
export const SEQUENCE_RULES: readonly TickRule[] = [
  reject("duplicate", "its sequence number was seen before", (e) => e.place === "duplicate"),
  reject("backwards", "its sequence number lies further back than ticks are reordered", (e) => {
    return e.place === "backwards" && isLive(e.tick);
  }),
];

/** What is noticed and let pass. */
export const FLAG_RULES: readonly TickRule[] = [
  flag("locked", "the best bid equals the best ask", (e) => e.spread === 0),
  flag("gap", "numbers before it are missing and can no longer be expected", (e) => e.gap),
  flag("late", "it happened long before what its instrument has shown already", ({ tick, limits, watermark }) => {
    return watermark - tick.eventTime > limits.lateMsMax * 1_000 && tick.timeSource === undefined && isLive(tick);
  }),
  flag("reordered", "it arrived after a tick with a higher number", (e) => e.place === "reordered"),
];

/** Every rule in table order: the first that a rejected message breaks is its reason. */
export const RULES: readonly Rule[] = [
  ...Object.values(MESSAGE_RULES),
  ...TICK_RULES,
  ...SEQUENCE_RULES,
  ...FLAG_RULES,
];

/** Evidence in the making. */
export type Draft = { -readonly [Name in keyof Evidence]: Evidence[Name] };

/** Looks at every amount of the evidence's tick, and fills in `prices`, `sizes` and `spread`. */
export function weigh(evidence: Draft): void {
  const { tick, terms } = evidence;
  const tickSize = terms === null ? null : terms.tickSize;
  const lot = terms === null ? null : terms.lot;
  let prices = 0, sizes = 0, bid: string | null = null, ask: string | null = null;
  switch (tick.type) {
    case "trade":
      prices = traitsOf(tick.price, tickSize);
      sizes = traitsOf(tick.size, lot);
      break;
    case "quote":
      if (tick.bidPrice !== null) {
        sizes = traitsOf(tick.bidSize!, lot);
        // Nobody bids at the price of a size of zero.
        if ((sizes & TRAIT.zero) === 0) prices = traitsOf(bid = tick.bidPrice, tickSize);
      }
      if (tick.askPrice !== null) {
        const traits = traitsOf(tick.askSize!, lot);
        sizes |= traits;
        if ((traits & TRAIT.zero) === 0) prices |= traitsOf(ask = tick.askPrice, tickSize);
      }
      break;
    case "book":
    case "delta":
      for (const side of [tick.bids, tick.asks]) {
        for (const [price, size] of side) {
          prices |= traitsOf(price, tickSize);
          sizes |= traitsOf(size, lot);
        }
      }
  }
  evidence.prices = prices;
  evidence.sizes = sizes;
  const isPrecise = ((prices | sizes) & TRAIT.imprecise) === 0;
  // Changes of a book are not a book, so a delta has no best.
  if (tick.type === "book" && isPrecise) {
    bid = bestOf(tick.bids, 1);
    ask = bestOf(tick.asks, -1);
  }
  evidence.spread = bid !== null && ask !== null && isPrecise ? compare(ask, bid) : 1;
}

/** The highest price for `direction` 1, the lowest for -1, in whatever order the levels stand; null where there is none. */
function bestOf(levels: readonly (readonly [string, string])[], direction: 1 | -1): string | null {
  let best: string | null = null;
  for (const [price] of levels) if (best === null || compare(price, best) * direction > 0) best = price;
  return best;
}
