/**
 * What a venue is asked by REST: snapshots, earlier trades, instruments. One question at a time, at the venue's pace, so
 * that a lost connection of many symbols does not become a ban.
 *
 * **In** requests, **Out** the venue's answers as frames. **Knows** `venue`, `patience`, `failure`, `world`.
 */
import { Misuse, Outage, reasonOf, shownUrl } from "../failure.ts";
import type { Frame } from "../feed.ts";
import { type Finding, Patience } from "../patience.ts";
import type { Rest, Venue } from "../venue.ts";
import type { Trying, World } from "../world.ts";
import { FRAME_LENGTH_MAX } from "./connection.ts";
import { PAUSES } from "./line.ts";
import { type Clock, Pace } from "./pace.ts";

/** How long a venue may take for a whole answer. */
export const REPLY_MS = 30_000;
/** Bytes of an answer: as many as a frame may have characters. */
const REPLY_BYTES_MAX = FRAME_LENGTH_MAX;
/** Statuses of venues that want to be left alone for a while. */
const CROWDED: readonly number[] = [403, 429];

/** An answer: `receivedTime` is when its first byte was seen. */
export interface Reply extends Frame {
  /** The whole address that was asked. */
  readonly request: string;
  /** µs since the epoch, when it was asked. */
  readonly requestedTime: number;
}

/**
 * A snapshot of the symbol's book is about to be asked for, to be held against it. What the book takes in from now on is
 * remembered until the answer is there, which may be of any moment since.
 */
export interface Comparing {
  readonly kind: "event";
  readonly event: "comparing";
  /** The connection that the answer will name. */
  readonly connection: string;
  /** µs since the epoch. */
  readonly receivedTime: number;
  readonly symbols: readonly string[];
}

/** How a venue is asked; as in `Following`. */
export interface Asker {
  readonly base?: string;
  readonly run: string;
  readonly now: () => number;
  readonly world: World & { readonly trying: Trying };
  readonly fetch?: typeof globalThis.fetch;
}

/** The venue has not answered as it should. */
class Unanswered extends Error {
  readonly status: number | null;
  /** ms that it asks to wait. */
  readonly retryAfterMs: number;

  constructor(message: string, status: number | null = null, retryAfterMs = 0) {
    super(message);
    this.status = status;
    this.retryAfterMs = retryAfterMs;
  }
}

export class RestClient {
  readonly #venue: string;
  readonly #rest: Rest;
  readonly #base: string;
  readonly #run: string;
  readonly #clock: Clock;
  readonly #world: Asker["world"];
  readonly #fetch: typeof globalThis.fetch;
  readonly #pace: Pace;
  #replies = 0;
  /** The question before: the next one waits for its end. */
  #before: Promise<unknown> = Promise.resolve();
  #ban: Outage | null = null;

