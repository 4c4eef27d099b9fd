/**
 * What a control record of the log may say: limits, a venue's instruments, rules. It changes what is in force at its
 * offset, so that every replay judges alike.
 *
 * **In** JSON, **Out** controls, and instruments made ready. **Knows** `decimal`, `tick`.
 */
import { z } from "@zod/zod";
import { fits, type Grid, gridOf, isDecimal, sign } from "../decimal.ts";
import { isMicros, isSymbol, isVenue } from "../tick.ts";
import { Limits } from "./limits.ts";
import { RulesFile } from "./policy.ts";

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

/** Control record: what a rules file says, instead of all that one before said. */
export const RulesControl = z.strictObject({ control: z.literal("rules"), rules: RulesFile.shape.rules });
/** Control record: limits that change where no rules file says otherwise; those that are not named stay as they are. */
export const LimitsControl = z.strictObject({
  control: z.literal("limits"),
  ...Limits.partial().shape,
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
export const Control = z.discriminatedUnion("control", [LimitsControl, InstrumentsControl, RulesControl]);
export type Control = Readonly<z.infer<typeof Control>>;

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
