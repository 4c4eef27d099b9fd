/**
 * One socket's worth of symbols, for as long as they are followed: a connection after the other, and two for a moment
 * when one must end soon, as its age or the venue says, or may be forgotten by its venue.
 *
 * **In** a signal, **Out** connections, whose frames and events go into the queue.
 * **Knows** `patience`, `failure`, `world`.
 */
import type { Received } from "../feed.ts";
import { Misuse, Outage, printable, reasonOf, shownUrl } from "../failure.ts";
import { type Bounds, type Finding, Patience } from "../patience.ts";
import type { Trying, World } from "../world.ts";
import { authorized, type Authorizing, concealed, Unauthorized } from "./authorize.ts";
import { Connection, type Ear, type Manner } from "./connection.ts";
import { openSocket, Unopened } from "./handshake.ts";
import type { Pace } from "./pace.ts";
import type { Queue, Share } from "./queue.ts";

/** Pauses between two attempts. A connection that stood for as long as the longest begins with the shortest again. */
export const PAUSES: Bounds = { msMin: 500, msMax: 60_000 };
/** How long both sockets are heard once the new one is subscribed: what is late on the old one may be so late. */
export const OVERLAP_MS = 5_000;
/** A rollover begins so long before the venue closes, at the latest; chance makes it up to twice as long. */
const MARGIN_MS_MAX = 600_000;
/** Pause between two attempts to replace one whose end is announced. */
export const HURRY_MS = 5_000;
/** Statuses of venues that want to be left alone. */
const CROWDED: readonly (number | null)[] = [403, 418, 429];

/** What a line needs. */
export interface Setup {
  readonly venue: string;
  /** The variable of the token. */
  readonly secret: string | undefined;
  /** What may be shown of the address. */
  readonly base: string;
  /** May hold the token: never shown. Or how it is asked for. */
  readonly address: string | Authorizing;
  readonly symbols: readonly string[];
  readonly manner: Manner;
  readonly queue: Queue<Received>;
  /** All attempts of all lines go through it. */
  readonly connects: Pace;
  readonly world: World & { readonly trying: Trying };
  readonly nextName: () => string;
}

export class Line {
  readonly #setup: Setup;
  readonly #share: Share;
  readonly #patience: Patience;
  readonly #open = new Set<Connection>();
  #wasSubscribed = false;
  #refusal: string | null = null;

  constructor(setup: Setup) {
    this.#setup = setup;
    this.#share = setup.queue.share();
    this.#patience = new Patience("venue", setup.world, (error) => this.#judge(error), PAUSES);
  }

