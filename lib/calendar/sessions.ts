/**
 * How a schedule's times of day become µs: a session lies on its venue's clock, whatever summer does to it, and is
 * reckoned once for each day that is asked for.
 *
 * **In** a schedule, **Out** the calendar. **Knows** `failure`.
 */
import { Misuse } from "../failure.ts";
import { datesOf, type Hours, isDate, type Phase, plainDate, type Schedule } from "./schedule.ts";

/** One span of a date; a date whose session is interrupted has several. */
export interface Session {
  /** The date that the venue counts it to, `YYYY-MM-DD`. */
  readonly date: string;
  readonly phase: Phase;
  /** µs since the epoch, included. */
  readonly opens: number;
  /** µs since the epoch, no longer included. */
  readonly closes: number;
  /** Whether the date's last core session ends before the usual time of day. */
  readonly isEarlyClose: boolean;
}

/** A stretch of time of which nothing can be said. */
type Unsure = Pick<Session, "date" | "opens" | "closes">;
/** What touches one day of UTC. */
interface Day {
  readonly sessions: readonly Session[];
  readonly unsure: readonly Unsure[];
}

const DAY = 86_400_000_000;
/** Days that are remembered: more than a week of ticks that come in any order. */
const DAYS_MAX = 64;
const EPOCH = new Temporal.PlainDate(1970, 1, 1);

export class Calendar {
  readonly name: string;
  readonly zone: string;
  /** The dates that it covers, both included. */
  readonly covers: Schedule["covers"];
  readonly #regimes: Schedule["regimes"];
  readonly #closed: ReadonlySet<string>;
  readonly #special: ReadonlyMap<string, readonly Hours[]>;
  readonly #unsure: ReadonlySet<string>;
  readonly #from: number;
  readonly #until: number;
  readonly #days = new Map<number, Day>();

