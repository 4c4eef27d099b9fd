/**
 * A client's connection to a pretended venue: what it asked for, how many frames were written to it, and what a fault made
 * of it.
 *
 * **In** answers and market data, **Out** frames on its wire. **Knows** `speech`, `wire`.
 */
import type { Answer, Line, Saying, Topic } from "./speech.ts";
import type { Wire } from "./wire.ts";

/** Topics of one connection. */
const TOPICS_MAX = 4_096;
const NONE: readonly Topic[] = [];

/** A client's connection. */
export class Connection implements Line {
  readonly id: number;
  readonly modes = new Set<string>();
  readonly topics = new Map<string, Topic>();
  written = 0;
  /** Says no market data any more, for whatever reason. */
  isSilent = false;
  /** The topics of each instrument in their order, as they were asked for until now. */
  #about: Map<string, Topic[]> | null = null;
  readonly #gone: () => void;
  #wire: Wire | null = null;
  #pings = 0;
  #before: Promise<void> = Promise.resolve();
  /** Who waits for which ping to come back. */
  readonly #waiting = new Map<string, () => void>();
  /** What waits for the next frame, to follow it. */
  #held: string[] = [];

  constructor(id: number, gone: () => void) {
    this.id = id;
    this.#gone = gone;
  }

  begin(wire: Wire, answer: Answer): void {
    this.#wire = wire;
    this.follow(answer);
    wire.begin();
  }

  /** Does what a request asked for. */
  follow({ add = [], drop = [], modes = {}, says, isUncounted }: Answer): void {
    this.#about = null;
    for (const { key } of drop) this.topics.delete(key);
    for (const topic of add) if (this.topics.size < TOPICS_MAX) this.topics.set(topic.key, topic);
    for (const [mode, isOn] of Object.entries(modes)) isOn ? this.modes.add(mode) : this.modes.delete(mode);
    for (const saying of says) isUncounted ? this.raw(saying(this)) : this.say(saying);
  }

  /** Its topics about this instrument. */
  about(symbol: string): readonly Topic[] {
    this.#about ??= Map.groupBy(this.topics.values(), (topic) => topic.symbol);
    return this.#about.get(symbol) ?? NONE;
  }

  /** Says what is no market data. */
  say(saying: Saying): void {
    this.raw(saying(this));
    this.written++;
  }

  data(frame: string): void {
    this.written++;
    this.raw(frame);
    for (const held of this.#held.splice(0)) this.raw(held);
  }

  /** Counts a frame that is never sent. */
  miss(): void {
    this.written++;
  }

  hold(frame: string): void {
    this.written++;
    this.#held.push(frame);
  }

  raw(frame: string): void {
    this.#wire?.text(frame);
  }

  ping(): void {
    this.#before = this.#pinged();
  }

  /** Settled once the client has taken all that was said so far; at once where nothing reaches it any more. */
  async heard(): Promise<void> {
    // A second answer would be kept back until the first is acknowledged, which takes 40 ms where nothing else is said.
    await this.#before;
    await this.#pinged();
  }

  async #pinged(): Promise<void> {
    if (this.#wire?.isOpen !== true) return;
    const ping = String(++this.#pings);
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiting.set(ping, resolve);
    this.#wire.ping(ping);
    await promise;
  }

  /** A ping has come back. */
  pong(ping: string): void {
    this.#waiting.get(ping)?.();
    this.#waiting.delete(ping);
  }

  freeze(): void {
    this.isSilent = true;
    this.#wire?.freeze();
    this.#release();
  }

  close(code: number): void {
    this.isSilent = true;
    this.#wire?.close(code);
  }

  abort(): void {
    this.isSilent = true;
    this.#wire?.abort();
  }

  leave(): void {
    this.isSilent = true;
    this.#wire?.leave();
  }

  ended(): void {
    this.#release();
    this.#gone();
  }

  /** Nothing comes back any more. */
  #release(): void {
    for (const resolve of this.#waiting.values()) resolve();
    this.#waiting.clear();
  }
}
