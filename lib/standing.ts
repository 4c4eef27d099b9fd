/**
 * How a market stands between two ticks: all that a later run needs to go on as if there had been no break.
 *
 * **In** JSON text that an earlier run kept, or the listings of a new market; **Out** a `Standing`.
 * **Knows** `chance`, `listing`, `plant`, `failure`.
 */
import { z } from "@zod/zod";
import { Chance } from "./chance.ts";
import { Misuse, reasonOf, Refusal } from "./failure.ts";
import { type Listing, SYMBOLS_MAX } from "./listing.ts";
import { FAULT_NAMES, STUCK_MAX } from "./plant.ts";

/** Microseconds. */
export const SECOND = 1_000_000;
/** From an event to its receipt at least, µs. */
export const DELAY_MIN = 200;

const words = z.tuple([z.int(), z.int(), z.int(), z.int()]);
const perSymbol = z.array(z.int()).max(SYMBOLS_MAX);
/** Messages that may wait: a mixed round, each tick with the most that a fault is made of. */
export const QUEUE_MAX = 256;
/** A message that waits: its text, or the base64 of its bytes, and what is true of it. */
const Queued = z.strictObject({
  symbolIndex: z.int(),
  text: z.string(),
  isBytes: z.boolean(),
  truth: z.strictObject({
    ...{
      fault: z.enum(FAULT_NAMES),
      symbol: z.string(),
      type: z.enum(["trade", "quote"]),
      sequence: z.int().nullable(),
    },
    ...{ reason: z.string(), outcome: z.enum(["rejected", "flagged"]), also: z.array(z.string()) },
  }).optional(),
});
export type Queued = z.infer<typeof Queued>;

const Standing = z.strictObject({
  version: z.union([z.literal(1), z.literal(2)]).transform(() => 2 as const),
  seed: z.int(),
  /** The generators of the market and of its faults. */
  chance: words,
  mischief: words,
  /** Market time. */
  second: z.int(),
  micro: z.int(),
  /** Delay of the line, and of the last message, which may have queued behind a stall; µs. */
  lag: z.int(),
  delay: z.int(),
  /** Ticks left of a burst, and the symbol that it is about. */
  burst: z.int(),
  burstIndex: z.int(),
  /** The kind of fault that waits for a tick that can have it. */
  armed: z.enum(FAULT_NAMES).nullable(),
  /** Messages that are made and not given yet. The first version had neither these nor the two times. */
  queue: z.array(Queued).max(QUEUE_MAX).default([]),
  /** When each of the instruments in which quotes are stuck was used last, and that of new beginnings; µs, 0 before. */
  stuckAt: z.array(z.int()).length(STUCK_MAX).default(() => new Array<number>(STUCK_MAX).fill(0)),
  restartedAt: z.int().default(0),
  /** The fault that comes next, behind the clean tick given last. */
  pending: z.strictObject({ fault: z.enum(FAULT_NAMES).exclude(["gap"]), symbolIndex: z.int(), line: z.string() })
    .nullable(),
  bids: perSymbol,
  spreads: perSymbol,
  quotes: perSymbol,
  trades: perSymbol,
  /** 1 where the last quote was taken away, plus 2 where the last trade was. */
  removed: perSymbol,
}).refine(
  ({ bids, ...kept }) =>
    [kept.spreads, kept.quotes, kept.trades, kept.removed].every(({ length }) => length === bids.length),
  "must hold as many numbers in each list",
);
/** Changes with every tick; kept as its JSON text, whose fields always stand in this order. */
export type Standing = z.infer<typeof Standing>;

/** A market before its first tick. */
export function opened(seed: number, all: readonly Listing[], start: number): Standing {
  const none = all.map(() => 0);
  return {
    version: 2,
    seed,
    chance: [...Chance.of(seed, 1).words],
    mischief: [...Chance.of(seed, 2).words],
    second: Math.floor(start / SECOND),
    micro: start % SECOND,
    lag: DELAY_MIN,
    delay: DELAY_MIN,
    burst: 0,
    burstIndex: 0,
    armed: null,
    queue: [],
    stuckAt: new Array<number>(STUCK_MAX).fill(0),
    restartedAt: 0,
    pending: null,
    bids: all.map(({ open }) => open),
    spreads: all.map(() => 1),
    quotes: none,
    trades: [...none],
    removed: [...none],
  };
}

/** The market that `state` holds. @throws {Misuse} when it is another market's. @throws {Refusal} when it is damaged */
export function restored(state: string, seed: number, symbols: number): Standing {
  let json: unknown;
  try {
    json = JSON.parse(state);
  } catch (error) {
    throw new Refusal(`Cannot resume market "seed ${seed}": its state has ${reasonOf(error)}, must be whole JSON`);
  }
  const { data: kept, error } = Standing.safeParse(json);
  if (kept === undefined) {
    const { path, message } = error.issues[0]!;
    throw new Refusal(
      `Cannot resume market "seed ${seed}": its state has ${
        path.join(".") || "lists"
      } with "${message}", must be sound`,
    );
  }
  if (kept.seed !== seed || kept.bids.length !== symbols) {
    throw new Misuse(
      `Cannot resume market "seed ${seed}, ${symbols} symbols": its state is of seed ${kept.seed} and ${kept.bids.length} symbols, must be of the same`,
    );
  }
  return kept;
}
