/**
 * When instruments of one calendar trade, asked tick by tick: the span that was open last is remembered.
 *
 * **In** times, **Out** whether they lie outside of all spans, and whether two lie in different sessions.
 * **Knows** `calendar`.
 */
import { type Calendar, type CalendarName, openCalendar } from "../calendar.ts";

export class Hours {
  readonly #calendar: Calendar;
  #opens = 0;
  #closes = 0;

  constructor(name: CalendarName) {
    this.#calendar = openCalendar(name);
  }

  /** Whether nothing trades then, before and after hours included. Of a time that the calendar does not know nothing is said. */
  isClosed(micros: number): boolean {
    if (micros >= this.#opens && micros < this.#closes) return false;
    if (!this.#calendar.knows(micros)) return false;
    const span = this.#calendar.spanAt(micros);
    if (span === null) return true;
    this.#opens = span.opens;
    this.#closes = span.closes;
    return false;
  }

  /** Whether both times are known to lie in sessions, and in different ones. */
  isAnother(before: number, micros: number): boolean {
    if (!this.#calendar.knows(before) || !this.#calendar.knows(micros)) return false;
    const [old, now] = [this.#calendar.spanAt(before), this.#calendar.spanAt(micros)];
    return old !== null && now !== null && old.date !== now.date;
  }
}
