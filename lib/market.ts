/**
 * The seeded market: quotes and trades of many instruments in the order of market time, and faults beside them on
 * demand. The same seed gives the same bytes on every machine, and runs add up: a market that goes on from its state
 * gives what it would have given without the break.
 *
 * **In** seed, number of symbols, share of faults, the state of an earlier run; **Out** messages for `ticks.raw`.
 * **Knows** `listing`, `standing`, `plant`, `chance`, `failure`.
 */
import { Buffer } from "node:buffer";
import { Chance } from "./chance.ts";
import { Misuse } from "./failure.ts";
import { type Instrument, instruments, type Listing, listings, priceText, SIZES, sizesOf } from "./listing.ts";

import { type Fault, FAULT_NAMES, FAULTS, FROZEN_MICROS, plant, STAGED, type Truth } from "./plant.ts";
import { DELAY_MIN, opened, type Queued, restored, SECOND, type Standing } from "./standing.ts";

/** A message for `ticks.raw`. Clean where `truth` is undefined. */
export interface SimMessage {
  readonly key: string;
  /** One JSON line of a trade or quote; bytes where a fault made it no JSON. */
  readonly value: string | Uint8Array;
  /** Position in {@linkcode Market.instruments}, for whoever keeps something per key. */
  readonly symbolIndex: number;
  /** Of a `gap` it stands at the clean tick behind the missing one, which is where a judge can notice. */
  readonly truth: Truth | undefined;
}

export interface MarketOptions {
  /** Integer from 0 to 2^53 - 1. */
  readonly seed: number;
  /** Number of symbols, 1 to 10,000. */
  readonly symbols?: number;
  /** Share of clean ticks with a fault beside them, 0 to 1. The clean ticks do not depend on it. */
  readonly faults?: number;
  /**
   * Ticks among which the order of arrival is mixed, each with the fault behind it; from 2 to {@linkcode MIXED_MAX}, or
   * none. The ticks are the same.
   */
  readonly mixed?: number;
  /** Market time at which a new market opens, µs since the epoch, at least 10^15; a state brings its own time. */
  readonly start?: number;
  /** What {@linkcode Market.state} gave at the end of an earlier run of the same seed and symbols. */
  readonly state?: string;
}

/** Ticks whose order may be mixed: they are milliseconds apart. */
export const MIXED_MAX = 16;
/** How long the instrument of new beginnings rests between two, so that no mixing brings one before the other; µs. */
const RESTART_REST = 10_000;
/** Ticks of an instrument from which on its price is known to whoever has missed each second one. */
const PRICED_MIN = 24;
/** Sequence of the first tick of every series, that is of a symbol's quotes or trades. */
export const SEQUENCE_FIRST = 1_000_001;
/** 2026-11-20T08:00:00Z, µs. */
export const START_MICROS = Date.UTC(2026, 10, 20, 8) * 1_000;
/** 2001-09-09, µs: what lies before is another unit, and its seconds have fewer digits. */
const START_MIN = 1e15;
/** From an event to its receipt, µs; once in 65,536 ticks the line stalls for at least so long and catches up. */
const DELAY_MAX = 2_000, STALL_MIN = 10_000;
/** Three digits, with which the fraction of a second is written. */
const DIGITS = Array.from({ length: 1_000 }, (_, i) => String(i).padStart(3, "0"));

/** A market that goes on for ever, a batch at a time. */
export class Market {
  /** What trades here, the busiest first, and behind it that in which only faults do. */
  readonly instruments: readonly Instrument[];
  readonly #standing: Standing;
  readonly #chance: Chance;
  readonly #mischief: Chance;
  /** Of 2^32. */
  readonly #faults: number;
  readonly #mixed: number;
  readonly #listings: readonly Listing[];
  readonly #keys: readonly string[];
  readonly #heads: readonly string[];
  readonly #sizes: readonly (readonly string[])[];
  /** The text of each bid and ask, since most ticks leave them as they are. */
  readonly #bids: string[];
  readonly #asks: string[];
  #secondText: string;

