/**
 * One open socket: it is subscribed at the venue's pace, kept alive, watched, and let go of. Everything that comes over
 * it is handed over with the time at which it was seen.
 *
 * A socket that is silent or read too slowly is let go of at once; one that is no longer needed is closed in order, and
 * heard until the venue has closed it as well. The runtime cannot cut a socket whose peer answers nothing any more: it
 * is deaf from then on and ends with its TCP connection.
 * **Knows** `venue`, `world`.
 */
import { Buffer } from "node:buffer";
import type { FeedEvent, Received, Why } from "../feed.ts";
import type { Beat, Channel, Live } from "../venue.ts";
import { Asking, type Refused } from "./asking.ts";
import { type Clock, Pace } from "./pace.ts";
import type { Renewals } from "./renewals.ts";

/** How long a venue may take to answer what it was asked, before that is taken for granted. */
export const ANSWER_MS = 10_000;
/** How long a venue may take to close as well. */
export const CLOSE_MS = 2_000;
/**
 * Characters of a frame: as many as a line of a capture may have, and more than any venue sends. What is longer is cut, so
 * that it is nothing anybody could read, and to try takes no more than some of the memory.
 */
export const FRAME_LENGTH_MAX = 16 << 20;
/** How long a connection may say nothing of the market while it keeps on beating: it may be forgotten. */
export const QUIET_MS = 300_000;

/** What all connections of one follower have in common. */
export interface Manner {
  readonly live: Live;
  readonly channels: readonly Channel[];
  readonly clock: Clock;
  readonly silentMs: number;
  readonly isQuiet: (symbol: string, time: number) => boolean;
  readonly renewals: Renewals | null;
  /** Takes secrets out of a text that a stranger wrote. */
  readonly hide: (text: string) => string;
}

/** What a connection tells. */
export interface Ear {
  /** Takes what was received; false where there is no room for it. `size` is 0 for an event. */
  readonly put: (received: Received, size: number) => boolean;
  /** Hears the first frame. */
  readonly heard: () => void;
  readonly refused: (refused: Refused) => void;
}

type Happened =
  | { readonly event: "connected"; readonly replaces: string | null }
  | { readonly event: "subscribed" | "silent" }
  | { readonly event: "refused"; readonly detail: string; readonly symbols: readonly string[] }
  | Pick<FeedEvent & { event: "disconnected" }, "event" | "why" | "code" | "detail" | "successor">;

export class Connection {
  readonly name: string;
  /** When it was opened, µs. */
  readonly since: number;
  /** The one that is subscribed in its place; set before it is closed. */
  successor: string | null = null;
  readonly #socket: WebSocket;
  readonly #manner: Manner;
  readonly #ear: Ear;
  readonly #asking: Asking;
  readonly #pace: Pace;
  readonly #live = new AbortController();
  readonly #closing = new AbortController();
  readonly #quiet = new AbortController();
  readonly #ending = new AbortController();
  readonly #gone = new AbortController();
  #why: Why = "closed";
  #farewell = "";
  #frames = 0;
  #heardAt: number;
  #toldAt: number;
  #told = 0;
  #lastBeat: Beat | null = null;
  #isGivenUp = false;
  #asked = 0;
  #isSending = false;

