/**
 * What was collected of a day and what was not, instrument by instrument and hour by hour: from the rows that the lake has,
 * from what collectors and venues told as status, and from calendars.
 *
 * **In** the lake's files and a date, **Out** minutes by their fate, and every hole.
 * **Knows** `calendar`, `lake`, `parquet`, `table`.
 */
import { type CalendarName, calendarOf, openCalendar } from "./calendar.ts";
import {
  account,
  COLLECTORS,
  DAY,
  type Fate,
  FATES,
  type Hole,
  isCollectors,
  type Told,
  WINDOW,
} from "./coverage/account.ts";
import type { LakeFile } from "./lake.ts";
import { query } from "./parquet.ts";
import { TABLE_NAMES, type TableName } from "./table.ts";

export { type Fate, FATES, type Hole } from "./coverage/account.ts";

/** An hour of an instrument: how many of its minutes are what, 60 in all, and the rows of all tables. */
export interface Hour {
  readonly minutes: Readonly<Record<Fate, number>>;
  readonly rows: number;
}

export interface Cover {
  readonly venue: string;
  readonly symbol: string;
  /** Null where no calendar is known, or it does not know the date: then it may be open at any time. */
  readonly calendar: CalendarName | null;
  /** By the hour of UTC, 24 of them. */
  readonly hours: readonly Hour[];
  /** Minutes of the day in which its market was open and it was to be collected. */
  readonly expected: number;
  /** Minutes of the day by their fate. */
  readonly minutes: Readonly<Record<Fate, number>>;
  /** By minutes of the day, in the order of time. */
  readonly holes: readonly Hole[];
}

export interface Coverage {
  readonly date: string;
  /** The day's first minute that is not over, 1440 where all are. */
  readonly until: number;
  readonly instruments: readonly Cover[];
}

const MINUTE_US = 60_000_000, HOUR_US = 60 * MINUTE_US;
/** A collector of which nothing was heard for so long is no longer expected to collect. */
const FORGOTTEN_US = 7 * 24 * HOUR_US;
const LIVE = "(source IS NULL OR source NOT IN ('backfill', 'redrive', 'built'))";
/** What came late, or when its instrument does not trade, does not tell when it was collected. */
const PROMPT = `${LIVE} AND (flags IS NULL OR NOT list_has_any(string_split(flags, ','), ['late', 'old', 'session']))`;

/** What is read of an instrument before it is accounted for. */
interface Read {
  readonly venue: string;
  readonly symbol: string;
  readonly present: Uint8Array;
  readonly prompt: Uint8Array;
  readonly rows: number[];
  readonly told: Told[];
  /** What was told last before the window, and when, µs. */
  before: { line: string | null; trading: string | null; at: number };
}

/** The coverage of a date, `YYYY-MM-DD`; `now` is µs since the epoch. */
export async function coverageOf(
  root: string,
  files: readonly LakeFile[],
  date: string,
  now: number,
): Promise<Coverage> {
  const midnight = Date.parse(`${date}T00:00:00Z`) * 1_000;
  const begin = midnight - DAY * MINUTE_US;
  const dates = [-1, 0, 1].map((day) => new Date(midnight / 1_000 + day * 86_400_000).toISOString().slice(0, 10));
  const pathsOf = (table: TableName, is: (date: string) => boolean): string[] =>
    files.filter((file) => file.table === table && is(file.date)).map(({ path }) => `${root}/${path}`);
  const near = (date: string): boolean => dates.includes(date);
  const reads = new Map<string, Read>();
  const alive = new Map<string, Uint8Array>();
  const readOf = (venue: string, symbol: string): Read => {
    const key = `${venue}:${symbol}`;
    let read = reads.get(key);
    if (read === undefined) {
      const [present, prompt] = [new Uint8Array(WINDOW), new Uint8Array(WINDOW)];
      const before = { line: null, trading: null, at: 0 };
      read = { venue, symbol, present, prompt, rows: new Array(24).fill(0), told: [], before };
      reads.set(key, read);
    }
    return read;
  };

  for (const table of TABLE_NAMES) {
    const paths = pathsOf(table, near);
    if (paths.length === 0) continue;
    if (table !== "status") {
      for (const row of await minutesOf(paths, "venue, symbol", "event_time", PROMPT)) {
        const read = readOf(row.venue, row.symbol!);
        mark(read.present, row.hour * 60 - begin / MINUTE_US, row.mask);
        mark(read.prompt, row.hour * 60 - begin / MINUTE_US, row.masked);
        const hour = row.hour - midnight / HOUR_US;
        if (hour >= 0 && hour < 24) read.rows[hour]! += row.n;
      }
    }
    for (const { venue, hour, masked } of await minutesOf(paths, "venue", "received_time", LIVE)) {
      let heard = alive.get(venue);
      if (heard === undefined) alive.set(venue, heard = new Uint8Array(WINDOW));
      mark(heard, hour * 60 - begin / MINUTE_US, masked);
    }
  }
  for (const { venue, symbol, time, state, detail } of await wordsOf(pathsOf("status", near))) {
    const minute = Math.floor((time - begin) / MINUTE_US);
    if (minute >= 0 && minute < WINDOW) readOf(venue, symbol).told.push({ minute, state, detail });
  }
  for (const { venue, symbol, ...before } of await lastWordsOf(pathsOf("status", (date) => date < dates[0]!))) {
    readOf(venue, symbol).before = before;
  }

  const heard = Math.max(...[...alive.values()].map((minutes) => minutes.lastIndexOf(1)), DAY - 1);
  const over = Math.floor((now - begin) / MINUTE_US);
  // Of a day that goes on, nothing can be said beyond what the lake has.
  const horizon = over >= 2 * DAY ? WINDOW : Math.min(heard + 1, over);
  const instruments = [...reads.values()].filter((read) => isOfDay(read, midnight)).map((read) =>
    coverOf(read, alive, horizon, begin)
  );
  const order = (cover: Cover): number => -(cover.minutes.unaccounted * DAY + cover.minutes.lost);
  instruments.sort((a, b) => order(a) - order(b) || compare(a.venue, b.venue) || compare(a.symbol, b.symbol));
  return { date, until: Math.max(0, Math.min(DAY, horizon - DAY)), instruments };
}

