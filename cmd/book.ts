/**
 * The order book of an instrument as it stood at a time, from the hot store, or from the lake where that has it alone.
 *
 * **In** the stores, **Out** the best levels of both sides, how far they are known, and whether the book was in sync; exit 3
 * where there is none to show. **Knows** `hindsight`, `hot`, `lake`, `examine`, `venue`, `decimal`, `stage`, `crew`.
 */
import type { BookRead } from "../lib/book.ts";
import type { Levels } from "../lib/book/ladder.ts";
import { columns } from "../lib/columns.ts";
import { start } from "../lib/crew.ts";
import { compare, scaleOf } from "../lib/decimal.ts";
import { isThere } from "../lib/examine.ts";
import { Misuse, shownUrl } from "../lib/failure.ts";
import { bookOf, isKnown, lastSynced, nextSnapshot, type Past } from "../lib/hindsight.ts";
import { openHot } from "../lib/hot.ts";
import { openLake } from "../lib/lake.ts";
import { defineInspection } from "../lib/stage.ts";
import type { Recall } from "../lib/table.ts";
import { isMicros, isSymbol, LEVELS_MAX, TIME_END } from "../lib/tick.ts";
import { openVenue, type Venue, VENUES } from "../lib/venue.ts";

const SYMBOLS_SHOWN = 20;

type StoreName = "hot" | "lake";
interface Shelf extends Recall {
  readonly version?: number | string;
  close(): Promise<void>;
}

/** What became of looking into the stores. */
interface Found {
  readonly store: StoreName;
  readonly shelf: Shelf;
  readonly past: Past;
}

const stage = defineInspection({
  name: "book",
  does: "the order book as it stood at a time, or exit 3",
  reads: [],
  writes: [],
  needs: ["hot", "lake"],
  isApart: () => true,
  flags: {
    venue: { kind: "choice", of: VENUES, default: VENUES[0]!, does: "whose book it is" },
    symbol: { kind: "text", value: "SYMBOL", does: "instrument, as the venue writes it" },
    at: { kind: "text", value: "TIME", does: "ISO 8601 with a zone, or µs since the epoch (default the newest)" },
    depth: { kind: "count", default: 20, max: LEVELS_MAX, does: "levels a side at most" },
    store: {
      kind: "choice",
      of: ["any", "hot", "lake"],
      default: "any",
      does: "where to look: any is hot, and the lake where hot has nothing of that time",
    },
  },
  examples: [
    "deno task book --venue binance --symbol BTCUSDT",
    "deno task book --venue binance --symbol BTCUSDT --at 2024-08-08T23:57:00Z --depth 5",
    "deno task book --venue kraken --symbol BTC/USD --store lake --json | jq '.bids[0]'",
  ],
  async inspect({ values, doors, world }) {
    const venue = await openVenue(values.venue);
    const { symbol, depth } = values;
    if (symbol === undefined) {
      throw new Misuse("Cannot show book: no --symbol is given, must be an instrument as the venue writes it");
    }
    if (!isSymbol(symbol)) {
      throw new Misuse(`Cannot show book of "${symbol}": no tick can have it, must be a symbol as the venue writes it`);
    }
    if (venue.books === "none") {
      throw new Misuse(`Cannot show book of "${venue.name}": it has none, must be a venue that sends books`);
    }
    if (depth === 0) throw new Misuse('Cannot use --depth "0": it shows nothing, must be at least 1');
    const time = values.at === undefined ? TIME_END : timeOf(values.at);
    const looking = { ...world, isLooking: true } as const;
    const open: Readonly<Record<StoreName, () => Promise<Shelf>>> = {
      hot: () => openHot(doors.hot, looking),
      lake: () => openLake(doors.lake, looking),
    };
    const names = values.store === "any" ? ["hot", "lake"] as const : [values.store as StoreName];
    const instrument = { venue: venue.name, symbol };
    const common = { ...instrument, at: values.at === undefined ? null : time };
    const shelves: Shelf[] = [];
    try {
      let found: Found | null = null;
      for (const store of names) {
        if (!await isThere(doors[store])) continue;
        const shelf = await open[store]();
        shelves.push(shelf);
        // A server that holds nothing of ours.
        if (shelf.version === 0) continue;
        const past = await bookOf(shelf, venue, symbol, time);
        if (past !== null) found ??= { store, shelf, past };
        if (past?.book || past?.gap) {
          found = { store, shelf, past };
          break;
        }
      }
      const held = shelves.filter(({ version }) => version !== 0);
      if (held.length === 0) {
        const places = names.map((store) => `"${shownUrl(doors[store])}"`).join(" and ");
        throw new Misuse(`Cannot show book of "${symbol}": nothing is stored in ${places}, must be what a sink wrote`);
      }
      if (found?.past.book) return shown({ ...found, ...common, time, depth }, found.past.book);
      if (found === null) await assertKnown(held, venue, symbol);
      const next = found === null ? await firstOf(held, (shelf) => nextSnapshot(shelf, instrument, venue, time)) : null;
      const gap = found?.past.gap ?? null;
      const last = gap === null ? null : await lastSynced(found!.shelf, venue, symbol, gap);
      return missing(common, found, next, last);
    } finally {
      for (const shelf of shelves) await shelf.close();
    }
  },
});

/** A time as the user writes it, µs since the epoch. @throws {Misuse} where it is none */
function timeOf(text: string): number {
  let micros = NaN;
  if (/^\d+$/.test(text)) micros = Number(text);
  else {
    try {
      // Finer digits are cut off, as those of events are.
      micros = Number(Temporal.Instant.from(text).epochNanoseconds / 1_000n);
    } catch {
      // Told below.
    }
  }
  if (isMicros(micros)) return micros;
  throw new Misuse(
    `Cannot show book --at "${text}": it is no time of a market, must be like 2024-08-08T23:57:00Z or 1723161420000000`,
  );
}

