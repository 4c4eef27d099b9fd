/**
 * What a series (venue, symbol and type) remembers of its numbers: the highest, and the holes below it. That is enough
 * to tell a duplicate from a reordered tick and from one that goes backwards, and to say once that ticks are missing.
 * Numbers begin anew where something else says so, never by the size of a fall alone; a jump is believed when the next
 * tick confirms it.
 *
 * **In** the sequence number and time of each tick, **Out** its place. State is bounded: numbers more than `windowMax`
 * below the highest are forgotten, and all series together have at most `HOLES_MAX` holes.
 * **Knows** `tick`.
 */
import type { PLACES, Tick, TickType } from "./tick.ts";

/** What a venue promises of the numbers of one type: each is the last plus one, or they only rise, or nothing. */
export type Discipline = "contiguous" | "rising" | "none";
/** Per venue and type; what is not named is `none`. */
export type Disciplines = Readonly<Record<string, Readonly<Partial<Record<TickType, Discipline>>>>>;
/** What is known of the venues. A change is a change of the rules. */
export const DISCIPLINES: Disciplines = {
  sim: { trade: "contiguous", quote: "contiguous" },
  binance: { trade: "contiguous", quote: "rising", delta: "rising" },
  "binance-usdm": { trade: "contiguous", quote: "rising", delta: "rising" },
  bybit: {},
  "bybit-linear": {},
  coinbase: { trade: "contiguous", quote: "rising" },
  "coinbase-advanced": { trade: "contiguous" },
  lobster: {},
  kraken: { trade: "contiguous" },
  finnhub: {},
  upstox: {},
};

/** Venues and types without a counter whose ids are each tick's own. Ids of orders are none. */
const IDENTIFIED: Readonly<Record<string, TickType>> = { sim: "trade", bybit: "trade", "bybit-linear": "trade" };
/** Whether an id of this type is one tick's own. */
export const isIdentified = (venue: string, type: TickType): boolean => IDENTIFIED[venue] === type;

/** What a venue that began anew says first: this type with this number. */
const RESTARTS: Readonly<Record<string, { readonly type: TickType; readonly sequence: number }>> = {
  bybit: { type: "book", sequence: 1 },
  "bybit-linear": { type: "book", sequence: 1 },
};
/** Whether a tick says that its venue began anew. */
export function isRestart({ venue, type, sequence }: Pick<Tick, "venue" | "type" | "sequence">): boolean {
  const restart = type === "book" ? RESTARTS[venue] : undefined;
  return restart !== undefined && restart.type === type && restart.sequence === sequence;
}

/**
 * Where a number stands: `onward` above all others, `reordered` in a hole that may still be filled, `duplicate` where
 * one was seen, `backwards` beyond the window, `reset` the first of numbers that began anew; `none` where nothing is
 * promised.
 */
export type Place = typeof PLACES[number];

/** What a series must know of a tick to say where it stands. */
export interface Arrival {
  readonly sequence: number;
  /** Event time, µs. */
  readonly at: number;
  /** A rule has rejected the tick already. */
  readonly isRefused: boolean;
  /** It may begin the numbers anew: it comes live, and its event time is its venue's (`timed`) or ours. */
  readonly renews: "timed" | "untimed" | null;
}

/** Holes of all series together. */
export const HOLES_MAX = 100_000;
/** How far numbers that only rise may jump unconfirmed: what happens in the minutes for which a line is down. */
const RISING_MAX = 1_000_000;
/** Holes in use, and numbers that were missing when the window closed over their hole. Shared by all series. */
export interface Tally {
  holes: number;
  missing: number;
}
/** How long and how far back a series waits for a number. */
export interface Window {
  readonly windowMax: number;
  readonly lateMsMax: number;
}

/** Numbers that have not been seen, from `from` to `to`. */
interface Hole {
  from: number;
  to: number;
  /** Newest event time of the series when it opened, µs; -1 once it is declared. */
  openedAt: number;
}
/**
 * A series as a checkpoint keeps it: highest, floor, newest, owed, first, renewed, the jump and its time, and three
 * numbers a hole. States before the fourth format had no `renewed` and no jump.
 */
export type SavedSeries = readonly number[];
/** How many of these stand in front of the holes; and in older states. */
const HEAD = 8, OLD_HEAD = 5;