const compare = (a: string, b: string): number => a < b ? -1 : a > b ? 1 : 0;

/** Whether anybody was to collect it on the day: what was given up before, or not heard of for long, is nobody's hole. */
function isOfDay({ present, told, before }: Read, midnight: number): boolean {
  const from = present.indexOf(1, DAY);
  if (from >= DAY && from < 2 * DAY || told.some(({ minute }) => minute >= DAY && minute < 2 * DAY)) return true;
  const isHeardOf = present.indexOf(1) >= 0 || told.length > 0 || before.at >= midnight - FORGOTTEN_US;
  const line = told.findLast((word) => word.minute < DAY && isCollectors(word))?.state ?? before.line;
  return isHeardOf && line !== null && line !== "disconnected" && line !== "silent";
}

function coverOf(read: Read, alive: ReadonlyMap<string, Uint8Array>, horizon: number, begin: number): Cover {
  const { venue, symbol, present, prompt, rows, told, before } = read;
  const name = calendarOf(venue, symbol);
  const calendar = name === null ? null : openCalendar(name);
  const at = (minute: number): number => begin + minute * MINUTE_US;
  const isKnown = calendar !== null && [DAY, 2 * DAY - 1].every((minute) => calendar.knows(at(minute)));
  const { fates, holes } = account({
    ...{ present, prompt, told, before, horizon },
    alive: alive.get(venue) ?? new Uint8Array(WINDOW),
    isOpen: isKnown ? (minute) => !calendar.knows(at(minute)) || calendar.isOpen(at(minute)) : null,
  });
  const minutes = countOf(fates);
  return {
    ...{ venue, symbol, calendar: isKnown ? name : null },
    hours: rows.map((n, hour) => ({ minutes: countOf(fates.slice(hour * 60, hour * 60 + 60)), rows: n })),
    expected: minutes.collected + minutes.quiet + minutes.lost + minutes.unaccounted,
    ...{ minutes, holes },
  };
}

function countOf(fates: readonly Fate[]): Record<Fate, number> {
  const count = Object.fromEntries(FATES.map((fate) => [fate, 0])) as Record<Fate, number>;
  for (const fate of fates) count[fate]++;
  return count;
}

/** Sets the minutes of an hour, which begins at `from`, whose bits are set. */
function mark(minutes: Uint8Array, from: number, mask: bigint): void {
  for (let i = 0; i < 60; i++) {
    if ((mask >> BigInt(i) & 1n) === 1n && from + i >= 0 && from + i < WINDOW) minutes[from + i] = 1;
  }
}

/**
 * In which minutes of which hours there are rows, and such rows as are asked for: a bit for each, since a day of minutes
 * would be sixty times as much.
 */
async function minutesOf(paths: readonly string[], by: string, time: string, which: string) {
  const bits = `bit_or(1::BIGINT << ((epoch_us(${time}) // ${MINUTE_US}) % 60)::BIGINT)`;
  const rows = await query(
    paths,
    `SELECT ${by}, (epoch_us(${time}) // ${HOUR_US})::BIGINT AS hour, count(*)::BIGINT AS n,
      ${bits} AS mask, coalesce(${bits} FILTER (WHERE ${which}), 0) AS masked
      FROM ticks GROUP BY ${by}, hour`,
  );
  return rows.map((row) => ({
    ...{ venue: String(row.venue), symbol: row.symbol === undefined ? undefined : String(row.symbol) },
    ...{ hour: Number(row.hour), n: Number(row.n) },
    ...{ mask: BigInt(row.mask as number | bigint), masked: BigInt(row.masked as number | bigint) },
  }));
}

async function wordsOf(paths: readonly string[]) {
  if (paths.length === 0) return [];
  const rows = await query(
    paths,
    "SELECT venue, symbol, epoch_us(received_time) AS time, state, detail FROM ticks ORDER BY received_time, origin",
  );
  return rows as unknown as readonly {
    venue: string;
    symbol: string;
    time: number;
    state: string;
    detail: string | null;
  }[];
}

/** What was told last of each instrument's connection and trading. */
async function lastWordsOf(paths: readonly string[]) {
  if (paths.length === 0) return [];
  const last = (which: string): string => `arg_max(state, epoch_us(received_time)) FILTER (WHERE ${which})`;
  const rows = await query(
    paths,
    `SELECT venue, symbol, ${last(COLLECTORS)} AS line, ${
      last("state NOT IN ('connected', 'subscribed', 'silent', 'disconnected', 'gap')")
    } AS trading, max(epoch_us(received_time)) AS at FROM ticks GROUP BY venue, symbol`,
  );
  return rows as unknown as readonly ({ venue: string; symbol: string } & Read["before"])[];
}
