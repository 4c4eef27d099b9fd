/**
 * How a venue's frame is read: fields of JSON that a stranger wrote, numbers without loss, times whose unit is known.
 * Nothing here throws, whatever it is given.
 *
 * **In** text, **Out** fields, counters, levels and µs. **Knows** `tick`, `decimal`.
 */
import { isDecimal, sign } from "./decimal.ts";
import { isMicros, type TickType } from "./tick.ts";

/** A JSON object of which nothing is known yet. */
export type Fields = Readonly<Record<string, unknown>>;
/** `[price, size]` pairs of one side. */
export type Levels = [string, string][];

/** Whether `v` is a JSON object. */
export const isFields = (v: unknown): v is Fields => typeof v === "object" && v !== null && !Array.isArray(v);

/** The object that the frame is; undefined where it is none. Integers beyond 2^53 and decimals are what JSON makes of them. */
export function fieldsOf(frame: string): Fields | undefined {
  return objectOf(frame);
}

/**
 * Makes a reader for venues that send amounts as JSON numbers, whose trailing zeros and last digits count: the object that
 * a frame is, the numbers under these keys, in objects at any depth, as their own text. Keys are plain words. Costs twice
 * as much as {@linkcode fieldsOf}; a reviver for all would cost six times as much.
 */
export function exactReader(keys: readonly string[]): (frame: string) => Fields | undefined {
  const known = new Set(keys);
  const reviver: Reviver = (key, value, context) =>
    typeof value === "number" && known.has(key) ? context?.source ?? value : value;
  // The numbers are put in quotes before JSON is parsed. Where nothing is escaped each quote begins or ends a text, and no
  // bare word of JSON is a key of ours: so what stands here is a key and a whole number, and a text instead of it is
  // sound exactly where it was. With an escape inside, a key may be spelled in other ways, and a text look like one.
  const number = String.raw`-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?`;
  const amount = new RegExp(String.raw`([{,]\s*"(?:${keys.join("|")})"\s*:\s*)(${number})`, "g");
  return (frame) => frame.includes("\\") ? objectOf(frame, reviver) : objectOf(frame.replace(amount, '$1"$2"'));
}

/** The object that the frame is, integers beyond 2^53 as their text and all else as JSON has it. */
export function wideFieldsOf(frame: string): Fields | undefined {
  return objectOf(frame, widen);
}

/** The list that the frame is, for answers by REST; integers beyond 2^53 as their text and all else as JSON has it. */
export function wideListOf(frame: string): readonly unknown[] | undefined {
  const value = valueOf(frame, widen);
  return Array.isArray(value) ? value : undefined;
}

type Reviver = (key: string, value: unknown, context?: { readonly source?: string }) => unknown;

const widen: Reviver = (_key, value, context) => {
  const { source } = context ?? {};
  return isUnsafe(value) && source !== undefined && /^\d{1,128}$/.test(source) ? source : value;
};

function objectOf(frame: string, reviver?: Reviver): Fields | undefined {
  const value = valueOf(frame, reviver);
  return isFields(value) ? value : undefined;
}

function valueOf(frame: string, reviver?: Reviver): unknown {
  if (frame.length > SHALLOW_LENGTH && isDeep(frame)) return undefined;
  try {
    return reviver === undefined ? JSON.parse(frame) : JSON.parse(frame, reviver);
  } catch {
    // A reviver also fails, with RangeError, on nesting deeper than the stack.
    return undefined;
  }
}

/** A text of so many characters is parsed however deep it is: each bracket takes some seventy bytes of memory. */
const SHALLOW_LENGTH = 1 << 16;
/** How deep values of a longer one may lie in each other; what a venue says is six deep. */
const DEPTH_MAX = 256;

/** Whether brackets lie deeper in each other than any venue's: to parse them could take all of the memory. */
function isDeep(text: string): boolean {
  let depth = 0;
  for (let i = 0; i < text.length && depth <= DEPTH_MAX; i++) {
    switch (text.charCodeAt(i)) {
      case 34:
        // What stands in a text is none, and neither is a quote behind a backslash its end.
        do if ((i = text.indexOf('"', i + 1)) < 0) return false; while (isEscaped(text, i));
        break;
      case 91:
      case 123:
        depth++;
        break;
      case 93:
      case 125:
        depth--;
    }
  }
  return depth > DEPTH_MAX;
}

/** Whether an odd number of backslashes stands before this place. */
function isEscaped(text: string, at: number): boolean {
  let before = at;
  while (text.charCodeAt(before - 1) === 92) before--;
  return (at - before) % 2 === 1;
}

/** Whether JSON made of a number what it was not, or may have. */
export const isUnsafe = (v: unknown): boolean => typeof v === "number" && !Number.isSafeInteger(v);

/** A counter: a safe integer, or beyond 2^53 its text. */
export type Count = number | string;