/** µs since the epoch as ISO 8601, all six digits. */
function isoOf(micros: number): string {
  const seconds = Math.floor(micros / 1e6);
  const digits = String(micros - seconds * 1e6).padStart(6, "0");
  return new Date(seconds * 1_000).toISOString().replace(".000Z", `.${digits}Z`);
}

async function firstOf<T>(shelves: readonly Shelf[], ask: (shelf: Shelf) => Promise<T | null>): Promise<T | null> {
  for (const shelf of shelves) {
    const answer = await ask(shelf);
    if (answer !== null) return answer;
  }
  return null;
}

/** @throws {Misuse} when no store has heard of the instrument */
async function assertKnown(shelves: readonly Shelf[], { name, books }: Venue, symbol: string): Promise<void> {
  for (const shelf of shelves) if (await isKnown(shelf, { venue: name, symbol })) return;
  const symbols = new Set<string>();
  for (const shelf of shelves) {
    for (const table of books === "whole" ? ["books", "quotes"] as const : ["books"] as const) {
      for (const each of await shelf.symbols(table, name, SYMBOLS_SHOWN + 1)) symbols.add(each);
    }
  }
  const some = [...symbols].sort().slice(0, SYMBOLS_SHOWN).join(", ");
  const wanted = symbols.size === 0
    ? `one whose books were recorded, and of ${name} there is none`
    : `one of ${some}${symbols.size > SYMBOLS_SHOWN ? " and others" : ""}`;
  throw new Misuse(`Cannot show book of "${symbol}": nothing of it is stored of ${name}, must be ${wanted}`);
}

/** What of the book is told. */
interface Shown extends Found {
  readonly venue: string;
  readonly symbol: string;
  readonly at: number | null;
  readonly time: number;
  readonly depth: number;
}

function shown({ store, past, venue, symbol, at, time, depth }: Shown, book: BookRead) {
  const { id, eventTime, known } = book;
  // Beyond what is known some levels are missing, and nobody can tell which.
  const bids = book.bids.filter(([price]) => known.bid === null || compare(price, known.bid) >= 0).slice(0, depth);
  const asks = book.asks.filter(([price]) => known.ask === null || compare(price, known.ask) <= 0).slice(0, depth);
  const { snapshot } = past;
  const update = id === null ? [] : [`update ${id}`];
  const age = at === null
    ? ""
    : `, ${((time - eventTime) / 1e6).toLocaleString("en", { minimumFractionDigits: 3 })} s before`;
  return {
    text: [
      `${venue} ${symbol}  ${at === null ? "the newest" : isoOf(at)}  in sync`,
      [...update, `event ${isoOf(eventTime)}${age}`, `from ${store}`].join("   "),
      `known    bids ${known.bid === null ? "to their end" : `down to ${known.bid}`}, asks ${
        known.ask === null ? "to their end" : `up to ${known.ask}`
      }   begun ${isoOf(snapshot.eventTime)}${snapshot.sequence === null ? "" : ` at ${snapshot.sequence}`}`,
      "",
      ...ladderText(bids, asks),
    ].join("\n"),
    ...{ venue, symbol, at, store, synced: true, id, eventTime, known },
    snapshot: { id: snapshot.sequence, eventTime: snapshot.eventTime },
    ...{ bids, asks },
  };
}

/** Both sides beside each other, best first, the points below each other. */
function ladderText(bids: Levels, asks: Levels): string[] {
  const aligned = (cells: readonly string[]): string[] => {
    const places = cells.map(scaleOf);
    const most = Math.max(0, ...places);
    // A whole number has no point either.
    return cells.map((cell, i) => cell + " ".repeat(most - places[i]! + (most > 0 && places[i] === 0 ? 1 : 0)));
  };
  const side = (levels: Levels, cell: 0 | 1): string[] => aligned(levels.map((level) => level[cell]));
  const sides = [side(bids, 1), side(bids, 0), side(asks, 0), side(asks, 1)];
  const rows = Array.from(
    { length: Math.max(bids.length, asks.length) },
    (_, i) => sides.map((cells) => cells[i] ?? ""),
  );
  return columns([["bid size", "bid", "ask", "ask size"], ...rows], () => false);
}

/** The finding that there is no book to show, and why. */
function missing(
  common: { readonly venue: string; readonly symbol: string; readonly at: number | null },
  found: Found | null,
  next: number | null,
  last: number | null,
) {
  const { venue, symbol, at } = common;
  const when = at === null ? "the newest" : isoOf(at);
  const gap = found?.past.gap ?? null;
  const detail = gap !== null
    ? `not in sync since ${isoOf(gap.eventTime)}: ${gap.detail ?? "a gap"}${
      last === null ? "" : `; it was last with --at ${isoOf(last)}`
    }`
    : found !== null
    ? `no snapshot up to then can begin it, the last one is of ${isoOf(found.past.snapshot.eventTime)}`
    : next === null
    ? "no snapshot of it is stored"
    : `no snapshot is stored up to then, the first one after it is of ${isoOf(next)}`;
  return {
    text: `${venue} ${symbol}  ${when}  ${detail}`,
    findings: [{ finding: gap !== null ? "not in sync" : "no snapshot", place: `${venue} ${symbol}`, detail }],
    ...common,
    ...(found && { store: found.store }),
    synced: false,
    ...(gap && { since: gap.eventTime, why: gap.detail, last }),
  };
}

export default stage;
if (import.meta.main) await start(stage, import.meta.url);
