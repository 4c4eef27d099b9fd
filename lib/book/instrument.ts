/**
 * The book of one instrument, as a state machine: `empty` until something comes; `buffering` the events that came before
 * their snapshot; `synced`; `broken` once something is missing, until a snapshot heals it, buffering meanwhile where the
 * discipline does.
 *
 * **In** books, deltas and quotes of one instrument, in order. **Out** what became of the book. **Knows** `tick`,
 * `decimal`, `venue`.
 */
import { compare as compareDecimals, isDecimal } from "../decimal.ts";
import type { Book, Delta, Quote } from "../tick.ts";
import type { BookDiscipline } from "../venue.ts";
import type { Counts, Fault } from "./counts.ts";
import { Cross } from "./cross.ts";
import type { Rule } from "./discipline.ts";
import { type Comparison, type Held, Recent } from "./held.ts";
import { agreementOf, type Known, Ladder, type Levels, type Refusal } from "./ladder.ts";

export type State = "empty" | "buffering" | "synced" | "broken";

/** The best levels of a book, best first. */
export interface Sides {
  bids(count: number): Levels;
  asks(count: number): Levels;
}
/** The checksum that a venue would send of this book, an unsigned integer of 32 bits. */
export type Checksum = (book: Sides) => number;

/** What a book is kept by. */
export interface Settings {
  readonly discipline: BookDiscipline;
  /**
   * Depths that can be subscribed to where levels beyond fall out of the book unsaid, rising. The least that holds a
   * snapshot was subscribed to.
   */
  readonly depths?: readonly number[];
  /** Absent where checksums are not to be checked: of what comes from a store, whose decimals are not the wire's text. */
  readonly checksum?: Checksum;
  readonly crossedForMs: number;
  readonly differingForMs: number;
  readonly levelsMax: number;
  readonly bufferMax: number;
}

/** Why the book is gone, for people. */
export interface Break {
  readonly fault: Fault | "stopped";
  /** Last number before, and the first after; null where there are none. */
  readonly firstId: number | null;
  readonly lastId: number | null;
  readonly detail: string;
}

/** What a tick did. */
export interface Change {
  /** The book became another one, or is a book again. */
  readonly isChanged: boolean;
  readonly broke?: Break;
  /** It is synced now and was not before: the last number known before, null if it is the first time. */
  readonly synced?: { readonly firstId: number | null };
  /** Its best bid has been above its best ask for long, or is so no more. */
  readonly crossed?: boolean;
  readonly compared?: Comparison;
}

const UNCHANGED: Change = { isChanged: false };
const EVERYTHING: Known = { bid: null, ask: null };

export class Instrument {
  readonly symbol: string;
  readonly #settings: Settings;
  readonly #rule: Rule;
  readonly #counts: Counts;
  #ladder: Ladder;
  #state: State = "empty";
  #id: number | null = null;
  /** Levels a side that were subscribed to; undefined where all are said. */
  #depth: number | undefined;
  #isLinked = false;
  /** Of a spliced book, as far as its snapshot went. */
  #known: Known = EVERYTHING;
  #buffer: Delta[] = [];
  #held: Held | null = null;
  /** What was taken in since a snapshot was asked for. */
  #recent: Recent | null = null;
  /** Last number before the book broke. */
  #before: number | null = null;
  #isWanting = false;
  #isAsked = false;
  #isToAsk = false;
  #isOutrun = false;
  /** What is in the book last. */
  #last: Book | Delta | null = null;
  #quote: Quote | null = null;
  readonly #cross: Cross;
  /** Event time since which the venue's quotes differ, µs. Infinite once counted. */
  #differingSince: number | null = null;

  constructor(symbol: string, settings: Settings, rule: Rule, counts: Counts) {
    this.symbol = symbol;
    this.#settings = settings;
    this.#rule = rule;
    this.#counts = counts;
    this.#ladder = new Ladder(settings.levelsMax);
    this.#cross = new Cross(settings.crossedForMs);
  }

