/**
 * The door to the log: topics of partitions of records, appended in order, read in order, at least once until
 * acknowledged. Residents: `transport/memory`, `log`, `kafka`, `stdio`; the URL's scheme is the file's name.
 *
 * Promises (`transport_test.ts` holds every resident to them): order per partition; a reader that does not ask gets
 * nothing; one group's readers share the partitions; an abort ends after the batch in hand; a drain ends at the ends as
 * they were when it was asked for; offsets rise but may have holes.
 * **Knows** `failure`, `world`.
 */
import { Buffer } from "node:buffer";
import { Fenced, Misuse, shownUrl } from "./failure.ts";
import type { World } from "./world.ts";

/** Text is one valid JSON line when it is appended; whatever else travels travels as bytes. */
export type Value = string | Uint8Array;

/** Who produced a message: identity, the epoch of its run, and the number of the message in this partition. */
export interface Producer {
  readonly id: string;
  readonly epoch: number;
  readonly number: number;
}

/** What is appended. A control message changes the rules and is neither valid nor rejected. */
export interface Message {
  readonly key: string | null;
  readonly value: Value;
  readonly producer?: Producer;
  readonly control?: true;
}

/** What is read: the message and its offset. Text may be any text here, valid JSON or not. */
export interface LogRecord extends Message {
  readonly offset: number;
}

/** Records of one partition in rising order. `next` is the offset to resume at, which may lie beyond the last record. */
export interface Batch {
  readonly topic: string;
  readonly partition: number;
  readonly records: readonly LogRecord[];
  readonly next: number;
  /** The first offset that the partition does not hold yet, as last seen; for lag. */
  readonly high: number;
  /** Says that everything up to `next` is applied. Best effort: the truth is where the applied data lies. */
  ack(): Promise<void>;
}

/** The half-open range of offsets that a partition holds. */
export interface Range {
  readonly low: number;
  readonly high: number;
}

/** What makes a topic that topic. */
export interface Topic {
  /** Names the log and the topic, for ever: offsets of another identity mean something else. */
  readonly identity: string;
  /** How many: a key keeps its partition for as long as this stays. */
  readonly partitions: number;
}

/** A stage's state at an offset. The highest `(epoch, nextOffset)` counts. */
export interface Checkpoint {
  readonly epoch: number;
  readonly nextOffset: number;
  /** JSON text, at most {@linkcode CHECKPOINT_BYTES_MAX}. */
  readonly state: string;
}

export interface ReceiveOptions<Topic extends string = string> {
  readonly topics: readonly Topic[];
  /** Readers of one group share the partitions. */
  readonly group: string;
  /** Asked when a partition is assigned: where to start. Without it the group's acknowledged offset, else the low end. */
  readonly start?: (topic: Topic, partition: number, range: Range) => Promise<number>;
  /** Told when a partition is taken away: before another reader gets it where the log can wait, else as soon as known. */
  readonly stop?: (topic: Topic, partition: number) => Promise<void>;
  /** Ends the stream after the batch in hand. */
  readonly signal: AbortSignal;
  /** Ends the stream at the ends of the topics as they are when this fires (at the start, if it has fired already). */
  readonly drain?: AbortSignal;
  /** Records in a batch at most. */
  readonly batchMax?: number;
}

export interface Transport {
  /** Makes the topic with this many partitions, or checks that it has them. @throws {Refusal} on another count */
  create(topic: string, partitions: number): Promise<void>;
  /** What each partition holds. @throws {Misuse} when the topic does not exist, saying how to create it */
  ranges(topic: string): Promise<readonly Range[]>;
  /** The topic as it is now, never as it was remembered. @throws {Misuse} when it does not exist */
  topic(topic: string, signal?: AbortSignal): Promise<Topic>;
  /** Appends in order and resolves when acknowledged. At most one append in flight per partition. Gives the first and next offset. */
  append(
    topic: string,
    partition: number,
    messages: readonly Message[],
  ): Promise<{ readonly first: number; readonly next: number }>;
  /** The stream of one reader of a group. */
  receive<Topic extends string>(options: ReceiveOptions<Topic>): AsyncIterable<Batch>;
  /** A bounded scan without a group: records from offset `from` up to, not including, `to`. */
  read(
    topic: string,
    partition: number,
    from: number,
    to: number,
    signal?: AbortSignal,
  ): AsyncIterable<readonly LogRecord[]>;
  /** Makes what the partition holds before offset `upTo` durable, whoever wrote it; all of it where none is given. */
  sync(topic: string, partition: number, upTo?: number): Promise<void>;
  /** Takes the stage's partition: raises its epoch, and gives the highest checkpoint, with the new epoch. */
  claim(stage: string, partition: number): Promise<{ readonly epoch: number; readonly checkpoint: Checkpoint | null }>;
  /** Writes a checkpoint durably. @throws {Fenced} when a higher epoch has claimed the partition, {Misuse} when its state is too large */
  save(stage: string, partition: number, checkpoint: Checkpoint): Promise<void>;
  /** The highest checkpoint, without claiming. */
  load(stage: string, partition: number): Promise<Checkpoint | null>;
  /**
   * Who claimed the partition last, without claiming: `since` in ms since the epoch, 0 where nobody noted it. Absent where
   * the log keeps no checkpoints.
   */
  holder?(stage: string, partition: number): Promise<{ readonly epoch: number; readonly since: number } | null>;
  /** Whether a process that lives reads the partition for the group, and which; absent where the log cannot tell. */
  reader?(group: string, topic: string, partition: number): Promise<{ readonly pid: number | null } | null>;
  /** The offset up to which a group has acknowledged a partition; null where it never did, absent where nobody notes it. */
  acknowledged?(group: string, topic: string, partition: number): Promise<number | null>;
  /** When the highest checkpoint was saved, ms since the epoch; null before the first, absent where that is not kept. */
  savedAt?(stage: string, partition: number): Promise<number | null>;
  /**
   * The folders that the partitions of a topic lie in; absent where they are a server's, or nowhere.
   * @throws {Misuse} when the topic does not exist
   */
  folders?(topic: string): readonly string[];
  /** What the log's own clock says, ms since the epoch; null where it does not tell, absent where it has none. */
  clock?(): Promise<number | null>;
  /** What its files say of their format; absent where that is the server's business. */
  readonly version?: string;
  /** One line for the user: where this is and how durable an acknowledgement is. */
  readonly describes: string;
  close(): Promise<void>;
}

