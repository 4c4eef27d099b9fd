/**
 * What is in force for a tick: how severe each rule is, the limits, the calendar. A rules file says what differs from the
 * defaults, entry by entry, for a venue, symbols, a type; of two entries that speak of the same the later one counts.
 *
 * **In** a rules file, **Out** the policy of an instrument's ticks of a type. **Knows** `rule`, `calendar`, `tick`.
 */
import { z } from "@zod/zod";
import { type CalendarName, calendarOf, CALENDARS } from "../calendar.ts";
import { MESSAGE_RULES, RULES, SEVERITIES, type Severity } from "../rule.ts";
import { isVenue, type TickType, TYPES } from "../tick.ts";
import { Hours } from "./hours.ts";
import { LIMITS, Limits } from "./limits.ts";

/** Entries that a rules file may have. */
export const ENTRIES_MAX = 1_000;
/** Policies that are remembered: as many as there are sets of entries that speak of one tick. */
const POLICIES_MAX = 10_000;

/** Rules that cannot have every severity: which they may have, and why. */
const BOUND: Readonly<Record<string, { readonly may: readonly Severity[]; readonly why: string }>> = {
  malformed: { may: ["reject", "quarantine"], why: "what is no tick can be stored nowhere else" },
  shape: { may: ["reject", "quarantine"], why: "what is no tick can be stored nowhere else" },
  precision: { may: ["reject", "quarantine"], why: "no store keeps all its digits" },
  duplicate: { may: ["reject", "quarantine"], why: "every store would count it twice" },
  gap: { may: ["flag", "off"], why: "the tick that bears it is sound: what is missing was before it" },
  reset: { may: ["flag", "off"], why: "the tick that bears it is sound: its numbers begin anew" },
};

const severityOf = ({ name, why }: { readonly name: string; readonly why: string }) => {
  const bound = BOUND[name];
  const may = bound?.may ?? SEVERITIES;
  return z.enum(may, {
    error: `must be ${may.join(", ").replace(/, (\w+)$/, " or $1")}${bound === undefined ? "" : `: ${bound.why}`}`,
  }).optional().meta({ description: why });
};
const Severities = z.strictObject(Object.fromEntries(RULES.map((rule) => [rule.name, severityOf(rule)])));

/** Whom an entry speaks of, and what it says of them. */
export const Entry = z.strictObject({
  venue: z.string().refine(isVenue, { message: "must be a venue" }).optional()
    .meta({ description: "whose ticks; of all venues without it" }),
  symbol: z.string().regex(/^[^\p{C}]{1,64}$/u, { message: "must be a symbol, * standing for any characters" })
    .optional()
    .meta({ description: "which symbols, * standing for any characters; all without it" }),
  type: z.enum(TYPES, { error: `must be one of ${TYPES.join(", ")}` }).optional()
    .meta({ description: "which type of tick; all without it" }),
  severity: Severities.optional().meta({ description: "what becomes of a message that breaks a rule" }),
  limits: Limits.partial().optional().meta({ description: "what rules compare with" }),
  calendar: z.enum(["none", ...Object.keys(CALENDARS)]).optional()
    .meta({ description: "when its instruments trade; none where that is not known" }),
}).superRefine(({ venue, symbol, type, severity }, context) => {
  if (venue === undefined && symbol === undefined && type === undefined) return;
  for (const name of Object.keys(MESSAGE_RULES)) {
    if (severity?.[name] === undefined) continue;
    context.addIssue({
      code: "custom",
      path: ["severity", name],
      message: "must stand in an entry for all: what is no tick has neither venue, symbol nor type",
    });
  }
});
export type Entry = Readonly<z.infer<typeof Entry>>;

/** A rules file. */
export const RulesFile = z.strictObject({
  $schema: z.string().optional(),
  rules: z.array(Entry).max(ENTRIES_MAX).readonly(),
});
export type RulesFile = Readonly<z.infer<typeof RulesFile>>;

