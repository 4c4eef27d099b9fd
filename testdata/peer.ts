/**
 * The other end of a socket, for tests: a server on this machine whose every word the test speaks, a clock that moves by
 * hand, and a venue that exists nowhere.
 */
import { fieldsOf } from "../lib/fields.ts";
import { listener } from "../lib/patience.ts";
import type { Tick } from "../lib/tick.ts";
import type { Live, Venue } from "../lib/venue.ts";
import type { Trying, World } from "../lib/world.ts";

/** Hands over what is put into it, to those who wait in their order. */
class Inbox<T> {
  readonly #items: T[] = [];
  readonly #waiting: ((item: T) => void)[] = [];

  put(item: T): void {
    const wake = this.#waiting.shift();
    if (wake === undefined) this.#items.push(item);
    else wake(item);
  }

  take(): Promise<T> {
    if (this.#items.length > 0) return Promise.resolve(this.#items.shift()!);
    return new Promise((resolve) => this.#waiting.push(resolve));
  }
}

/** A time that passes when the test says so. */
export class HandClock {
  /** µs since the epoch. */
  time = 1_700_000_000_000_000;
  /** Every wait, ms. */
  readonly waits: number[] = [];
  /** Which waits end at once, the time passing by them. */
  passes: (ms: number) => boolean = () => false;
  #pending: { readonly at: number; readonly ms: number; readonly end: () => void }[] = [];
  #awaited: { readonly ms: number; readonly wake: () => void }[] = [];

  readonly now = (): number => this.time;

  readonly pause: Trying["pause"] = (ms, signal) => {
    if (signal.aborted) return Promise.resolve();
    this.waits.push(ms);
    if (this.passes(ms)) {
      this.time += ms * 1_000;
      return Promise.resolve();
    }
    return new Promise((resolve) => {
      const end = (): void => {
        this.#pending = this.#pending.filter((wait) => wait.end !== end);
        signal.removeEventListener("abort", end);
        resolve();
      };
      signal.addEventListener("abort", end);
      this.#pending.push({ at: this.time + ms * 1_000, ms, end });
      for (const { wake } of this.#awaited.filter((wait) => wait.ms === ms)) wake();
      this.#awaited = this.#awaited.filter((wait) => wait.ms !== ms);
    });
  };

  /** Until somebody waits for so long. */
  async waiting(ms: number): Promise<void> {
    if (this.#pending.some((wait) => wait.ms === ms)) return;
    await new Promise<void>((wake) => this.#awaited.push({ ms, wake }));
  }

  /** Until somebody waits for so long, and then until that has passed. */
  async pass(ms: number): Promise<void> {
    await this.waiting(ms);
    this.go(ms);
  }

  /** Lets so much time pass. */
  go(ms: number): void {
    this.time += ms * 1_000;
    for (const wait of this.#pending.filter(({ at }) => at <= this.time)) wait.end();
  }
}

/** A world with this clock. */
export function worldOf(clock: HandClock, { retryForMs = 600_000, random = 0.5 } = {}) {
  const lines: string[] = [];
  const report = (line: string): void => void lines.push(line);
  const signal = new AbortController().signal;
  const world: World & { readonly trying: Trying } = {
    now: () => Math.floor(clock.time / 1_000),
    env: () => undefined,
    report,
    retryForMs,
    trying: { random: () => random, pause: clock.pause, signal, hear: listener(report, () => {}) },
  };
  return { world, lines };
}

/** A socket, seen from the venue's side. */
export class Peer {
  readonly url: string;
  readonly closed: Promise<number>;
  readonly #socket: WebSocket;
  readonly #messages = new Inbox<string>();

  constructor(url: string, socket: WebSocket) {
    this.url = url;
    this.#socket = socket;
    socket.binaryType = "arraybuffer";
    socket.onmessage = ({ data }) =>
      this.#messages.put(typeof data === "string" ? data : `bytes ${new TextDecoder().decode(data)}`);
    this.closed = new Promise((resolve) => socket.onclose = ({ code }) => resolve(code));
  }

  /** What it was sent next; of bytes, what they say behind `bytes `. */
  message(): Promise<string> {
    return this.#messages.take();
  }

  send(...frames: (string | Uint8Array<ArrayBuffer>)[]): void {
    for (const frame of frames) this.#socket.send(frame);
  }

  async close(code: number, reason = ""): Promise<void> {
    this.#socket.close(code, reason);
    await this.closed;
  }

  /** Takes the next request and agrees to it. */
  async agree(): Promise<void> {
    this.send(JSON.stringify({ id: JSON.parse(await this.message()).id, ok: true }));
  }
}

/** A venue's host. `refuse` gives the answer to an upgrade that is refused, by the number of the attempt from 0. */
export function host(refuse: (attempt: number, request: Request) => Response | Promise<Response> | null = () => null) {
  const peers = new Inbox<Peer>();
  let attempts = 0;
  const server = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen: () => {} }, async (request) => {
    const refusal = await refuse(attempts++, request);
    if (refusal !== null) return refusal;
    const { socket, response } = Deno.upgradeWebSocket(request, { idleTimeout: 0 });
    const peer = new Peer(request.url, socket);
    socket.onopen = () => peers.put(peer);
    return response;
  });
  return {
    base: `ws://127.0.0.1:${server.addr.port}`,
    /** The next socket. */
    peer: (): Promise<Peer> => peers.take(),
    attempts: (): number => attempts,
    [Symbol.asyncDispose]: () => server.shutdown(),
  };
}

/**
 * A venue that agrees with `{"id":1,"ok":true}`, refuses with `{"id":1,"no":"why"}` or `{"of":["A"],"no":"why"}`, and
 * tells trades as `{"s":"A","t":1}`, quotes with `q`, changes of the book with `u` and books with `b` instead of `t`; all
 * without a number where that is null.
 */
export function madeVenue(live: Partial<Live> = {}, disciplines: Partial<Venue["disciplines"]> = {}): Venue {
  return {
    name: "made",
    kinds: ["known", "unknown"],
    disciplines: {
      trade: "contiguous",
      quote: "rising",
      book: "none",
      delta: "rising",
      status: "none",
      ...disciplines,
    },
    books: "chain",
    live: {
      channels: ["trade", "quote"],
      base: "wss://venue.invalid",
      path: (_subscription, token) => token === undefined ? "/feed" : `/feed?token=${encodeURIComponent(token)}`,
      subscribe: ({ symbols }, id) => [JSON.stringify({ id, subscribe: symbols })],
      unsubscribe: () => [],
      answer(frame) {
        const { id, ok, no, of } = fieldsOf(frame) ?? {};
        if (ok === undefined && no === undefined) return null;
        const about = Array.isArray(of) ? { symbols: of.map(String) } : {};
        return { refused: no === undefined ? null : String(no), ...about, ...typeof id === "number" ? { id } : {} };
      },
      silentMs: 200_000,
      topicsMax: 100,
      messagesPerSecond: 100,
      ...live,
    },
    map(frame, receivedTime) {
      const { s, t, q, u, b, id } = fieldsOf(frame) ?? {};
      if (typeof s !== "string" || receivedTime === null) return { kind: "unknown", ticks: [] };
      const sequence = [t, q, u, b].find((value) => typeof value === "number") as number | undefined ?? null;
      const time = { eventTime: receivedTime, receivedTime };
      const common = { venue: "made", symbol: s, ...time, sequence, id: typeof id === "string" ? id : null };
      const ids = { firstId: sequence, lastId: sequence, previousId: null };
      const tick: Tick = t !== undefined
        ? { type: "trade", ...common, price: "1", size: "1", side: "buy" }
        : q !== undefined
        ? { type: "quote", ...common, bidPrice: null, bidSize: null, askPrice: null, askSize: null }
        : u !== undefined
        ? { type: "delta", ...common, bids: [], asks: [], ...ids }
        : { type: "book", ...common, bids: [], asks: [] };
      return { kind: "known", ticks: [tick] };
    },
  };
}