  get state(): State {
    return this.#state;
  }
  /** Number of the last change in the book; null where the venue does not number them. */
  get id(): number | null {
    return this.#id;
  }
  /** A snapshot is needed and none has come yet. */
  get isWanting(): boolean {
    return this.#isWanting;
  }
  /** The event that the book is as of; null where there is no book. */
  get last(): Book | Delta | null {
    return this.#state === "synced" ? this.#last : null;
  }
  get isCrossed(): boolean {
    return this.#ladder.isCrossed;
  }
  get sides(): Sides {
    return this.#ladder;
  }

  /** The range in which every level is known. */
  get known(): Known {
    if (this.#rule.isSpliced) return this.#known;
    const { discipline } = this.#settings;
    return discipline === "connection" || discipline === "trust" ? EVERYTHING : this.#ladder.worst;
  }

  /** Whether a snapshot is to be asked for now: true once for each that is needed, and again if it was of no use. */
  takeAsk(): boolean {
    const isToAsk = this.#isToAsk;
    this.#isToAsk = false;
    return isToAsk;
  }

  /** A snapshot has come: of a discipline that asks for them by REST, the answer; else the venue's own. */
  book(book: Book): Change {
    if (!this.#rule.isSpliced) return this.#replace(book, book.sequence);
    if (this.#state !== "synced") return this.#splice(book);
    if (!this.#isWanting) return UNCHANGED;
    this.#served();
    if (this.#hold(book, true)) return { isChanged: false, ...this.#settle(null) };
    this.#refuse();
    return UNCHANGED;
  }

  delta(delta: Delta): Change {
    if (this.#state !== "synced") {
      if (this.#rule.isSpliced) return this.#keep(delta);
      if (this.#rule.step({ id: null, isLinked: false }, delta) === "replace") return this.#replace(delta, 1);
      this.#want();
      return UNCHANGED;
    }
    const unknown = this.#counts.unknownDeletes;
    const step = this.#step(delta);
    if (step === "skip") return UNCHANGED;
    if (step === "replace") return this.#replace(delta, 1);
    if (step !== "applied") {
      if (this.#rule.isSpliced && step.fault === "hole") this.#buffer = [delta];
      return { isChanged: false, broke: step };
    }
    this.#recent?.add(delta);
    const judged = this.#judgeCross(delta.eventTime);
    if (judged.broke !== undefined) return { isChanged: false, ...judged };
    this.#suspect(this.#counts.unknownDeletes > unknown);
    return { isChanged: true, ...judged, ...this.#settle(delta) };
  }

  /** Whether the quote says nothing new. */
  quote(quote: Quote): boolean {
    // What cannot be read proves nothing.
    if (!isReadable(quote.bidPrice) || !isReadable(quote.askPrice)) return false;
    const { discipline, differingForMs } = this.#settings;
    const before = this.#quote;
    this.#quote = quote;
    if (discipline === "chain") return before !== null && isSame(before, quote);
    if (discipline !== "trust" || this.#state !== "synced") return false;
    if (this.#isAsQuoted) this.#differingSince = null;
    else if (this.#differingSince === null) this.#differingSince = quote.eventTime;
    else if (quote.eventTime - this.#differingSince > differingForMs * 1_000) {
      this.#differingSince = Infinity;
      this.#counts.differing++;
      this.#want();
    }
    return false;
  }

  /** The checksum that the venue says the book has by now. */
  check(expected: number): Break | null {
    const { checksum } = this.#settings;
    if (checksum === undefined || this.#state !== "synced") return null;
    const actual = checksum(this.#ladder);
    return actual === expected ? null : this.#break("checksum", null, `${actual}, must be ${expected}`);
  }

  /** Something went by unseen, and the connection stands. Null where there was no book. */
  miss(fault: Fault, state: string): Break | null {
    if (this.#state === "synced") return this.#break(fault, null, state);
    // What was asked for may have been in it.
    if (this.#isWanting) {
      this.#served();
      this.#want();
    }
    return null;
  }

  /**
   * The connection is gone, and with it whatever was asked for; what is buffered stays, its numbers tell what it is worth.
   * Null where there was no book.
   */
  lose(fault: Fault | "stopped", state: string): Break | null {
    const broke = this.#state === "synced" ? this.#break(fault, null, state) : null;
    this.#served();
    return broke;
  }

  /** Remembers what is taken in from now on, for a snapshot that is asked for. */
  remember(): void {
    this.#recent = this.#rule.isSpliced && this.#state === "synced" ? new Recent() : null;
  }
  forget(): void {
    this.#recent = null;
  }

  /**
   * Holds the snapshot against the book: as both were at its id, once the book is as far. A book that is another one then
   * is broken. Where nothing numbers them, they are held against each other as they are.
   */
  compare(book: Book): Pick<Change, "compared" | "broke"> {
    const none = { symbol: this.symbol, id: null, levels: 0, agreeing: 0 };
    if (this.#state !== "synced") return { compared: { ...none, outcome: "unsynced" } };
    if (!this.#rule.isSpliced) {
      const ladder = new Ladder(this.#settings.levelsMax);
      if (ladder.load(book.bids, book.asks) !== null) return { compared: { ...none, outcome: "passed" } };
      const agreement = agreementOf(this.#ladder, this.known, ladder, ladder.worst);
      return { compared: { ...none, ...agreement, outcome: "unnumbered" } };
    }
    // What the book needs goes first.
    const isHeld = this.#held?.isAdopted !== true && this.#hold(book, false);
    return isHeld ? this.#settle(null) : { compared: { ...none, id: book.sequence, outcome: "passed" } };
  }

  /** Whether it is known what the best of each side is. */
  get isTopKnown(): boolean {
    if (!this.#rule.isSpliced) return true;
    const { bid, ask } = this.#known;
    const { bestBid, bestAsk } = this.#ladder;
    return (bid === null || bestBid !== undefined && compareDecimals(bestBid[0], bid) >= 0) &&
      (ask === null || bestAsk !== undefined && compareDecimals(bestAsk[0], ask) <= 0);
  }

  get #isAsQuoted(): boolean {
    if (this.#quote === null) return true;
    const { bestBid, bestAsk } = this.#ladder;
    return isSamePrice(bestBid?.[0] ?? null, this.#quote.bidPrice) &&
      isSamePrice(bestAsk?.[0] ?? null, this.#quote.askPrice);
  }

  #want(): void {
    this.#isWanting = true;
    if (this.#isAsked) return;
    this.#isAsked = this.#isToAsk = true;
    this.remember();
  }
  #served(): void {
    this.#isWanting = this.#isAsked = this.#isToAsk = false;
  }
  /** A snapshot came and is of no use: another one. */
  #refuse(): void {
    this.#counts.stale++;
    this.#served();
    this.#want();
  }

  #break(fault: Fault | "stopped", lastId: number | null, state: string): Break {
    if (this.#state === "synced") this.#before = this.#id;
    this.#ladder.clear();
    this.#state = "broken";
    this.#id = null;
    this.#buffer = [];
    this.#last = null;
    this.#recent = null;
    if (fault === "stopped") this.#counts.stopped++;
    else this.#counts.broken[fault]++;
    this.#want();
    return { fault, firstId: this.#before, lastId, detail: `book ${fault}: ${state}` };
  }

  /** Takes an event into the book, if it is the next one. */
  #step(delta: Delta): "applied" | "skip" | "replace" | Break {
    const step = this.#rule.step({ id: this.#id, isLinked: this.#isLinked }, delta);
    const { firstId, lastId, previousId, sequence } = delta;
    switch (step) {
      case "skip":
        this.#counts.skipped++;
        return step;
      case "replace":
        return step;
      case "gap": {
        const linked = previousId === null ? "" : `, which follows ${previousId},`;
        return this.#break("hole", firstId ?? sequence, `${firstId ?? sequence}${linked} came after ${this.#id}`);
      }
      case "unnumbered":
        return this.#break("unnumbered", firstId ?? sequence, `an event without numbers came after ${this.#id}`);
    }
    const before = this.#ladder.unknownDeletes;
    const refusal = this.#ladder.apply(delta.bids, delta.asks);
    this.#counts.unknownDeletes += this.#ladder.unknownDeletes - before;
    if (refusal !== null) return this.#break(refusal, lastId ?? sequence, this.#refusalOf(refusal));
    if (this.#depth !== undefined) this.#ladder.cut(this.#depth);
    this.#id = this.#rule.isSpliced ? lastId : sequence;
    this.#isLinked = true;
    this.#last = delta;
    return "applied";
  }

  #refusalOf(refusal: Refusal): string {
    return refusal === "bounds"
      ? `over ${this.#settings.levelsMax} levels of a side`
      : "a level whose price or size is no amount";
  }

  /** An event that comes before its snapshot. */
  #keep(delta: Delta): Change {
    const { bufferMax } = this.#settings;
    if (this.#state === "empty") this.#state = "buffering";
    if (this.#buffer.length < bufferMax) {
      this.#buffer.push(delta);
      this.#want();
      return UNCHANGED;
    }
    const broke = this.#break("bounds", delta.firstId, `${bufferMax} events came before a snapshot`);
    this.#buffer = [delta];
    return { isChanged: false, broke };
  }

  /** Begins with the snapshot and goes on with what was buffered. */
  #splice(book: Book): Change {
    const first = this.#buffer[0]?.firstId ?? null;
    const id = book.sequence;
    if (id === null || first !== null && id < first || this.#load(book) !== null) {
      this.#ladder.clear();
      this.#refuse();
      return UNCHANGED;
    }
    this.#served();
    this.#begin(book, id);
    this.#known = this.#ladder.worst;
    const buffer = this.#buffer;
    this.#buffer = [];
    for (let i = 0; i < buffer.length; i++) {
      const step = this.#step(buffer[i]!);
      if (typeof step === "string") continue;
      // The one that shows a hole is where the next snapshot must reach.
      this.#buffer = buffer.slice(step.fault === "hole" ? i : i + 1);
      return { isChanged: false, broke: step };
    }
    return this.#sync();
  }

  /** The venue's own snapshot, on the socket. */
  #replace(book: Book | Delta, id: number | null): Change {
    this.#served();
    const refusal = this.#load(book);
    if (refusal !== null) return { isChanged: false, broke: this.#break(refusal, id, this.#refusalOf(refusal)) };
    this.#begin(book, id);
    const judged = this.#judgeCross(book.eventTime, true);
    return this.#state === "synced" ? { isChanged: true, ...judged } : this.#sync();
  }

  #load({ bids, asks }: Book | Delta): Refusal | null {
    const { depths } = this.#settings;
    const levels = Math.max(bids.length, asks.length);
    this.#depth = depths?.find((depth) => depth >= levels) ?? depths?.at(-1);
    const refusal = this.#ladder.load(bids, asks);
    if (refusal === null && this.#depth !== undefined) this.#ladder.cut(this.#depth);
    return refusal;
  }

  #begin(book: Book | Delta, id: number | null): void {
    this.#id = id;
    this.#isLinked = false;
    this.#last = book;
    // Numbers may have begun anew.
    this.#held = this.#recent = null;
    if (this.#state !== "synced") this.#cross.forget();
    this.#differingSince = null;
    this.#isOutrun = false;
  }

  #sync(): Change {
    this.#state = "synced";
    this.#counts.syncs++;
    return { isChanged: true, synced: { firstId: this.#before } };
  }

  #hold(book: Book, isAdopted: boolean): boolean {
    const id = book.sequence;
    const recent = this.#recent;
    this.#recent = null;
    if (id === null || this.#id === null) return false;
    const ladder = new Ladder(this.#settings.levelsMax);
    if (ladder.load(book.bids, book.asks) !== null) return false;
    const known = ladder.worst;
    const isBehind = id < this.#id;
    // What an answer says is of the moment in which it was given, and the book has gone on since.
    if (isBehind && recent?.bring(ladder, id, this.#rule) !== this.#id) return false;
    this.#held = { ladder, id: isBehind ? this.#id : id, known, isAdopted };
    return true;
  }

  /** Holds the snapshot that waits against the book, once this stands at its id; `delta` is what brought it there. */
  #settle(delta: Delta | null): Pick<Change, "compared" | "broke"> {
    const held = this.#held;
    if (held === null || this.#id === null || this.#id < held.id) return {};
    this.#held = null;
    // An event that began before the snapshot and ended after it belongs to both, and then they stand at the same id.
    if (this.#id > held.id) {
      const isCovered = delta !== null && this.#rule.step({ id: held.id, isLinked: false }, delta) === "apply" &&
        held.ladder.apply(delta.bids, delta.asks) === null;
      if (!isCovered) {
        if (held.isAdopted) this.#refuse();
        return { compared: { symbol: this.symbol, id: held.id, levels: 0, agreeing: 0, outcome: "passed" } };
      }
    }
    const agreement = agreementOf(this.#ladder, this.known, held.ladder, held.known);
    const { levels, agreeing } = agreement;
    const outcome = agreeing === levels ? "equal" : "differing";
    const compared: Comparison = { symbol: this.symbol, id: this.#id, ...agreement, outcome };
    if (outcome === "differing") {
      const state = `${levels - agreeing} of ${levels} levels are others in a snapshot of ${this.#id}`;
      return { compared, broke: this.#break("snapshot", null, state) };
    }
    if (held.isAdopted) {
      this.#ladder = held.ladder;
      this.#known = held.known;
      this.#isOutrun = false;
    }
    return { compared };
  }

  /** A cross that lasts. Where nothing else could show a loss it is one, unless a snapshot has said the same. */
  #judgeCross(eventTime: number, isSaid = false): Pick<Change, "crossed" | "broke"> {
    const news = this.#cross.judge(this.#ladder.isCrossed, eventTime, isSaid);
    if (news === null) return {};
    if (news === "over") return { crossed: false };
    this.#counts.crossed++;
    const isProof = this.#settings.discipline === "trust" && !this.#cross.isSaid;
    return isProof ? { broke: this.#break("crossed", null, this.crossing) } : { crossed: true };
  }

  /** How it is crossed, for people. */
  get crossing(): string {
    return `bid ${this.#ladder.bestBid?.[0]} is above ask ${this.#ladder.bestAsk?.[0]}`;
  }

  /** What proves nothing, but should not be. */
  #suspect(isDeletedUnknown: boolean): void {
    if (this.#settings.discipline === "trust" && isDeletedUnknown) this.#want();
    if (this.#differingSince !== null && this.#isAsQuoted) this.#differingSince = null;
    if (this.isTopKnown) this.#isOutrun = false;
    else if (!this.#isOutrun) {
      this.#isOutrun = true;
      this.#counts.outrun++;
      this.#want();
    }
  }
}

/** Without a number of its own, a quote that looks the same is another one. */
function isSame(a: Quote, b: Quote): boolean {
  return a.sequence !== null && a.sequence === b.sequence && a.bidPrice === b.bidPrice && a.bidSize === b.bidSize &&
    a.askPrice === b.askPrice && a.askSize === b.askSize;
}

const isReadable = (price: string | null): boolean => price === null || isDecimal(price);

function isSamePrice(a: string | null, b: string | null): boolean {
  return a === null || b === null ? a === b : compareDecimals(a, b) === 0;
}
