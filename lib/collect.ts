/**
 * From what a venue said, in the order in which it came, to ticks: mapped, conflated, each counted once where two
 * connections say the same, its books kept, and what became of the connections told. All of it follows from the frames,
 * so that frames fed back give the same ticks.
 *
 * **In** frames and events, **Out** ticks, and whose snapshots are wanted. **Knows** `venue`, `book`, `feed`, `frames`,
 * `conflation`, `tick`.
 */
import { Keeper, type KeeperOptions, type Kept } from "./book.ts";
import { Conflation } from "./conflation.ts";
import type { FeedEvent } from "./feed.ts";
import { Continuity, seriesOf } from "./feed/continuity.ts";
import { Overlap } from "./feed/overlap.ts";
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
  readonly #venue: Venue;
  readonly #options: CollectorOptions;
  readonly #overlap: Overlap;
  readonly #continuity: Continuity;
  readonly #conflation: Conflation;
  /** By connection; two that overlap share one. */
  readonly #keepers = new Map<string, Keeper>();
  /** The connection that serves each symbol: answers by REST are for its books. */
  readonly #serving = new Map<string, string>();
  /** By symbol, what history is to fill. */
  readonly #holes = new Map<string, Hole[]>();
  #missing: Missing[] = [];
  /** What the venue said of its book after a tick: a tick may be held for a while. */
  readonly #checksums = new WeakMap<Tick, number>();

  constructor(venue: Venue, options: CollectorOptions) {
    this.#venue = venue;
    this.#options = options;
    this.#overlap = new Overlap(venue);
    this.#continuity = new Continuity(venue);
    this.#conflation = new Conflation(venue.name);
  }

  take(frame: Frame): Collected {
    const name = this.#options.names ? { frame: nameOf(frame) } : {};
    this.#missing = [];
    const named = ({ ticks, wants }: Pick<Kept, "ticks" | "wants">, kind: string | null): Collected => ({
      kind,
      wants,
      missing: this.#missing,
      ticks: this.#options.names ? ticks.map((tick) => tick.frame === undefined ? { ...tick, ...name } : tick) : ticks,
    });
    if (frame.isEvent) return named(this.#event(JSON.parse(frame.frame), frame), null);
    const mapped = this.#venue.map(frame.frame, frame.receivedTime, frame.symbol);
    const { kind, number, checksums, volumes } = mapped;
    let ticks = mapped.ticks;
    if (this.#options.names) ticks = ticks.map((tick) => ({ ...tick, ...name }));
    if (volumes !== undefined) ticks = [...ticks, ...this.#conflation.trades(volumes).map((t) => ({ ...t, ...name }))];
    ticks.forEach((tick, i) => checksums?.[i] !== undefined && this.#checksums.set(tick, checksums[i]!));
    const isAnswer = frame.request !== undefined;
    const counting = isAnswer ? this.#filling(ticks, frame.symbol) : this.#overlap.ticks(frame.connection, ticks);
    const serving = isAnswer && frame.symbol !== undefined ? this.#serving.get(frame.symbol) : undefined;
    const connection = serving ?? frame.connection;
    return named(
      this.#keep(connection, { kind, ticks: counting, ...(number !== undefined && { number }) }, frame),
      kind,
    );
  }

  #event(event: FeedEvent, frame: Frame): Pick<Kept, "ticks" | "wants"> {
    const { connection, symbols } = event;
    const ticks: Tick[] = [];
    const wants: string[] = [];
    if (event.event === "connected") {
      const shared = event.replaces === null ? undefined : this.#keepers.get(event.replaces);
      this.#keepers.set(connection, shared ?? this.#newKeeper());
      for (const symbol of symbols) this.#serving.set(symbol, connection);
    }
    const held = this.#overlap.event(event);
    if (held.length > 0) {
      const kept = this.#keep(connection, { kind: "held", ticks: held }, frame);
      ticks.push(...kept.ticks);
      wants.push(...kept.wants);
    }
    if (event.event === "disconnected" && event.successor === null) {
      ticks.push(...this.#keepers.get(connection)?.disconnect(event.receivedTime).ticks ?? []);
    }
    ticks.push(...this.#continuity.event(event));
    if (event.event === "disconnected") this.#keepers.delete(connection);
    return { ticks, wants };
  }

  #keep(connection: string, mapped: Mapped, { receivedTime }: Frame): Pick<Kept, "ticks" | "wants"> {
    let keeper = this.#keepers.get(connection);
    if (keeper === undefined) this.#keepers.set(connection, keeper = this.#newKeeper());
    // Books tell of their own gaps.
    const told = this.#isKept ? mapped.ticks.filter((tick) => seriesOf(tick) !== "book") : mapped.ticks;
    const gaps = receivedTime === null ? [] : this.#continuity.ticks(told, receivedTime);
    gaps.forEach((gap) => this.#miss(gap));
    const checksums = mapped.ticks.map((tick) => this.#checksums.get(tick));
    const isSummed = checksums.length > 0 && checksums.every((sum) => sum !== undefined);
    const kept = keeper.take(isSummed ? { ...mapped, checksums } : mapped);
    return { ticks: [...gaps, ...kept.ticks], wants: kept.wants };
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

  get #isKept(): boolean {
    return this.#venue.books !== "none" && this.#venue.books !== "whole";
  }

  #newKeeper(): Keeper {
    const { books: discipline, depths, checksum, live } = this.#venue;
    const { depth, everyMs, crossedForMs } = this.#options;
    return new Keeper({
      discipline,
      ...(depth !== undefined && { depth }),
      ...(everyMs !== undefined && { everyMs }),
      ...(crossedForMs !== undefined && { crossedForMs }),
      quotes: this.#isKept && live !== undefined && !live.channels.includes("quote"),
      ...(depths !== undefined && { depths }),
      ...(checksum !== undefined && { checksum: (book) => checksum(book.bids(10), book.asks(10)) }),
    });
  }
}
