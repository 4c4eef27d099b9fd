/**
 * What both sinks share: taking a partition of a topic, and dropping what was already applied.
 *
 * A store keeps, per sink and partition, how far it has applied and the epoch of the owner; both change in the same
 * commit as the data. `startOf` says where to read on, or refuses; `Fence` lets each origin pass once.
 * What stands in an output was judged, so a sink does not judge it again; but it takes only what it can store.
 * **Knows** `transport`, `reading`, `tick`, `decimal`, `failure`.
 */
import { fits, FRACTION_DIGITS_MAX } from "./decimal.ts";
import { Refusal } from "./failure.ts";
import { isStorable, readValid } from "./reading.ts";
import { isTick, Rejected, type Tick, type ValidTick } from "./tick.ts";
import { type Batch, type LogRecord, type Range, TOPICS } from "./transport.ts";

/** One sink's place in one partition of a topic. */
export interface Place {
  readonly sink: string;
  readonly topic: string;
  readonly partition: number;
}

/** What a store has applied of a place, and for whom. */
export interface Holding extends Place {
  /** Identity of log and topic that the offsets belong to. */
  readonly identity: string;
  /** The owner's fencing epoch; every acquire raises it. */
  readonly epoch: number;
  /** Offset in the topic to resume at. */
  readonly next: number;
  /** The last origin applied; -1 before the first. */
  readonly origin: number;
  /** When the epoch was taken, ms since the epoch. */
  readonly since: number;
  /** When the last commit was made, ms since the epoch; absent before the first one, and where the store does not note it. */
  readonly committed?: number;
}

/** Offsets of a place that the log lost before they were applied, and that its user gave up. */
export interface Gap extends Place {
  readonly first: number;
  readonly last: number;
  /** When they were given up, ms since the epoch. */
  readonly at: number;
}

/** What hot and lake have in common. */
export interface Store {
  /** Raises the epoch of a place and gives what it holds; null when the store knows nothing of the place. */
  acquire(place: Place): Promise<Holding | null>;
  /**
   * Creates the place, at epoch 1, nothing applied.
   * @throws {Refusal} when it was begun already, or data of it lies there: how far that was applied is lost
   */
  begin(place: Place, identity: string, next: number): Promise<Holding>;
  /**
   * Records that everything from where the holding stands up to `next` is given up, and stands there.
   * @throws {Refusal} when another owner has raised the epoch or the offset is not where it was
   */
  skip(held: Holding, next: number): Promise<Holding>;
  /** Everything that was given up, of every place. */
  gaps(): Promise<readonly Gap[]>;
  /** Every place of every sink, without acquiring. */
  holdings(): Promise<readonly Holding[]>;
  close(): Promise<void>;
}

/**
 * Acquires a place: the protocol's steps 1 to 4, with the fence for what follows. Where the log has lost records that were
 * not applied, the user must say so with `acceptGap`; they are recorded as given up.
 * @throws {Refusal} on another log's identity, on records deleted before they were applied, on a log that ends before
 * what was applied; whoever holds the place goes on holding it then
 */
export async function startOf(
  store: Store,
  place: Place,
  identity: string,
  range: Range,
  acceptGap: boolean,
): Promise<{ readonly held: Holding; readonly fence: Fence }> {
  const check = (known: Holding | null): void => assertResumable(place, known, identity, range, acceptGap);
  // Before the epoch is raised: a start that is refused must not fence an owner who is where it should be.
  check((await store.holdings()).find((holding) => isOf(holding, place)) ?? null);
  const known = await store.acquire(place);
  // Again, since its owner may have moved on, or another have begun it meanwhile.
  check(known);
  let held = known ?? await store.begin(place, identity, 0);
  if (held.next < range.low) held = await store.skip(held, range.low);
  const isBehindGap = (await store.gaps()).some((gap) => isOf(gap, place) && gap.last + 1 === held.next);
  return { held, fence: new Fence(place, held.origin, isBehindGap) };
}

/** @throws {Refusal} unless `known`, what a store holds of a place, can go on in this log */
function assertResumable(
  place: Place,
  known: Holding | null,
  identity: string,
  range: Range,
  acceptGap: boolean,
): void {
  const what = `Cannot resume ${place.sink} on partition "${place.topic}/${place.partition}"`;
  if (known !== null && known.identity !== identity) {
    throw new Refusal(
      `${what}: the store was fed from log "${known.identity}" and this is "${identity}", must be the same log (or another --data, or deno task pipeline --fresh)`,
    );
  }
  const next = known?.next ?? 0;
  if (next < range.low && !acceptGap) {
    throw new Refusal(
      `${what}: records ${next} to ${
        range.low - 1
      } were deleted before they were applied, must still be in the log, or be given up with deno task ${place.sink} --accept-gap`,
    );
  }
  if (next > range.high) {
    throw new Refusal(`${what}: applied up to ${next} but the log ends at ${range.high}, must reach at least that far`);
  }
}