/** The refusal of a checkpoint whose epoch is over: who holds the partition since when. `since` is 0 where nobody noted it. */
export function fenced(
  name: string,
  epoch: number,
  holder: { readonly epoch: number; readonly since: number },
): Fenced {
  const since = holder.since === 0 ? "a time that is not noted" : new Date(holder.since).toISOString();
  return new Fenced(
    `Cannot save checkpoint "${name}": epoch ${holder.epoch} holds it since ${since} and this one has epoch ${epoch}, must hold the newest`,
  );
}

/** @throws {Misuse} when a checkpoint's state is larger than one may be; `name` is for the message */
export function assertFits(name: string, { state }: Checkpoint): void {
  // A UTF-16 unit has three bytes at most, and counting the bytes of a long text takes time.
  if (state.length * 3 <= CHECKPOINT_BYTES_MAX) return;
  const bytes = Buffer.byteLength(state);
  if (bytes <= CHECKPOINT_BYTES_MAX) return;
  throw new Misuse(
    `Cannot save checkpoint "${name}": its state has ${bytes} bytes, must have at most ${CHECKPOINT_BYTES_MAX}`,
  );
}

export const CHECKPOINT_BYTES_MAX = 32 << 20;
/** Bytes that one message may have. */
export const MESSAGE_BYTES_MAX = 1 << 20;
/** UTF-16 units that a message's key may have; of a longer one that somebody else wrote the beginning is read. */
export const KEY_LENGTH_MAX = 1 << 10;
export const TOPICS = {
  raw: "ticks.raw",
  valid: "ticks.valid",
  rejected: "ticks.rejected",
} as const;

/** Bytes that `validate` may add to a sound tick: where it came from, what was noticed, numbers written out. */
const VERDICT_BYTES_MAX = 1 << 10;

/** Bytes that a message of this topic may have: a rejected message holds another one, in base64 if it must. */
export function messageBytesMax(topic: string): number {
  if (topic.endsWith(TOPICS.rejected)) return 2 * MESSAGE_BYTES_MAX;
  return topic.endsWith(TOPICS.valid) ? MESSAGE_BYTES_MAX + VERDICT_BYTES_MAX : MESSAGE_BYTES_MAX;
}

/** Opens the resident that the URL's scheme names. @throws {Misuse} for an unknown scheme */
export async function openTransport(url: string, world: World): Promise<Transport> {
  const scheme = url.slice(0, url.indexOf(":"));
  if (!/^[a-z][a-z0-9]*$/.test(scheme) || !SCHEMES.includes(scheme)) {
    throw new Misuse(
      `Cannot open transport "${shownUrl(url)}": its scheme is unknown, must be one of ${SCHEMES.join(", ")}`,
    );
  }
  const resident: { open(url: string, world: World): Promise<Transport> } = await import(`./transport/${scheme}.ts`);
  return await resident.open(url, world);
}
const SCHEMES = ["log", "memory", "kafka", "stdio"];

/** The partition of a key: murmur2 of its UTF-8 bytes, as the Java client's default partitioner chooses. */
export function partitionOf(key: string, partitions: number): number {
  const data = Buffer.from(key);
  const m = 0x5bd1e995;
  let h = 0x9747b28c ^ data.length;
  let i = 0;
  for (; i + 4 <= data.length; i += 4) {
    let k = Math.imul(data.readInt32LE(i), m);
    k ^= k >>> 24;
    h = Math.imul(h, m) ^ Math.imul(k, m);
  }
  const rest = data.length - i;
  if (rest > 2) h ^= data[i + 2]! << 16;
  if (rest > 1) h ^= data[i + 1]! << 8;
  if (rest > 0) h = Math.imul(h ^ data[i]!, m);
  h = Math.imul(h ^ (h >>> 13), m);
  h ^= h >>> 15;
  return (h & 0x7fffffff) % partitions;
}
