/**
 * A tape of its own on a shared cluster: every topic, group and stage gets a prefix, which its user never sees.
 *
 * **In**, **Out** see the door. **Knows** `transport`.
 */
import type {
  Batch,
  Checkpoint,
  LogRecord,
  Message,
  Range,
  ReceiveOptions,
  Topic,
  Transport,
} from "../../transport.ts";

export class Prefixed implements Transport {
  readonly describes: string;
  readonly #log: Transport;
  readonly #prefix: string;

  constructor(log: Transport, prefix: string) {
    this.#log = log;
    this.#prefix = prefix;
    this.describes = `${log.describes}, prefix ${prefix}`;
  }

  create(topic: string, partitions: number): Promise<void> {
    return this.#log.create(this.#prefix + topic, partitions);
  }

  ranges(topic: string): Promise<readonly Range[]> {
    return this.#log.ranges(this.#prefix + topic);
  }

  topic(topic: string, signal?: AbortSignal): Promise<Topic> {
    return this.#log.topic(this.#prefix + topic, signal);
  }

  append(topic: string, partition: number, messages: readonly Message[]): Promise<{ first: number; next: number }> {
    return this.#log.append(this.#prefix + topic, partition, messages);
  }

  async *receive<Topic extends string>(options: ReceiveOptions<Topic>): AsyncGenerator<Batch> {
    const own = (topic: string): Topic => topic.slice(this.#prefix.length) as Topic;
    const { topics, group, start, stop, ...others } = options;
    const batches = this.#log.receive<string>({
      ...others,
      topics: topics.map((topic) => this.#prefix + topic),
      group: this.#prefix + group,
      ...(stop && { stop: (topic: string, partition: number) => stop(own(topic), partition) }),
      ...(start && { start: (topic: string, partition: number, range: Range) => start(own(topic), partition, range) }),
    });
    for await (const batch of batches) yield { ...batch, topic: own(batch.topic), ack: () => batch.ack() };
  }

  read(
    topic: string,
    partition: number,
    from: number,
    to: number,
    signal?: AbortSignal,
  ): AsyncIterable<readonly LogRecord[]> {
    return this.#log.read(this.#prefix + topic, partition, from, to, signal);
  }

  sync(topic: string, partition: number, upTo?: number): Promise<void> {
    return this.#log.sync(this.#prefix + topic, partition, upTo);
  }

  claim(stage: string, partition: number): Promise<{ epoch: number; checkpoint: Checkpoint | null }> {
    return this.#log.claim(this.#prefix + stage, partition);
  }

  save(stage: string, partition: number, checkpoint: Checkpoint): Promise<void> {
    return this.#log.save(this.#prefix + stage, partition, checkpoint);
  }

  load(stage: string, partition: number): Promise<Checkpoint | null> {
    return this.#log.load(this.#prefix + stage, partition);
  }

  async holder(stage: string, partition: number): Promise<{ epoch: number; since: number } | null> {
    return await this.#log.holder?.(this.#prefix + stage, partition) ?? null;
  }

  async acknowledged(group: string, topic: string, partition: number): Promise<number | null> {
    return await this.#log.acknowledged?.(this.#prefix + group, this.#prefix + topic, partition) ?? null;
  }

  async clock(): Promise<number | null> {
    return await this.#log.clock?.() ?? null;
  }

  close(): Promise<void> {
    return this.#log.close();
  }
}