  /** @throws {Misuse} where the venue has no REST, or the base is none */
  constructor({ name, live }: Venue, { base, run, now, world, fetch = globalThis.fetch }: Asker) {
    if (live?.rest === undefined) throw new Misuse(`Cannot ask venue "${name}": it has no REST, must have some`);
    this.#venue = name;
    this.#rest = live.rest;
    this.#base = (base ?? live.rest.base).replace(/\/+$/, "");
    if (!/^https?:\/\/[^/?#]+$/.test(this.#base) || !URL.canParse(this.#base)) {
      throw new Misuse(
        `Cannot ask venue "${name}": its base is "${shownUrl(this.#base)}", must be https:// with a host`,
      );
    }
    this.#run = run;
    this.#clock = { now, pause: world.trying.pause };
    this.#world = world;
    this.#fetch = fetch;
    // Turns are as far apart as they can be: a burst that is allowed may still meet another client's.
    this.#pace = new Pace(1, Math.ceil(60_000 / this.#rest.requestsPerMinute), this.#clock);
  }

  /** A snapshot of the book. @throws as {@linkcode RestClient.ask} */
  snapshot(symbol: string, signal: AbortSignal): Promise<Reply> {
    return this.ask(this.#rest.snapshot?.(symbol), signal);
  }

  /** Trades from this id on, as many as one answer may have. @throws as {@linkcode RestClient.ask} */
  trades(symbol: string, fromId: string, signal: AbortSignal): Promise<Reply> {
    return this.ask(this.#rest.trades?.(symbol, fromId), signal);
  }

  /** All instruments, or the page of them that the one before has named. @throws as {@linkcode RestClient.ask} */
  instruments(signal: AbortSignal, next?: string): Promise<Reply> {
    return this.ask(this.#rest.instruments?.(next), signal);
  }

  /**
   * The answer to a path of the venue, after those that were asked for before.
   * @throws {Misuse} where the venue has no such path, or says that the request is wrong
   * @throws {Outage} when it does not answer for as long as the world allows; after a ban (418) at once and for ever
   * @throws the signal's reason
   */
  async ask(path: string | undefined, signal: AbortSignal): Promise<Reply> {
    if (path === undefined) throw new Misuse(`Cannot ask venue "${this.#venue}": it has no such request, must have it`);
    const patience = new Patience("venue", this.#world, (error) => this.#judge(path, error), PAUSES);
    const turn = this.#before.then(() => patience.persist(() => this.#once(path, signal), signal));
    this.#before = turn.catch(() => {});
    const aborted = Promise.withResolvers<never>();
    const abort = (): void => aborted.reject(signal.reason);
    signal.addEventListener("abort", abort);
    try {
      return await Promise.race([turn, aborted.promise]);
    } finally {
      signal.removeEventListener("abort", abort);
    }
  }

  async #once(path: string, signal: AbortSignal): Promise<Reply> {
    if (this.#ban !== null) throw this.#ban;
    await this.#pace.turn(signal);
    signal.throwIfAborted();
    const { now, pause } = this.#clock;
    const over = new AbortController();
    const late = new AbortController();
    void pause(REPLY_MS, AbortSignal.any([signal, over.signal])).then(() => late.abort());
    const request = this.#base + path;
    const requestedTime = now();
    try {
      const response = await this.#fetch(request, { redirect: "manual", signal: late.signal });
      const receivedTime = now();
      const text = await textOf(response);
      if (response.status !== 200) {
        throw new Unanswered(text.slice(0, 200), response.status, this.#retryAfterMs(response));
      }
      const [connection, number] = [`${this.#run}.rest`, this.#replies++];
      return { kind: "frame", connection, number, request, requestedTime, receivedTime, text };
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof Unanswered) throw error;
      throw new Unanswered(late.signal.aborted ? `no answer within ${REPLY_MS / 1_000} s` : causeOf(error));
    } finally {
      over.abort();
    }
  }

  /** Seconds, or a date. */
  #retryAfterMs(response: Response): number {
    const said = response.headers.get("retry-after") ?? "";
    const ms = /^\d{1,9}$/.test(said) ? Number(said) * 1_000 : Date.parse(said) - this.#world.now();
    return ms > 0 ? Math.ceil(ms) : 0;
  }

  #judge(path: string, error: unknown): Finding {
    if (!(error instanceof Unanswered)) return { error, passes: false };
    const { status, retryAfterMs } = error;
    const says = (wanted: string): string => {
      const state = status === null
        ? `cannot be reached (${reasonOf(error)})`
        : `answers ${status} (${reasonOf(error)})`;
      return `Cannot ask venue "${this.#venue}" for ${path}: ${shownUrl(this.#base)} ${state}, must ${wanted}`;
    };
    if (status === 418) {
      const rest = retryAfterMs === 0 ? "" : `, in ${Math.ceil(retryAfterMs / 1_000)} s`;
      this.#ban = new Outage(says(`not be asked until its ban is over${rest}`));
      return { error: this.#ban, passes: false };
    }
    if (status !== null && CROWDED.includes(status)) {
      const leaveMs = Math.max(PAUSES.msMax / 2, retryAfterMs);
      return { error: new Outage(says("be left alone")), passes: true, leaveMs };
    }
    if (status !== null && status >= 400 && status < 500) {
      return { error: new Misuse(says("be asked for what it has")), passes: false };
    }
    return { error: new Outage(says("answer")), passes: true, leaveMs: retryAfterMs };
  }
}

/** Why nothing came: the runtime says it in the cause of its error, after the address. */
function causeOf(error: unknown): string {
  const { cause } = error as Error;
  return cause instanceof Error ? reasonOf(cause).replace(/^.*: client error \(\w+\): /s, "") : reasonOf(error);
}

/** The answer's text, if it is no longer than any answer. */
async function textOf(response: Response): Promise<string> {
  const decoder = new TextDecoder();
  let [text, bytes] = ["", 0];
  for await (const chunk of response.body ?? []) {
    bytes += chunk.length;
    if (bytes > REPLY_BYTES_MAX) throw new Unanswered(`its answer has over ${REPLY_BYTES_MAX} bytes`);
    text += decoder.decode(chunk, { stream: true });
  }
  return text + decoder.decode();
}
