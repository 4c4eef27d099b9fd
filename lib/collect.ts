/**
 * From what a venue said, in the order in which it came, to ticks: mapped, conflated, each counted once where two
 * connections say the same, its books kept, and what became of the connections told. All of it follows from the frames,
 * so that frames fed back give the same ticks.
 *
 * **In** frames and events, **Out** ticks, and whose snapshots are wanted. **Knows** `venue`, `book`, `feed`, `frames`,
 * `conflation`, `tick`.
 */
import { type Comparison, type Counts, Keeper, type KeeperOptions, type Kept, newCounts } from "./book.ts";
import { Conflation } from "./conflation.ts";
import type { FeedEvent } from "./feed.ts";
import { Continuity, seriesOf } from "./feed/continuity.ts";
import { Overlap } from "./feed/overlap.ts";
import type { Comparing } from "./feed/rest.ts";
import { type Frame, nameOf } from "./frames.ts";
import type { Status, Tick } from "./tick.ts";
import type { Mapped, Venue } from "./venue.ts";

/** Which books are built, and whether ticks name their frame. */
export interface CollectorOptions extends Pick<KeeperOptions, "depth" | "everyMs" | "crossedForMs"> {
  readonly names: boolean;
}

/** What a frame came to. */
export interface Collected {
  /** What it was; null for an event. */
  readonly kind: string | null;
  readonly ticks: readonly Tick[];
  /** Instruments whose snapshot is to be asked for. */
  readonly wants: readonly string[];
  /** Trades that were missed, and that the venue's history may have: from which id on. */
  readonly missing: readonly Missing[];
  /** What came of snapshots that were held against books. */
  readonly compared: readonly Comparison[];
}

/** Trades of an instrument that were missed, from this id on. */
export interface Missing {
  readonly symbol: string;
  readonly fromId: number;
}

/** Numbers of trades that were missed, both ends among them. */
interface Hole {
  from: number;
  readonly to: number;
}
/** Holes of one instrument that are waited for; of more the oldest are given up. */
const HOLES_MAX = 100;

/** Ticks of a connection that nobody replaces, and of captures, which know of none, are all heard. */
export class Collector {
  /** What happened to its books, all of them together. */
  readonly counts: Readonly<Counts>;
  readonly #counts = newCounts();
  readonly #venue: Venue;
  readonly #options: CollectorOptions;
  readonly #overlap: Overlap;
  readonly #continuity: Continuity;
  readonly #conflation: Conflation;
  /** By connection; two that overlap share one. */
  readonly #keepers = new Map<string, Keeper>();
  /** The connection that serves each symbol, null while there is none: answers by REST are for its books. */
  readonly #serving = new Map<string, string | null>();
  /** Connections that there are, and the one beside which each was opened. */
  readonly #open = new Map<string, string | null>();
  /** By symbol, what history is to fill. */
  readonly #holes = new Map<string, Hole[]>();
  #missing: Missing[] = [];
  /** What the venue said of its book after a tick, where two connections overlap: there a tick may be held for a while. */
  readonly #checksums = new WeakMap<Tick, number>();
  /** Whether the books tell of their own gaps. */
  readonly #isKept: boolean;

  constructor(venue: Venue, options: CollectorOptions) {
    this.counts = this.#counts;
    this.#venue = venue;
    this.#options = options;
    this.#isKept = venue.books !== "none" && venue.books !== "whole";
    this.#overlap = new Overlap(venue);
    this.#continuity = new Continuity(venue);
    this.#conflation = new Conflation(venue.name);
  }