/** One series. It starts with its first tick that no rule rejects. */
export class Series {
  readonly #rising: boolean;
  readonly #tally: Tally;
  #highest: number;
  /** Below it nothing is remembered, whatever the window says. */
  #floor: number;
  /** Newest event time of a tick that no rule rejected, µs. */
  #newest: number;
  #owed = false;
  /** Number of the first tick. Those before it are a hole as well, but nobody misses them. */
  #first: number;
  /** Something has said that the numbers may begin anew, and none has gone onward since. */
  #renewed = false;
  /** The number of a jump that nothing has confirmed; -1 where there is none. And its event time, µs. */
  #jump = -1;
  #jumpedAt = -1;
  /** In rising order, and in the order in which they opened; so the declared come first. */
  #holes: Hole[] = [];

  private constructor(
    discipline: Discipline,
    tally: Tally,
    [highest, floor, newest, first]: readonly [number, number, number, number],
  ) {
    this.#rising = discipline === "rising";
    this.#tally = tally;
    this.#highest = highest;
    this.#floor = floor;
    this.#newest = newest;
    this.#first = first;
  }

  /** Begins with number `sequence` at event time `at`. Numbers shortly before it may still come, but are not missed. */
  static start(discipline: Discipline, tally: Tally, sequence: number, at: number, window: Window): Series {
    // Half of the holes are kept for those that are missed.
    const floor = tally.holes < HOLES_MAX / 2 ? Math.max(0, sequence - window.windowMax) : sequence;
    const series = new Series(discipline, tally, [sequence, floor, at, sequence]);
    if (!series.#rising && floor < sequence) series.#open(floor, sequence - 1, at);
    return series;
  }

  /** A hole is behind the window and no tick has borne the flag yet. The next tick that may bear it takes it. */
  get owesGap(): boolean {
    return this.#owed;
  }
  /** The flag is borne. */
  settleGap(): void {
    this.#owed = false;
  }

  /** The highest number so far. */
  get highest(): number {
    return this.#highest;
  }
  /** Newest event time, µs. */
  get newest(): number {
    return this.#newest;
  }

  /** Something says that the numbers may begin anew: a connection, a session, the venue itself. */
  renew(): void {
    this.#renewed = true;
  }

  /**
   * Takes note of a number and says where it stands. Where a rule has rejected the tick already it moves no time. A jump
   * of more than the window is not believed, lest one wild number make every tick after it backwards: of a rejected tick
   * never, of another once a second one confirms it.
   */
  place(arrival: Arrival, window: Window): Place {
    const { sequence, at, isRefused } = arrival;
    const ahead = sequence - this.#highest;
    if (ahead <= 0) {
      if (this.#renewed && this.#isAnew(arrival, window)) {
        // What is rejected begins nothing, and nobody can say whether its number is a new one or one of the old.
        if (isRefused) return "none";
        this.#begin(sequence, at, window);
        return "reset";
      }
      return this.#rising ? ahead === 0 ? "duplicate" : "backwards" : this.#fill(sequence, at, isRefused, window);
    }
    if (ahead > (this.#rising ? RISING_MAX : window.windowMax)) {
      if (isRefused) return "onward";
      if (sequence === this.#jump) return "duplicate";
      if (at > this.#newest) this.#newest = at;
      if (!this.#confirms(sequence, window)) {
        this.#jump = sequence;
        this.#jumpedAt = this.#newest;
        return "onward";
      }
      if (this.#rising) this.#highest = sequence;
      else {
        this.#open(this.#highest + 1, this.#jump - 1, this.#jumpedAt);
        this.#highest = this.#jump;
        this.#close(window);
      }
      this.#jump = -1;
      this.#renewed = false;
      return this.#rising ? "onward" : this.place(arrival, window);
    }
    if (!isRefused) {
      if (at > this.#newest) this.#newest = at;
      this.#renewed = false;
    }
    if (ahead > 1 && !this.#rising) this.#open(this.#highest + 1, sequence - 1, this.#newest);
    this.#highest = sequence;
    if (this.#jump >= 0 && sequence >= this.#jump) this.#jump = -1;
    if (this.#holes.length > 0) this.#close(window);
    return "onward";
  }

  /** Gives its holes back to the others: it is not asked any more. */
  drop(): void {
    this.#tally.holes -= this.#holes.length;
    this.#holes = [];
  }

  /** Keeps what the old window has forgotten forgotten when a larger one comes into force. */
  narrow(window: Window): void {
    this.#floor = this.#lowest(window);
  }

  save(): SavedSeries {
    const holes = this.#holes.flatMap(({ from, to, openedAt }) => [from, to, openedAt]);
    const jump = [this.#jump, this.#jumpedAt];
    return [
      ...[this.#highest, this.#floor, this.#newest, Number(this.#owed), this.#first, Number(this.#renewed), ...jump],
      ...holes,
    ];
  }

  /** `isOld`: the state is of a format before the fourth. */
  static restore(saved: SavedSeries, discipline: Discipline, tally: Tally, isOld = false): Series {
    const [highest, floor, newest, owed, first, renewed, jump, jumpedAt] = saved;
    const series = new Series(discipline, tally, [highest!, floor!, newest!, first!]);
    series.#owed = owed === 1;
    if (!isOld) {
      series.#renewed = renewed === 1;
      series.#jump = jump!;
      series.#jumpedAt = jumpedAt!;
    }
    for (let i = isOld ? OLD_HEAD : HEAD; i < saved.length; i += 3) {
      series.#holes.push({ from: saved[i]!, to: saved[i + 1]!, openedAt: saved[i + 2]! });
    }
    tally.holes += series.#holes.length;
    return series;
  }

  #lowest({ windowMax }: Window): number {
    return Math.max(this.#floor, this.#highest - windowMax);
  }

  /**
   * Whether a number that is not above the highest begins the numbers anew. A tick that is told again is no newer than it
   * was the first time; where the time is that of its receipt, only a number that nobody remembers is another one.
   */
  #isAnew({ sequence, at, renews }: Arrival, window: Window): boolean {
    if (renews === null) return false;
    return renews === "timed" ? at > this.#newest : sequence < this.#lowest(window);
  }

  /** Begins anew. What was missing of the old numbers stays missing. */
  #begin(sequence: number, at: number, window: Window): void {
    this.#forget(this.#holes.length);
    this.#floor = this.#tally.holes < HOLES_MAX / 2 ? Math.max(0, sequence - window.windowMax) : sequence;
    this.#highest = this.#first = sequence;
    if (at > this.#newest) this.#newest = at;
    this.#renewed = false;
    this.#jump = -1;
    if (!this.#rising && this.#floor < sequence) this.#open(this.#floor, sequence - 1, at);
  }

  /** Whether a number that jumps says the same as the one that jumped before. */
  #confirms(sequence: number, { windowMax }: Window): boolean {
    if (this.#jump < 0) return false;
    return this.#rising ? sequence > this.#jump : Math.abs(sequence - this.#jump) <= windowMax;
  }

  /** A number that is not above the highest. It counts as seen from now on, whatever becomes of its tick. */
  #fill(sequence: number, at: number, refused: boolean, window: Window): Place {
    if (sequence < this.#lowest(window)) return "backwards";
    const holes = this.#holes;
    let i = holes.length - 1;
    while (i >= 0 && holes[i]!.from > sequence) i--;
    const hole = holes[i];
    if (hole === undefined || hole.to < sequence) return "duplicate";
    if (hole.from === hole.to) {
      holes.splice(i, 1);
      this.#tally.holes--;
    } else if (sequence === hole.from) hole.from++;
    else if (sequence === hole.to) hole.to--;
    else {
      const { from, openedAt } = hole;
      hole.from = sequence + 1;
      this.#insert(i, { from, to: sequence - 1, openedAt });
    }
    if (at < this.#newest - window.lateMsMax * 1_000) return "backwards";
    if (!refused && at > this.#newest) {
      this.#newest = at;
      this.#close(window);
    }
    return "reordered";
  }

  #open(from: number, to: number, openedAt: number): void {
    this.#insert(this.#holes.length, { from, to, openedAt });
  }

  /** Where no hole is free, the oldest of the series makes room, and what lies in it is given up. */
  #insert(i: number, hole: Hole): void {
    this.#holes.splice(i, 0, hole);
    this.#tally.holes++;
    if (this.#tally.holes > HOLES_MAX) this.#forget(1);
  }

  /** Forgets the oldest holes and everything below their ends. */
  #forget(count: number): void {
    for (const hole of this.#holes.splice(0, count)) {
      this.#declare(hole);
      this.#floor = Math.max(this.#floor, hole.to + 1);
    }
    this.#tally.holes -= count;
  }

  #declare(hole: Hole): void {
    if (hole.openedAt < 0 || hole.to < this.#first) return;
    hole.openedAt = -1;
    this.#tally.missing += hole.to - hole.from + 1;
    this.#owed = true;
  }

  /** Declares the holes that the window has closed over, by number or by time, and forgets those below its low end. */
  #close(window: Window): void {
    const holes = this.#holes;
    const expired = this.#newest - window.lateMsMax * 1_000;
    const oldest = holes[0];
    if (oldest !== undefined && oldest.to < this.#first && oldest.openedAt < expired) this.#floor = this.#first;
    const lowest = this.#lowest(window);
    let below = 0;
    while (below < holes.length && holes[below]!.to < lowest) below++;
    if (below > 0) this.#forget(below);
    for (const hole of holes) {
      if (hole.openedAt < 0) continue;
      if (hole.openedAt >= expired) break;
      this.#declare(hole);
    }
  }
}