  constructor(name: string, { zone, covers, regimes, closed, special, unsure }: Schedule) {
    this.name = name;
    this.zone = zone;
    this.covers = covers;
    this.#regimes = regimes;
    this.#closed = new Set(datesOf(closed));
    this.#special = new Map(
      special.flatMap(({ hours, dates }) => datesOf(dates).map((date) => [date, hours] as const)),
    );
    this.#unsure = new Set(datesOf(unsure));
    this.#from = this.#beginOf(Temporal.PlainDate.from(covers.from));
    this.#until = this.#beginOf(Temporal.PlainDate.from(covers.to).add({ days: 1 }));
  }

  /** The core sessions of a date in the order of time; none on a holiday or at a weekend. @throws {Misuse} as `spansOf` */
  sessionsOf(date: string): readonly Session[] {
    return this.spansOf(date).filter(({ phase }) => phase === "core");
  }

  /** The same with what is around them. @throws {Misuse} for what is no date, or one that it does not know */
  spansOf(date: string): readonly Session[] {
    const day = plainDate(date);
    if (!this.#isCovered(date)) throw this.#uncovered(date);
    if (this.#unsure.has(date)) throw this.#unknown(date);
    return this.#spansOf(day);
  }

  /** The core session at this time, µs; null where there is none. @throws {Misuse} for a time that it does not know */
  sessionAt(micros: number): Session | null {
    const span = this.spanAt(micros);
    return span?.phase === "core" ? span : null;
  }

  /** The same of any phase. @throws {Misuse} for a time that it does not know */
  spanAt(micros: number): Session | null {
    const { sessions, unsure } = this.#dayAt(micros);
    for (const session of sessions) if (isIn(session, micros)) return session;
    for (const span of unsure) if (isIn(span, micros)) throw this.#unknown(span.date);
    return null;
  }

  /** Whether the core session is open at this time, µs. @throws {Misuse} for a time that it does not know */
  isOpen(micros: number): boolean {
    return this.sessionAt(micros) !== null;
  }

  /** When a core session opens next after this time, µs. @throws {Misuse} where a date that it does not know is in between */
  nextOpen(micros: number): number {
    this.#dayAt(micros);
    for (let date = utcDate(Math.floor(micros / DAY) - 2);; date = date.add({ days: 1 })) {
      const text = date.toString();
      if (this.#beginOf(date.add({ days: 1 })) <= micros) continue;
      if (!this.#isCovered(text)) throw this.#uncovered(text);
      if (this.#unsure.has(text)) throw this.#unknown(text);
      const next = this.#spansOf(date).find(({ phase, opens }) => phase === "core" && opens > micros);
      if (next !== undefined) return next.opens;
    }
  }

  /** Whether it can tell of this time, µs, or of this date: where it cannot, all others throw. */
  knows(at: number | string): boolean {
    if (typeof at === "string") return isDate(at) && this.#isCovered(at) && !this.#unsure.has(at);
    return at >= this.#from && at < this.#until && !this.#dayAt(at).unsure.some((span) => isIn(span, at));
  }

  #isCovered(date: string): boolean {
    return date >= this.covers.from && date <= this.covers.to;
  }

  #dayAt(micros: number): Day {
    if (!(micros >= this.#from && micros < this.#until)) throw this.#uncovered(timeText(micros));
    const number = Math.floor(micros / DAY);
    let day = this.#days.get(number);
    if (day === undefined) {
      day = this.#dayOf(number);
      if (this.#days.size >= DAYS_MAX) this.#days.clear();
      this.#days.set(number, day);
    }
    return day;
  }

  /** What touches a day of UTC: the farthest clock is 14 hours away, and a session begins at most a day before its date. */
  #dayOf(number: number): Day {
    const sessions: Session[] = [], unsure: Unsure[] = [];
    for (let date = utcDate(number - 2), n = 0; n < 5; date = date.add({ days: 1 }), n++) {
      const text = date.toString();
      if (!this.#isCovered(text)) continue;
      if (this.#unsure.has(text)) {
        unsure.push({ date: text, opens: this.#beginOf(date), closes: this.#beginOf(date.add({ days: 1 })) });
      } else sessions.push(...this.#spansOf(date));
    }
    const touches = ({ opens, closes }: Unsure) => opens < (number + 1) * DAY && closes > number * DAY;
    return { sessions: sessions.filter(touches), unsure: unsure.filter(touches) };
  }

  #spansOf(date: Temporal.PlainDate): readonly Session[] {
    const text = date.toString();
    const { weekdays, hours: usual } = this.#regimeOf(text);
    const isUsual = weekdays.includes(date.dayOfWeek) && !this.#closed.has(text);
    const hours = this.#special.get(text) ?? (isUsual ? usual : []);
    const isEarlyClose = lastClose(hours) < lastClose(usual);
    return hours.map(([phase, opens, closes]) => ({
      date: text,
      phase,
      opens: this.#opening(date, opens, closes),
      closes: this.#micros(date, closes),
      isEarlyClose,
    }));
  }

  /** When the venue begins to count time to a date: at midnight, or on the evening before where a session may open then. */
  #beginOf(date: Temporal.PlainDate): number {
    const openings = this.#regimeOf(date.toString()).hours.map(([, opens, closes]) =>
      this.#opening(date, opens, closes)
    );
    return Math.min(this.#micros(date, "00:00"), ...openings);
  }

  #regimeOf(date: string): Schedule["regimes"][number] {
    return this.#regimes.findLast(({ since }) => since <= date) ?? this.#regimes[0]!;
  }

  #opening(date: Temporal.PlainDate, opens: string, closes: string): number {
    return this.#micros(opens < closes ? date : date.subtract({ days: 1 }), opens);
  }

  #micros(date: Temporal.PlainDate, time: string): number {
    const [day, plainTime] = time === "24:00" ? [date.add({ days: 1 }), "00:00"] : [date, time];
    return day.toZonedDateTime({ timeZone: this.zone, plainTime }).epochMilliseconds * 1000;
  }

  #uncovered(what: string): Misuse {
    const { from, to } = this.covers;
    return new Misuse(
      `Cannot say session of "${what}": calendar "${this.name}" covers ${from} to ${to}, must be a date within`,
    );
  }

  #unknown(date: string): Misuse {
    return new Misuse(
      `Cannot say session of "${date}": its hours are not known to calendar "${this.name}", must be another date`,
    );
  }
}

const utcDate = (number: number): Temporal.PlainDate => EPOCH.add({ days: number });

const isIn = ({ opens, closes }: Pick<Session, "opens" | "closes">, micros: number): boolean =>
  micros >= opens && micros < closes;

/** When the core sessions of these hours end; what sorts behind every time of day where there are none. */
const lastClose = (hours: readonly Hours[]): string => hours.findLast(([phase]) => phase === "core")?.[2] ?? "none";

/** A time as text, if it can be one. */
const timeText = (micros: number): string =>
  Number.isSafeInteger(micros) ? new Date(micros / 1000).toISOString() : String(micros);