  /**
   * Follows until the signal; null then. Ends early with the venue's words where it refuses every symbol at once.
   * @throws {Misuse} where the token is refused
   * @throws {Outage} when the venue cannot be had for too long
   */
  async run(signal: AbortSignal): Promise<string | null> {
    try {
      while (!signal.aborted) {
        let trouble: unknown;
        try {
          // Whoever comes back to a reader that is still behind would only be let go of again.
          await this.#setup.queue.room(this.#share, signal);
          let connection = await this.#connect(signal, null);
          for (let next = connection; next !== null;) {
            connection = next;
            next = await this.#stand(connection, signal);
            if (this.#hasLasted(connection)) this.#patience.calm();
          }
          if (connection === null || signal.aborted) return null;
          if (connection.why === "refused" && !this.#wasSubscribed) return this.#refusal;
          trouble = new Outage(`Cannot follow "${this.#setup.venue}": ${this.#fate(connection)}`);
        } catch (error) {
          trouble = error;
        }
        await this.#patience.after(trouble, signal);
      }
      return null;
    } finally {
      await Promise.all([...this.#open].map((connection) => {
        connection.close("stopped");
        return until(connection.gone);
      }));
    }
  }

  /** A new connection; null where the signal fired first. @throws {Unopened} */
  async #connect(signal: AbortSignal, replaces: string | null): Promise<Connection | null> {
    const { address, symbols, manner, queue, connects, nextName, venue, world } = this.#setup;
    if (!await connects.turn(signal)) return null;
    const ear: Ear = {
      put: (received, size) => queue.put(received, this.#share, size),
      // Nothing is known yet of how long it lasts.
      heard: () => this.#patience.calm(false),
      refused: ({ symbols, words }) => {
        this.#refusal = printable(words);
        world.report(
          printable(`${venue} refuses ${symbols.map((symbol) => `"${symbol}"`).join(", ") || "a request"}: ${words}`),
        );
      },
    };
    const isNamed = typeof address !== "string";
    const place = isNamed ? await authorized(address, manner.clock, signal) : address;
    if (place === null) return null;
    // Whoever was named the address may repeat it.
    const hide = (text: string): string => isNamed ? concealed(manner.hide(text), place) : manner.hide(text);
    return await openSocket(place, manner.clock, signal, (socket) => {
      const connection = new Connection(nextName(), symbols, socket, { ...manner, hide }, ear, replaces);
      this.#open.add(connection);
      connection.gone.addEventListener("abort", () => this.#open.delete(connection));
      connection.live.addEventListener("abort", () => this.#wasSubscribed = true);
      return connection;
    });
  }

  /** Stands by a connection until it ends. The one that was opened in its place; null where there is none. */
  async #stand(connection: Connection, signal: AbortSignal): Promise<Connection | null> {
    const { manner } = this.#setup;
    const { lifetimeMs } = manner.live;
    const either = AbortSignal.any([signal, connection.gone]);
    const any = AbortSignal.any([either, connection.quiet, connection.ending]);
    if (lifetimeMs === undefined) await until(any);
    else {
      const margin = Math.min(lifetimeMs / 10, MARGIN_MS_MAX);
      // By chance, lest all lines do so at once.
      const due = connection.since / 1_000 + lifetimeMs - margin * (1 + this.#setup.world.trying.random());
      await manner.clock.pause(Math.max(0, due - manner.clock.now() / 1_000), any);
    }
    while (!either.aborted) {
      const next = await this.#replace(connection, either);
      if (next !== null) return next;
      // While it serves there is no hurry, unless it will not for long.
      const { ending } = connection;
      if (ending.aborted) await manner.clock.pause(HURRY_MS, either);
      else await manner.clock.pause(PAUSES.msMax, AbortSignal.any([either, ending]));
    }
    return null;
  }

  /** Opens another beside a connection that serves, and closes the old one; null where that failed. */
  async #replace(old: Connection, either: AbortSignal): Promise<Connection | null> {
    let young: Connection | null;
    try {
      young = await this.#connect(either, old.name);
    } catch (error) {
      if (!(error instanceof Unopened)) throw error;
      return null;
    }
    if (young === null) return null;
    await until(AbortSignal.any([either, young.live, young.gone]));
    if (young.gone.aborted) return null;
    const before = old.told;
    if (young.live.aborted) {
      old.successor = young.name;
      await this.#setup.manner.clock.pause(OVERLAP_MS, AbortSignal.any([either, young.gone]));
      if (young.gone.aborted) {
        old.successor = null;
        return null;
      }
    }
    // One that says nothing while both are heard may have been silent for long.
    if (!either.aborted) old.close(old.quiet.aborted || old.told === before ? "quiet" : "rollover");
    await until(either);
    return young;
  }

  #hasLasted({ since, hasSpoken }: Connection): boolean {
    return hasSpoken && this.#setup.manner.clock.now() - since >= PAUSES.msMax * 1_000;
  }

  /** Why a connection ended, and what it must be. */
  #fate({ name, why, farewell }: Connection): string {
    switch (why) {
      case "silent":
        return `connection ${name} was silent for ${this.#setup.manner.silentMs / 1_000} s, must speak`;
      case "overflow":
        return `what came over connection ${name} was not read in time, must be read as fast as it comes`;
      case "refused":
        return `every symbol is refused (${this.#refusal}), must be served again`;
      default:
        return `connection ${name} was closed${farewell === "" ? "" : ` (${printable(farewell)})`}, must stay open`;
    }
  }

  #judge(error: unknown): Finding {
    if (!(error instanceof Unopened)) return { error, passes: error instanceof Outage };
    const { venue, base, secret, manner, address } = this.#setup;
    const { status } = error;
    const question = typeof address === "string" ? null : address;
    const isAsked = question !== null && error instanceof Unauthorized;
    const place = isAsked ? shownUrl(question.rest) : base;
    const says = (state: string, wanted: string): string =>
      `Cannot follow "${venue}": ${place} ${state}, must ${wanted}`;
    // Behind an address that was named, it is its code that is refused: the next one has another.
    if (isAsked ? status === 401 || status === 403 : question === null && status === 401) {
      const wanted = secret === undefined
        ? "be a host that asks for no token"
        : `be given in ${secret} one that it knows`;
      return { error: new Misuse(says(`refuses the token (${status})`, wanted)), passes: false };
    }
    if (isAsked) {
      const outage = new Outage(says(manner.hide(error.message), error.wanted));
      const leaveMs = CROWDED.includes(status) ? PAUSES.msMax / 2 : 0;
      return { error: outage, passes: true, leaveMs: Math.max(leaveMs, error.retryAfterMs) };
    }
    const state = status === null ? `cannot be reached (${manner.hide(reasonOf(error))})` : `answers ${status}`;
    const outage = new Outage(says(state, status === null ? "be reachable" : "open a websocket"));
    if (!CROWDED.includes(status)) return { error: outage, passes: true };
    return { error: outage, passes: true, leaveMs: PAUSES.msMax / 2 };
  }
}

/** Waits for the signal. */
function until(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}
