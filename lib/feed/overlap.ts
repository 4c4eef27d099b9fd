/**
 * Nothing twice and nothing lost while two connections say the same: of the ticks of both, those that count.
 *
 * The old connection counts until it has ended. What the new one says meanwhile is held, and then let through from where
 * the old one stopped: trades by their contiguous sequence or else by id, quotes and books by sequence. What has no
 * number cannot be compared: trades and quotes of the old one count until the new one is subscribed and those of the new
 * one from then on, books of the new one from its first snapshot on.
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
  readonly held: { readonly tick: T; readonly mark: Mark }[];
  /** What the old one said: its last number of each series, and ids. */
  readonly last: Map<string, number>;
  readonly ids: Set<string>;
  /** Symbols whose book the young one has begun, of those without numbers. */
  readonly begun: Set<string>;
}

/** How a tick is compared with those of the other connection. */
type Mark = { readonly series: string; readonly number: number } | { readonly id: string };

export class Overlap<T extends Tick = Tick> {
  readonly #venue: Pick<Venue, "disciplines">;
  #pairs: Pair<T>[] = [];

  constructor(venue: Pick<Venue, "disciplines">) {
    this.#venue = venue;
  }

  /** Those that were held and count now. */
  event(event: FeedEvent): readonly T[] {
    const { connection } = event;
    if (event.event === "connected" && event.replaces !== null) {
      const [held, last, ids, begun] = [[], new Map(), new Set<string>(), new Set<string>()];
      this.#pairs.push({
        old: event.replaces,
        young: connection,
        isLive: false,
        isOver: false,
        held,
        last,
        ids,
        begun,
      });
    }
    if (event.event === "subscribed") {
      for (const pair of this.#pairs) if (pair.young === connection) pair.isLive = true;
    }
    if (event.event !== "disconnected") return [];
    this.#pairs = this.#pairs.filter(({ young }) => young !== connection);
    return this.#pairs.filter(({ old, isOver }) => old === connection && !isOver).flatMap(release);
  }

  /** Of the ticks of one frame of this connection, those that count. */
  ticks(connection: string, ticks: readonly T[]): readonly T[] {
    let counting = ticks;
    for (const pair of this.#pairs) {
      if (pair.old === connection) counting = counting.filter((tick) => this.#isOfOld(tick, pair));
      if (pair.young === connection) counting = counting.flatMap((tick) => this.#ofYoung(tick, pair));
    }
    return counting;
  }

  #isOfOld(tick: T, pair: Pair<T>): boolean {
    if (pair.isOver) return false;
    const mark = this.#markOf(tick);
    if (mark === null) return seriesOf(tick) === "book" ? !pair.begun.has(tick.symbol) : !pair.isLive;
    if ("id" in mark) {
      pair.ids.add(mark.id);
      if (pair.ids.size > HELD_MAX) { for (const id of pair.ids.keys().take(1)) pair.ids.delete(id); }
    } else pair.last.set(mark.series, mark.number);
    return true;
  }

  #ofYoung(tick: T, pair: Pair<T>): readonly T[] {
    const mark = this.#markOf(tick);
    if (pair.isOver) return mark === null || tick.type === "book" || isBeyond(mark, pair) ? [tick] : [];
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
function release<T>(pair: Pair<T>): T[] {
  pair.isOver = true;
  const beyond = pair.held.filter(({ mark }) => isBeyond(mark, pair)).map(({ tick }) => tick);
  pair.held.length = 0;
  return beyond;
}

/** Whether the old one has not said it; the young one may be behind it even when it has ended. */
function isBeyond<T>(mark: Mark, { last, ids }: Pair<T>): boolean {
  if ("id" in mark) return !ids.has(mark.id);
  if (mark.number <= (last.get(mark.series) ?? -1)) return false;
  last.delete(mark.series);
  return true;
}
