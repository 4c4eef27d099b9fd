/**
 * Who follows a venue in a storm, and all that was collected.
 *
 * **In** a scene, **Out** ticks and what became of connections. **Knows** `collect`, `feed`, `live`, `pretend`, `tick`, `venue`.
 */
import { Collector } from "../../lib/collect.ts";
import type { FeedEvent } from "../../lib/feed.ts";
import { LiveSource } from "../../lib/live.ts";
import type { Pretend } from "../../lib/pretend.ts";
import type { Tick } from "../../lib/tick.ts";
import type { Venue } from "../../lib/venue.ts";
import type { Trying, World } from "../../lib/world.ts";
import type { Storm } from "./feed.ts";

const RUN = "storm";
/** The secret of venues that ask for one. */
export const TOKEN = "storm";
const COMPARE_EVERY_MS = 200_000;

/** Where a follower finds itself. */
export interface Scene {
  readonly plan: Storm;
  readonly pretend: Pretend;
  readonly venue: Venue;
  /** µs. */
  readonly now: () => number;
  readonly world: World & { readonly trying: Trying };
}

/** What a storm sees of whoever follows the venue: all that was collected, and what became of connections. */
export abstract class Follower {
  readonly ticks: Tick[] = [];
  /** Connections, and whether they are subscribed. */
  readonly open = new Map<string, boolean>();
  /** Whether the book of a symbol is in sync, as it was told. */
  readonly synced = new Map<string, boolean>();
  /** When the last trade of a symbol was, µs. */
  readonly last = new Map<string, number>();
  rollovers = 0;
  readonly compared: Record<string, number> = {};
  #failure: unknown = null;
  #happened: () => void = () => {};

  /** Until this is so; it is looked at whenever something was taken. */
  async until(isSo: () => boolean): Promise<void> {
    while (!isSo()) {
      this.check();
      await new Promise<void>((resolve) => this.#happened = resolve);
    }
  }

  /** Stops to follow. */
  abstract close(): Promise<void>;

  /** @throws what the follower fell over */
  protected check(): void {
    if (this.#failure !== null) throw this.#failure;
  }

  protected fail(error: unknown): void {
    this.#failure = error;
    this.#happened();
  }

  protected take(tick: Tick): void {
    this.ticks.push(tick);
    if (tick.type === "trade") this.last.set(tick.symbol, tick.eventTime);
    if (tick.type === "status" && tick.detail === "book synced") this.synced.set(tick.symbol, true);
    if (isBookGap(tick)) this.synced.set(tick.symbol, false);
    this.#happened();
  }

  protected hear(event: FeedEvent): void {
    if (event.event === "connected") this.open.set(event.connection, false);
    if (event.event === "subscribed") this.open.set(event.connection, true);
    if (event.event === "disconnected") {
      this.open.delete(event.connection);
      if (event.successor !== null) this.rollovers++;
    }
    this.#happened();
  }
}

/** Follows by hand: a live source into a collector. */
export class Directly extends Follower {
  readonly #source: LiveSource;
  readonly #over = new AbortController();
  readonly #reading: Promise<void>;

  constructor({ plan, pretend, venue, now, world }: Scene) {
    super();
    this.#source = new LiveSource(venue, {
      subscription: { symbols: pretend.symbols, channels: venue.live!.channels },
      ...{ run: RUN, base: pretend.socketUrl, rest: pretend.restUrl, token: TOKEN, micros: now, world },
      compareEveryMs: COMPARE_EVERY_MS,
    });
    const { depth } = plan;
    const collector = new Collector(venue, { names: false, ...(depth !== undefined && { depth, everyMs: 0 }) });
    this.#reading = this.#read(collector).catch((error) => this.fail(error));
  }

  async close(): Promise<void> {
    this.#over.abort();
    await this.#reading;
    await this.#source[Symbol.asyncDispose]();
    this.check();
  }

  async #read(collector: Collector): Promise<void> {
    for await (const { frames } of this.#source.read(0, this.#over.signal)) {
      for (const frame of frames) {
        const collected = collector.take(frame);
        this.#source.want(collected);
        for (const tick of collected.ticks) this.take(tick);
        for (const { outcome } of collected.compared) this.compared[outcome] = (this.compared[outcome] ?? 0) + 1;
        if (frame.isEvent) this.hear(JSON.parse(frame.frame));
      }
    }
  }
}

/** Whether the book was lost, as its keeper tells it. */
export function isBookGap(tick: Tick): boolean {
  return tick.type === "status" && tick.state === "gap" && tick.detail?.startsWith("book ") === true;
}
