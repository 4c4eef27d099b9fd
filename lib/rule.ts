/**
 * What makes one tick sound: one table of rules in the order in which they are named. The names become labels and stored
 * reasons and never change. `rule/` has what they compare with: limits, policies, instruments, memory.
 *
 * **In** the evidence on one message, **Out** per rule whether the message breaks it.
 * **Knows** `tick`, `decimal`, `sequence`.
 */
import { compare, near, TRAIT, traitsOf } from "./decimal.ts";
import type { Terms } from "./rule/control.ts";
import type { Limits } from "./rule/limits.ts";
import type { Memory } from "./rule/memory.ts";
import type { Hours } from "./rule/hours.ts";
import type { Place } from "./sequence.ts";
import { type Tick, type TickType, TYPES } from "./tick.ts";

/** Version of the code of these rules and of `sequence`. Another number may judge the same log differently. */
export const RULES_VERSION = "4";
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
  /** Best bid and ask, and the price of a trade or the midpoint of a sound quote, as doubles; NaN where there is none. */
  readonly bid: number;
  readonly ask: number;
  readonly price: number;
  readonly memory: Memory;
  /** How long after its event a tick of the venue is received at least, µs. */
  readonly delay: number;
  /** When its instrument trades; null where that is always, or not known. */
  readonly hours: Hours | null;
  /** Highest event time of the instrument so far, µs; -1 before the first. */
  readonly watermark: number;
  /** Where its sequence stands in its series. */
  readonly place: Place;
  /** The window has closed over a hole of its series, and no tick before has said so. */
  readonly gap: boolean;
}

/**
 * How a rule treats the message that breaks it: it goes by the other door, as `reject` or, to be looked at and redriven,
 * as `quarantine`; it bears a `flag`; or the rule is `off`.
 */
export const SEVERITIES = ["reject", "quarantine", "flag", "off"] as const;
export type Severity = typeof SEVERITIES[number];
export interface Rule {
  readonly name: string;
  /** For people: what is wrong with a message that breaks it. */
  readonly why: string;
  /** Where no rules file says otherwise. */
  readonly severity: Severity;
}
/** A rule on a message that is a tick. */
export interface TickRule extends Rule {
  /** Types of ticks that may break it. */
  readonly types: readonly TickType[];
  /** Whether the tick breaks it. */
  readonly test: (evidence: Evidence) => boolean;
}

/** Whether what is wanted comes live: neither fetched afterwards nor redriven, so that its place in time means something. */
export const isLive = (tick: Tick): boolean => tick.source !== "backfill" && tick.source !== "redrive";

type Test = TickRule["test"];
const PRICED = ["trade", "quote"] as const, TOPPED = ["quote", "book"] as const;
const SIZED = [...PRICED, "book", "delta"] as const;
const reject = (name: string, why: string, test: Test, types: readonly TickType[] = TYPES): TickRule => ({
  ...{ name, why, severity: "reject", test, types },
});
const flag = (name: string, why: string, test: Test, types: readonly TickType[] = TYPES): TickRule => ({
  ...{ name, why, severity: "flag", test, types },
});

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
  }, SIZED),
  reject("price", "a price is zero or negative, which its instrument does not allow", (e) => {
    return (e.prices & (TRAIT.zero | TRAIT.negative)) !== 0 && !(e.terms !== null && e.terms.negative);
  }, SIZED),
  reject("size", "a size is negative, or zero where nothing can have that size", ({ sizes, tick }) => {
    if ((sizes & TRAIT.negative) !== 0) return true;
    return (sizes & TRAIT.zero) !== 0 && tick.type !== "delta";
  }, SIZED),
  // Orders that rest in a book may be older than the steps in force; without one of its changes a book would be wrong.
  reject("grid", "a price is no multiple of the tick size, or a size no multiple of the lot", (e) => {
    return ((e.prices | e.sizes) & TRAIT.offGrid) !== 0;
  }, PRICED),
  reject("crossed", "the best bid is above the best ask", (e) => e.spread < 0, TOPPED),
  reject("future", "it happened further after its own receipt than clocks may differ", ({ tick, limits }) => {
    return tick.eventTime - tick.receivedTime > limits.futureMsMax * 1_000;
  }),
];

/** Rules on a tick's place in its series. */
export const SEQUENCE_RULES: readonly TickRule[] = [
  reject("duplicate", "its sequence number was seen before", (e) => e.place === "duplicate"),
  reject("backwards", "its sequence number lies further back than ticks are reordered", (e) => {
    return e.place === "backwards" && (isLive(e.tick) || e.tick.redriven !== undefined);
  }),
];