/** What is in force for the ticks of one type of one instrument. Sets of rules are bits, 1 for the first of the table. */
export interface Policy {
  readonly limits: Limits;
  /** Rules that send a message by the other door, and those among them that only quarantine it. */
  readonly refuses: number;
  readonly quarantines: number;
  readonly ignores: number;
  readonly hours: Hours | null;
  readonly calendar: CalendarName | null;
  readonly severities: Readonly<Record<string, Severity>>;
}

/** Every policy that is in force, made when it is first asked for. */
export class Policies {
  readonly base: Limits;
  readonly entries: readonly Entry[];
  readonly #policies = new Map<string, Policy>();
  readonly #hours = new Map<CalendarName, Hours>();

  /** `base` are the limits where no entry says otherwise. */
  constructor(base: Limits = LIMITS, entries: readonly Entry[] = []) {
    this.base = base;
    this.entries = entries;
  }

  of(venue: string, symbol: string, type: TickType): Policy {
    const entries = this.entries.filter((entry) => speaksOf(entry, venue, symbol, type));
    return this.#made(entries, calendarOf(venue, symbol));
  }

  /** For messages that are no tick. */
  ofNone(): Policy {
    return this.#made(this.entries.filter(({ venue, symbol, type }) => (venue ?? symbol ?? type) === undefined), null);
  }

  /** The largest value of a limit that some tick is judged by. */
  most(limit: "lateMsMax" | "futureMsMax"): number {
    return Math.max(this.base[limit], ...this.entries.map(({ limits }) => limits?.[limit] ?? 0));
  }

  #made(entries: readonly Entry[], usual: CalendarName | null): Policy {
    const named = entries.findLast(({ calendar }) => calendar !== undefined)?.calendar;
    const calendar = named === undefined ? usual : named === "none" ? null : named as CalendarName;
    const name = `${calendar} ${entries.map((entry) => this.entries.indexOf(entry))}`;
    let policy = this.#policies.get(name);
    if (policy === undefined) {
      if (this.#policies.size >= POLICIES_MAX) this.#policies.clear();
      this.#policies.set(name, policy = this.#make(entries, calendar));
    }
    return policy;
  }

  #make(entries: readonly Entry[], calendar: CalendarName | null): Policy {
    const limits = entries.reduce((merged, entry) => ({ ...merged, ...entry.limits }), this.base);
    const severities: Record<string, Severity> = {};
    let refuses = 0, quarantines = 0, ignores = 0;
    RULES.forEach(({ name, severity: usual }, i) => {
      const severity = entries.findLast((entry) => entry.severity?.[name] !== undefined)?.severity?.[name] ?? usual;
      severities[name] = severity;
      if (severity === "reject" || severity === "quarantine") refuses |= 1 << i;
      if (severity === "quarantine") quarantines |= 1 << i;
      if (severity === "off") ignores |= 1 << i;
    });
    return { limits, refuses, quarantines, ignores, hours: this.#hoursOf(calendar), calendar, severities };
  }

  #hoursOf(calendar: CalendarName | null): Hours | null {
    if (calendar === null || calendar === "24/7") return null;
    let hours = this.#hours.get(calendar);
    if (hours === undefined) this.#hours.set(calendar, hours = new Hours(calendar));
    return hours;
  }
}

function speaksOf(entry: Entry, venue: string, symbol: string, type: TickType): boolean {
  return (entry.venue === undefined || entry.venue === venue) && (entry.type === undefined || entry.type === type) &&
    (entry.symbol === undefined || fitsPattern(symbol, entry.symbol));
}

/** Whether a text is what a pattern says, `*` standing for any characters; in a time that a pattern cannot multiply. */
export function fitsPattern(text: string, pattern: string): boolean {
  let at = 0, place = 0, star = -1, from = 0;
  while (at < text.length) {
    if (place < pattern.length && pattern[place] === "*") {
      star = place++;
      from = at;
    } else if (place < pattern.length && pattern[place] === text[at]) {
      place++;
      at++;
    } else if (star >= 0) {
      place = star + 1;
      at = ++from;
    } else return false;
  }
  while (pattern[place] === "*") place++;
  return place === pattern.length;
}