  take(frame: Frame): Collected {
    this.#missing = [];
    const name = this.#options.names ? nameOf(frame) : null;
    if (frame.isEvent) {
      const { ticks, wants, compared } = this.#event(JSON.parse(frame.frame), frame);
      return { kind: null, ticks: named(ticks, name), wants, missing: this.#missing, compared };
    }
    const { kind, ticks: mapped, number, checksums, volumes, unread } = this.#venue.map(
      frame.frame,
      frame.receivedTime,
      frame.symbol,
    );
    if (frame.isComparison) {
      const { ticks, ...rest } = this.#compare(mapped);
      return { kind, ticks: named(ticks, name), ...rest, missing: this.#missing };
    }
    const said = named(mapped, name);
    const isAnswer = frame.request !== undefined;
    let counting = isAnswer ? this.#filling(said, frame.symbol) : this.#overlap.ticks(frame.connection, said);
    // What a total grew by is counted once already, whichever of two connections says it first.
    if (volumes !== undefined) counting = [...counting, ...named(this.#conflation.trades(volumes), name)];
    const serving = isAnswer && frame.symbol !== undefined ? this.#serving.get(frame.symbol) : undefined;
    let sums = checksums;
    if (checksums !== undefined && counting !== said) {
      said.forEach((tick, i) => this.#checksums.set(tick, checksums[i]!));
      sums = this.#checksumsOf(counting);
    }
    const heard: Mapped = {
      kind,
      ticks: counting,
      ...(number !== undefined && { number }),
      ...(sums !== undefined && { checksums: sums }),
      // An answer is no word of the connection's.
      ...(unread !== undefined && !isAnswer && { unread }),
    };
    // Where nobody serves, the books that an answer is for are gone with their connection.
    const { ticks, wants, compared } = serving === null
      ? { ticks: counting, wants: NOTHING, compared: NOTHING }
      : this.#keep(serving ?? frame.connection, heard, frame);
    return { kind, ticks: named(ticks, name), wants, missing: this.#missing, compared };
  }

  /** Of an answer that is to be held against a book nothing is passed on but what that shows. */
  #compare(ticks: readonly Tick[]): Kept {
    const book = ticks.find((tick) => tick.type === "book");
    if (book === undefined) return { ticks: NOTHING, wants: NOTHING, compared: NOTHING };
    const unsynced = { symbol: book.symbol, id: null, levels: 0, agreeing: 0, outcome: "unsynced" } as const;
    return this.#keeperOf(book.symbol)?.compare(book) ?? { ticks: NOTHING, wants: NOTHING, compared: [unsynced] };
  }

  /** Whoever keeps the book of this symbol. */
  #keeperOf(symbol: string): Keeper | undefined {
    const serving = this.#serving.get(symbol);
    return serving === undefined || serving === null ? undefined : this.#keepers.get(serving);
  }

  /** What the venue said of its book after each of these ticks that were heard on two connections; nothing where it did not. */
  #checksumsOf(ticks: readonly Tick[]): readonly number[] | undefined {
    const sums = ticks.map((tick) => this.#checksums.get(tick));
    return sums.every((sum) => sum !== undefined) ? sums : undefined;
  }

  #event(event: FeedEvent | Comparing, frame: Frame): Kept {
    const { connection, symbols } = event;
    if (event.event === "comparing") {
      for (const symbol of symbols) this.#keeperOf(symbol)?.expect(symbol);
      return { ticks: NOTHING, wants: NOTHING, compared: NOTHING };
    }
    const ticks: Tick[] = [];
    const wants: string[] = [];
    const compared: Comparison[] = [];
    if (event.event === "connected") {
      const shared = event.replaces === null ? undefined : this.#keepers.get(event.replaces);
      this.#keepers.set(connection, shared ?? this.#newKeeper());
      this.#open.set(connection, event.replaces);
      for (const symbol of symbols) this.#serving.set(symbol, connection);
    }
    if (event.event === "disconnected") ticks.push(...this.#lose(event));
    // What was lost is told before whatever was held comes behind it.
    ticks.push(...this.#continuity.event(event));
    const held = this.#overlap.event(event);
    if (held.length > 0) {
      const checksums = this.#checksumsOf(held);
      const mapped = { kind: "held", ticks: held, ...(checksums !== undefined && { checksums }) };
      const kept = this.#keep(connection, mapped, frame);
      ticks.push(...kept.ticks);
      wants.push(...kept.wants);
      compared.push(...kept.compared);
    }
    if (event.event === "disconnected") this.#keepers.delete(connection);
    return { ticks, wants, compared };
  }

  /** What the end of a connection does to its books. */
  #lose({ connection, symbols, receivedTime, successor, why }: FeedEvent & { event: "disconnected" }): readonly Tick[] {
    const keeper = this.#keepers.get(connection);
    const beside = this.#open.get(connection) ?? null;
    const isYoung = beside !== null && this.#open.has(beside);
    this.#open.delete(connection);
    for (const symbol of symbols) {
      if (this.#serving.get(symbol) === connection) this.#serving.set(symbol, isYoung ? beside : successor);
    }
    keeper?.leave(connection);
    // What a young one said of numbered books was only held. Of others it was heard instead of what the old one said.
    const { books } = this.#venue;
    const isUntouched = isYoung && (books === "splice" || books === "link" || books === "chain");
    return successor !== null || isUntouched ? [] : keeper?.disconnect(receivedTime, why === "stopped").ticks ?? [];
  }

  #keep(connection: string, mapped: Mapped, { receivedTime }: Frame): Kept {
    let keeper = this.#keepers.get(connection);
    if (keeper === undefined) this.#keepers.set(connection, keeper = this.#newKeeper());
    const told = this.#isKept && mapped.ticks.some(isOfBook)
      ? mapped.ticks.filter((tick) => !isOfBook(tick))
      : mapped.ticks;
    const gaps = receivedTime === null ? [] : this.#continuity.ticks(told, receivedTime);
    gaps.forEach((gap) => this.#miss(gap));
    const kept = keeper.take(mapped, connection);
    return gaps.length === 0 ? kept : { ...kept, ticks: [...gaps, ...kept.ticks] };
  }

  /** Notes a gap among trades that history can fill. */
  #miss({ symbol, state, detail, firstId, lastId }: Status): void {
    if (state !== "gap" || detail !== "trade" || firstId === null || lastId === null) return;
    if (this.#venue.live?.rest?.trades === undefined || lastId - firstId < 2) return;
    const holes = this.#holes.get(symbol) ?? [];
    holes.push({ from: firstId + 1, to: lastId - 1 });
    if (holes.length > HOLES_MAX) holes.shift();
    this.#holes.set(symbol, holes);
    this.#missing.push({ symbol, fromId: firstId + 1 });
  }

  /** Of an answer's ticks, those that fill a hole, and whatever is no trade. What it did not reach is asked for again. */
  #filling(ticks: readonly Tick[], symbol: string | undefined): readonly Tick[] {
    const holes = symbol === undefined ? undefined : this.#holes.get(symbol);
    const filling = ticks.filter(({ type, sequence }) => {
      if (type !== "trade") return true;
      const hole = sequence === null ? undefined : holes?.find(({ from, to }) => sequence >= from && sequence <= to);
      if (hole !== undefined) hole.from = sequence! + 1;
      return hole !== undefined;
    });
    if (symbol === undefined || holes === undefined || !ticks.some(({ type }) => type === "trade")) return filling;
    const open = holes.filter(({ from, to }) => from <= to);
    // A page that filled nothing says that the venue has no more of it.
    const isOver = !filling.some(({ type }) => type === "trade");
    if (isOver || open.length === 0) this.#holes.delete(symbol);
    else {
      this.#holes.set(symbol, open);
      this.#missing.push({ symbol, fromId: open[0]!.from });
    }
    return filling;
  }

  #newKeeper(): Keeper {
    const { books: discipline, depths, checksum, live } = this.#venue;
    const { depth, everyMs, crossedForMs } = this.#options;
    return new Keeper({
      ...{ discipline, counts: this.#counts },
      ...(depth !== undefined && { depth }),
      ...(everyMs !== undefined && { everyMs }),
      ...(crossedForMs !== undefined && { crossedForMs }),
      quotes: this.#isKept && live !== undefined && !live.channels.includes("quote"),
      ...(depths !== undefined && { depths }),
      ...(checksum !== undefined && { checksum: (book) => checksum(book.bids(10), book.asks(10)) }),
    });
  }
}

const NOTHING: readonly never[] = [];

const isOfBook = (tick: Tick): boolean => seriesOf(tick) === "book";

/** The ticks, those that do not name their frame yet named so; as they are where they are not to be. */
function named(ticks: readonly Tick[], name: string | null): readonly Tick[] {
  return name === null ? ticks : ticks.map((tick) => tick.frame === undefined ? { ...tick, frame: name } : tick);
}