  /** @throws {Misuse} for an option out of range, or the state of another market. @throws {Refusal} for a state that is none */
  constructor({ seed, symbols = 50, faults = 0, mixed = 0, start = START_MICROS, state }: MarketOptions) {
    if (!Number.isSafeInteger(seed) || seed < 0) {
      throw new Misuse(`Cannot simulate seed "${seed}": is out of range, must be an integer from 0 to 2^53 - 1`);
    }
    if (!(faults >= 0 && faults <= 1)) {
      throw new Misuse(`Cannot simulate faults "${faults}": is out of range, must be a share from 0 to 1`);
    }
    if (!Number.isSafeInteger(start) || start < START_MIN) {
      throw new Misuse(`Cannot simulate start "${start}": is out of range, must be whole µs since the epoch from 1e15`);
    }
    if (mixed !== 0 && !(Number.isInteger(mixed) && mixed >= 2 && mixed <= MIXED_MAX)) {
      throw new Misuse(`Cannot mix "${mixed}" ticks: is out of range, must be 0 or an integer from 2 to ${MIXED_MAX}`);
    }
    this.instruments = [...instruments(symbols), ...STAGED];
    this.#mixed = mixed;
    this.#listings = listings(symbols);
    this.#standing = state === undefined ? opened(seed, this.#listings, start) : restored(state, seed, symbols);
    this.#chance = new Chance(this.#standing.chance);
    this.#mischief = new Chance(this.#standing.mischief);
    this.#faults = Math.round(faults * 2 ** 32);
    this.#secondText = String(this.#standing.second);
    this.#keys = this.instruments.map(({ symbol }) => `sim:${symbol}`);
    this.#heads = this.#listings.map(({ symbol }) => `","venue":"sim","symbol":"${symbol}","eventTime":`);
    this.#sizes = sizesOf(this.#listings);
    this.#bids = this.#listings.map((listing, i) => priceText(listing, this.#standing.bids[i]!));
    this.#asks = this.#listings.map((listing, i) =>
      priceText(listing, this.#standing.bids[i]! + this.#standing.spreads[i]!)
    );
  }

  /** Market time of the last tick, µs since the epoch. */
  get time(): number {
    return this.#standing.second * SECOND + this.#standing.micro;
  }

