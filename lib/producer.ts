/**
 * A producer that goes on where it stopped: every message carries the producer's id, epoch and number in its partition,
 * and what an interrupted run had already appended is passed over when it is made again.
 *
 * This needs a source that makes the same messages again from its checkpoint, and one producer of an id at a time.
 * **In** messages in order, **Out** the same in the log, each once. **Knows** `transport`.
 */
import type { Message, Range, Transport } from "./transport.ts";

/** How far back the last message is looked for where no checkpoint says from where on: an earlier version kept it. */
const TAIL_MAX = 65_536;

type Send = (
  partition: number,
  messages: readonly Message[],
  due?: number,
) => Promise<{ readonly first: number; readonly next: number }>;

export class Resumed {
  /** Number of the next message in each partition; keep it in the checkpoint. */
  readonly numbers: number[];
  /** Offsets in each partition before which that message does not lie; keep them in the checkpoint too. */
  readonly offsets: number[];
  readonly #id: string;
  readonly #epoch: number;
  readonly #send: Send;
  readonly #appended: readonly { readonly number: number; readonly offset: number }[];

  private constructor(
    id: string,
    epoch: number,
    numbers: number[],
    offsets: number[],
    send: Send,
    appended: readonly { number: number; offset: number }[],
  ) {
    this.#id = id;
    this.#epoch = epoch;
    this.numbers = numbers;
    this.offsets = offsets;
    this.#send = send;
    this.#appended = appended;
  }

  /**
   * Reads back the tail of each partition. `numbers` and `offsets` are what the checkpoint kept: null at the first run,
   * and offsets where an earlier version kept none.
   */
  static async open(
    { id, epoch, numbers, offsets, topic, ranges, log, send }: {
      readonly id: string;
      readonly epoch: number;
      readonly numbers: readonly number[] | null;
      readonly offsets: readonly number[] | null;
      readonly topic: string;
      readonly ranges: readonly Range[];
      readonly log: Pick<Transport, "read">;
      readonly send: Send;
    },
  ): Promise<Resumed> {
    const appended = await Promise.all(
      ranges.map((range, partition) => lastOf(id, log, topic, partition, range, offsets?.[partition])),
    );
    const made = numbers ? [...numbers] : ranges.map(() => 0);
    const begun = ranges.map(({ low, high }, p) => appended[p]!.number < made[p]! ? high : offsets?.[p] ?? low);
    return new Resumed(id, epoch, made, begun, send, appended);
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
    if (skipped === messages.length) {
      if (first + skipped > number) this.offsets[partition] = offset + 1;
      return offset - number + first;
    }
    const list: Message[] = [];
    for (let i = skipped; i < messages.length; i++) {
      const { key, value, control } = messages[i]!;
      const producer = { id: this.#id, epoch: this.#epoch, number: first + i };
      list.push(control ? { key, value, producer, control } : { key, value, producer });
    }
    const place = await this.#send(partition, list, due);
    this.offsets[partition] = place.next;
    return place.first - skipped;
  }
}

/** The producer's last message in a partition, from an offset on if that is known; -1 and the offset before the low end when there is none. */
async function lastOf(
  id: string,
  log: Pick<Transport, "read">,
  topic: string,
  partition: number,
  { low, high }: Range,
  since: number | undefined,
): Promise<{ number: number; offset: number }> {
  let last = { number: -1, offset: low - 1 };
  const first = Math.max(low, since ?? low);
  if (first >= high) return last;
  for (let reach = 16;; reach *= 16) {
    const from = Math.max(first, high - reach);
    for await (const records of log.read(topic, partition, from, high)) {
      for (const { offset, producer } of records) if (producer?.id === id) last = { number: producer.number, offset };
    }
    if (last.number >= 0 || from === first || since === undefined && reach >= TAIL_MAX) return last;
  }
}
