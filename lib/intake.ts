/**
 * How far sources have been read, and what was appended of them: a source is known by its content and its venue, so that
 * one that was read adds nothing and an interrupted one goes on where what it had appended ends.
 *
 * **In** a source, messages and frames, **Out** the same in the log, each once, and the position to go on from.
 * **Knows** `producer`, `source`, `frames`, `tape`, `transport`, `failure`, `world`.
 */
import { Misuse, Refusal } from "./failure.ts";
import { type Frame, FRAMES, messagesOf } from "./frames.ts";
import { Resumed } from "./producer.ts";
import type { Source } from "./source.ts";
import { assertSame, type Tape } from "./tape.ts";
import { type Checkpoint, type Message, partitionOf, type Range, TOPICS, type Transport } from "./transport.ts";
import type { World } from "./world.ts";

/** Whose checkpoint it is. */
const STAGE = "ingest";
/** What it appends to. */
type Output = typeof TOPICS.raw | typeof FRAMES;

/** How far a source has been read, and the producer's numbers then. */
interface Kept {
  readonly position: number;
  readonly done: boolean;
  /** How often it was asked for again. */
  readonly again: number;
  readonly numbers: readonly number[];
  /** Absent where an earlier version kept it, like all that follows. */
  readonly tape?: Tape;
  /** Where the source began then, whose beginning may expire. */
  readonly low?: number;
  readonly offsets?: readonly number[];
  /** The numbers of the frames that it kept; none where it kept none. */
  readonly frames?: { readonly numbers: readonly number[]; readonly offsets: readonly number[] } | null;
}

export interface IntakeOptions {
  readonly source: Source;
  /** What the user called it. */
  readonly from: string | undefined;
  /** Whether one that was read before is read again. */
  readonly again: boolean;
  /** Whether its frames are kept. */
  readonly frames: boolean;
  readonly claim: { readonly epoch: number; readonly checkpoint: Checkpoint | null };
  readonly log: Pick<Transport, "read" | "save" | "sync">;
  readonly ranges: (topic: Output) => Promise<readonly Range[]>;
  readonly send: (
    topic: Output,
    partition: number,
    messages: readonly Message[],
  ) => Promise<{ readonly first: number; readonly next: number }>;
  readonly tape: Tape;
  readonly world: Pick<World, "report">;
}

/** The position of one source in the making, and the appends that belong to it. */
export class Intake {
  /** From where on the source is to be read. */
  readonly position: number;
  /** Partitions of `ticks.raw`. */
  readonly partitions: number;
  readonly #options: IntakeOptions;
  readonly #sources: Record<string, Kept>;
  readonly #id: string;
  readonly #again: number;
  readonly #low: number;
  readonly #raw: Resumed;
  readonly #frames: Resumed;
  #saves: number;

  private constructor(
    options: IntakeOptions,
    sources: Record<string, Kept>,
    id: string,
    { position, again }: Kept,
    low: number,
    raw: Resumed,
    frames: Resumed,
  ) {
    this.#options = options;
    this.#sources = sources;
    this.#id = id;
    this.position = position;
    this.#again = again;
    this.#low = low;
    this.#raw = raw;
    this.#frames = frames;
    this.partitions = raw.numbers.length;
    this.#saves = options.claim.checkpoint?.nextOffset ?? 0;
  }

