/**
 * The checksum by which Kraken says what its book is after each message: nothing else on that wire shows a loss.
 *
 * **In** the best levels of both sides, as the wire wrote them, **Out** CRC-32, unsigned. **Knows** nothing.
 */

/** Levels of each side that the checksum covers, whatever the depth of the book. */
export const CHECKED_LEVELS = 10;

type Levels = readonly (readonly [price: string, size: string])[];

/**
 * CRC-32 over the ten best asks, then the ten best bids, price before size, each without its point and leading zeros.
 * Both sides best first, cut to the depth that was subscribed. Zeros at the end count: `1.50` is not `1.5`.
 */
export function checksumOf(bids: Levels, asks: Levels): number {
  return ~withSide(withSide(-1, asks), bids) >>> 0;
}

function withSide(crc: number, side: Levels): number {
  const count = Math.min(side.length, CHECKED_LEVELS);
  for (let i = 0; i < count; i++) {
    const [price, size] = side[i]!;
    crc = withDigits(withDigits(crc, price), size);
  }
  return crc;
}

/** Digit by digit, since joining what is to be summed up costs more than the sum. */
function withDigits(crc: number, text: string): number {
  let isLeading = true;
  for (let i = 0; i < text.length; i++) {
    const digit = text.charCodeAt(i);
    if (digit === POINT || isLeading && digit === ZERO) continue;
    isLeading = false;
    crc = BYTES[(crc ^ digit) & 0xff]! ^ (crc >>> 8);
  }
  return crc;
}

const POINT = 46, ZERO = 48;
/** The remainder of each byte, the polynomial as 0xedb88320. */
const BYTES = Int32Array.from({ length: 256 }, (_, byte) => {
  let rest = byte;
  for (let bit = 0; bit < 8; bit++) rest = rest & 1 ? (rest >>> 1) ^ 0xedb88320 : rest >>> 1;
  return rest;
});
