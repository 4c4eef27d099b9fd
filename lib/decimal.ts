/**
 * Exact decimals, held as text. Nothing here passes through a binary float: up to 15 digits a number holds the unscaled
 * integer exactly, beyond that a bigint does.
 *
 * **In** decimal text as it travels (`-0.00500`), **Out** comparisons, sums and canonical text.
 * **Knows** nothing.
 */

/** Digits that every store keeps: `DECIMAL(38,12)`. */
export const INTEGER_DIGITS_MAX = 26;
/** Digits after the point that every store keeps. */
export const FRACTION_DIGITS_MAX = 12;

const DECIMAL = /^-?(?:0|[1-9]\d*)(?:\.\d+)?$/;
const EXACT_DIGITS = 15;

/** Whether `text` is a plain decimal: no exponent, no plus sign, no leading zero, a digit on both sides of a point. */
export function isDecimal(text: string): boolean {
  const end = text.length;
  let i = text.charCodeAt(0) === 45 ? 1 : 0;
  const first = text.charCodeAt(i);
  if (!(first >= 48 && first <= 57)) return false;
  if (first === 48 && i + 1 < end && text.charCodeAt(i + 1) !== 46) return false;
  let point = -1;
  for (i++; i < end; i++) {
    const c = text.charCodeAt(i);
    if (c === 46 && point < 0) point = i;
    else if (!(c >= 48 && c <= 57)) return false;
  }
  return point !== end - 1;
}

/** The one spelling of a value: no trailing zeros after the point, no trailing point, no negative zero. */
export function canonical(text: string): string {
  if (text.charCodeAt(text.length - 1) !== 48 || text.indexOf(".") < 0) return text === "-0" ? "0" : text;
  let end = text.length;
  while (text.charCodeAt(end - 1) === 48) end--;
  if (text.charCodeAt(end - 1) === 46) end--;
  const short = text.slice(0, end);
  return short === "-0" ? "0" : short;
}

/** Whether the value keeps all its digits in `DECIMAL(38,12)`; trailing zeros do not count. */
export function fits(text: string, integerMax = INTEGER_DIGITS_MAX, fractionMax = FRACTION_DIGITS_MAX): boolean {
  const start = text.charCodeAt(0) === 45 ? 1 : 0;
  const point = text.indexOf(".", start);
  if (point < 0) return text.length - start <= integerMax;
  if (point - start > integerMax) return false;
  let end = text.length;
  while (end - point - 1 > fractionMax && text.charCodeAt(end - 1) === 48) end--;
  return end - point - 1 <= fractionMax;
}

/** -1, 0 or 1 for negative, zero and positive. */
export function sign(text: string): -1 | 0 | 1 {
  const negative = text.charCodeAt(0) === 45;
  for (let i = negative ? 1 : 0; i < text.length; i++) {
    const c = text.charCodeAt(i);
    if (c >= 49 && c <= 57) return negative ? -1 : 1;
  }
  return 0;
}

/** Digits after the point, trailing zeros included. */
export function scaleOf(text: string): number {
  const point = text.indexOf(".");
  return point < 0 ? 0 : text.length - point - 1;
}

/**
 * The unscaled integer of `text` at `scale` digits after the point.
 * @throws {RangeError} when digits other than zero would be cut off
 */
export function unscaled(text: string, scale: number): bigint {
  const point = text.indexOf(".");
  const fraction = point < 0 ? "" : text.slice(point + 1);
  const kept = fraction.slice(0, scale);
  if (/[1-9]/.test(fraction.slice(scale))) {
    throw new RangeError(
      `Cannot scale decimal "${text}": has ${fraction.length} digits after the point, must have at most ${scale}`,
    );
  }
  return BigInt((point < 0 ? text : text.slice(0, point)) + kept.padEnd(scale, "0"));
}

/**
 * Writes the unscaled integer of `text` at {@linkcode FRACTION_DIGITS_MAX} digits after the point into four words from
 * `at` on: 128 bits in two's complement, the lowest word first, as columnar formats hold a `DECIMAL(38,12)`.
 * False, and whatever stands there, where `text` is no plain decimal or does not fit.
 */
