/**
 * What a segment of frames holds, from its bytes: how many frames of whom, when they came, and the file's hash.
 *
 * **In** a segment, **Out** its summary. **Knows** `frames`, `segment`, `failure`.
 */
import { createHash } from "node:crypto";
import { setImmediate } from "node:timers";
import { z } from "@zod/zod";
import { Refusal } from "../failure.ts";
import { keptOf } from "../frames.ts";
import { decodeLines, LINE_BYTES_MAX, segmentName } from "../segment.ts";

/** Bytes that are read at once: a feed in the same thread waits no longer than they take. */
const SLICE_BYTES = 1 << 20;
/** Venues that are counted each by itself. */
const VENUES_MAX = 100;

/** What a segment holds. */
export const HeldForm = z.strictObject({
  /** First and last offset; the last is the one before the first where it holds nothing. */
  first: z.int().min(0),
  last: z.int().min(-1),
  bytes: z.int().min(0),
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
  /** Frames by venue; one in parts is one, where its first part lies. */
  frames: z.record(z.string(), z.int().min(1)),
  /** Records that are no frames. */
  strange: z.int().min(0),
  /** The earliest and the latest time at which a frame came, µs since the epoch; null where none is known. */
  receivedFirst: z.int().nullable(),
  receivedLast: z.int().nullable(),
  /** Records of frames whose time nobody noted. */
  untimed: z.int().min(0),
});
export type Held = Readonly<z.infer<typeof HeldForm>>;

/**
 * Sums up the whole lines of a segment, each held against its checksum. `rest` counts the bytes behind them.
 * @throws {Refusal} naming the record that is damaged, `Deno.errors.NotFound` where there is no such segment
 */
export async function summarise(
  folder: string,
  place: string,
  base: number,
): Promise<{ readonly held: Held; readonly rest: number }> {
  using file = await Deno.open(`${folder}/${segmentName(base)}`);
  const hash = createHash("sha256");
  const frames: Record<string, number> = {};
  let [next, bytes, strange, untimed] = [base, 0, 0, 0];
  let [receivedFirst, receivedLast]: [number | null, number | null] = [null, null];
  const rest = await inSlices(file, (slice) => {
    const { records, length } = decodeLines(slice, place, next, Infinity);
    for (const record of records) {
      const kept = keptOf(record);
      if (kept === null || (frames[kept.venue] === undefined && Object.keys(frames).length === VENUES_MAX)) {
        strange++;
        continue;
      }
      const { venue, part, receivedTime } = kept;
      if ((part?.[0] ?? 0) === 0) frames[venue] = (frames[venue] ?? 0) + 1;
      if (receivedTime === null) untimed++;
      else {
        receivedFirst = Math.min(receivedFirst ?? receivedTime, receivedTime);
        receivedLast = Math.max(receivedLast ?? receivedTime, receivedTime);
      }
    }
    hash.update(slice.subarray(0, length));
    bytes += length;
    next += records.length;
    return length;
  });
  if (rest >= LINE_BYTES_MAX) {
    throw new Refusal(
      `Cannot read record "${place}/${next}": its line is longer than ${LINE_BYTES_MAX} bytes, must be shorter`,
    );
  }
  const sha256 = hash.digest("hex");
  return {
    held: { first: base, last: next - 1, bytes, sha256, frames, strange, receivedFirst, receivedLast, untimed },
    rest,
  };
}

/**
 * Gives a file slice by slice to `take`, which says how many of the bytes it needs no more; the others come again with what
 * follows them, up to the length of a line. Gives the number of those that are left at the end.
 */
export async function inSlices(file: Deno.FsFile, take: (slice: Uint8Array) => number): Promise<number> {
  const buffer = new Uint8Array(LINE_BYTES_MAX + SLICE_BYTES);
  let length = 0;
  while (length < LINE_BYTES_MAX) {
    const read = file.readSync(buffer.subarray(length, length + SLICE_BYTES));
    if (read === null) break;
    length += read;
    const taken = take(buffer.subarray(0, length));
    buffer.copyWithin(0, taken, length);
    length -= taken;
    await new Promise<void>((resolve) => setImmediate(resolve));
  }
  return length;
}
