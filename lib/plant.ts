/**
 * Faults on purpose: what a sound tick looks like when something upstream is broken, and the truth about it, so that
 * whoever judges the messages can be judged.
 *
 * **In** the line of a clean tick and the kind of fault, **Out** the faulty message that follows it and its `Truth`.
 * **Knows** `chance`.
 */
import type { Chance } from "./chance.ts";

/** What a judge may say of a planted fault. */
export type Reason =
  | "malformed"
  | "shape"
  | "precision"
  | "price"
  | "grid"
  | "crossed"
  | "future"
  | "duplicate"
  | "backwards"
  | "gap"
  | "late"
  | "reordered";

/** How a fault is to be found: by which rule, whether that rule rejects or only flags, and what else may be named. */
export interface Finding {
  readonly reason: Reason;
  readonly outcome: "rejected" | "flagged";
  /** Rules that the message may break besides, mostly because it repeats the sequence of the tick it imitates. */
  readonly also: readonly Reason[];
}

const rejected = (reason: Reason, ...also: readonly Reason[]): Finding => ({ reason, outcome: "rejected", also });
const flagged = (reason: Reason, ...also: readonly Reason[]): Finding => ({ reason, outcome: "flagged", also });

/** Every kind of fault. All but `gap` are an extra message right behind the clean tick; `gap` takes that tick away. */
export const FAULTS = {
  /** Cut off, garbage, or not UTF-8. */
  "no-json": rejected("malformed"),
  "missing-field": rejected("shape"),
  /** A number as text, or an amount as a number. */
  "wrong-type": rejected("shape"),
  /** Only where the instrument forbids it. */
  "zero-price": rejected("price", "duplicate"),
  "off-grid": rejected("grid", "duplicate"),
  /** Quotes only. */
  "crossed": rejected("crossed", "duplicate"),
  /** The same bytes again. */
  "duplicate": rejected("duplicate"),
  /** A sequence far below. */
  "backwards": rejected("backwards"),
  "gap": flagged("gap"),
  /** Happened an hour after it was received. */
  "future": rejected("future", "duplicate"),
  /** Happened a minute before the tick in front of it; without sequence and id, so that only time tells. */
  "late": flagged("late", "reordered"),
  /** A price of forty digits. */
  "long-decimal": rejected("precision", "grid", "duplicate"),
  /** A symbol that would climb out of a folder; the key stays that of the clean tick. */
  "bad-symbol": rejected("shape"),
} as const satisfies Readonly<Record<string, Finding>>;
export type Fault = keyof typeof FAULTS;
export const FAULT_NAMES = Object.keys(FAULTS) as readonly Fault[];

/** What is true of a message that is not clean. */
export interface Truth extends Finding {
  readonly fault: Fault;
  /** The series that it stands in, whatever the message itself says. */
  readonly symbol: string;
  readonly type: "trade" | "quote";
  /** As the message carries it, of a gap the one that is missing; null where there is none to read. */
  readonly sequence: number | null;
}

/** A faulty message. Bytes where it is no valid JSON, otherwise one JSON line. */
export interface Planted {
  readonly value: string | Uint8Array;
  readonly truth: Truth;
}

/** How far below its place a `backwards` sequence stands. */
export const BACKWARDS_BY = 500_000;
/** How far an event of `future` lies beyond its receipt, µs. */
export const FUTURE_MICROS = 3_600_000_000;
/** How far an event of `late` lies before the tick that it follows, µs. */
export const LATE_MICROS = 60_000_000;
const LONG_DIGITS = 40;
const GARBAGE_BYTES_MAX = 64;
const SYMBOL_FIELD = '"symbol":"';

type Fields = Record<string, string | number | null>;
/** Fields whose kind, text or number, can be exchanged without any other change. */
const EXCHANGEABLE = {
  trade: ["eventTime", "receivedTime", "sequence", "id", "price", "size"],
  quote: ["eventTime", "receivedTime", "sequence", "bidPrice", "bidSize", "askPrice", "askSize"],
} as const;

/** The faulty message behind the clean tick of `line`, whose series began at `firstSequence`. */
export function plant(fault: Exclude<Fault, "gap">, line: string, firstSequence: number, chance: Chance): Planted {
  const tick = JSON.parse(line) as Fields;
  const type = tick.type as "trade" | "quote";
  const symbol = tick.symbol as string;
  const truth: Truth = { fault, symbol, type, sequence: tick.sequence as number, ...FAULTS[fault] };
  // Of a quote the bid is changed: it may rise by a part of a step and still not meet the ask.
  const name = type === "trade" ? "price" : "bidPrice";
  const price = tick[name] as string;
  const changed = (changes: Fields, sequence = truth.sequence): Planted => ({
    value: JSON.stringify({ ...tick, ...changes }),
    truth: { ...truth, sequence },
  });

  switch (fault) {
    case "no-json":
      return { value: broken(line, chance), truth: { ...truth, sequence: null } };
    case "missing-field": {
      const names = Object.keys(tick);
      delete tick[names[chance.below(names.length)]!];
      return changed({}, tick.sequence === undefined ? null : truth.sequence);
    }
    case "wrong-type": {
      const names = EXCHANGEABLE[type];
      const exchanged = names[chance.below(names.length)]!;
      const value = tick[exchanged]!;
      const other = typeof value === "number" ? String(value) : Number(value);
      return changed({ [exchanged]: other }, exchanged === "sequence" ? null : truth.sequence);
    }
    case "zero-price":
      return changed({ [name]: "0" });
    case "off-grid":
      return changed({ [name]: longer(price, 1, chance) });
    case "crossed":
      return changed({ bidPrice: tick.askPrice!, askPrice: tick.bidPrice! });
    case "duplicate":
      return { value: line, truth };
    case "backwards": {
      const sequence = truth.sequence! - BACKWARDS_BY;
      const { value } = changed({ sequence, id: type === "trade" ? String(sequence) : null });
      // A series that is long enough has had this number, which a judge with a long memory may say.
      return { value, truth: { ...truth, sequence, also: sequence < firstSequence ? [] : ["duplicate"] } };
    }
    case "future":
      return changed({ eventTime: (tick.receivedTime as number) + FUTURE_MICROS });
    case "late":
      return changed({ eventTime: (tick.eventTime as number) - LATE_MICROS, sequence: null, id: null }, null);
    case "long-decimal":
      return changed({ [name]: longer(price, LONG_DIGITS - price.replace(/\D/g, "").length, chance) });
    case "bad-symbol":
      return changed({ symbol: "../../x" });
  }
}

/** `price` with digits other than zero behind its last, so that it stands between two steps. */
function longer(price: string, digits: number, chance: Chance): string {
  let text = price;
  for (let i = 0; i < digits; i++) text += 1 + chance.below(9);
  return text;
}

/** Bytes that are no JSON: the line cut off, noise, or the line with a byte that UTF-8 does not have. */
function broken(line: string, chance: Chance): Uint8Array {
  const bytes = new TextEncoder().encode(line);
  switch (chance.below(3)) {
    case 0:
      return bytes.slice(0, 1 + chance.below(bytes.length - 1));
    case 1: {
      const noise = new Uint8Array(1 + chance.below(GARBAGE_BYTES_MAX));
      // The first byte stays 0, with which no JSON begins.
      for (let i = 1; i < noise.length; i++) noise[i] = chance.below(256);
      return noise;
    }
    default:
      bytes[line.indexOf(SYMBOL_FIELD) + SYMBOL_FIELD.length] = 0xff;
      return bytes;
  }
}
