/**
 * What rules remember of an instrument besides its numbers: where its price is, the quote in force, and whether its venue
 * has halted it; and of a venue how far its clock is off. Bounded, saved as a few numbers, a function of ticks alone.
 * Prices are held as the doubles next to them, with which no more is done than every machine does alike.
 *
 * **In** accepted ticks, **Out** what the rules ask. **Knows** `tick`.
 */
import { z } from "@zod/zod";
import type { Tick } from "../tick.ts";

/** Prices that must agree before one is held against them, and that must agree elsewhere before the price is there. */
export const PRICES_MIN = 8;
/** Part of its distance by which a price moves the reference. */
const SHARE = 1 / 8;
/** How much a venue's delay is believed to have grown with one tick at most, µs. It falls at once. */
const DELAY_STEP = 100;

/** A memory as a checkpoint keeps it; empty where it holds nothing. */
export const SavedMemory = z.union([z.tuple([]), z.array(z.number().nullable()).length(9)]);
export type SavedMemory = z.infer<typeof SavedMemory>;

/** How long after its event a venue's tick is received at least, µs: its clock's error, and the way. */
export interface Clock {
  delay: number;
}
/** Lets the clock see how long a tick was on its way, µs. */
export function see(clock: Clock, lag: number): void {
  clock.delay = lag <= clock.delay ? lag : clock.delay + Math.min(lag - clock.delay, DELAY_STEP);
}

/** Where the bid and the ask of a tick are, and its price: of a trade its own, of a quote the midpoint. NaN where there is none. */
export interface Prices {
  readonly bid: number;
  readonly ask: number;
  readonly price: number;
}

export class Memory {
  /** What prices were lately; 0 before the first, since no reference is kept where a price may be zero. */
  #reference = 0;
  /** How many have agreed with it, as far as that counts. */
  #agreed = 0;
  /** Where prices were that did not, and how many in a row. */
  #rival = 0;
  #rivals = 0;
  #bid = NaN;
  #ask = NaN;
  /** Event time of the quote in force, µs. */
  #quotedAt = -1;
  /** Since when trades have been outside of it, µs; -1 where the last was not. */
  #outsideAt = -1;
  /** Since when the venue has halted the instrument, µs; -1 where it has not. */
  #haltedAt = -1;

  /** Whether a price is further from those before it than `bps`, where they are many enough to say so. */
  isFar(price: number, bps: number): boolean {
    return this.#agreed >= PRICES_MIN && isApart(price, this.#reference, bps);
  }

  /** Whether trades have gone on outside of a quote that has not changed for longer than `ms`, and this tick shows it. */
  isFrozen(type: Tick["type"], { bid, ask, price }: Prices, eventTime: number, ms: number): boolean {
    if (this.#outsideAt < 0 || eventTime - this.#outsideAt <= ms * 1_000) return false;
    return type === "trade" ? this.#isOutside(price) : type === "quote" && this.#isUnchanged(bid, ask);
  }

  /** Whether the venue had halted the instrument when this happened. */
  isHalted(eventTime: number): boolean {
    return this.#haltedAt >= 0 && eventTime > this.#haltedAt;
  }

  /** A price that no rule rejects. One that is far moves nothing; as many as agree on another place, one after another, do. */
  price(price: number, bps: number): void {
    if (this.#agreed === 0) {
      this.#reference = price;
      this.#agreed = 1;
    } else if (!isApart(price, this.#reference, bps)) {
      this.#reference += (price - this.#reference) * SHARE;
      if (this.#agreed < PRICES_MIN) this.#agreed++;
      this.#rivals = 0;
    } else {
      if (this.#rivals === 0 || isApart(price, this.#rival, bps)) this.#rivals = 0;
      this.#rival = price;
      // What few have agreed on gives way to as many.
      if (++this.#rivals < this.#agreed) return;
      this.#reference = price;
      this.#agreed = this.#rivals;
      this.#rivals = 0;
    }
  }

  trade(price: number, eventTime: number): void {
    if (!this.#isOutside(price)) this.#outsideAt = -1;
    else if (this.#outsideAt < 0) this.#outsideAt = eventTime;
  }

  quote(bid: number, ask: number, eventTime: number): void {
    if (eventTime < this.#quotedAt) return;
    this.#quotedAt = eventTime;
    if (this.#isUnchanged(bid, ask)) return;
    this.#bid = bid;
    this.#ask = ask;
    this.#outsideAt = -1;
  }

  /** What the venue, or the connection to it, says of its trading. */
  status(state: string, eventTime: number): void {
    if (state === "halted" || state === "maintenance") {
      if (this.#haltedAt < 0) this.#haltedAt = eventTime;
    } else if (state === "trading" || state === "auction" || state === "closed" || state === "connected") {
      // A new connection says anew what is halted.
      this.#haltedAt = -1;
    }
  }

  save(): SavedMemory {
    if (this.#agreed === 0 && this.#quotedAt < 0 && this.#haltedAt < 0) return [];
    const known = (price: number): number | null => Number.isFinite(price) ? price : null;
    return [
      ...[this.#reference, this.#agreed, this.#rival, this.#rivals, known(this.#bid), known(this.#ask)],
      ...[this.#quotedAt, this.#outsideAt, this.#haltedAt],
    ];
  }

  static restore(saved: SavedMemory): Memory {
    const memory = new Memory();
    if (saved.length === 0) return memory;
    const [reference, agreed, rival, rivals, bid, ask, quotedAt, outsideAt, haltedAt] = saved;
    memory.#reference = reference ?? 0;
    memory.#agreed = agreed ?? 0;
    memory.#rival = rival ?? 0;
    memory.#rivals = rivals ?? 0;
    memory.#bid = bid ?? NaN;
    memory.#ask = ask ?? NaN;
    memory.#quotedAt = quotedAt ?? -1;
    memory.#outsideAt = outsideAt ?? -1;
    memory.#haltedAt = haltedAt ?? -1;
    return memory;
  }

  #isOutside(price: number): boolean {
    return price < this.#bid || price > this.#ask;
  }
  #isUnchanged(bid: number, ask: number): boolean {
    return Object.is(bid, this.#bid) && Object.is(ask, this.#ask);
  }
}

/** Whether a price is further from a reference than so many hundredths of a percent of it. */
function isApart(price: number, reference: number, bps: number): boolean {
  return Math.abs(price - reference) * 10_000 > reference * bps;
}
