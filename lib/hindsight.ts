/**
 * The book of an instrument as it stood, from what a store holds of it: the last snapshot that can begin it, what the
 * collector told from there on, and the machine that kept it live.
 *
 * **In** a store, an instrument and a time, **Out** the book, or since when and why there was none.
 * **Knows** `book`, `table`, `tick`, `venue`.
 */
import type { BookRead } from "./book.ts";
import { RULES } from "./book/discipline.ts";
import { bookAt } from "./book/replay.ts";
import { type Instrument, type Recall, type Row, type TableName, tickOf } from "./table.ts";
import { type Book, type Quote, type Status, type Tick, TIME_END } from "./tick.ts";
import type { Venue } from "./venue.ts";

/** How far our clock and a venue's may be apart, and an event may come late, µs: so much is read around what is needed. */
const CLOCKS_MICROS = 3_600_000_000;
/** Snapshots that are tried, from the last back, until one begins the book. */
const TRIES_MAX = 20;

/** A store as far as books are concerned. */
export type Source = Pick<Recall, "told" | "lastTold">;

/** How an instrument's book was. */
export interface Past {
  /** What it began with, or might have. */
  readonly snapshot: Pick<Book, "sequence" | "eventTime" | "timeSource">;
  /** Null where there was none in sync. */
  readonly book: BookRead | null;
  /** What the book was lost by, and has not come back from; null also where no snapshot could begin it. */
  readonly gap: Status | null;
}

/** A row, as the tick that it is. */
interface Stored {
  readonly table: TableName;
  readonly row: Row;
}
const originOf = ({ row }: Stored): number => row[1] as number;

/** The book after the last event until `time`, µs of the venue's clock; null where no snapshot is held up to then. */
export async function bookOf(
  store: Source,
  { name, books: discipline, depths }: Pick<Venue, "name" | "books" | "depths">,
  symbol: string,
  time: number,
): Promise<Past | null> {
  const instrument = { venue: name, symbol };
  const isSpliced = RULES[discipline]?.isSpliced ?? false;
  const isWhole = discipline === "whole";
  let refused: Past | null = null;
  let before = Number.MAX_SAFE_INTEGER;
  for (let tries = 0; tries < TRIES_MAX; tries++) {
    const start = await snapshotOf(store, instrument, isWhole, Math.min(time, TIME_END), before);
    if (start === null) break;
    const heard: { hasBegun: boolean; gap: Status | null } = { hasBegun: false, gap: null };
    const book = await bookAt(ticksFrom(store, start, { isSpliced, isWhole, time }, () => heard.hasBegun), {
      ...{ ...instrument, discipline, time },
      ...(depths !== undefined && { depths }),
      hear(news) {
        heard.hasBegun = true;
        // What follows the first changes nothing until the book is back.
        heard.gap = news === null ? null : heard.gap ?? news;
      },
    });
    const past = { snapshot: snapshotIn(start), book: book ?? null, gap: heard.gap };
    if (heard.hasBegun) return past;
    refused ??= past;
    before = originOf(start);
  }
  return refused;
}

/** The last time before a gap at which there was a book in sync, µs; null where that is none, or long ago. */
export async function lastSynced(
  store: Source,
  venue: Pick<Venue, "name" | "books" | "depths">,
  symbol: string,
  gap: Status,
): Promise<number | null> {
  let before: Status | null = gap;
  for (let tries = 0; before !== null && tries < TRIES_MAX; tries++) {
    const time: number = before.eventTime - 1;
    const past: Past | null = await bookOf(store, venue, symbol, time);
    if (past?.book) return time;
    before = past?.gap ?? null;
  }
  return null;
}

/** When the first snapshot from a time on is dated, µs; null where there is none. */
export async function nextSnapshot(
  store: Source,
  instrument: Instrument,
  { books }: Pick<Venue, "books">,
  from: number,
): Promise<number | null> {
  for (const table of books === "whole" ? ["books", "quotes"] as const : ["books"] as const) {
    for await (const rows of store.told(table, instrument, from, TIME_END)) return rows[0]![4] as number;
  }
  return null;
}