export function putUnscaled(text: string, words: Uint32Array, at: number): boolean {
  const end = text.length;
  const start = text.charCodeAt(0) === 45 ? 1 : 0;
  let i = start, whole = 0, fraction = 0, places = 0;
  for (; i < end; i++) {
    const digit = text.charCodeAt(i) - 48;
    if (digit === -2) break;
    if (!(digit >= 0 && digit <= 9)) return false;
    whole = whole * 10 + digit;
  }
  const digits = i - start;
  if (digits === 0 || digits > 1 && text.charCodeAt(start) === 48 || i === end - 1) return false;
  if (digits > EXACT_DIGITS) return putWide(text, words, at);
  for (i++; i < end; i++) {
    const digit = text.charCodeAt(i) - 48;
    if (!(digit >= 0 && digit <= 9)) return false;
    if (places < FRACTION_DIGITS_MAX) {
      fraction = fraction * 10 + digit;
      places++;
    } else if (digit !== 0) return false;
  }
  fraction *= POWERS[FRACTION_DIGITS_MAX - places]!;
  if (whole < 9_007) putLimbs(words, at, whole * 1e12 + fraction, 0, 0);
  else {
    // 10^12 is 5^12 times 2^12, and 25 bits times 5^12 are exact: whole = (upper · 2^25 + lower).
    const upper = Math.floor(whole / 2 ** 25) * 5 ** 12, lower = whole % 2 ** 25 * 5 ** 12;
    putLimbs(
      words,
      at,
      lower % 2 ** 20 * 2 ** 12 + fraction,
      Math.floor(lower / 2 ** 20) + upper % 2 ** 27 * 2 ** 5,
      Math.floor(upper / 2 ** 27),
    );
  }
  if (start === 1) negate(words, at);
  return true;
}

/** Writes `low + middle · 2^32 + high · 2^64`; each is below 2^53. */
function putLimbs(words: Uint32Array, at: number, low: number, middle: number, high: number): void {
  const second = middle + Math.floor(low / 2 ** 32);
  const third = high + Math.floor(second / 2 ** 32);
  words[at] = low;
  words[at + 1] = second;
  words[at + 2] = third;
  words[at + 3] = Math.floor(third / 2 ** 32);
}

function negate(words: Uint32Array, at: number): void {
  let carry = 1;
  for (let i = at; i < at + 4; i++) {
    const sum = (~words[i]! >>> 0) + carry;
    words[i] = sum;
    carry = sum > 0xffffffff ? 1 : 0;
  }
}

function putWide(text: string, words: Uint32Array, at: number): boolean {
  if (!isDecimal(text) || !fits(text)) return false;
  let rest = unscaled(text, FRACTION_DIGITS_MAX);
  for (let i = at; i < at + 4; i++) {
    words[i] = Number(BigInt.asUintN(32, rest));
    rest >>= 32n;
  }
  return true;
}

/** The canonical text of an unscaled integer; the inverse of {@linkcode unscaled}. */
export function scaled(value: bigint, scale: number): string {
  if (scale === 0) return value.toString();
  const negative = value < 0n;
  const digits = (negative ? -value : value).toString().padStart(scale + 1, "0");
  return canonical(`${negative ? "-" : ""}${digits.slice(0, -scale)}.${digits.slice(-scale)}`);
}

/** The unscaled integer as a number, or NaN when it needs more than 15 digits. `scale` must not cut digits off. */
function exact(text: string, scale: number): number {
  let value = 0;
  let digits = 0;
  let after = -1;
  const negative = text.charCodeAt(0) === 45;
  for (let i = negative ? 1 : 0; i < text.length; i++) {
    const c = text.charCodeAt(i);
    if (c === 46) {
      after = 0;
      continue;
    }
    value = value * 10 + (c - 48);
    digits++;
    if (after >= 0) after++;
  }
  for (let i = after < 0 ? 0 : after; i < scale; i++) {
    value *= 10;
    digits++;
  }
  return digits > EXACT_DIGITS ? NaN : negative ? -value : value;
}

/** Orders two decimals: negative, zero or positive as `a` is below, equal to or above `b`. */
export function compare(a: string, b: string): number {
  // Two numbers of the same form are in the order of their texts, which is how nearly all bids and asks meet.
  if (a.length === b.length && a.indexOf(".") === b.indexOf(".") && a.charCodeAt(0) > 45 && b.charCodeAt(0) > 45) {
    return a < b ? -1 : a > b ? 1 : 0;
  }
  const scale = Math.max(scaleOf(a), scaleOf(b));
  const difference = exact(a, scale) - exact(b, scale);
  if (difference === difference) return difference;
  // Zeros at the end do not count, but a million of them would make a bigint of a million digits.
  const short = canonical(a), brief = canonical(b);
  const common = Math.max(scaleOf(short), scaleOf(brief));
  const x = unscaled(short, common), y = unscaled(brief, common);
  return x < y ? -1 : x > y ? 1 : 0;
}