  /**
   * Goes on where the source was left; null where it was read to its end before.
   * @throws {Misuse} where it was begun otherwise
   * @throws {Refusal} where what an interrupted run had appended cannot be made again
   */
  static async open(options: IntakeOptions): Promise<Intake | null> {
    const { source, from, claim: { epoch, checkpoint }, log, ranges, send, tape, world } = options;
    const sources: Record<string, Kept> = checkpoint === null ? {} : JSON.parse(checkpoint.state);
    const places = await ranges(TOPICS.raw);
    const shelves = options.frames ? await ranges(FRAMES) : [];
    const known = knownAs(source, sources);
    const before = sources[known];
    assertSame("resume ingest", before?.tape ?? {}, tape);
    const low = source.low ?? 0;
    const fresh = { position: 0, done: false, numbers: places.map(() => 0), frames: null, low };
    let kept: Kept = before ?? { ...fresh, again: 0 };
    if (kept.done && !options.again) return null;
    if (kept.done) kept = { ...fresh, again: kept.again + 1 };
    if (kept === before && Boolean(kept.frames) !== options.frames) {
      throw new Misuse(
        `Cannot resume ingest of "${from}": it was begun ${
          kept.frames ? "with" : "without"
        } --frames, must be the same`,
      );
    }
    const isCut = kept === before && low > (kept.low ?? 0);
    if (isCut) {
      const { position } = kept;
      if (position < low) world.report(`frames ${position} to ${low - 1} are gone, and were never read`);
      kept = { ...kept, position: Math.max(position, low), low };
    }
    const id = `ingest-${known.slice(0, 16)}-${kept.again}`;
    const raw = await Resumed.open({
      ...{ id, epoch, numbers: kept.numbers, offsets: kept.offsets ?? null, topic: TOPICS.raw, ranges: places, log },
      send: (partition, messages) => send(TOPICS.raw, partition, messages),
    });
    const frames = await Resumed.open({
      ...{ id, epoch, numbers: kept.frames?.numbers ?? null, offsets: kept.frames?.offsets ?? null, log },
      ...{ topic: FRAMES, ranges: shelves },
      send: (partition, messages) => send(FRAMES, partition, messages),
    });
    // Without what expired the same messages are not made again, and those that are there cannot be passed over.
    if (isCut && (raw.repeats || frames.repeats)) {
      throw new Refusal(
        `Cannot resume ingest of "${from}": an interrupted run appended ticks of frames beyond its checkpoint, and what they were made of expired since, must be read into another tape: --data`,
      );
    }
    const intake = new Intake(options, sources, known, kept, low, raw, frames);
    // Others may append so much before this goes on that what an interrupted run had appended is not found behind it.
    if (kept !== before && !raw.repeats) await intake.save(kept.position, false);
    return intake;
  }

  /** Keeps frames as they came, where they are to be kept. */
  async keep(frames: readonly Frame[]): Promise<void> {
    if (frames.length === 0 || !this.#options.frames) return;
    const partition = partitionOf(frames[0]!.venue, this.#frames.numbers.length);
    await this.#frames.append(partition, frames.flatMap(messagesOf));
  }

  /** Appends messages to each partition of `ticks.raw`; by partition. */
  async append(lots: readonly (readonly Pick<Message, "key" | "value">[])[]): Promise<void> {
    await Promise.all(lots.map((lot, partition) => lot.length > 0 ? this.#raw.append(partition, lot) : undefined));
  }

  /** Everything before the position was appended. What is live has no position, and is only made durable. */
  async save(position: number, done: boolean): Promise<void> {
    const { source, claim: { epoch }, log, tape } = this.#options;
    await Promise.all(this.#raw.numbers.map((_, partition) => log.sync(TOPICS.raw, partition)));
    await Promise.all(this.#frames.numbers.map((_, partition) => log.sync(FRAMES, partition)));
    if (source.isLive) return;
    const { numbers, offsets } = this.#raw;
    const frames = this.#options.frames ? { numbers: this.#frames.numbers, offsets: this.#frames.offsets } : null;
    this.#sources[this.#id] = { position, done, again: this.#again, numbers, tape, low: this.#low, offsets, frames };
    const state = JSON.stringify(this.#sources);
    await log.save(STAGE, 0, { epoch, nextOffset: ++this.#saves, state });
  }
}

/** The name under which a source is kept. Of what an earlier version read without a tick, nobody knows whose words it is. */
function knownAs({ id, formerId = id }: Source, sources: Readonly<Record<string, Kept>>): string {
  const isFormer = sources[id] === undefined && sources[formerId]?.numbers.some((number) => number > 0);
  return isFormer ? formerId : id;
}