/** Whether the store holds anything that a book could be made of. */
export async function isKnown(store: Source, instrument: Instrument): Promise<boolean> {
  for (const table of ["books", "deltas", "quotes"] as const) {
    if (await store.lastTold(table, instrument, TIME_END, Number.MAX_SAFE_INTEGER) !== null) return true;
  }
  return false;
}

/** The last snapshot whose origin is below `before`; of books that are sent whole the best alone is one too. */
async function snapshotOf(
  store: Source,
  instrument: Instrument,
  isWhole: boolean,
  time: number,
  before: number,
): Promise<Stored | null> {
  const found: Stored[] = [];
  for (const table of isWhole ? ["books", "quotes"] as const : ["books"] as const) {
    const row = await store.lastTold(table, instrument, time, before);
    if (row !== null) found.push({ table, row });
  }
  return found.sort((a, b) => originOf(b) - originOf(a))[0] ?? null;
}

function snapshotIn({ table, row }: Stored): Book {
  const tick = tickOf(table, row);
  return tick.type === "quote" ? wholeOf(tick) : tick as Book;
}

/** A book of one level. */
function wholeOf({ bidPrice, bidSize, askPrice, askSize, ...quote }: Quote): Book {
  return {
    ...quote,
    type: "book",
    bids: bidPrice === null || bidSize === null ? [] : [[bidPrice, bidSize]],
    asks: askPrice === null || askSize === null ? [] : [[askPrice, askSize]],
  };
}

/** What the book is made of, from what was buffered for the snapshot on; nothing further where it did not begin one. */
async function* ticksFrom(
  store: Source,
  start: Stored,
  { isSpliced, isWhole, time }: { readonly isSpliced: boolean; readonly isWhole: boolean; readonly time: number },
  hasBegun: () => boolean,
): AsyncGenerator<Tick> {
  const snapshot = snapshotIn(start);
  const { venue, symbol, sequence, eventTime } = snapshot;
  const from = eventTime - CLOCKS_MICROS, to = Math.min(time + CLOCKS_MICROS, TIME_END);
  const tables: readonly TableName[] = isWhole ? ["status"] : ["books", "deltas", "status"];
  const streams = tables.map((table) => told(store, table, { venue, symbol }, from, to));
  let isOut = false;
  for await (const stored of merged(streams)) {
    const isBefore = originOf(stored) <= originOf(start);
    if (isBefore && !(isSpliced && stored.table === "deltas")) continue;
    if (!isBefore && !isOut) {
      isOut = true;
      yield snapshot;
      if (!hasBegun()) return;
    }
    const tick = tickOf(stored.table, stored.row);
    if (isBefore && tick.type === "delta" && tick.eventTime <= time) {
      const isCovered = sequence !== null && tick.lastId !== null && tick.lastId >= sequence;
      if (!isCovered) continue;
    }
    yield tick;
  }
  if (!isOut) yield snapshot;
}

async function* told(
  store: Source,
  table: TableName,
  instrument: Instrument,
  from: number,
  to: number,
): AsyncGenerator<Stored> {
  for await (const rows of store.told(table, instrument, from, to)) for (const row of rows) yield { table, row };
}

/** Streams in the order of their origins, in that order together. */
async function* merged(streams: readonly AsyncGenerator<Stored>[]): AsyncGenerator<Stored> {
  try {
    const heads: { stream: AsyncGenerator<Stored>; stored: Stored }[] = [];
    for (const stream of streams) {
      const { done, value } = await stream.next();
      if (!done) heads.push({ stream, stored: value });
    }
    while (heads.length > 0) {
      const head = heads.reduce((a, b) => originOf(b.stored) < originOf(a.stored) ? b : a);
      yield head.stored;
      const { done, value } = await head.stream.next();
      if (done) heads.splice(heads.indexOf(head), 1);
      else head.stored = value;
    }
  } finally {
    for (const stream of streams) await stream.return(undefined);
  }
}
