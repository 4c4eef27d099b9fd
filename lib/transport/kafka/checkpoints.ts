/**
 * Checkpoints on a compacted topic of one partition.
 *
 * A claim is a record, and its offset gives the epoch: offsets only rise, so no two claims are ever equal. A checkpoint
 * is a record with its epoch in its key, so that compaction never lets a zombie's late write stand for its successor's.
 * **In** states, **Out** the one of the highest `(epoch, nextOffset)`. **Knows** `transport`.
 */
import {
  assertFits,
  type Checkpoint,
  CHECKPOINT_BYTES_MAX,
  fenced,
  type LogRecord,
  type Message,
} from "../../transport.ts";

export const CHECKPOINT_TOPIC = "tapedeck.checkpoints";
/** Settings of the topic: a state with its key and frame fits, and old ones go soon. */
export const CHECKPOINT_TOPIC_CONFIG: Readonly<Record<string, string>> = {
  "cleanup.policy": "compact",
  "max.message.bytes": String(CHECKPOINT_BYTES_MAX + (64 << 10)),
  "segment.bytes": String(2 * CHECKPOINT_BYTES_MAX),
  "min.cleanable.dirty.ratio": "0.1",
};

/** The topic, as far as checkpoints need it. */
export interface CheckpointLog {
  append(message: Message): Promise<{ readonly first: number; readonly next: number }>;
  /** Records from an offset up to the end. */
  read(from: number): AsyncIterable<readonly LogRecord[]>;
  low(): Promise<number>;
  /** ms since the epoch. */
  now(): number;
}

/** A topic that nobody has made yet. */
export const NOTHING: Pick<CheckpointLog, "read" | "low"> = {
  async *read() {},
  low: () => Promise.resolve(0),
};

/** What is known of one stage's partition. */
interface Known {
  epoch: number;
  /** When the epoch was taken, ms since the epoch; 0 where an earlier version took it. */
  since: number;
  best: { readonly epoch: number; readonly nextOffset: number; readonly offset: number } | null;
  /** Epochs below the best one whose states still lie in the topic. */
  readonly old: Set<number>;
}

export class Checkpoints {
  readonly #log: CheckpointLog;
  readonly #known = new Map<string, Known>();
  #next: number | null = null;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(log: CheckpointLog) {
    this.#log = log;
  }

  claim(stage: string, partition: number): Promise<{ readonly epoch: number; readonly checkpoint: Checkpoint | null }> {
    return this.#inTurn(async () => {
      const { first } = await this.#log.append({
        key: JSON.stringify([stage, partition]),
        value: String(this.#log.now()),
      });
      return { epoch: first + 1, checkpoint: await this.#best(stage, partition) };
    });
  }

  load(stage: string, partition: number): Promise<Checkpoint | null> {
    return this.#inTurn(() => this.#best(stage, partition));
  }

  holder(stage: string, partition: number): Promise<{ readonly epoch: number; readonly since: number } | null> {
    return this.#inTurn(async () => {
      await this.#follow();
      const { epoch, since } = this.#of(stage, partition);
      return epoch === 0 ? null : { epoch, since };
    });
  }

  // deno-lint-ignore require-await -- a state that is too large rejects, it does not throw
  async save(stage: string, partition: number, checkpoint: Checkpoint): Promise<void> {
    assertFits(`${stage}/${partition}`, checkpoint);
    const { epoch, nextOffset, state } = checkpoint;
    const value = `${nextOffset}\n${state}`;
    return this.#inTurn(async () => {
      await this.#follow();
      const known = this.#of(stage, partition);
      if (known.epoch > epoch) throw fenced(`${stage}/${partition}`, epoch, known);
      await this.#log.append({ key: JSON.stringify([stage, partition, epoch]), value });
      for (const past of known.old) {
        // Compaction keeps the last of each key: of a state that no longer counts, an empty one.
        await this.#log.append({ key: JSON.stringify([stage, partition, past]), value: "" });
        known.old.delete(past);
      }
    });
  }

  async #best(stage: string, partition: number): Promise<Checkpoint | null> {
    await this.#follow();
    const { best } = this.#of(stage, partition);
    if (best === null) return null;
    for await (const records of this.#log.read(best.offset)) {
      const [{ offset, value }] = records as [LogRecord];
      // A newer one may have come, and compaction with it, since the look.
      if (offset !== best.offset) return await this.#best(stage, partition);
      const text = value as string;
      return { epoch: best.epoch, nextOffset: best.nextOffset, state: text.slice(text.indexOf("\n") + 1) };
    }
    return null;
  }

  /** Reads what was appended since the last time, whoever did it. */
  async #follow(): Promise<void> {
    this.#next ??= await this.#log.low();
    for await (const records of this.#log.read(this.#next)) {
      for (const record of records) this.#note(record);
      this.#next = records.at(-1)!.offset + 1;
    }
  }

  #note({ key, value, offset }: LogRecord): void {
    const [stage, partition, epoch]: [string, number, number?] = JSON.parse(key!);
    const known = this.#of(stage, partition);
    if (epoch === undefined) {
      known.epoch = Math.max(known.epoch, offset + 1);
      known.since = Number(value);
    } else if (value === "") known.old.delete(epoch);
    else {
      const text = value as string;
      const nextOffset = Number(text.slice(0, text.indexOf("\n")));
      const { best } = known;
      const counts = best === null || epoch > best.epoch || (epoch === best.epoch && nextOffset >= best.nextOffset);
      if (counts && best !== null && epoch > best.epoch) known.old.add(best.epoch);
      if (counts) known.best = { epoch, nextOffset, offset };
      else if (epoch < best.epoch) known.old.add(epoch);
    }
  }

  #of(stage: string, partition: number): Known {
    const name = JSON.stringify([stage, partition]);
    let known = this.#known.get(name);
    if (known === undefined) this.#known.set(name, known = { epoch: 0, since: 0, best: null, old: new Set() });
    return known;
  }

  /** One at a time: what is known must not change between a look and an append. */
  #inTurn<T>(act: () => Promise<T>): Promise<T> {
    const turn = this.#turn.then(act, act);
    this.#turn = turn.catch(() => {});
    return turn;
  }
}
