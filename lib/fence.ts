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
}

/** What hot and lake have in common. */
export interface Store {
  /** Raises the epoch of a place and gives what it holds; null when the store knows nothing of the place. */
  acquire(place: Place): Promise<Holding | null>;
  /** Creates the place, at epoch 1, nothing applied. */
  begin(place: Place, identity: string, next: number): Promise<Holding>;
  /** Every place of every sink, without acquiring. */
  holdings(): Promise<readonly Holding[]>;
  close(): Promise<void>;
}

/**
 * Acquires a place: the protocol's steps 1 to 4. A store that knows nothing of the place begins at the low end of a log
 * that still has its beginning; otherwise the user must say `--start`.
 * @throws {Refusal} on another log's identity, on records deleted before they were applied, on a log that ends before
 * what was applied
 */
export async function startOf(
  store: Store,
  place: Place,
  identity: string,
  range: Range,
  start: number | undefined,
): Promise<Holding> {
  const name = `partition "${place.topic}/${place.partition}"`;
  const held = await store.acquire(place);
  if (held === null) {
    if (range.low > 0 && start === undefined) {
      throw new Refusal(
        `Cannot start ${place.sink} on ${name}: its first ${range.low} records are gone and nothing was applied yet, must be told where with --start earliest`,
      );
    }
    return await store.begin(place, identity, start ?? 0);
  }
  if (held.identity !== identity) {
    throw new Refusal(
      `Cannot resume ${place.sink} on ${name}: the store was fed from log "${held.identity}" and this is "${identity}", must be the same log (or another --data, or --fresh)`,
    );
  }
  if (held.next < range.low) {
    throw new Refusal(
      `Cannot resume ${place.sink} on ${name}: records ${held.next} to ${
        range.low - 1
      } were deleted before they were applied, must still be in the log`,
    );
  }
  if (held.next > range.high) {
    throw new Refusal(
      `Cannot resume ${place.sink} on ${name}: applied up to ${held.next} but the log ends at ${range.high}, must reach at least that far`,
    );
  }
  return held;
}

/** Lets each origin of one topic's partition pass once, in order, without a hole. */
export class Fence {
  /** Messages dropped because their origin had been applied. */
  repeats = 0;
  readonly #name: string;
  #last: number;

  /** `last` is the last origin applied; -1 before the first. */
  constructor(place: Place, last: number) {
    this.#name = `${place.topic}/${place.partition}`;
    this.#last = last;
  }

  get last(): number {
    return this.#last;
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
    if (previous !== this.#last) {
      throw new Refusal(
        `Cannot apply origin ${origin} of "${this.#name}": it follows origin ${previous} and the last one applied is ${this.#last}, must name the last one applied`,
      );
    }
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
  Array.isArray(flags) && flags.length > 0 && flags.every((flag) => typeof flag === "string" && /^[a-z]+$/.test(flag));
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
