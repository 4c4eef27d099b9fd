/**
 * The day that gas is delivered by in Europe: from six in the morning to six, on the clock of the Netherlands, so that the
 * one before each change of the clocks has 23 or 25 hours. It is no trading session.
 *
 * **In** a date, **Out** its µs. **Knows** `failure`.
 */
import { plainDate } from "./schedule.ts";

export interface GasDay {
  readonly date: string;
  /** µs since the epoch, included. */
  readonly begins: number;
  /** µs since the epoch, no longer included. */
  readonly ends: number;
  /** 23, 24 or 25. */
  readonly hours: number;
}

/** The gas day that begins on this date. @throws {Misuse} for what is no date */
export function gasDay(date: string): GasDay {
  const day = plainDate(date);
  const six = (on: Temporal.PlainDate) =>
    on.toZonedDateTime({ timeZone: "Europe/Amsterdam", plainTime: "06:00" }).epochMilliseconds * 1000;
  const begins = six(day), ends = six(day.add({ days: 1 }));
  return { date, begins, ends, hours: (ends - begins) / 3_600_000_000 };
}