/**
 * Rules whose word on a tick hangs on what came before it. Of a redriven tick they are not asked again: what they said when
 * it came is what they would say.
 */
export const REMEMBERED: readonly string[] = [
  ...["duplicate", "backwards", "old", "outlier", "frozen", "halted", "late", "reordered"],
];

/** Whether its time on the way means something: it comes live, and its time is its venue's. */
const isTimed = (tick: Tick): boolean => tick.timeSource === undefined && isLive(tick);

/** Whether bid and ask are too far apart for their midpoint to mean something. */
const isWide = ({ bid, ask, limits }: Pick<Evidence, "bid" | "ask" | "limits">): boolean =>
  (ask - bid) * 20_000 > (ask + bid) * limits.spreadBpsMax;

/** What is noticed and let pass on a tick by itself, or beside what its instrument has shown. */
const NOTICE_RULES: readonly TickRule[] = [
  flag("locked", "the best bid equals the best ask", (e) => e.spread === 0, TOPPED),
  flag("spread", "the best ask is further above the best bid than may be", (e) => {
    // A share of prices around zero says nothing.
    return e.spread > 0 && e.bid > 0 && isWide(e) && !(e.terms !== null && e.terms.negative);
  }, TOPPED),
  flag("one-sided", "there are bids and no asks, or asks and no bids", ({ tick }) => {
    if (tick.type === "quote") return (tick.bidPrice === null) !== (tick.askPrice === null);
    return tick.type === "book" && (tick.bids.length === 0) !== (tick.asks.length === 0);
  }, TOPPED),
  flag("old", "it was received longer after it happened than its venue's clock and the way explain", (e) => {
    const { tick, delay, limits } = e;
    return tick.receivedTime - tick.eventTime - delay > limits.oldMsMax * 1_000 && isTimed(tick);
  }, SIZED),
  flag("outlier", "its price is far from those before it", ({ tick, price, memory, terms, limits }) => {
    return memory.isFar(price, limits.outlierBpsMax) && isLive(tick) && !(terms !== null && terms.negative);
  }, PRICED),
  flag("frozen", "the quote has not changed for long while trades went on outside of it", (e) => {
    return e.memory.isFrozen(e.tick.type, e, e.tick.eventTime, e.limits.frozenMsMax) && isLive(e.tick);
  }, PRICED),
  flag("halted", "a trade while its venue says that the instrument is halted", ({ tick, memory }) => {
    return memory.isHalted(tick.eventTime) && isLive(tick);
  }, ["trade"]),
  flag("session", "it happened when its instrument does not trade", ({ tick, hours }) => {
    return hours !== null && hours.isClosed(tick.eventTime);
  }, PRICED),
];

const GAP = flag("gap", "numbers before it are missing and can no longer be expected", (e) => e.gap);
const LATE = flag("late", "it happened long before what its instrument has shown already", (e) => {
  return e.watermark - e.tick.eventTime > e.limits.lateMsMax * 1_000 && isTimed(e.tick);
});
const ORDER_RULES: readonly TickRule[] = [
  flag("reordered", "it arrived after a tick with a higher number", (e) => e.place === "reordered"),
  flag("reset", "its numbers begin anew, as its connection, its session or its venue does", (e) => e.place === "reset"),
];

/** What is noticed and let pass, on a tick and on its place in its series. */
export const FLAG_RULES: readonly TickRule[] = [
  ...NOTICE_RULES,
  GAP,
  LATE,
  ...ORDER_RULES,
];

/** Every rule that asks nothing of the tick's place in its series, and every other, each in table order. */
export const BESIDE_RULES: readonly TickRule[] = [...TICK_RULES, ...NOTICE_RULES, LATE];
export const PLACE_RULES: readonly TickRule[] = [...SEQUENCE_RULES, GAP, ...ORDER_RULES];

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
  evidence.bid = bid === null || !isPrecise ? NaN : near(bid);
  evidence.ask = ask === null || !isPrecise ? NaN : near(ask);
  evidence.price = tick.type === "trade"
    ? near(tick.price)
    : tick.type === "quote" && evidence.spread > 0 && !isWide(evidence)
    ? (evidence.bid + evidence.ask) / 2
    : NaN;
}

/** The highest price for `direction` 1, the lowest for -1, in whatever order the levels stand; null where there is none. */
function bestOf(levels: readonly (readonly [string, string])[], direction: 1 | -1): string | null {
  let best: string | null = null;
  for (const [price] of levels) if (best === null || compare(price, best) * direction > 0) best = price;
  return best;
}
