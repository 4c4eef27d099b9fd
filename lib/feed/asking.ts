/**
 * What one connection asks for, and what becomes of it: as few messages as the venue's own limits allow, each refusal in
 * the venue's words. A request for several that is refused as a whole is made again one by one, so that the others go on.
 *
 * **In** a subscription and answers, **Out** messages and refusals. **Knows** `venue`.
 */
import type { Answer, Live, Subscription } from "../venue.ts";

/** What the venue will not serve; nobody is named where it does not say whom it means. */
export interface Refused {
  readonly symbols: readonly string[];
  readonly words: string;
}

interface Request {
  readonly symbols: readonly string[];
  readonly messages: readonly string[];
  /** The number of its first message. */
  readonly first: number;
  /** Messages that were not answered yet, where answers name nobody. */
  left: number;
  refused: string | null;
}

export class Asking {
  /** Symbols that were not refused. */
  readonly wanted: Set<string>;
  readonly #live: Live;
  readonly #channels: Subscription["channels"];
  /** Messages that it takes to ask for one symbol. */
  readonly #single: number;
  #id = 1;
  #waiting: Request[];
  /** Messages of the last request of `#open` that are still to be sent. */
  #unsent: string[] = [];
  /** Sent, and not answered in full. */
  #open: Request[] = [];
  /** Symbols that were refused by name. */
  readonly #refused = new Set<string>();
  /** How many answers name a symbol. */
  readonly #heard = new Map<string, number>();

  constructor(live: Live, { symbols, channels }: Subscription) {
    this.wanted = new Set(symbols);
    this.#live = live;
    this.#channels = channels;
    this.#single = live.subscribe({ symbols: symbols.slice(0, 1), channels }, 1).length;
    this.#waiting = this.#requests([...this.wanted]);
  }

  /** The next message to send; undefined when there is none. */
  take(): string | undefined {
    if (this.#unsent.length === 0) {
      const request = this.#waiting.shift();
      if (request === undefined) return undefined;
      this.#open.push(request);
      this.#unsent = [...request.messages];
    }
    return this.#unsent.shift();
  }

  /** What ends the book of a symbol and asks for it again; nothing where it is not asked for. */
  renewal(symbol: string): readonly string[] {
    if (!this.wanted.has(symbol) || !this.#channels.includes("book")) return [];
    const book = { symbols: [symbol], channels: ["book"] } as const;
    const ended = this.#live.unsubscribe(book, this.#id);
    const begun = this.#live.subscribe(book, this.#id + ended.length);
    this.#id += ended.length + begun.length;
    return [...ended, ...begun];
  }

  /** Whether everything was sent and answered. */
  get isSettled(): boolean {
    return this.#waiting.length === 0 && this.#open.length === 0;
  }

  /** Waits for no more answers: the venue gives none, or not to everything. */
  giveUp(): void {
    this.#open = [];
  }

  /** Takes note of an answer. What it refuses, if that is final; null for all else. */
  hear({ refused, symbols, id }: Answer): Refused | null {
    if (symbols !== undefined) {
      // A venue that answers for each channel says it as often.
      if (symbols.length > 0 && symbols.every((symbol) => this.#refused.has(symbol))) return null;
      return this.#hearNamed(refused, symbols.filter((symbol) => this.wanted.has(symbol)));
    }
    const request = id === undefined
      ? this.#open[0]
      : this.#open.find(({ first, messages }) => id >= first && id < first + messages.length);
    if (request === undefined) return refused === null ? null : { symbols: [], words: refused };
    request.left--;
    request.refused ??= refused;
    if (request.left > 0) return null;
    this.#open.splice(this.#open.indexOf(request), 1);
    if (request.refused === null) return null;
    if (request.symbols.length > 1) {
      const again = request.symbols.filter((symbol) => this.wanted.has(symbol));
      this.#waiting.push(...again.flatMap((symbol) => this.#requests([symbol])));
      return null;
    }
    for (const symbol of request.symbols) this.wanted.delete(symbol);
    return { symbols: request.symbols, words: request.refused };
  }

  #hearNamed(refused: string | null, symbols: readonly string[]): Refused | null {
    for (const symbol of symbols) {
      this.#heard.set(symbol, (this.#heard.get(symbol) ?? 0) + 1);
      if (refused === null) continue;
      this.wanted.delete(symbol);
      this.#refused.add(symbol);
    }
    const isHeard = (symbol: string): boolean =>
      !this.wanted.has(symbol) || (this.#heard.get(symbol) ?? 0) >= this.#single;
    this.#open = this.#open.filter((request) => !request.symbols.every(isHeard));
    return refused === null ? null : { symbols, words: refused };
  }

  /** As few requests as hold so many symbols: as many in each as one message, or one a channel, may name. */
  #requests(symbols: readonly string[]): Request[] {
    const messages = this.#live.subscribe({ symbols, channels: this.#channels }, this.#id);
    if (symbols.length > 1 && messages.length > this.#single) {
      const size = Math.ceil(symbols.length / Math.ceil(messages.length / this.#single));
      return chunksOf(symbols, size).flatMap((chunk) => this.#requests(chunk));
    }
    if (messages.length === 0) return [];
    const first = this.#id;
    this.#id += messages.length;
    return [{ symbols, messages, first, left: messages.length, refused: null }];
  }
}

/** `list` in pieces of `size` at most. */
export function chunksOf<T>(list: readonly T[], size: number): (readonly T[])[] {
  return Array.from({ length: Math.ceil(list.length / size) }, (_, at) => list.slice(at * size, (at + 1) * size));
}
