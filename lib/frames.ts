/**
 * The tape of frames: a venue's own words as they came, before anybody parsed them, with the connection they came on and
 * when. Fed back, they give the same ticks, whatever has become of the parser since.
 *
 *     {"venue":"kraken","connection":"9f86d081","number":7,"receivedTime":1700000000000000,"frame":"{…}"}
 *
 * `request` stands in it where the frame answers one, `isComparison` where the answer is to be held against a book, `symbol`
 * where somebody said what it is about, `isEvent` where it is what became of the connection, `part` (`[0, 3]` the first of
 * three) where it is too long for one message. All frames of a venue lie in one partition, in order of arrival.
 * **In** frames, **Out** messages, and back. **Knows** `tick`, `transport`, `failure`.
 */
import { z } from "@zod/zod";
import { Refusal } from "./failure.ts";
import { isMicros, isVenue } from "./tick.ts";
import { type LogRecord, type Message, partitionOf, type Transport } from "./transport.ts";

/** The topic. */
export const FRAMES = "frames";
/** UTF-16 units of a frame in one message: as many as fit, escaped as badly as JSON can. */
const PART_LENGTH_MAX = 160_000;
/** Parts of one frame at most: one of 16 MiB has 105. */
const PARTS_MAX = 128;

/** A frame as it is kept. */
export interface Frame {
  readonly venue: string;
  /** Names the connection, or the capture, that it came from. */
  readonly connection: string;
  /** Its number there. */
  readonly number: number;
  /** µs since the epoch at its first byte; null where nobody noted it. */
  readonly receivedTime: number | null;
  /** The request that it answers. */
  readonly request?: string;
  /** Set where it answers with a book that is to be held against ours, and not to begin it. */
  readonly isComparison?: true;
  /** The instrument that it is about, where it does not say it itself. */
  readonly symbol?: string;
  /** Set where it is no word of the venue but what became of the connection, as JSON. */
  readonly isEvent?: true;
  readonly frame: string;
}

const Kept = z.strictObject({
  venue: z.string().refine(isVenue),
  connection: z.string().regex(/^[\w.-]{1,64}$/),
  number: z.int().min(0),
  receivedTime: z.int().refine(isMicros).nullable(),
  request: z.string().max(4096).optional(),
  isComparison: z.literal(true).optional(),
  symbol: z.string().max(128).optional(),
  isEvent: z.literal(true).optional(),
  part: z.tuple([z.int().min(0), z.int().min(2).max(PARTS_MAX)]).optional(),
  frame: z.string(),
});

export type Kept = z.infer<typeof Kept>;

/** A day, µs. */
const DAY = 86_400_000_000;

/**
 * The UTC day that a frame came on, in days since the epoch, of the message that keeps it or of the log's line around that;
 * null where nobody noted it. Within a text a quote is escaped, so that no frame can speak for its message.
 */
export function dayOf(text: string): number | null {
  const micros = /[{,]"receivedTime":(?:(\d{1,16})|null)[,}]/.exec(text)?.[1];
  return micros === undefined ? null : Math.floor(Number(micros) / DAY);
}

/** What a tick's `frame` says of where it came from. */
export const nameOf = ({ connection, number }: Pick<Frame, "connection" | "number">): string =>
  `${connection}/${number}`;

/** The messages that keep a frame, in order. */
export function messagesOf({ frame, ...about }: Frame): Pick<Message, "key" | "value">[] {
  const key = about.venue;
  if (frame.length <= PART_LENGTH_MAX) return [{ key, value: JSON.stringify({ ...about, frame }) }];
  const count = Math.ceil(frame.length / PART_LENGTH_MAX);
  return Array.from({ length: count }, (_, i) => {
    const piece = frame.slice(i * PART_LENGTH_MAX, (i + 1) * PART_LENGTH_MAX);
    return { key, value: JSON.stringify({ ...about, part: [i, count], frame: piece }) };
  });
}

/** Frames in order, and the offset to go on from once they are dealt with. */
export interface FrameBatch {
  readonly frames: readonly Frame[];
  readonly next: number;
}

/**
 * The frames of a venue from offset `from` of its partition up to `to`, as far as the tape reaches now; what another venue put
 * there is passed over. @throws {Refusal} for a message that is no frame, or whose parts are not together
 */
export async function* readFrames(
  log: Pick<Transport, "ranges" | "read">,
  venue: string,
  { from, to = Infinity }: { readonly from: number; readonly to?: number | undefined },
  signal: AbortSignal,
): AsyncGenerator<FrameBatch> {
  const ranges = await log.ranges(FRAMES);
  const partition = partitionOf(venue, ranges.length);
  const { low, high } = ranges[partition]!;
  let parts: Frame[] = [];
  // Whether what comes may be the rest of a frame whose beginning expired.
  let isRest = low > 0 && from <= low;
  // Where the frame begins whose parts are not together yet.
  let next = Math.max(from, low);
  for await (const records of log.read(FRAMES, partition, next, Math.min(high, to), signal)) {
    const frames: Frame[] = [];
    for (const record of records) {
      const { part, ...kept } = keptIn(record, partition);
      isRest &&= kept.venue !== venue || (part?.[0] ?? 0) > 0;
      if (kept.venue === venue && !isRest) {
        if ((part?.[0] ?? 0) !== parts.length) throw refused(record, partition, "is not the next part of its frame");
        parts.push(kept);
        if (parts.length < (part?.[1] ?? 1)) continue;
        frames.push({ ...kept, frame: parts.map(({ frame }) => frame).join("") });
        parts = [];
      }
      if (parts.length === 0) next = record.offset + 1;
    }
    if (frames.length > 0) yield { frames, next };
  }
}

function keptIn(record: LogRecord, partition: number): Kept {
  const kept = keptOf(record);
  if (kept === null) throw refused(record, partition, "is no frame");
  return kept;
}

/** What a message keeps of a frame, or of a part of it; null for one that keeps none. */
export function keptOf({ value }: Pick<Message, "value">): Kept | null {
  let parsed: unknown;
  try {
    parsed = typeof value === "string" ? JSON.parse(value) : undefined;
  } catch {
    parsed = undefined;
  }
  return Kept.safeParse(parsed).data ?? null;
}

function refused({ offset }: LogRecord, partition: number, state: string): Refusal {
  return new Refusal(`Cannot read frame "${FRAMES}/${partition}/${offset}": ${state}, must be as it was kept`);
}
