/**
 * What a judge keeps in a checkpoint: its format, and what others read of it.
 *
 * **In** a state's text, **Out** what it says of gaps, policies and instruments.
 * **Knows** `register`, `rule`, `tape`, `failure`.
 */
import { z } from "@zod/zod";
import { Refusal } from "../failure.ts";
import { PAST, SavedRegister } from "../register.ts";
import type { Instrument } from "../rule/control.ts";
import { LIMITS } from "../rule/limits.ts";
import { Policies } from "../rule/policy.ts";
import { SavedTape } from "../tape.ts";

/**
 * Version of the state's fields; the first one had neither `tape`, `gaps` nor `written`, and did not say so. The third was
 * written where instruments are in force for events of a certain time alone. The fourth has what rules remember of
 * prices, clocks and ids, the rules file in force, and series that may begin anew.
 */
export const STATE_FORMAT = 4;
const Looked = z.strictObject({ end: z.int().min(0), highest: z.int().min(-1) });
/**
 * How far an output has been looked through: no origin before offset `end` is above `highest`, unless this state's own
 * last one is.
 */
export type Written = z.infer<typeof Looked>;

export const Saved = z.strictObject({
  format: z.int().min(2).max(STATE_FORMAT).optional(),
  version: z.string(),
  topic: z.string(),
  partition: z.int(),
  control: z.int().min(-1),
  lastValid: z.int().min(-1),
  lastRejected: z.int().min(-1),
  tape: SavedTape.optional(),
  /** Records that the log lost before they were judged; absent while there are none. */
  gaps: z.array(z.strictObject({ first: z.int(), last: z.int(), at: z.int() })).readonly().optional(),
  /** Absent from states of earlier versions. */
  written: z.strictObject({ valid: Looked, rejected: Looked }).optional(),
  register: SavedRegister,
});
/** A state as it is written. */
export type SavedState = z.infer<typeof Saved>;
const Newer = z.looseObject({ format: z.int().min(STATE_FORMAT + 1) });
export type Skipped = NonNullable<z.infer<typeof Saved>["gaps"]>[number];

/** What a state says. @throws {Refusal} when it is of a newer format */
export function opened(state: string): unknown {
  const saved: unknown = JSON.parse(state);
  const { data: newer } = Newer.safeParse(saved);
  if (newer === undefined) return saved;
  throw new Refusal(
    `Cannot open state of validate: its format is ${newer.format}, must be at most ${STATE_FORMAT} (a newer Tapedeck wrote it)`,
  );
}

/** What a judge of this state has given up, since the log had lost it. @throws {Refusal} when it is of a newer format */
export function skippedIn(state: string): readonly Skipped[] {
  const { gaps = [] } = opened(state) as { readonly gaps?: readonly Skipped[] };
  return gaps;
}

/** The policies in force where this state was kept. */
export function policiesIn(state: string): Policies {
  const { register } = opened(state) as { readonly register: SavedRegister };
  return new Policies({ ...LIMITS, ...register.limits }, register.rules ?? []);
}

/** Every instrument that these states know of, by venue and symbol. */
export function knownIn(states: readonly string[]): (readonly [venue: string, symbol: string])[] {
  const names = new Set(states.flatMap((state) => {
    const { register } = opened(state) as { readonly register: SavedRegister };
    const listed = register.instruments.flatMap(([venue, rows]) => rows.map(([symbol]) => `${venue}:${symbol}`));
    return [...listed, ...register.subjects.map(([key]) => key).filter((key) => !key.startsWith(PAST))];
  }));
  return Array.from(names, (name) => [name.slice(0, name.indexOf(":")), name.slice(name.indexOf(":") + 1)]);
}

/** Terms of instruments that a state knows of, each with the event times that they hold for, µs. */
export function termsIn(state: string): readonly (Instrument & {
  readonly venue: string;
  readonly since: number;
  readonly until: number;
})[] {
  const { register } = opened(state) as { readonly register: Pick<SavedRegister, "instruments" | "ended"> };
  return [
    ...register.instruments.flatMap(([venue, rows]) =>
      rows.map(([symbol, tickSize, lot, negative, since = 0]) => {
        return { venue, symbol, tickSize, lot, negative, since, until: Infinity };
      })
    ),
    ...(register.ended ?? []).map(([key, tickSize, lot, negative, since, until]) => {
      const colon = key.indexOf(":");
      const [venue, symbol] = [key.slice(0, colon), key.slice(colon + 1)];
      return { venue, symbol, tickSize, lot, negative, since, until };
    }),
  ];
}
