/**
 * What befalls each operation of a storm: nothing, a failure, or the death of the process, before or after it acted. A
 * plan is a function of its seed, or of one place in the order of operations; it keeps the trace of what it decided.
 *
 * **In** the names of operations, **Out** fates, and the trace. **Knows** `chance`.
 */
import { createHash } from "node:crypto";
import { Chance } from "../../lib/chance.ts";

/**
 * `fail` is an error that the stage sees; after `kill` its process does nothing any more; `power cut` kills all of them and
 * takes what the log has not synced; `pause` wakes a process up too late. At a `join` another copy joins the group; who is
 * to `leave` ends in order.
 */
export type Fate = "pass" | "pause" | "join" | "leave" | `${"fail" | "kill" | "power cut"} ${"before" | "after"}`;

/** Decides over every operation of a storm. */
export interface Plan {
  /** The fate of the next operation of a stage's incarnation. */
  next(who: string, operation: string): Fate;
  /** How many turns others get before an operation acts. */
  turns(): number;
  /** Records in a batch at most. */
  batchMax(): number;
  /** An integer from 0 to `bound` - 1, for whoever must choose what a fault does. */
  choose(bound: number): number;
  /** The clock on the wall, ms since the epoch. */
  now(): number;
  /** Every so many offsets of the log one holds no record; 0 where none is left out. */
  readonly holes: number;
  /** Hash of everything that was decided so far. */
  readonly trace: string;
  /** Decisions other than `pass`, in order. */
  readonly faults: readonly string[];
}

/** Where every clock begins. */
const NOON_MS = Date.UTC(2024, 7, 8, 12);
/** How far a clock jumps, either way. */
const JUMPS_MS = [1, 3_600_000, 86_400_000];
const HOLES = [0, 3, 7];

/** Operations, decided one by one and traced. */
abstract class Traced implements Plan {
  readonly holes: number = 0;
  readonly faults: string[] = [];
  readonly #hash = createHash("sha256");
  #count = 0;

  abstract turns(): number;
  abstract batchMax(): number;
  abstract choose(bound: number): number;
  protected abstract decide(number: number): Fate;

  now(): number {
    return NOON_MS;
  }
  next(who: string, operation: string): Fate {
    const number = ++this.#count;
    const fate = this.decide(number);
    this.#hash.update(`${number} ${who} ${operation} ${fate}\n`);
    if (fate !== "pass") this.faults.push(`${number} ${who} ${operation}: ${fate}`);
    return fate;
  }

  get trace(): string {
    return this.#hash.copy().digest("hex");
  }
  /** Operations so far. */
  get count(): number {
    return this.#count;
  }
}

/** One fault, at the n-th operation; nothing before and after. */
export class Sweep extends Traced {
  readonly #at: number;
  readonly #fate: Fate;
  readonly #chance: Chance;

  constructor(at: number, fate: Fate) {
    super();
    this.#chance = Chance.of(at, 2);
    this.#at = at;
    this.#fate = fate;
  }
  protected decide(number: number): Fate {
    return number === this.#at ? this.#fate : "pass";
  }
  turns(): number {
    return 0;
  }
  batchMax(): number {
    return 50;
  }
  choose(bound: number): number {
    return this.#chance.below(bound);
  }
}

/** No fault, but every operation takes its own time. */
export class Breeze extends Traced {
  readonly #chance: Chance;
  /** Every operation in the order in which it acted: stage and operation. */
  readonly deeds: string[] = [];

  constructor(seed: number) {
    super();
    this.#chance = Chance.of(seed, 1);
  }
  override next(who: string, operation: string): Fate {
    this.deeds.push(`${who} ${operation}`);
    return super.next(who, operation);
  }
  protected decide(): Fate {
    return "pass";
  }
  turns(): number {
    return this.#chance.below(6);
  }
  batchMax(): number {
    return 1 + this.#chance.below(80);
  }
  choose(bound: number): number {
    return this.#chance.below(bound);
  }
}

/** What befalls an operation besides passing, of the doors or of the disk below them. */
export const STRUCK: readonly Fate[] = [
  ...["fail before", "fail after", "kill before", "kill after", "power cut before", "power cut after"] as const,
];
/** A pause needs somebody else to go on, which only a swarm of doors brings about. */
const FAULTS: readonly Fate[] = [...STRUCK, "pause"];
/** Where copies come and go, nobody sleeps: so whoever is refused there is refused for no reason. */
const CROWD: readonly Fate[] = [...STRUCK, "join", "join", "leave"];

/**
 * A random subset of faults at a random rate, for a while; then calm, so that everything can drain. The log may have holes
 * and the clock may jump: what is kept must not depend on either.
 */
export class Swarm extends Traced {
  override readonly holes: number;
  readonly #chance: Chance;
  readonly #clock: Chance;
  /** The clock stands still, except that at one look in so many it jumps; 0 where it never does. */
  readonly #jumpsEvery: number;
  #now = NOON_MS;
  readonly #kinds: readonly Fate[];
  /** One operation in so many is struck. */
  readonly #every: number;
  readonly #calmAfter: number;
  readonly #turnsMax: number;

  constructor(seed: number, faults: readonly Fate[] = seed % 2 === 0 ? CROWD : FAULTS) {
    super();
    this.#chance = Chance.of(seed, 0);
    const kinds = faults.filter(() => this.#chance.below(2) === 1);
    this.#kinds = kinds.length > 0 ? kinds : [faults[this.#chance.below(faults.length)]!];
    this.#every = 5 + this.#chance.below(60);
    this.#calmAfter = 100 + this.#chance.below(900);
    this.#turnsMax = 1 + this.#chance.below(6);
    this.#clock = Chance.of(seed, 3);
    this.#jumpsEvery = this.#clock.below(3);
    this.holes = HOLES[this.#clock.below(HOLES.length)]!;
  }
  override now(): number {
    if (this.#jumpsEvery > 0 && this.#clock.below(this.#jumpsEvery) === 0) {
      const jump = JUMPS_MS[this.#clock.below(JUMPS_MS.length)]!;
      this.#now += this.#clock.below(2) === 0 ? jump : -jump;
    }
    return this.#now;
  }
  protected decide(number: number): Fate {
    const struck = this.#chance.below(this.#every) === 0;
    const kind = this.#kinds[this.#chance.below(this.#kinds.length)]!;
    return struck && number <= this.#calmAfter ? kind : "pass";
  }
  turns(): number {
    return this.#chance.below(this.#turnsMax);
  }
  batchMax(): number {
    return 1 + this.#chance.below(80);
  }
  choose(bound: number): number {
    return this.#chance.below(bound);
  }
}

/**
 * The same plan for what happens below the doors: it strikes the operations of a disk, and what a stage asks of its doors
 * passes.
 */
export class Below implements Plan {
  /** Nothing leaves holes in the embedded log. */
  readonly holes = 0;
  readonly #plan: Sweep | Swarm;

  constructor(plan: Sweep | Swarm) {
    this.#plan = plan;
  }
  next(): Fate {
    return "pass";
  }
  /** The fate of the next operation of a life's disk. */
  strike(who: string, operation: string): Fate {
    return this.#plan.next(who, operation);
  }
  turns(): number {
    return this.#plan.turns();
  }
  batchMax(): number {
    return this.#plan.batchMax();
  }
  choose(bound: number): number {
    return this.#plan.choose(bound);
  }
  now(): number {
    return this.#plan.now();
  }
  get trace(): string {
    return this.#plan.trace;
  }
  get faults(): readonly string[] {
    return this.#plan.faults;
  }
  get count(): number {
    return this.#plan.count;
  }
}
