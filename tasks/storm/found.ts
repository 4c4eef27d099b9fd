/**
 * What was collected in a storm, held against what the pretended venue knows that it did.
 *
 * **In** the venue's truth and ticks, **Out** counts, and what of it is wrong. **Knows** `history`, `judge`, `pretend`, `tick`.
 */
import type { Shown } from "../../lib/history.ts";
import { Judge } from "../../lib/judge.ts";
import type { Pretend } from "../../lib/pretend.ts";
import { type Book, keyOf, type Status, type Tick, type Trade } from "../../lib/tick.ts";
import type { Venue } from "../../lib/venue.ts";
import { type Follower, isBookGap } from "./follower.ts";

/** What became of a storm. */
export interface Found {
  /** How often each fault struck, and how often a connection took another's place. */
  readonly struck: Readonly<Record<string, number>>;
  /** Trades of the venue since the first that was collected, those of them that were, and those in a gap. */
  readonly trades: number;
  readonly collected: number;
  /** Ticks that told them: less where one tells how much several traded. */
  readonly told: number;
  readonly missed: number;
  readonly gaps: number;
  /** Ticks that came more than once and counted once. */
  readonly doubled: number;
  /** Books that were built and held against the venue's own. */
  readonly books: number;
  readonly bookGaps: number;
  /** Snapshots that were held against books, by what came of it. */
  readonly compared: Readonly<Record<string, number>>;
  readonly wrong: readonly string[];
}

/** Gives a trade its number in the venue's truth. */
function numbering(truth: ReadonlyMap<number, { readonly id: number; readonly time: number }>) {
  // Finnhub's have nothing but their time, of which each has its own here.
  const byTime = new Map([...truth.values()].map(({ id, time }) => [time, id]));
  // Bybit has ids and no counter: 19 digits, whose end rises by one here.
  return ({ sequence, id, eventTime }: Trade): number =>
    sequence ?? (id === null ? byTime.get(eventTime) ?? NaN : Number(BigInt(id) % 1_000_000_000_000n));
}

/** What was collected, held against what the venue did. */
export function judged(
  pretend: Pretend,
  { ticks, rollovers, compared }: Follower,
  venue: Venue,
  depth: number | undefined,
): Found {
  const wrong: string[] = [];
  const say = (line: string): void => void (wrong.length < 20 && wrong.push(line));
  const struck: Record<string, number> = { rollover: rollovers };
  for (const { fault, code } of pretend.truth.faults) {
    const name = code === undefined ? fault : `${fault} ${code}`;
    struck[name] = (struck[name] ?? 0) + 1;
  }
  const { valid, doubled } = ruled(ticks, say);
  const found = {
    struck,
    doubled,
    trades: 0,
    collected: 0,
    told: 0,
    missed: 0,
    gaps: 0,
    books: 0,
    bookGaps: 0,
    compared,
    wrong,
  };
  if (compared.differing !== undefined) say(`${compared.differing} books are others than their snapshots`);
  const isNumbered = venue.disciplines.trade === "contiguous";
  for (const symbol of pretend.symbols) {
    const own = valid.filter((tick) => tick.symbol === symbol);
    const truth = new Map(pretend.truth.trades(symbol).map((trade) => [trade.id, trade]));
    const numberOf = numbering(truth);
    const collected = new Set<number>();
    const gaps: Status[] = [];
    for (const tick of own) {
      if (tick.type === "status" && tick.state === "gap") tick.detail === "trade" ? gaps.push(tick) : found.bookGaps++;
      if (tick.type !== "trade") continue;
      const number = numberOf(tick);
      const trade = truth.get(number);
      found.told++;
      const told = tick.source === "conflated" ? together(truth, number, tick.size) : [number];
      for (const each of told) {
        if (collected.has(each)) say(`${symbol}: trade ${each} counts twice`);
        collected.add(each);
      }
      const isWhole = tick.source === "conflated" ? told.length > 0 : trade?.size === tick.size;
      const isTrue = trade !== undefined && trade.price === tick.price && isWhole &&
        tick.side === (isNamed(tick) ? trade.side : "unknown") && trade.time === tick.eventTime;
      if (!isTrue) say(`${symbol}: trade ${number} is invented: ${JSON.stringify(tick)}`);
    }
    const first = Math.min(...collected), last = Math.max(...truth.keys());
    found.trades += last - first + 1;
    found.collected += collected.size;
    found.gaps += gaps.length;
    // What was traded while nobody listened shows in the next total.
    const isTotal = own.some(({ source }) => source === "conflated");
    const inGap = isNumbered ? within(gaps) : isTotal ? () => false : between(own, collected, numberOf);
    for (let number = first; number <= last; number++) {
      if (collected.has(number)) continue;
      found.missed++;
      if (!inGap(number)) say(`${symbol}: trade ${number} was missed and is in no gap`);
    }
    for (const { firstId, lastId } of isNumbered ? gaps : []) {
      if (firstId === null || lastId === null || !collected.has(firstId) || !collected.has(lastId)) {
        say(`${symbol}: a gap from ${firstId} to ${lastId} has ends that never came`);
      }
    }
    if (venue.books === "whole") found.books += whole(pretend.truth.books(symbol), own, say);
    if (depth !== undefined) found.books += books(pretend.truth.books(symbol), own, depth, say);
  }
  return found;
}

