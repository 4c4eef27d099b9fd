/**
 * The order books of one connection, or of two that say the same: each instrument's is begun and kept as its venue's discipline says, and nothing is
 * built from one that is not in sync. An instrument that lost something is healed alone.
 *
 * **In** what a venue's `map` gave, frame by frame. **Out** the ticks to send on: those that came, a `status` where a book
 * was lost or came back, and what is built from books; and whose snapshots to ask for.
 * **Knows** `tick`, `venue`, `decimal`.
 */
import { compare } from "./decimal.ts";
import { RULES } from "./book/discipline.ts";
import { type Break, type Change, type Checksum, Instrument, type Settings, type State } from "./book/instrument.ts";
import { type Counts, type Fault, FAULTS, newCounts } from "./book/counts.ts";
import { type Comparison, OUTCOMES } from "./book/held.ts";
import type { Known, Levels } from "./book/ladder.ts";
import { type Book, type Delta, LEVELS_MAX, type Quote, type Status, type Tick } from "./tick.ts";
import type { BookDiscipline, Mapped } from "./venue.ts";

export { type Checksum, type Comparison, type Counts, FAULTS, newCounts, OUTCOMES, type State };

/** How books are kept, and what is built from them. */
export interface KeeperOptions {
  readonly discipline: BookDiscipline;
  /** Levels a side of the books to build, 1 … {@linkcode LEVELS_MAX}; none are built where it is absent. */
  readonly depth?: number;
  /** Event time between two built books of an instrument at least, ms; 0 builds one after every change. */
  readonly everyMs?: number;
  /** Whether quotes are built whenever the best changes: for venues that send none. */
  readonly quotes?: boolean;
  /** Depths that can be subscribed to, where the venue does not say which levels fall out, rising. */
  readonly depths?: readonly number[];
  /** How the venue sums up a book; without it checksums are not checked. */
  readonly checksum?: Checksum;
  /** A bid above the ask for longer than this is told, ms of event time. */
  readonly crossedForMs?: number;
  /** Quotes that differ from the best for longer than this are counted, ms of event time; where nothing else is proof. */
  readonly differingForMs?: number;
  /** Levels that a side may have. */
  readonly levelsMax?: number;
  /** Events that may wait for a snapshot, an instrument. */
  readonly bufferMax?: number;
  readonly instrumentsMax?: number;
  /** What happens is counted here, if several are to be counted as one. */
  readonly counts?: Counts;
}

/** What became of a frame. */
export interface Kept {
  /** In the order in which they are to be sent on. */
  readonly ticks: readonly Tick[];
  /** Instruments whose snapshot is to be asked for: by REST, or by subscribing again where it comes on the socket. */
  readonly wants: readonly string[];
  /** What came of snapshots that were held against their book, or were waiting to be. */
  readonly compared: readonly Comparison[];
}

/** A book as it stands. */
export interface BookRead {
  readonly symbol: string;
  /** Number of the last change in it; null where the venue does not number them. */
  readonly id: number | null;
  /** Of the last event in it, µs. */
  readonly eventTime: number;
  /** Best first. */
  readonly bids: Levels;
  readonly asks: Levels;
  /** Beyond these prices there may be levels that are not listed; null where the side is known to its end. */
  readonly known: Known;
}

const LEVELS_HELD_MAX = 200_000;
/** Characters of a detail at most, as of every text of a tick. */
const DETAIL_LENGTH_MAX = 128;

interface Times {
  readonly eventTime: number;
  readonly receivedTime: number;
  readonly timeSource?: "received";
}

/** What was built of an instrument last. */
interface Built {
  slot: number;
  quote: Quote | null;
}

export class Keeper {
  readonly counts: Readonly<Counts>;
  readonly #counts: Counts;
  readonly #options: KeeperOptions;
  readonly #settings: Settings;
  readonly #instruments = new Map<string, { readonly instrument: Instrument; readonly built: Built }>();
  /** The number that each connection's next frame should have. */
  readonly #next = new Map<string, number>();
  /** The instrument whose book a snapshot was asked for last to be held against. */
  #comparing: Instrument | null = null;

