/**
 * Faults on purpose: what a sound tick looks like when something upstream is broken, and the truth about it, so that
 * whoever judges the messages can be judged.
 *
 * **In** the line of a clean tick and the kind of fault, **Out** the messages that follow it, and the `Truth` about the one
 * that is faulty. **Knows** `chance`, `listing`.
 */
import type { Chance } from "./chance.ts";
import type { Instrument } from "./listing.ts";

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
  | "reordered"
  | "spread"
  | "one-sided"
  | "old"
  | "outlier"
  | "frozen"
  | "halted"
  | "session"
  | "reset";

/** How a fault is to be found: by which rule, whether that rule rejects or only flags, and what else may be named. */
export interface Finding {
  readonly reason: Reason;
  readonly outcome: "rejected" | "flagged";
  /** Rules that the message may break besides, mostly because it repeats the sequence of the tick it imitates. */
  readonly also: readonly Reason[];
}

const rejected = (reason: Reason, ...also: readonly Reason[]): Finding => ({ reason, outcome: "rejected", also });
const flagged = (reason: Reason, ...also: readonly Reason[]): Finding => ({ reason, outcome: "flagged", also });

/**
 * Every kind of fault. All but `gap` are extra messages right behind the clean tick, of which the last but one or the last
 * is faulty; `gap` takes that tick away.
 */
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
  /** The id of the trade before it, where there is no sequence. */
  "repeated-id": rejected("duplicate"),
  /** An ask of twice its price. */
  "wide": flagged("spread"),
  /** A quote without an ask. */
  "empty-side": flagged("one-sided"),
  /** Happened ten minutes before it was received. */
  "old": flagged("old", "late"),
  /** Twice the price. */
  "outlier": flagged("outlier"),
  /** A quote outside of which trades went on for eleven seconds, in an instrument of its own. */
  "frozen": flagged("frozen"),
  /** A trade between the venue's word that trading halts and its word that it goes on. */
  "halted": flagged("halted"),
  /** A trade in the hour in which its instrument, one of its own, never trades. */
  "session": flagged("session"),
  /** A connection whose numbers begin anew, in an instrument of its own. */
  "reset": flagged("reset"),
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

/** A message that a fault is made of. Bytes where it is no valid JSON, otherwise one JSON line. */
export interface Planted {
  readonly value: string | Uint8Array;
  /** Of what only leads to the fault there is none. */
  readonly truth?: Truth;
  /** Position in {@linkcode STAGED}; absent where it goes where the clean tick went. */
  readonly staged?: number;
}

/** How many quotes may be stuck at once. */
export const STUCK_MAX = 8;
const staged = (symbol: string): Instrument => ({ symbol, tickSize: "0.01", lot: "1", negative: false });
/** Instruments that nothing trades in but faults. */
export const STAGED: readonly Instrument[] = [
  ...Array.from({ length: STUCK_MAX }, (_, i) => staged(`STUCK-${i + 1}`)),
  ...["RESTART", "NIGHT-GAS"].map(staged),
];
const RESTART = STUCK_MAX, NIGHT = STUCK_MAX + 1;

/** How far below its place a `backwards` sequence stands. */
export const BACKWARDS_BY = 500_000;
/** How far an event of `future` lies beyond its receipt, µs. */
export const FUTURE_MICROS = 3_600_000_000;
/** How far an event of `late` lies before the tick that it follows, µs. */
export const LATE_MICROS = 60_000_000;
/** How far an event of `old` lies before its receipt, µs. */
export const OLD_MICROS = 600_000_000;
/** For how long trades go on outside of a quote of `frozen`, µs. */
export const FROZEN_MICROS = 11_000_000;
const DAY_MICROS = 86_400_000_000, HALF_HOUR = 1_800_000_000;
const LONG_DIGITS = 40;
const GARBAGE_BYTES_MAX = 64;
const SYMBOL_FIELD = '"symbol":"';

type Fields = Record<string, string | number | null>;
/** Fields whose kind, text or number, can be exchanged without any other change. */
const EXCHANGEABLE = {
  trade: ["eventTime", "receivedTime", "sequence", "id", "price", "size"],
  quote: ["eventTime", "receivedTime", "sequence", "bidPrice", "bidSize", "askPrice", "askSize"],
} as const;

/**
 * The messages behind the clean tick of `line`, whose series began at `firstSequence`. `stuck` is where a quote may be
 * stuck, from 0 to {@linkcode STUCK_MAX} - 1.
 */