const isOf = (one: Place, { sink, topic, partition }: Place): boolean =>
  one.sink === sink && one.topic === topic && one.partition === partition;

/** Lets each origin of one topic's partition pass once, in order, without a hole. */
export class Fence {
  /** Messages dropped because their origin had been applied. */
  repeats = 0;
  readonly #name: string;
  #last: number;
  #isBehindGap: boolean;

  /**
   * `last` is the last origin applied; -1 before the first. Behind a gap the predecessor of the first message that is
   * applied may have been lost in it: whatever was not in the gap before it was a repeat, so it was nowhere else.
   */
  constructor(place: Place, last: number, isBehindGap = false) {
    this.#name = `${place.topic}/${place.partition}`;
    this.#last = last;
    this.#isBehindGap = isBehindGap;
  }

  get last(): number {
    return this.#last;
  }

  /** Whether nothing was applied since a gap; a place that moves on before that forgets where its gap ended. */
  get isBehindGap(): boolean {
    return this.#isBehindGap;
  }

  /**
   * Whether the message is to be applied; false for a repeat.
   * @throws {Refusal} when the message before it was never seen
   */
  admits(origin: number, previous: number): boolean {
    if (origin <= this.#last) {
      this.repeats++;
      return false;
    }
    const isBridge = this.#isBehindGap && previous > this.#last;
    if (previous !== this.#last && !isBridge) {
      throw new Refusal(
        `Cannot apply origin ${origin} of "${this.#name}": it follows origin ${previous} and the last one applied is ${this.#last}, must name the last one applied`,
      );
    }
    this.#isBehindGap = false;
    this.#last = origin;
    return true;
  }
}

/** The tick that a message of `ticks.valid` holds. @throws {Refusal} when `validate` cannot have written it */
export function validOf(record: LogRecord, place: Pick<Batch, "topic" | "partition">): ValidTick {
  const tick = typeof record.value === "string" ? readValid(record.value) ?? spelledOf(record.value) : null;
  if (tick !== null && isCounted(tick.origin, 0) && isCounted(tick.previous, -1) && isExact(tick)) return tick;
  throw foreign(record, place);
}

/** What a message of `ticks.rejected` holds. @throws {Refusal} when `validate` cannot have written it */
export function rejectedOf(record: LogRecord, place: Pick<Batch, "topic" | "partition">): Rejected {
  const { data } = Rejected.safeParse(jsonOf(String(record.value)));
  if (data !== undefined && data.topic === TOPICS.raw && data.partition === place.partition) {
    const { key, reason, reasons, rules, raw, rawBase64 } = data;
    if ([key, reason, ...reasons, rules, raw, rawBase64].every((text) => text === null || isStorable(text))) {
      return data;
    }
  }
  throw foreign(record, place);
}

function foreign({ offset }: LogRecord, { topic, partition }: Pick<Batch, "topic" | "partition">): Refusal {
  return new Refusal(
    `Cannot store message "${topic}/${partition}/${offset}": it is not as described, must be one that validate wrote`,
  );
}

/** A valid tick that another than the plain spelling may have. */
function spelledOf(text: string): ValidTick | null {
  const value = jsonOf(text);
  if (typeof value !== "object" || value === null) return null;
  const { origin: _origin, previous: _previous, flags, ...tick } = value as Partial<ValidTick>;
  return isTick(tick) && (flags === undefined || isFlags(flags)) ? value as ValidTick : null;
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

const isFlags = (flags: unknown): boolean =>
  Array.isArray(flags) && flags.length > 0 && flags.every((flag) => typeof flag === "string" && /^[a-z-]+$/.test(flag));
const isCounted = (n: unknown, min: number): boolean => Number.isSafeInteger(n) && n as number >= min;

/** Whether every store keeps all digits of the tick's amounts. */
function isExact(tick: Tick): boolean {
  const isKept = (amount: string | null): boolean =>
    amount === null || amount.length <= FRACTION_DIGITS_MAX || fits(amount);
  switch (tick.type) {
    case "trade":
      return isKept(tick.price) && isKept(tick.size);
    case "quote":
      return isKept(tick.bidPrice) && isKept(tick.bidSize) && isKept(tick.askPrice) && isKept(tick.askSize);
    case "book":
    case "delta":
      return [...tick.bids, ...tick.asks].every(([price, size]) => isKept(price) && isKept(size));
    case "status":
      return true;
  }
}