  /** @throws {RangeError} for a depth that a book cannot have */
  constructor(options: KeeperOptions) {
    const { discipline, depth, depths, checksum } = options;
    for (const levels of [depth, ...depths ?? []]) {
      if (levels === undefined || Number.isInteger(levels) && levels > 0 && levels <= LEVELS_MAX) continue;
      throw new RangeError(`Cannot keep books of depth "${levels}": is out of range, must be 1 to ${LEVELS_MAX}`);
    }
    this.#options = options;
    this.#settings = {
      discipline,
      crossedForMs: options.crossedForMs ?? 1_000,
      differingForMs: options.differingForMs ?? 5_000,
      levelsMax: options.levelsMax ?? LEVELS_HELD_MAX,
      bufferMax: options.bufferMax ?? 10_000,
      ...(depths === undefined ? {} : { depths }),
      ...(checksum === undefined ? {} : { checksum }),
    };
    this.counts = this.#counts = options.counts ?? newCounts();
  }

  /** Takes one frame's ticks. `connection` is named where there are two. */
  take({ ticks, checksums, number, unread }: Mapped, connection = ""): Kept {
    if (RULES[this.#settings.discipline] === null) return { ticks, wants: [], compared: [] };
    const out = newOutput();
    const isLate = this.#settings.discipline === "connection" && number !== undefined &&
      this.#isLate(connection, number, ticks[0], out);
    for (let i = 0; i < ticks.length; i++) {
      const tick = ticks[i]!;
      if (isLate || !isKept(tick)) out.ticks.push(tick);
      else this.#takeTick(tick, checksums?.[i], out);
    }
    if (unread !== undefined && !isLate) this.#miss(unread, "unreadable", "a frame cannot be read", undefined, out);
    return out;
  }

  /** The connection is gone: its books are too, until their snapshots come. `receivedTime` is when that was noticed, µs. */
  disconnect(receivedTime: number, isStopped = false): Kept {
    const out = newOutput();
    this.#next.clear();
    const times: Times = { eventTime: receivedTime, receivedTime, timeSource: "received" };
    for (const { instrument, built } of this.#instruments.values()) {
      const { last } = instrument;
      const broke = isStopped
        ? instrument.lose("stopped", "its connection was closed on purpose")
        : instrument.lose("connection", "the connection is gone");
      if (broke !== null) this.#publishBreak(last!, broke, times, built, out);
    }
    return out;
  }

  /** One of two connections is gone, and the other one has its books. */
  leave(connection: string): void {
    this.#next.delete(connection);
  }

  /** How the book of this instrument is. */
  stateOf(symbol: string): State {
    return this.#instruments.get(symbol)?.instrument.state ?? "empty";
  }

  /** Instruments that need a snapshot which has not come yet, whether it was asked for or not. */
  get wanting(): string[] {
    return [...this.#instruments.values()].flatMap(({ instrument }) => instrument.isWanting ? [instrument.symbol] : []);
  }

  /** The book, as many levels of it as asked for; undefined where it is not in sync. */
  read(symbol: string, depth: number = Infinity): BookRead | undefined {
    const instrument = this.#instruments.get(symbol)?.instrument;
    const last = instrument?.last;
    if (instrument === undefined || last === null || last === undefined) return undefined;
    const { id, known, sides } = instrument;
    return { symbol, id, eventTime: last.eventTime, bids: sides.bids(depth), asks: sides.asks(depth), known };
  }

  /** A snapshot is asked for, to be held against this book: what it takes in until then is remembered, of one at a time. */
  expect(symbol: string): void {
    this.#comparing?.forget();
    this.#comparing = this.#instruments.get(symbol)?.instrument ?? null;
    this.#comparing?.remember();
  }

  /**
   * Holds a fresh snapshot against the book as it was at the same id, in the range that both know. One that is ahead waits
   * until the book is as far, and then {@linkcode Kept} tells. A book that is another one is broken.
   */
  compare(snapshot: Book): Kept {
    const out = newOutput();
    const { symbol } = snapshot;
    const entry = this.#instruments.get(symbol);
    if (entry === undefined) {
      out.compared.push({ symbol, id: null, levels: 0, agreeing: 0, outcome: "unsynced" });
      return out;
    }
    const { compared, broke } = entry.instrument.compare(snapshot);
    if (compared !== undefined) out.compared.push(compared);
    if (broke !== undefined) this.#publishBreak(snapshot, broke, timesOf(snapshot), entry.built, out);
    if (entry.instrument.takeAsk()) out.wants.push(symbol);
    return out;
  }

  /** Whether a frame of this number comes after a later one. Tells of what was lost before it. */
  #isLate(connection: string, number: number, first: Tick | undefined, out: Output): boolean {
    const next = this.#next.get(connection);
    // Every connection begins with 0.
    if (next !== undefined && number !== 0 && number < next) {
      this.#counts.late++;
      return true;
    }
    this.#next.set(connection, number + 1);
    if (next === undefined || number === next) return false;
    this.#miss([], "connection", `frame ${number} came after ${next - 1}`, first, out);
    return false;
  }

  /** Something of these symbols, or of all where none is named, went by unseen before this tick. */
  #miss(symbols: readonly string[], fault: Fault, state: string, first: Tick | undefined, out: Output): void {
    for (const { instrument, built } of this.#instruments.values()) {
      if (symbols.length > 0 && !symbols.includes(instrument.symbol)) continue;
      const { last } = instrument;
      const broke = instrument.miss(fault, state);
      // A frame that carries no tick tells no time: the interval without a book begins with its last event.
      if (broke !== null) this.#publishBreak(last!, broke, timesOf(first ?? last!), built, out);
      if (instrument.takeAsk()) out.wants.push(instrument.symbol);
    }
  }

  #takeTick(tick: Book | Delta | Quote | Status, checksum: number | undefined, out: Output): void {
    const entry = this.#entryOf(tick.symbol);
    if (entry === undefined) {
      this.#counts.unkept++;
      out.ticks.push(tick);
      return;
    }
    const { instrument, built } = entry;
    if (tick.type === "quote") {
      if (instrument.quote(tick)) this.#counts.repeats++;
      else out.ticks.push(tick);
    } else {
      out.ticks.push(tick);
      if (tick.type !== "status") this.#changed(entry, tick, checksum, out);
      else if (tick.state === "gap" || tick.state === "disconnected") {
        const broke = instrument.lose("reported", `the collector says ${tick.state}`);
        // Where the tick is the very news, it need not be told again.
        if (tick.state === "gap") built.quote = null;
        else if (broke !== null) this.#publishBreak(tick, broke, timesOf(tick), built, out);
      }
    }
    if (instrument.takeAsk()) out.wants.push(tick.symbol);
  }

  #changed(
    { instrument, built }: { readonly instrument: Instrument; readonly built: Built },
    tick: Book | Delta,
    checksum: number | undefined,
    out: Output,
  ): void {
    const change: Change = tick.type === "book" ? instrument.book(tick) : instrument.delta(tick);
    const broke = change.broke ?? (change.isChanged && checksum !== undefined ? instrument.check(checksum) : null);
    if (change.compared !== undefined) out.compared.push(change.compared);
    if (broke !== null) return this.#publishBreak(tick, broke, timesOf(tick), built, out);
    const { last } = instrument;
    if (!change.isChanged || last === null) return;
    // What was buffered is known as late as its snapshot.
    const times = last.timeSource === undefined ? { ...timesOf(last), receivedTime: tick.receivedTime } : timesOf(tick);
    if (change.synced !== undefined && this.#settings.discipline !== "whole") {
      const { firstId } = change.synced;
      out.ticks.push(statusOf(tick, times, "subscribed", firstId, instrument.id, "book synced"));
    }
    // Nothing is built of it meanwhile.
    if (change.crossed === true) {
      out.ticks.push(statusOf(tick, times, "silent", instrument.id, null, `book crossed: ${instrument.crossing}`));
    }
    if (change.crossed === false) {
      out.ticks.push(statusOf(tick, times, "subscribed", null, instrument.id, "book uncrossed"));
    }
    this.#build(instrument, built, tick, times, out);
  }

  #publishBreak(tick: Tick, { firstId, lastId, detail }: Break, times: Times, built: Built, out: Output): void {
    built.quote = null;
    out.ticks.push(statusOf(tick, times, "gap", firstId, lastId, detail));
  }

  /** What is built of a book that has just changed. */
  #build(instrument: Instrument, built: Built, { venue, symbol }: Tick, times: Times, out: Output): void {
    const { depth, everyMs = 0, quotes = false } = this.#options;
    if (depth === undefined && !quotes) return;
    // Between the events of one change of the market the sides may overlap; beyond the snapshot the best is not known.
    if (instrument.isCrossed || !instrument.isTopKnown) return;
    const id = instrument.id === null ? null : String(instrument.id);
    // The venue numbers its own quotes and books; these are none of them, so what they stand at is an id.
    const common = { venue, symbol, ...times, sequence: null, id, source: "built" as const };
    if (quotes) {
      const [bid] = instrument.sides.bids(1), [ask] = instrument.sides.asks(1);
      const quote: Quote = {
        type: "quote",
        ...common,
        bidPrice: bid?.[0] ?? null,
        bidSize: bid?.[1] ?? null,
        askPrice: ask?.[0] ?? null,
        askSize: ask?.[1] ?? null,
      };
      if (built.quote === null || !isSameTop(built.quote, quote)) out.ticks.push(built.quote = quote);
    }
    if (depth === undefined) return;
    const slot = everyMs === 0 ? Infinity : Math.floor(times.eventTime / (everyMs * 1_000));
    if (everyMs !== 0 && slot <= built.slot) return;
    built.slot = slot;
    const { sides, known } = instrument;
    const bids = sides.bids(depth).filter(([price]) => known.bid === null || compare(price, known.bid) >= 0);
    const asks = sides.asks(depth).filter(([price]) => known.ask === null || compare(price, known.ask) <= 0);
    out.ticks.push({ type: "book", ...common, bids, asks });
  }

  #entryOf(symbol: string) {
    const known = this.#instruments.get(symbol);
    if (known !== undefined) return known;
    if (this.#instruments.size >= (this.#options.instrumentsMax ?? 10_000)) return undefined;
    const rule = RULES[this.#settings.discipline]!;
    const instrument = new Instrument(symbol, this.#settings, rule, this.#counts);
    const entry = { instrument, built: { slot: -1, quote: null } };
    this.#instruments.set(symbol, entry);
    return entry;
  }
}

interface Output extends Kept {
  readonly ticks: Tick[];
  readonly wants: string[];
  readonly compared: Comparison[];
}
const newOutput = (): Output => ({ ticks: [], wants: [], compared: [] });

/** Whether the tick says something of a book; those that were built from one say nothing new. */
function isKept(tick: Tick): tick is Book | Delta | Quote | Status {
  return tick.type !== "trade" && tick.source !== "built";
}

function timesOf({ eventTime, receivedTime, timeSource }: Tick): Times {
  return timeSource === undefined ? { eventTime, receivedTime } : { eventTime, receivedTime, timeSource };
}

function isSameTop(a: Quote, b: Quote): boolean {
  return a.bidPrice === b.bidPrice && a.bidSize === b.bidSize && a.askPrice === b.askPrice && a.askSize === b.askSize;
}

function statusOf(
  { venue, symbol }: Tick,
  times: Times,
  state: Status["state"],
  firstId: number | null,
  lastId: number | null,
  detail: string,
): Status {
  const text = { state, firstId, lastId, detail: detail.slice(0, DETAIL_LENGTH_MAX) };
  return { type: "status", venue, symbol, ...times, sequence: null, id: null, ...text };
}
