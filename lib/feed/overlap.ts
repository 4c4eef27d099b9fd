/**
 * Nothing twice and nothing lost while two connections say the same: of the ticks of both, those that count.
 *
 * The old connection counts until it has ended. What the new one says meanwhile is held, and then let through from where
 * the old one stopped: trades by their contiguous sequence or else by id, quotes and books by sequence. What has no
 * number cannot be compared: trades and quotes of the old one count until the new one is subscribed and those of the new
 * one from then on, books of the new one from its first snapshot on. A book of a lower number and a later time is no
 * repeat: its venue has begun its numbers anew.
 * **In** events and ticks of connections, in their order, **Out** ticks. **Knows** `tick`, `venue`.
 */
import type { FeedEvent } from "../feed.ts";
import type { Tick } from "../tick.ts";
import type { Venue } from "../venue.ts";
import { seriesOf } from "./continuity.ts";

/** Ticks of a new connection that are held at most; who says more counts from then on. */
const HELD_MAX = 100_000;

/** Two connections of the same symbols. */
interface Pair<T> {
  readonly old: string;
  readonly young: string;
  /** Whether the young one is subscribed. */
  isLive: boolean;
  /** Whether it counts alone: a snapshot that it sends then begins its book again, whatever its number. */
  isOver: boolean;
  readonly held: Marked<T>[];
  /** The last that the old one said of each series. */
  last: Map<string, Said>;
  /** Ids that it said beside the young one. */
  readonly ids: Set<string>;
  /** Symbols whose book the young one has begun, of those without numbers. */
  readonly begun: Set<string>;
}

/** A number, and the time of its event, µs; null where that is our own. */
interface Said {
  readonly number: number;
  readonly at: number | null;
}

interface Marked<T> {
  readonly tick: T;
  readonly mark: Mark;
}
/** How a tick is compared with those of the other connection. */
type Mark = { readonly series: string; readonly number: number } | { readonly id: string };

export class Overlap<T extends Tick = Tick> {
  readonly #venue: Pick<Venue, "disciplines">;
  #pairs: Pair<T>[] = [];
  /** Of each connection, the last of each series. */
  readonly #last = new Map<string, Map<string, Said>>();

  constructor(venue: Pick<Venue, "disciplines">) {
    this.#venue = venue;
  }

  /** Those that were held and count now. */
  event(event: FeedEvent): readonly T[] {
    const { connection } = event;
    switch (event.event) {
      case "connected":
        this.#last.set(connection, new Map());
        if (event.replaces !== null) this.#pair(event.replaces, connection);
        return [];
      case "subscribed":
        for (const pair of this.#pairs) if (pair.young === connection) pair.isLive = true;
        return [];
      case "disconnected":
        this.#last.delete(connection);
        this.#pairs = this.#pairs.filter(({ young }) => young !== connection);
        return this.#pairs.filter(({ old, isOver }) => old === connection && !isOver).flatMap(release);
      default:
        return [];
    }
  }

  /** Of the ticks of one frame of this connection, those that count. */
  ticks(connection: string, ticks: readonly T[]): readonly T[] {
    const last = this.#last.get(connection);
    let counting = ticks;
    for (const pair of this.#pairs) {
      if (pair.old === connection) counting = counting.filter((tick) => this.#isOfOld(tick, pair));
      if (pair.young === connection) counting = counting.flatMap((tick) => this.#ofYoung(tick, pair));
    }
    if (last === undefined) return counting;
    for (const tick of ticks) {
      const mark = this.#markOf(tick);
      if (mark !== null && "number" in mark) last.set(mark.series, { number: mark.number, at: timeOf(tick) });
    }
    return counting;
  }

  #pair(old: string, young: string): void {
    const last = this.#last.get(old) ?? new Map<string, Said>();
    this.#pairs.push({
      old,
      young,
      isLive: false,
      isOver: false,
      held: [],
      last,
      ids: new Set(),
      begun: new Set(),
    });
  }

  #isOfOld(tick: T, pair: Pair<T>): boolean {
    if (pair.isOver) return false;
    const mark = this.#markOf(tick);
    if (mark === null) return seriesOf(tick) === "book" ? !pair.begun.has(tick.symbol) : !pair.isLive;
    if ("id" in mark) pair.ids.add(mark.id);
    // The oldest makes room.
    if (pair.ids.size > HELD_MAX) pair.ids.delete(pair.ids.values().next().value!);
    return true;
  }

  #ofYoung(tick: T, pair: Pair<T>): readonly T[] {
    const mark = this.#markOf(tick);
    if (pair.isOver) {
      if (mark !== null && "number" in mark && tick.type === "book") pair.last.delete(mark.series);
      return mark === null || isBeyond({ tick, mark }, pair) ? [tick] : [];
    }
    if (mark === null) {
      if (tick.type === "book") pair.begun.add(tick.symbol);
      const counts = seriesOf(tick) === "book" ? pair.begun.has(tick.symbol) : pair.isLive;
      return counts ? [tick] : [];
    }
    pair.held.push({ tick, mark });
    return pair.held.length < HELD_MAX ? [] : release(pair);
  }

  #markOf(tick: T): Mark | null {
    const { sequence, id, symbol } = tick;
    const series = seriesOf(tick);
    if (series === null) return null;
    if (series === "trade" && this.#venue.disciplines.trade !== "contiguous" && id !== null) {
      return { id: `${id} ${symbol}` };
    }
    if (sequence !== null) return { series: `${series} ${symbol}`, number: sequence };
    return id === null ? null : { id: `${series} ${id} ${symbol}` };
  }
}

/** The young one counts alone from now on: what it said beyond the old one. */
function release<T extends Tick>(pair: Pair<T>): T[] {
  pair.isOver = true;
  // As it is now: who is not heard any more may still speak.
  pair.last = new Map(pair.last);
  const beyond = pair.held.filter((marked) => isBeyond(marked, pair)).map(({ tick }) => tick);
  pair.held.length = 0;
  return beyond;
}

const timeOf = ({ timeSource, eventTime }: Tick): number | null => timeSource === undefined ? eventTime : null;

/** Whether the old one has not said it; the young one may be behind it even when it has ended. */
function isBeyond<T extends Tick>({ tick, mark }: Marked<T>, { last, ids }: Pair<T>): boolean {
  if ("id" in mark) return !ids.has(mark.id);
  const { number: said, at } = last.get(mark.series) ?? { number: -1, at: null };
  const isAnew = tick.type === "book" && mark.number < said && at !== null && (timeOf(tick) ?? 0) > at;
  // A book of the last number may be what whoever lost a change before it waits for.
  if (!isAnew && (tick.type === "book" ? mark.number < said : mark.number <= said)) return false;
  // It has caught up: from now on nothing of it is compared.
  last.delete(mark.series);
  return true;
}
