/**
 * A producer that goes on where it stopped: every message carries the producer's id, epoch and number in its partition,
 * and what an interrupted run had already appended is passed over when it is made again.
 *
 * This needs a source that makes the same messages again from its checkpoint, and one producer of an id at a time.
 * **In** messages in order, **Out** the same in the log, each once. **Knows** `transport`.
 */
import type { Message, Range, Transport } from "./transport.ts";

/** How far back the last message is looked for in a partition that others write too. */
const TAIL_MAX = 65_536;

type Send = (partition: number, messages: readonly Message[], due?: number) => Promise<{ readonly first: number }>;

export class Resumed {
  /** Number of the next message in each partition; keep it in the checkpoint. */
  readonly numbers: number[];
  readonly #id: string;
  readonly #epoch: number;
  readonly #send: Send;
  readonly #appended: readonly { readonly number: number; readonly offset: number }[];

  private constructor(
    id: string,
    epoch: number,
    numbers: number[],
    send: Send,
    appended: readonly { number: number; offset: number }[],
  ) {
    this.#id = id;
    this.#epoch = epoch;
    this.numbers = numbers;
    this.#send = send;
    this.#appended = appended;
  }

  /** Reads back the tail of each partition. `numbers` is what the checkpoint kept; null at the first run. */
  static async open(
    { id, epoch, numbers, topic, ranges, log, send }: {
      readonly id: string;
      readonly epoch: number;
      readonly numbers: readonly number[] | null;
      readonly topic: string;
      readonly ranges: readonly Range[];
      readonly log: Pick<Transport, "read">;
      readonly send: Send;
    },
  ): Promise<Resumed> {
    const appended = await Promise.all(ranges.map((range, partition) => lastOf(id, log, topic, partition, range)));
    return new Resumed(id, epoch, numbers ? [...numbers] : ranges.map(() => 0), send, appended);
  }

  /** Whether the next message of some partition is in the log already. */
  get repeats(): boolean {
    return this.numbers.some((number, partition) => number <= this.#appended[partition]!.number);
  }

  /** Appends what is not there yet and gives the offset of the first message, there or not. `due` is for latency, ms. */
  async append(
    partition: number,
    messages: readonly Pick<Message, "key" | "value" | "control">[],
    due?: number,
  ): Promise<number> {
    const first = this.numbers[partition]!;
    this.numbers[partition] = first + messages.length;
    const { number, offset } = this.#appended[partition]!;
    const skipped = Math.min(messages.length, Math.max(0, number + 1 - first));
    if (skipped === messages.length) return offset - number + first;
    const list: Message[] = [];
    for (let i = skipped; i < messages.length; i++) {
      const { key, value, control } = messages[i]!;
      const producer = { id: this.#id, epoch: this.#epoch, number: first + i };
      list.push(control ? { key, value, producer, control } : { key, value, producer });
    }
    return (await this.#send(partition, list, due)).first - skipped;
  }
}

/** The producer's last message in a partition; -1 and the offset before the low end when there is none. */
async function lastOf(
  id: string,
  log: Pick<Transport, "read">,
  topic: string,
  partition: number,
  { low, high }: Range,
): Promise<{ number: number; offset: number }> {
  let last = { number: -1, offset: low - 1 };
  if (low === high) return last;
  for (let reach = 16;; reach *= 16) {
    const from = Math.max(low, high - reach);
    for await (const records of log.read(topic, partition, from, high)) {
      for (const { offset, producer } of records) if (producer?.id === id) last = { number: producer.number, offset };
    }
    if (last.number >= 0 || from === low || reach >= TAIL_MAX) return last;
  }
}