/** The counter that a number is, or a text of digits that is no safe integer. */
export function countOf(value: unknown): Count | undefined {
  if (typeof value === "string") return /^\d{16,128}$/.test(value) ? value : undefined;
  return Number.isSafeInteger(value) && (value as number) >= 0 ? value as number : undefined;
}

/** The counter as a sequence; null where only its text holds it. */
export const sequenceOf = (count: Count): number | null => typeof count === "number" ? count : null;

/** Sequence and id of what has no id of its own: the id speaks only where the sequence cannot. */
export function identityOf(count: Count): { readonly sequence: number | null; readonly id: string | null } {
  return typeof count === "number" ? { sequence: count, id: null } : { sequence: null, id: count };
}

/**
 * µs of a time in ms or in µs. The two magnitudes are 10^12 … 10^13 and 10^15 … 10^16 between 2001 and 2286, so neither
 * passes for the other; what is neither, or no time of a tick, is no time.
 */
export function microsOf(value: unknown): number | undefined {
  if (!Number.isSafeInteger(value)) return undefined;
  const time = value as number;
  const micros = time < 1e13 ? time * 1000 : time;
  return isMicros(micros) ? micros : undefined;
}

const ISO = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?Z$/;

/** µs of a time as RFC 3339 in UTC, with up to nine digits of a second, of which those after the sixth are cut off. */
export function microsOfText(value: unknown): number | undefined {
  if (typeof value !== "string" || !ISO.test(value)) return undefined;
  const second = value.slice(0, SECOND_LENGTH);
  if (known.second !== second) known = { second, micros: Date.parse(`${second}Z`) * 1000 };
  let fraction = 0;
  for (let i = SECOND_LENGTH + 1; i <= SECOND_LENGTH + 6; i++) {
    const digit = value.charCodeAt(i) - 48;
    fraction = fraction * 10 + (digit >= 0 && digit <= 9 ? digit : 0);
  }
  const micros = known.micros + fraction;
  return isMicros(micros) ? micros : undefined;
}

const SECOND_LENGTH = "2000-01-01T00:00:00".length;
/** The second that was asked for last: a feed asks for the same one many times. */
let known: { readonly second: string; readonly micros: number } = { second: "", micros: NaN };

/** When something happened, and when it came; µs. */
export interface Times {
  readonly eventTime: number;
  readonly receivedTime: number;
  /** Where the venue does not say when it happened. */
  readonly timeSource?: "received";
}

/** Times of what may have none of its own: then ours stands in. Undefined where there is neither. */
export function timesOf(eventTime: number | undefined, received: number | null): Times | undefined {
  if (eventTime !== undefined) return { eventTime, receivedTime: received ?? eventTime };
  if (received === null) return undefined;
  return { eventTime: received, receivedTime: received, timeSource: "received" };
}

/** What a tick begins with, in the order in which it is sent; `count` as {@linkcode identityOf} has it, null where there is none. */
export function headOf<T extends TickType>(type: T, venue: string, symbol: string, times: Times, count: Count | null) {
  const { eventTime, receivedTime, timeSource } = times;
  const { sequence, id } = count === null ? UNCOUNTED : identityOf(count);
  return timeSource === undefined
    ? { type, venue, symbol, eventTime, receivedTime, sequence, id }
    : { type, venue, symbol, eventTime, receivedTime, timeSource, sequence, id };
}
const UNCOUNTED = { sequence: null, id: null } as const;

const EXPONENT = /^(-?)(\d{1,40})(?:\.(\d{1,40}))?[eE]([+-]?\d{1,3})$/;
const DIGITS_MAX = 64;

/**
 * A JSON number's text as a plain decimal, digit for digit: `1e-08` is `0.00000001`, what has no exponent stays as it is.
 * Undefined for what is no number, or has more digits than any amount.
 */
export function plainDecimal(token: unknown): string | undefined {
  if (typeof token !== "string") return undefined;
  if (isDecimal(token)) return token;
  const parts = EXPONENT.exec(token);
  if (parts === null) return undefined;
  const [, minus, whole, fraction = "", exponent] = parts;
  const point = whole!.length + Number(exponent);
  if (Math.abs(point) > DIGITS_MAX) return undefined;
  const digits = (whole! + fraction).padStart(whole!.length + fraction.length + Math.max(0, 1 - point), "0");
  const at = Math.max(point, 1);
  const padded = digits.padEnd(at, "0");
  const integer = padded.slice(0, at).replace(/^0+(?=\d)/, "");
  const rest = padded.slice(at);
  return `${minus}${integer}${rest === "" ? "" : `.${rest}`}`;
}

/** A size of zero says that the side is absent; an empty text says nothing and is left to be judged. */
export const isNone = (size: string): boolean => size.charCodeAt(0) === 48 && isDecimal(size) && sign(size) === 0;

/** Whether `v` is a list of `[price, size]` pairs of text. */
export const isLevels = (v: unknown): v is Levels =>
  Array.isArray(v) &&
  v.every((l) => Array.isArray(l) && l.length === 2 && typeof l[0] === "string" && typeof l[1] === "string");
