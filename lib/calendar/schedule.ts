/**
 * What a calendar is made of: times of day on its venue's clock, since when they hold, and the dates that differ.
 *
 * **Knows** `failure`.
 */
import { Misuse } from "../failure.ts";

/** `core` is the session itself; `pre` and `post` are what the venue's rules let happen around it. */
export type Phase = "pre" | "core" | "post";

/**
 * From one time of day to another, `HH:MM` on the venue's clock; `24:00` ends the date. What opens later than it closes
 * opens on the evening before its date.
 */
export type Hours = readonly [phase: Phase, opens: string, closes: string];

/** Dates by their years, `MM-DD MM-DD …`. */
export type Dates = Readonly<Record<number, string>>;

export interface Schedule {
  /** IANA's name of the venue's time zone. */
  readonly zone: string;
  /** The dates that its sources cover, both included. */
  readonly covers: { readonly from: string; readonly to: string };
  /** Rising by the date since when they hold; weekdays from 1, Monday, to 7. Hours in the order of time, at least one core. */
  readonly regimes: readonly {
    readonly since: string;
    readonly weekdays: readonly number[];
    readonly hours: readonly Hours[];
  }[];
  /** Dates of those weekdays without a session. */
  readonly closed: Dates;
  /** Dates with other hours, whatever their weekday. */
  readonly special: readonly { readonly hours: readonly Hours[]; readonly dates: Dates }[];
  /** Dates of which no source says the hours, or sources disagree. */
  readonly unsure: Dates;
}

/** All dates, `YYYY-MM-DD`. */
export function datesOf(dates: Dates): string[] {
  return Object.entries(dates).flatMap(([year, days]) => days.split(" ").map((day) => `${year}-${day}`));
}

/** @throws {Misuse} for what is no date */
export function plainDate(text: string): Temporal.PlainDate {
  if (!isDate(text)) throw new Misuse(`Cannot say session of "${text}": it is no date, must be YYYY-MM-DD`);
  return Temporal.PlainDate.from(text);
}

/** Whether it is a date, `YYYY-MM-DD`, that there is. */
export function isDate(text: string): boolean {
  if (!/^\d{4}-\d\d-\d\d$/.test(text)) return false;
  try {
    Temporal.PlainDate.from(text);
    return true;
  } catch {
    return false;
  }
}