  /** What another run needs to go on exactly here, JSON text. */
  state(): string {
    return JSON.stringify({ ...this.#standing, chance: this.#chance.words, mischief: this.#mischief.words });
  }

  /** The next `count` messages. Neither event nor received time of clean ticks ever falls. */
  fill(count: number): SimMessage[] {
    const messages: SimMessage[] = [];
    const kept = this.#standing;
    const queue = kept.queue.map((queued) => this.#unqueued(queued));
    let given = 0;
    while (messages.length < count) {
      if (given < queue.length) messages.push(queue[given++]!);
      else if (kept.pending !== null) queue.push(...this.#fault(kept.pending));
      else if (this.#mixed > 0) queue.push(...this.#round());
      else {
        const message = this.#tick();
        if (message !== null) messages.push(message);
      }
      if (given === queue.length) given = queue.length = 0;
    }
    kept.queue = queue.slice(given).map(queuedOf);
    return messages;
  }

  /** Ticks in a mixed order, each with the fault behind it. */
  #round(): SimMessage[] {
    const groups: SimMessage[][] = [];
    while (groups.length < this.#mixed) {
      const message = this.#tick();
      const { pending } = this.#standing;
      groups.push([...(message === null ? [] : [message]), ...(pending === null ? [] : this.#fault(pending))]);
    }
    for (let i = groups.length - 1; i > 0; i--) {
      const j = this.#mischief.below(i + 1);
      [groups[i], groups[j]] = [groups[j]!, groups[i]!];
    }
    return groups.flat();
  }

  /** The messages of the fault behind the last tick. */
  #fault({ fault, symbolIndex, line }: NonNullable<Standing["pending"]>): SimMessage[] {
    const kept = this.#standing;
    kept.pending = null;
    const stuck = fault === "frozen" ? this.#stuck() : 0;
    if (fault === "frozen") kept.stuckAt[stuck] = this.time;
    if (fault === "reset") kept.restartedAt = this.time;
    return plant(fault, line, SEQUENCE_FIRST, this.#mischief, stuck).map(({ value, truth, staged }) => {
      const index = staged === undefined ? symbolIndex : this.#listings.length + staged;
      return { key: this.#keys[index]!, value, symbolIndex: index, truth };
    });
  }

  /** The first instrument in which a quote may be stuck now; -1 where none is free. */
  #stuck(): number {
    return this.#standing.stuckAt.findIndex((time) => this.time - time > FROZEN_MICROS + SECOND);
  }

  #unqueued({ symbolIndex, text, isBytes, truth }: Queued): SimMessage {
    const value = isBytes ? Uint8Array.fromBase64(text) : text;
    return { key: this.#keys[symbolIndex]!, value, symbolIndex, truth: truth as Truth | undefined };
  }

  /** The next clean tick; null where a gap takes it away. */
  #tick(): SimMessage | null {
    const kept = this.#standing;
    // Few draws a tick: each is cut into fields of bits, one for each thing that chance decides.
    const when = this.#chance.draw(), how = this.#chance.draw();
    const i = this.#advance(when, how);
    const isTrade = when >>> 30 === 0;
    if (!isTrade) this.#move(i, how);
    const counts = isTrade ? kept.trades : kept.quotes;
    const sequence = SEQUENCE_FIRST + counts[i]!++;
    const line = this.#line(i, isTrade, sequence, how);

    const bit = isTrade ? 2 : 1;
    const follows = (kept.removed[i]! & bit) !== 0;
    if (this.#mischief.draw() >>> 0 < this.#faults && kept.armed === null) {
      kept.armed = this.#arm();
    }
    if (kept.armed === "gap" && !follows && sequence > SEQUENCE_FIRST) {
      kept.removed[i]! |= bit;
      kept.armed = null;
      return null;
    }
    if (kept.armed !== null && kept.armed !== "gap" && this.#bears(kept.armed, i, isTrade)) {
      kept.pending = { fault: kept.armed, symbolIndex: i, line };
      kept.armed = null;
    }
    let truth: Truth | undefined;
    if (follows) {
      kept.removed[i]! &= ~bit;
      const { symbol } = this.#listings[i]!;
      truth = { fault: "gap", symbol, type: isTrade ? "trade" : "quote", sequence: sequence - 1, ...FAULTS.gap };
    }
    return { key: this.#keys[i]!, value: line, symbolIndex: i, truth };
  }

  /** The kind of the next fault: one whose own instrument is not in use. */
  #arm(): Fault {
    const { restartedAt } = this.#standing;
    for (;;) {
      const fault = FAULT_NAMES[this.#mischief.below(FAULT_NAMES.length)]!;
      const isFree = fault === "frozen"
        ? this.#stuck() >= 0
        : fault !== "reset" || this.time - restartedAt > RESTART_REST;
      if (isFree) return fault;
    }
  }

  #bears(fault: Fault, i: number, isTrade: boolean): boolean {
    const { trades, quotes } = this.#standing;
    switch (fault) {
      case "crossed":
      case "empty-side":
        return !isTrade;
      case "repeated-id":
      case "halted":
        return isTrade;
      case "zero-price":
        return !this.#listings[i]!.negative;
      case "wide":
        return !isTrade && !this.#listings[i]!.negative;
      case "outlier":
        return !this.#listings[i]!.negative && trades[i]! + quotes[i]! > PRICED_MIN;
      default:
        return true;
    }
  }

  /** Lets time pass until the next event, and gives the symbol that it is about. */
  #advance(when: number, how: number): number {
    const kept = this.#standing;
    const square = ((when & 0x7fff) * (when & 0x7fff)) >>> 15;
    let i = (square * this.#listings.length) >>> 15;
    let passed: number;
    if (kept.burst > 0) {
      kept.burst--;
      passed = (when >>> 20) & 31;
      if (how >>> 30 !== 0) i = kept.burstIndex;
    } else {
      const wait = this.#chance.draw();
      // A product of two evenly spread numbers: many short waits, few long ones, 100 µs a tick with the bursts.
      passed = ((wait & 255) * ((wait >>> 8) & 255) * 153) >>> 14;
      if (wait >>> 27 === 0) {
        kept.burst = 4 + ((wait >>> 16) & 31);
        kept.burstIndex = i;
      }
    }
    kept.micro += passed;
    if (kept.micro >= SECOND) {
      kept.micro -= SECOND;
      kept.second++;
      this.#secondText = String(kept.second);
    }
    kept.lag = Math.min(DELAY_MAX, Math.max(DELAY_MIN, kept.lag + ((when >>> 25) & 31) - 15));
    kept.delay = Math.max(kept.lag, kept.delay - passed);
    if (how >>> 16 === 0) kept.delay = Math.max(kept.delay, STALL_MIN + (when & 0xffff));
    return i;
  }

  /** Moves the quote of a symbol, one time in four its prices and one in eight its spread; the rest is sizes. */
  #move(i: number, how: number): void {
    const moves = ((how >>> 20) & 3) === 0, spreads = ((how >>> 22) & 7) === 0;
    if (!moves && !spreads) return;
    const { bids, spreads: widths } = this.#standing;
    const listing = this.#listings[i]!;
    const far = this.#chance.draw();
    if (moves) {
      const move = 1 + (far & (listing.moveMax - 1));
      const bid = bids[i]! + (far < 0 ? -move : move);
      bids[i] = bid < listing.low ? 2 * listing.low - bid : bid > listing.high ? 2 * listing.high - bid : bid;
      this.#bids[i] = priceText(listing, bids[i]!);
    }
    if (spreads) widths[i] = 1 + ((((far >>> 8) & 15) * ((far >>> 12) & 15) * listing.spreadMax) >>> 8);
    this.#asks[i] = priceText(listing, bids[i]! + widths[i]!);
  }

  /** The JSON line, put together by hand: its texts need no escape, and most of its parts are ready. */
  #line(i: number, isTrade: boolean, sequence: number, how: number): string {
    const { micro, second, delay } = this.#standing;
    const carries = micro + delay >= SECOND;
    const received = carries ? micro + delay - SECOND : micro + delay;
    const head = this.#heads[i]! + this.#secondText + DIGITS[(micro / 1_000) | 0] + DIGITS[micro % 1_000] +
      ',"receivedTime":' + (carries ? String(second + 1) : this.#secondText) + DIGITS[(received / 1_000) | 0] +
      DIGITS[received % 1_000] + ',"sequence":' + sequence;
    const sizes = this.#sizes[i]!;
    const size = sizes[how & (SIZES - 1)]!;
    const buys = ((how >>> 25) & 1) === 1;
    if (isTrade) {
      const price = buys ? this.#asks[i]! : this.#bids[i]!;
      return '{"type":"trade' + head + ',"id":"' + sequence + '","price":"' + price + '","size":"' + size +
        (buys ? '","side":"buy"}' : '","side":"sell"}');
    }
    return '{"type":"quote' + head + ',"id":null,"bidPrice":"' + this.#bids[i]! + '","bidSize":"' + size +
      '","askPrice":"' + this.#asks[i]! + '","askSize":"' + sizes[(how >>> 10) & (SIZES - 1)]! + '"}';
  }
}

function queuedOf({ symbolIndex, value, truth }: SimMessage): Queued {
  const isBytes = typeof value !== "string";
  const text = isBytes ? Buffer.from(value).toString("base64") : value;
  return { symbolIndex, text, isBytes, ...(truth && { truth: { ...truth, also: [...truth.also] } }) };
}
