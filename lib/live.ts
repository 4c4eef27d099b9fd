/**
 * What a venue says live, as a source of frames: its sockets' frames and events and its answers by REST, one after the
 * other in the order in which they came. Snapshots that books want are asked for, or subscribed to again; others, every
 * so often, to be held against the books.
 *
 * **In** a venue and a subscription, **Out** frames. **Knows** `feed`, `frames`, `source`, `venue`, `failure`, `world`.
 */
import { Outage, reasonOf } from "./failure.ts";
import { follow, type Received } from "./feed.ts";
import { PAUSES } from "./feed/line.ts";
import { Renewals } from "./feed/renewals.ts";
import { inTurn } from "./feed/pace.ts";
import { type Comparing, type Reply, RestClient } from "./feed/rest.ts";
import type { Frame } from "./frames.ts";
import type { Source, SourceBatch, Wanted } from "./source.ts";
import type { Subscription, Venue } from "./venue.ts";
import type { Trying, World } from "./world.ts";

/** Frames that are read and not taken yet, at most: beyond it the sockets' own bound counts. */
const INBOX_MAX = 10_000;

/** Kinds of frames that answer no question. */
const NO_ANSWERS: readonly string[] = ["malformed", "unknown", "error"];

export interface LiveOptions {
  readonly subscription: Subscription;
  /** Names this run's connections. */
  readonly run: string;
  /** Scheme, host and port of the websocket, and of REST, instead of the venue's own. */
  readonly base?: string;
  readonly rest?: string;
  readonly token?: string;
  /** How often each book is held against a fresh snapshot, ms; 0, which is the default, for never. */
  readonly compareEveryMs?: number;
  /** Whether an instrument need not speak, as of one that does not trade. */
  readonly isQuiet?: (symbol: string) => boolean;
  /** Whole µs since the epoch. */
  readonly micros: () => number;
  readonly world: World & { readonly trying: Trying };
}

/** A source that has no position: what was not read is lost. */
export class LiveSource implements Source {
  readonly id: string;
  readonly grows = true;
  readonly isLive = true;
  readonly #venue: Venue;
  readonly #options: LiveOptions;
  readonly #renewals: Renewals;
  readonly #client: RestClient | null;
  readonly #inbox: Frame[] = [];
  #ring: () => void = () => {};
  #drained: () => void = () => {};
  readonly #asked = new Set<string>();
  readonly #over = new AbortController();

  constructor(venue: Venue, options: LiveOptions) {
    this.id = options.run;
    this.#venue = venue;
    this.#options = options;
    this.#renewals = new Renewals({ now: options.micros, pause: options.world.trying.pause });
    const { rest: base, run, micros: now, world } = options;
    this.#client = venue.live?.rest === undefined
      ? null
      : new RestClient(venue, { run, now, world, ...(base !== undefined && { base }) });
  }

