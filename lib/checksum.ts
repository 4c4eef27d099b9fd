/**
 * The checksum by which Kraken says what its book is after each message: nothing else on that wire shows a loss.
 *
 * **In** the best levels of both sides, as the wire wrote them, **Out** CRC-32, unsigned. **Knows** nothing.
 */
import { crc32 } from "node:zlib";

/** Levels of each side that the checksum covers, whatever the depth of the book. */
export const CHECKED_LEVELS = 10;

type Levels = readonly (readonly [price: string, size: string])[];

/**
 * CRC-32 over the ten best asks, then the ten best bids, price before size, each without its point and leading zeros.
 * Both sides best first, cut to the depth that was subscribed. Zeros at the end count: `1.50` is not `1.5`.
 */
export function checksumOf(bids: Levels, asks: Levels): number {
  return crc32(digitsOf(asks) + digitsOf(bids));
}

function digitsOf(side: Levels): string {
  let digits = "";
  const count = Math.min(side.length, CHECKED_LEVELS);
  for (let i = 0; i < count; i++) {
    const [price, size] = side[i]!;
    digits += significant(price) + significant(size);
  }
  return digits;
}

function significant(text: string): string {
  const point = text.indexOf(".");
  const digits = point < 0 ? text : text.slice(0, point) + text.slice(point + 1);
  let start = 0;
  while (digits.charCodeAt(start) === 48) start++;
  return start === 0 ? digits : digits.slice(start);
}