export function plant(
  fault: Exclude<Fault, "gap">,
  line: string,
  firstSequence: number,
  chance: Chance,
  stuck = 0,
): readonly Planted[] {
  const tick = JSON.parse(line) as Fields;
  const type = tick.type as "trade" | "quote";
  const symbol = tick.symbol as string;
  const truth: Truth = { fault, symbol, type, sequence: tick.sequence as number, ...FAULTS[fault] };
  // Of a quote the bid is changed: it may rise by a part of a step and still not meet the ask.
  const name = type === "trade" ? "price" : "bidPrice";
  const price = tick[name] as string;
  const changed = (changes: Fields, sequence = truth.sequence): readonly Planted[] => [{
    value: JSON.stringify({ ...tick, ...changes }),
    truth: { ...truth, sequence },
  }];
  /** Without number and id, so that nothing but the change tells. */
  const unnumbered = (changes: Fields) => changed({ sequence: null, id: null, ...changes }, null);
  const at = tick.eventTime as number, delay = tick.receivedTime as number - at;

  switch (fault) {
    case "no-json":
      return [{ value: broken(line, chance), truth: { ...truth, sequence: null } }];
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
      return [{ value: line, truth }];
    case "backwards": {
      const sequence = truth.sequence! - BACKWARDS_BY;
      const [{ value }] = changed({ sequence, id: type === "trade" ? String(sequence) : null }) as [Planted];
      // A series that is long enough has had this number, which a judge with a long memory may say.
      return [{ value, truth: { ...truth, sequence, also: sequence < firstSequence ? [] : ["duplicate"] } }];
    }
    case "future":
      return changed({ eventTime: (tick.receivedTime as number) + FUTURE_MICROS });
    case "late":
      return unnumbered({ eventTime: at - LATE_MICROS });
    case "long-decimal":
      return changed({ [name]: longer(price, LONG_DIGITS - price.replace(/\D/g, "").length, chance) });
    case "bad-symbol":
      return changed({ symbol: "../../x" });
    case "repeated-id": {
      const [again] = unnumbered({ id: `r${tick.sequence}` }) as [Planted];
      return [{ value: again.value }, again];
    }
    case "wide":
      return unnumbered({ askPrice: doubled(tick.askPrice as string) });
    case "empty-side":
      return unnumbered({ askPrice: null, askSize: null });
    case "old":
      return unnumbered({ eventTime: at - OLD_MICROS });
    case "outlier":
      if (type === "trade") return unnumbered({ price: doubled(price) });
      return unnumbered({ bidPrice: doubled(price), askPrice: doubled(tick.askPrice as string) });
    case "halted": {
      const status = (state: string, time: number): Planted => ({ value: statusLine(symbol, time, delay, state) });
      return [status("halted", at), ...unnumbered({ eventTime: at + 1 }), status("trading", at + 2)];
    }
    case "session": {
      // Amsterdam's exchange is closed until ten to two in the morning; a day's hundredth part is there in time.
      const night = at - at % DAY_MICROS + HALF_HOUR + Math.floor(at % DAY_MICROS / 100);
      return [stagedTrade(NIGHT, night, delay, "30.00", null, truth)];
    }
    case "reset": {
      const connected = { value: statusLine(STAGED[RESTART]!.symbol, at + 1, delay, "connected"), staged: RESTART };
      return [
        stagedTrade(RESTART, at, delay, "50.00", 2),
        connected,
        stagedTrade(RESTART, at + 2, delay, "50.00", 1, truth),
      ];
    }
    case "frozen": {
      // Another quote than the last one there, and none that is far from it.
      const cents = 10_000 + Math.floor(at / 1_000_000) % 499;
      const bid = (cents / 100).toFixed(2),
        ask = ((cents + 2) / 100).toFixed(2),
        outside = ((cents + 9) / 100).toFixed(2);
      const since = at - FROZEN_MICROS;
      const quote = JSON.stringify({
        ...{
          type: "quote",
          venue: "sim",
          symbol: STAGED[stuck]!.symbol,
          eventTime: since,
          receivedTime: since + delay,
        },
        ...{ sequence: null, id: null, bidPrice: bid, bidSize: "1", askPrice: ask, askSize: "1" },
      });
      return [
        { value: quote, staged: stuck },
        stagedTrade(stuck, since + 1, delay, outside, null),
        stagedTrade(stuck, at, delay, outside, null, truth),
      ];
    }
  }
}

/** A trade in an instrument of the faults' own. */
function stagedTrade(
  index: number,
  eventTime: number,
  delay: number,
  price: string,
  sequence: number | null,
  truth?: Truth,
): Planted {
  const { symbol } = STAGED[index]!;
  const value = JSON.stringify({
    ...{ type: "trade", venue: "sim", symbol, eventTime, receivedTime: eventTime + delay, sequence, id: null },
    ...{ price, size: "1", side: "buy" },
  });
  return { value, staged: index, ...(truth && { truth: { ...truth, symbol, type: "trade", sequence } }) };
}

function statusLine(symbol: string, eventTime: number, delay: number, state: string): string {
  return JSON.stringify({
    ...{ type: "status", venue: "sim", symbol, eventTime, receivedTime: eventTime + delay, sequence: null, id: null },
    ...{ state, firstId: null, lastId: null, detail: null },
  });
}

/** Twice the price, with as many digits after the point, and so on every grid that it is on. */
function doubled(price: string): string {
  const point = price.indexOf(".");
  const places = point < 0 ? 0 : price.length - point - 1;
  const digits = String(BigInt(price.replace(".", "")) * 2n).padStart(places + 1, "0");
  return places === 0 ? digits : `${digits.slice(0, -places)}.${digits.slice(-places)}`;
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