  /** Takes a socket that is just open: what it says from now on is heard. */
  constructor(
    name: string,
    symbols: readonly string[],
    socket: WebSocket,
    manner: Manner,
    ear: Ear,
    replaces: string | null,
  ) {
    this.name = name;
    this.#socket = socket;
    this.#manner = manner;
    this.#ear = ear;
    this.#asking = new Asking(manner.live, { symbols, channels: manner.channels });
    // One of them is left for the pongs that the socket sends by itself.
    this.#pace = new Pace(manner.live.messagesPerSecond - 1, 1_000, manner.clock);
    this.since = this.#heardAt = this.#toldAt = manner.clock.now();
    socket.onmessage = ({ data }) => this.#receive(data);
    let trouble = "";
    socket.onerror = (event) => trouble = event instanceof ErrorEvent ? event.message : "";
    // Of a connection that broke, or spoke against the protocol, the runtime says 0, which is no code.
    socket.onclose = ({ code, reason }) => this.#end(code || null, reason || trouble);
    manner.renewals?.hear((symbol) => void this.#renew(symbol), this.#closing.signal);
    this.#tell({ event: "connected", replaces });
    void this.#ask();
    void this.#beat();
    void this.#watch();
    void this.#doubt();
  }

  /** Fires when it is subscribed and has spoken. */
  get live(): AbortSignal {
    return this.#live.signal;
  }

  /** Fires when it has said nothing of the market for long, though it stands. */
  get quiet(): AbortSignal {
    return this.#quiet.signal;
  }

  /** Fires when the venue has announced that it will end it. */
  get ending(): AbortSignal {
    return this.#ending.signal;
  }

  /** Frames that said more than that it stands. */
  get told(): number {
    return this.#told;
  }

  /** Fires when it is over, and everything that came over it was handed over. */
  get gone(): AbortSignal {
    return this.#gone.signal;
  }

  /** Why it is over, or will be. */
  get why(): Why {
    return this.#why;
  }

  /** With which code and words it ended; empty where with none. */
  get farewell(): string {
    return this.#farewell;
  }

  /** Whether anything came. */
  get hasSpoken(): boolean {
    return this.#frames > 0;
  }

  /** Closes in order: what still comes until the venue closes as well is handed over. */
  close(why: Why): void {
    if (this.#closing.signal.aborted) return;
    this.#part(why);
    void this.#manner.clock.pause(CLOSE_MS, this.gone).then(() => this.#end(null, ""));
  }

  /** Lets go of the socket at once. */
  #drop(why: Why): void {
    if (this.#closing.signal.aborted) return;
    this.#part(why);
    this.#end(null, "");
  }

  #part(why: Why): void {
    this.#why = why;
    this.#closing.abort();
    this.#socket.close(1000);
  }

  #end(code: number | null, reason: string): void {
    if (this.gone.aborted) return;
    this.#closing.abort();
    this.#socket.onmessage = this.#socket.onclose = null;
    const detail = reason === "" ? null : this.#manner.hide(reason);
    this.#farewell = [code, detail].filter((said) => said !== null).join(" ");
    this.#tell({ event: "disconnected", why: this.#why, code, detail, successor: this.successor });
    this.#gone.abort();
  }