/** What the rules of sequence leave of it. */
function ruled(ticks: readonly Tick[], say: (line: string) => void): { valid: Tick[]; doubled: number } {
  const judge = new Judge({ partition: 0 });
  const seen = new Set<string>();
  let doubled = 0;
  const valid = ticks.filter((tick, offset) => {
    const verdict = judge.judge({ offset, key: keyOf(tick), value: JSON.stringify(tick) });
    if (verdict.to === "rejected" && !["duplicate", "backwards"].includes(verdict.reason)) {
      say(`${verdict.reason}: ${JSON.stringify(tick)}`);
    }
    // What has no number is known by its id.
    const id = tick.type === "trade" && tick.sequence === null && tick.id !== null ? `${tick.symbol} ${tick.id}` : null;
    const isNew = verdict.to === "valid" && (id === null || !seen.has(id));
    if (id !== null) seen.add(id);
    if (!isNew) doubled++;
    return isNew;
  });
  return { valid, doubled };
}

/** Whether a number lies within one of these gaps. */
function within(gaps: readonly Status[]): (number: number) => boolean {
  return (number) => gaps.some(({ firstId, lastId }) => firstId! < number && number < lastId!);
}

/** Where trades have no numbers to those who collect them: whether a gap was told between the trades around this one. */
function between(
  ticks: readonly Tick[],
  collected: ReadonlySet<number>,
  numberOf: (trade: Trade) => number,
): (number: number) => boolean {
  const told = new Set<number>();
  let last = Infinity, hasGap = false;
  for (const tick of ticks) {
    if (tick.type === "status" && tick.state === "gap" && tick.detail === "trade") hasGap = true;
    if (tick.type !== "trade") continue;
    const number = numberOf(tick);
    for (let missed = last + 1; hasGap && missed < number; missed++) if (!collected.has(missed)) told.add(missed);
    last = number;
    hasGap = false;
  }
  return (number) => told.has(number);
}

/** The trades up to this one that make up a size together; none where no number of them does. */
function together(truth: ReadonlyMap<number, { readonly size: string }>, last: number, size: string): number[] {
  const numbers: number[] = [];
  let left = BigInt(size);
  for (let number = last; left > 0n && truth.has(number); number--) {
    numbers.unshift(number);
    left -= BigInt(truth.get(number)!.size);
  }
  return left === 0n ? numbers : [];
}

/** Holds every book that was sent whole against the venue's at that time. How many there were. */
function whole(truth: readonly Shown[], ticks: readonly Tick[], say: (line: string) => void): number {
  let count = 0;
  for (const tick of ticks) {
    if (tick.type !== "book" || tick.source !== undefined) continue;
    count++;
    const shown = truth.findLast(({ time }) => time <= tick.eventTime)!;
    const isThat = (["bids", "asks"] as const).every((side) =>
      tick[side].length > 0 &&
      tick[side].every(([price, size], i) => shown[side][i]?.price === price && shown[side][i]?.size === size)
    );
    if (!isThat) say(`${tick.symbol}: the book of ${tick.eventTime} is another`);
  }
  if (count === 0) say(`${truth[0]!.symbol}: no book came`);
  return count;
}

/** Whether something tells the trade from others. */
const isNamed = ({ sequence, id }: Trade): boolean => sequence !== null || id !== null;

/** Holds every book that was built against the venue's, and the last one against its last. How many there were. */
function books(truth: readonly Shown[], ticks: readonly Tick[], depth: number, say: (line: string) => void): number {
  // By number where the venue numbers its books on the whole, else by time, of which each has its own here.
  const byId = new Map(truth.map((book) => [String(book.id), book]));
  const byTime = new Map(truth.map((book) => [book.time, book]));
  const isThat = (built: Book, shown: Shown | undefined): boolean =>
    shown !== undefined &&
    (["bids", "asks"] as const).every((side) =>
      built[side].length > 0 && built[side].length <= depth &&
      built[side].every(([price, size], i) => shown[side][i]?.price === price && shown[side][i]?.size === size)
    );
  let count = 0, isSynced = false;
  let last: Book | null = null;
  for (const tick of ticks) {
    if (tick.type === "status" && tick.detail === "book synced") isSynced = true;
    if (isBookGap(tick)) isSynced = false;
    if (tick.type !== "book" || tick.source !== "built") continue;
    count++;
    last = tick;
    if (!isSynced) say(`${tick.symbol}: a book is built while none is in sync: ${tick.id}, ${tick.eventTime}`);
    const shown = (tick.id === null ? undefined : byId.get(tick.id)) ?? byTime.get(tick.eventTime);
    if (!isThat(tick, shown)) say(`${tick.symbol}: the book built at ${tick.id}, ${tick.eventTime} is another`);
  }
  if (!isSynced || last === null || !isThat(last, truth.at(-1))) say(`${truth[0]!.symbol}: the last book is another`);
  return count;
}