/** A step made ready for {@linkcode traitsOf}: its canonical text, its scale, and its unscaled integer (NaN beyond 15 digits). */
export interface Grid {
  readonly step: string;
  readonly scale: number;
  readonly unit: number;
}

/** Makes a step ready. @throws {RangeError} when it is not above zero */
export function gridOf(step: string): Grid {
  if (sign(step) <= 0) throw new RangeError(`Cannot use step "${step}": is not positive, must be above zero`);
  const short = canonical(step);
  const scale = scaleOf(short);
  return { step: short, scale, unit: exact(short, scale) };
}

/** What {@linkcode traitsOf} can say of an amount; bits, so that the traits of several are joined by `|`. */
export const TRAIT = { imprecise: 1, zero: 2, negative: 4, offGrid: 8 } as const;

/**
 * Everything that a rule asks of one amount, in one walk over its text: whether it does not {@linkcode fits}, is zero or
 * negative (zero is never both), and lies between two steps of the grid. Off the grid is only said of what fits.
 */
export function traitsOf(text: string, grid: Grid | null): number {
  const end = text.length;
  const start = text.charCodeAt(0) === 45 ? 1 : 0;
  let value = 0;
  let point = end;
  for (let i = start; i < end; i++) {
    const c = text.charCodeAt(i);
    if (c === 46) point = i;
    else value = value * 10 + (c - 48);
  }
  const fraction = point === end ? 0 : end - point - 1;
  const pad = grid === null ? 0 : grid.scale - fraction;
  if (pad < 0 || end - start + pad > EXACT_DIGITS || fraction > FRACTION_DIGITS_MAX) return slowTraitsOf(text, grid);
  const traits = value === 0 ? TRAIT.zero : start * TRAIT.negative;
  if (grid === null) return traits;
  const steps = value * POWERS[pad]! / grid.unit;
  // Up to 15 digits the quotient of a multiple is exact, and any other is further from an integer than it is rounded.
  if (steps === steps) return Math.trunc(steps) === steps ? traits : traits | TRAIT.offGrid;
  return slowTraitsOf(text, grid);
}
const POWERS = Array.from({ length: EXACT_DIGITS + 1 }, (_, i) => 10 ** i);

function slowTraitsOf(text: string, grid: Grid | null): number {
  const positive = sign(text);
  const traits = positive === 0 ? TRAIT.zero : positive < 0 ? TRAIT.negative : 0;
  if (!fits(text)) return traits | TRAIT.imprecise;
  if (grid === null) return traits;
  const short = canonical(text);
  // A digit that is finer than the step lies between two of its multiples.
  const isOn = scaleOf(short) <= grid.scale &&
    unscaled(short, grid.scale) % unscaled(grid.step, grid.scale) === 0n;
  return isOn ? traits : traits | TRAIT.offGrid;
}

/**
 * The double next to a decimal, as `Number(text)` gives it, in a fifth of the time: up to 15 digits both parts of the
 * fraction are exact, and so its quotient is rounded once. For comparisons by a share, never for what is stored.
 */
export function near(text: string): number {
  const end = text.length;
  const start = text.charCodeAt(0) === 45 ? 1 : 0;
  if (end - start > EXACT_DIGITS) return Number(text);
  let value = 0;
  let point = end;
  for (let i = start; i < end; i++) {
    const c = text.charCodeAt(i);
    if (c === 46) point = i;
    else value = value * 10 + (c - 48);
  }
  if (point < end) value /= POWERS[end - point - 1]!;
  return start === 1 ? -value : value;
}

/** Whether `value` is a whole multiple of `step`. @throws {RangeError} when `step` is zero */
export function onGrid(value: string, step: string): boolean {
  const scale = Math.max(scaleOf(value), scaleOf(step));
  const rest = exact(value, scale) % exact(step, scale);
  if (rest === rest) return rest === 0;
  return unscaled(value, scale) % unscaled(step, scale) === 0n;
}

/** The exact sum, canonical. */
export function add(a: string, b: string): string {
  const scale = Math.max(scaleOf(a), scaleOf(b));
  return scaled(unscaled(a, scale) + unscaled(b, scale), scale);
}

/** The exact product, canonical. */
export function multiply(a: string, b: string): string {
  const x = scaleOf(a), y = scaleOf(b);
  return scaled(unscaled(a, x) * unscaled(b, y), x + y);
}

/** The regular expression that {@linkcode isDecimal} is equal to; for schemas. */
export const DECIMAL_PATTERN = DECIMAL;