  #receive(data: unknown): void {
    const receivedTime = this.#manner.clock.now();
    const whole = typeof data === "string" ? data : Buffer.from(data as ArrayBuffer).toString("base64");
    const text = whole.length > FRAME_LENGTH_MAX ? whole.slice(0, FRAME_LENGTH_MAX) : whole;
    const frame = { kind: "frame", connection: this.name, number: this.#frames, receivedTime, text } as const;
    this.#heardAt = receivedTime;
    if (this.#manner.live.isBeat?.(text) === true) this.#lastBeat = { frame: text, receivedTime };
    else {
      this.#toldAt = receivedTime;
      this.#told++;
    }
    if (this.#manner.live.isEnding?.(text) === true) this.#ending.abort();
    if (!this.#ear.put(frame, text.length + 1)) return this.#drop("overflow");
    if (this.#frames++ === 0) this.#ear.heard();
    if (!this.live.aborted && !this.#closing.signal.aborted) this.#settle(text);
  }

  /** Whether everybody was answered; `text` may be an answer. */
  #settle(text: string): void {
    const answer = this.#manner.live.answer(text);
    const refused = answer === null ? null : this.#asking.hear(answer);
    if (refused !== null) {
      const { symbols, words } = { symbols: refused.symbols, words: this.#manner.hide(refused.words) };
      this.#tell({ event: "refused", symbols, detail: words });
      this.#ear.refused({ symbols, words });
      if (this.#asking.wanted.size === 0) return this.close("refused");
    }
    if (this.#isGivenUp || this.#asking.isSettled) this.#succeed();
    else if (answer !== null) void this.#ask();
  }

  #succeed(): void {
    if (this.live.aborted || this.#closing.signal.aborted) return;
    this.#tell({ event: "subscribed" });
    this.#live.abort();
  }

  /** Sends what is to be asked. A venue that does not answer has agreed, if it says anything at all. */
  async #ask(): Promise<void> {
    // Whoever is sending sends what is new as well: two at once could send it in another order than it is answered in.
    if (this.#isSending) return;
    this.#isSending = true;
    let sent = 0;
    for (let message; (message = this.#asking.take()) !== undefined; sent++) {
      if (!await this.#say(message)) return;
    }
    this.#isSending = false;
    if (sent === 0 && this.#asked > 0) return;
    const asked = ++this.#asked;
    await this.#manner.clock.pause(ANSWER_MS, AbortSignal.any([this.live, this.#closing.signal]));
    if (asked !== this.#asked || this.live.aborted || this.#closing.signal.aborted) return;
    this.#asking.giveUp();
    this.#isGivenUp = true;
    if (this.#frames > 0) this.#succeed();
  }

  async #renew(symbol: string): Promise<void> {
    for (const message of this.#asking.renewal(symbol)) if (!await this.#say(message)) return;
  }

  async #beat(): Promise<void> {
    const { heartbeat } = this.#manner.live;
    if (heartbeat === undefined) return;
    do await this.#manner.clock.pause(heartbeat.everyMs, this.#closing.signal); while (
      await this.#say(heartbeat.message)
    );
  }

  async #watch(): Promise<void> {
    const { clock, silentMs } = this.#manner;
    const { signal } = this.#closing;
    for (;;) {
      const left = this.#heardAt + silentMs * 1_000 - clock.now();
      if (left > 0) await clock.pause(Math.ceil(left / 1_000), signal);
      if (signal.aborted) return;
      const now = clock.now();
      if (this.#heardAt + silentMs * 1_000 > now) continue;
      if (this.#mayRest(now, this.#manner.live.isBeat !== undefined)) {
        this.#heardAt = now;
        continue;
      }
      this.#tell({ event: "silent" });
      return this.#drop("silent");
    }
  }

  /** Watches for the time at which it has been quiet for too long; who beats not is silent long before. */
  async #doubt(): Promise<void> {
    const { clock, live } = this.#manner;
    const { signal } = this.#closing;
    if (live.isBeat === undefined) return;
    for (;;) {
      const left = this.#toldAt + QUIET_MS * 1_000 - clock.now();
      if (left > 0) await clock.pause(Math.ceil(left / 1_000), signal);
      if (signal.aborted) return;
      const now = clock.now();
      if (this.#toldAt + QUIET_MS * 1_000 > now) continue;
      if (!this.#mayRest(now)) return this.#quiet.abort();
      this.#toldAt = now;
    }
  }

  /** Whether nobody here needs to speak at this time; where the venue should beat, the venue itself must rest. */
  #mayRest(now: number, shouldBeat = false): boolean {
    const { isQuiet, live } = this.#manner;
    const rests = live.resting?.(now, this.#lastBeat) ?? (() => false);
    return [...this.#asking.wanted].every((symbol) => !shouldBeat && isQuiet(symbol, now) || rests(symbol));
  }

  /** Sends in turn; false where the connection is over. */
  async #say(message: string): Promise<boolean> {
    if (!await this.#pace.turn(this.#closing.signal)) return false;
    this.#socket.send(this.#manner.live.takesBytes ? new TextEncoder().encode(message) : message);
    return true;
  }

  #tell(happened: Happened): void {
    const symbols = [...this.#asking.wanted];
    const receivedTime = this.#manner.clock.now();
    this.#ear.put({ kind: "event", connection: this.name, receivedTime, symbols, ...happened }, 0);
  }
}