  async *read(_from: number, signal: AbortSignal): AsyncGenerator<SourceBatch> {
    const over = AbortSignal.any([signal, this.#over.signal]);
    let failure: { readonly error: unknown } | null = null;
    let isEnded = false;
    const pump = this.#pump(over).catch((error) => failure = { error }).finally(() => {
      isEnded = true;
      this.#ring();
    });
    const comparing = this.#compareAll(over);
    try {
      for (;;) {
        while (this.#inbox.length === 0 && !isEnded) await new Promise<void>((resolve) => this.#ring = resolve);
        if (this.#inbox.length === 0) break;
        const frames = this.#inbox.splice(0);
        this.#drained();
        yield { frames, notes: 0, position: 0 };
      }
      if (failure !== null) throw (failure as { readonly error: unknown }).error;
    } finally {
      this.#over.abort();
      this.#drained();
      await pump;
      await comparing;
    }
  }

  /** Asks for each by REST, a snapshot by a new subscription where REST has none; one question of a kind at a time. */
  want({ wants, missing }: Wanted): void {
    const client = this.#client;
    const { signal } = this.#over;
    for (const symbol of wants) {
      const isByRest = this.#venue.books === "splice" || this.#venue.books === "link";
      if (client === null || !isByRest) void this.#renewals.ask(symbol, signal);
      else void this.#ask("snapshot", symbol, () => client.snapshot(symbol, signal));
    }
    for (const { symbol, fromId } of missing) {
      if (client !== null) void this.#ask("history", symbol, () => client.trades(symbol, String(fromId), signal));
    }
  }

  async #ask(what: "snapshot" | "history", symbol: string, ask: () => Promise<Reply>): Promise<void> {
    const question = `${what} of ${symbol}`;
    if (this.#asked.has(question)) return;
    this.#asked.add(question);
    const { world } = this.#options;
    const { signal } = this.#over;
    let isAnswered = false;
    for (let tries = 0; !isAnswered && !signal.aborted; tries++) {
      try {
        const reply = await ask();
        if (signal.aborted) break;
        // Whatever it is, it is the venue's word.
        const frame = keptReply(this.#venue.name, symbol, reply);
        this.#put(frame);
        const { kind, ticks } = this.#venue.map(frame.frame, frame.receivedTime, symbol);
        isAnswered = what === "snapshot" ? ticks.some(({ type }) => type === "book") : !NO_ANSWERS.includes(kind);
        if (!isAnswered) {
          throw new Outage(`its answer is "${kind}", must be ${what === "snapshot" ? "a book" : "trades"}`);
        }
      } catch (error) {
        if (signal.aborted) break;
        // The other instruments go on.
        if (tries === 0) world.report(`no ${question}: ${reasonOf(error)}`);
        if (!(error instanceof Outage)) break;
        // Whoever wants it asks but once.
        await world.trying.pause(PAUSES.msMax, signal);
      }
    }
    this.#asked.delete(question);
  }

  /** Asks for a snapshot of each book in turn, at half of the venue's pace at most, and never while a book waits for one. */
  async #compareAll(signal: AbortSignal): Promise<void> {
    const { compareEveryMs = 0, subscription: { symbols, channels }, world } = this.#options;
    const rest = this.#venue.live?.rest;
    const client = this.#client;
    if (client === null || rest?.snapshot === undefined || compareEveryMs === 0 || !channels.includes("book")) return;
    const spaceMs = Math.max(compareEveryMs / symbols.length, 2 * 60_000 / rest.requestsPerMinute);
    let isFailing = false;
    await inTurn(
      symbols,
      { spaceMs, pause: world.trying.pause, isBusy: () => this.#asked.size > 0 },
      async (symbol) => {
        try {
          await this.#compare(client, symbol, signal);
          isFailing = false;
        } catch (error) {
          if (signal.aborted) return;
          // It is tried again in its turn.
          if (!isFailing) world.report(`no snapshot of ${symbol} to compare with: ${reasonOf(error)}`);
          isFailing = true;
        }
      },
      signal,
    );
  }

  async #compare(client: RestClient, symbol: string, signal: AbortSignal): Promise<void> {
    const { run, micros } = this.#options;
    const connection = `${run}.rest`;
    const about = { connection, receivedTime: micros() };
    const event: Comparing = { kind: "event", event: "comparing", ...about, symbols: [symbol] };
    this.#put({ venue: this.#venue.name, ...about, number: 0, isEvent: true, frame: JSON.stringify(event) });
    const reply = await client.snapshot(symbol, signal);
    this.#put({ ...keptReply(this.#venue.name, symbol, reply), isComparison: true });
  }

  async #pump(signal: AbortSignal): Promise<void> {
    const { subscription, run, base, rest, token, isQuiet, micros, world } = this.#options;
    const following = {
      ...{ run, signal, now: micros, world, renewals: this.#renewals },
      ...(base !== undefined && { base }),
      ...(rest !== undefined && { rest }),
      ...(token !== undefined && { token }),
      ...(isQuiet !== undefined && { isQuiet }),
    };
    for await (const received of follow(this.#venue, subscription, following)) {
      this.#put(kept(this.#venue.name, received));
      while (this.#inbox.length >= INBOX_MAX && !signal.aborted) {
        await new Promise<void>((resolve) => this.#drained = resolve);
      }
    }
  }

  #put(frame: Frame): void {
    this.#inbox.push(frame);
    this.#ring();
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#over.abort();
    return Promise.resolve();
  }
}

/** What is kept of what was received: events get numbers of their own behind those of the frames. */
function kept(venue: string, received: Received): Frame {
  const { connection, receivedTime } = received;
  if (received.kind === "frame") {
    return { venue, connection, number: received.number, receivedTime, frame: received.text };
  }
  return { venue, connection, number: 0, receivedTime, isEvent: true, frame: JSON.stringify(received) };
}

function keptReply(venue: string, symbol: string, { connection, number, receivedTime, request, text }: Reply): Frame {
  return { venue, connection, number, receivedTime, request, symbol, frame: text };
}
