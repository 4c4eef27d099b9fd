/**
 * Faults of a pretended venue: by a seeded share of all that it says, or planted one by one.
 *
 * **In** a share or a plan, **Out** the fault that strikes here, if one does. **Knows** `chance`.
 *
 * | fault      | what becomes of it                                                                              |
 * |------------|-------------------------------------------------------------------------------------------------|
 * | `drop`, `twice`, `swap` | a frame is not sent, sent once more, or sent behind the one after it               |
 * | `garble`   | a frame is sent without its end                                                                 |
 * | `stall`    | no market data any more, while requests are answered and heartbeats go on                        |
 * | `halfOpen` | nothing at all any more: no answer, no pong, no farewell; the connection stays                   |
 * | `close`, `abort` | the connection ends with a code, or without a word                                         |
 * | `checksum`, `reset` | Kraken's is wrong; Bybit's ids begin again with 1                                       |
 * | `shutdown` | Binance announces the end of the connection, and ends it a minute later                         |
 * | `tooMany`, `banned`, `html` | an upgrade or request is answered with 429, with 418, with a page for people      |
 * | `stale`    | the next snapshot by REST is the oldest book that is still known                                 |
 */
import type { Chance } from "./chance.ts";

/** Faults of frames, and of answers by HTTP. */
export const FRAME_FAULTS = [
  "drop",
  "twice",
  "swap",
  "garble",
  "stall",
  "halfOpen",
  "close",
  "abort",
  "checksum",
  "reset",
  "shutdown",
] as const;
export const ANSWER_FAULTS = ["tooMany", "banned", "html", "stale"] as const;
/** Those that only some venues can have. */
export const VENUE_FAULTS = ["checksum", "reset", "shutdown"] as const;
export type FrameFault = typeof FRAME_FAULTS[number];
export type AnswerFault = typeof ANSWER_FAULTS[number];
export type MischiefName = FrameFault | AnswerFault;

/** Codes with which a venue ends a connection. */
const CODES = [1000, 1001, 1008, 1011, 1012, 1013] as const;

/** A fault that waits for what it can strike. */
export interface Planted {
  readonly fault: MischiefName;
  /** The connection, numbered from 1 in the order in which they came; absent for whichever is first. */
  readonly connection?: number;
  /** Frames about this symbol, as the venue writes it; and on this kind of stream. */
  readonly symbol?: string;
  readonly stream?: Stream;
  /** How many that it could strike it lets pass. */
  readonly after?: number;
  /** Of a `close`: 1000, 1001, 1008, 1011, 1012, 1013, or any other that may be sent. */
  readonly code?: number;
  /** Of an answer: whether it is one to an upgrade or to a request; absent for whichever is first. */
  readonly at?: "upgrade" | "request";
}

/** What a stream says. */
export type Stream = "trade" | "quote" | "book";

/** What a frame is about. */
export interface Struck {
  readonly connection: number;
  readonly symbol: string;
  readonly stream: Stream;
}

/** What strikes, and how. */
export interface Strike<F extends MischiefName> {
  readonly fault: F;
  readonly code: number;
}

export class Mischief {
  readonly #chance: Chance;
  /** Of 2^32. */
  readonly #share: number;
  readonly #frames: readonly FrameFault[];
  readonly #planted: { readonly fault: Planted; passes: number }[] = [];

  /** `frames` are the faults that this venue's frames can have. */
  constructor(share: number, chance: Chance, frames: readonly FrameFault[]) {
    this.#share = Math.round(share * 2 ** 32);
    this.#chance = chance;
    this.#frames = frames;
  }

  plant(fault: Planted): void {
    this.#planted.push({ fault, passes: fault.after ?? 0 });
  }

  /** The fault that strikes this frame. */
  frame({ connection, symbol, stream }: Struck): Strike<FrameFault> | undefined {
    if (this.#share === 0 && this.#planted.length === 0) return undefined;
    const fits = (fault: MischiefName): boolean =>
      fault === "checksum" || fault === "reset"
        ? stream === "book"
        : (FRAME_FAULTS as readonly string[]).includes(fault);
    const planted = this.#take((wanted) =>
      fits(wanted.fault) && (wanted.connection ?? connection) === connection &&
      (wanted.symbol ?? symbol) === symbol && (wanted.stream ?? stream) === stream
    );
    return (planted ?? this.#drawn(this.#frames.filter(fits))) as Strike<FrameFault> | undefined;
  }

  /** The fault that strikes the answer to an upgrade, a request, or a request for a book. */
  answer(at: "upgrade" | "request", isBook: boolean): Strike<AnswerFault> | undefined {
    const fits = (fault: MischiefName): boolean =>
      fault === "stale" ? isBook : (ANSWER_FAULTS as readonly string[]).includes(fault);
    const planted = this.#take((wanted) => fits(wanted.fault) && (wanted.at ?? at) === at);
    return (planted ?? this.#drawn(ANSWER_FAULTS.filter(fits))) as Strike<AnswerFault> | undefined;
  }

  #take(fits: (planted: Planted) => boolean): Strike<MischiefName> | undefined {
    let found: Strike<MischiefName> | undefined;
    for (let i = 0; i < this.#planted.length && found === undefined; i++) {
      const waiting = this.#planted[i]!;
      if (!fits(waiting.fault) || waiting.passes-- > 0) continue;
      this.#planted.splice(i, 1);
      found = { fault: waiting.fault.fault, code: waiting.fault.code ?? CODES[0] };
    }
    return found;
  }

  #drawn(among: readonly MischiefName[]): Strike<MischiefName> | undefined {
    if (this.#share === 0 || this.#chance.draw() >>> 0 >= this.#share) return undefined;
    return { fault: among[this.#chance.below(among.length)]!, code: CODES[this.#chance.below(CODES.length)]! };
  }
}
