/**
 * What came back: how many messages of a run were judged since they were sent, and how many of them were rejected again.
 *
 * **In** the run and both outputs of `validate`, **Out** two numbers. **Knows** `redrive`, `fence`, `transport`.
 */
import { rejectedOf, validOf } from "../fence.ts";
import { type Range, TOPICS, type Transport } from "../transport.ts";
import type { Run } from "./history.ts";

type Ranges = (topic: typeof TOPICS.valid | typeof TOPICS.rejected) => Promise<readonly Range[]>;

/** Records at the end of an output that are looked over for its last one: some offsets hold none. */
const TAIL = 16;

export class Echo {
  /** Messages of the run that were rejected again. */
  returned = 0;
  readonly #run: Run;
  readonly #log: Pick<Transport, "read">;
  readonly #ranges: Ranges;
  /** Offsets of what was sent and not judged yet, where this one saw it being sent. */
  readonly #unjudged = new Map<number, number[]>();
  /** The first offset of `ticks.raw` that is not judged, as far as is known. */
  readonly #judged: number[];
  readonly #read: number[];
  /** The last origin of `ticks.rejected` that was seen: what comes again counts once. */
  readonly #seen: number[];

  constructor(run: Run, log: Pick<Transport, "read">, ranges: Ranges) {
    this.#run = run;
    this.#log = log;
    this.#ranges = ranges;
    this.#judged = run.from.map(() => 0);
    this.#read = [...run.rejectedFrom];
    this.#seen = run.from.map(() => -1);
  }

  /** Notes that messages were appended. */
  sent(partition: number, first: number, next: number): void {
    const list = this.#unjudged.get(partition) ?? [];
    for (let offset = first; offset < next; offset++) list.push(offset);
    this.#unjudged.set(partition, list);
  }

  /** Messages of the run that were judged. Of a partition where nobody saw them being sent: none, until all are. */
  get judged(): number {
    return this.#run.sentIn.reduce((sum, sent, partition) => {
      if (this.#judged[partition]! >= this.#run.next[partition]!) return sum + sent;
      const left = this.#unjudged.get(partition);
      return left === undefined ? sum : sum + Math.max(0, sent - left.length);
    }, 0);
  }

  /** Looks how far the judge has come since. */
  async look(): Promise<void> {
    const [valid, rejected] = [await this.#ranges(TOPICS.valid), await this.#ranges(TOPICS.rejected)];
    for (const partition of this.#run.from.keys()) {
      await this.#lookAtRejected(partition, rejected[partition]);
      const judgedTo = await judgedIn(this.#log, partition, valid[partition]);
      this.#judged[partition] = Math.max(this.#judged[partition]!, judgedTo);
      const left = this.#unjudged.get(partition);
      if (left === undefined) continue;
      const judged = left.findIndex((offset) => offset >= this.#judged[partition]!);
      left.splice(0, judged < 0 ? left.length : judged);
    }
  }

  async #lookAtRejected(partition: number, range: Range | undefined): Promise<void> {
    const { low, high } = range ?? { low: 0, high: 0 };
    const from = Math.max(low, this.#read[partition]!);
    if (from >= high) return;
    const { from: first, next } = this.#run;
    for await (const records of this.#log.read(TOPICS.rejected, partition, from, high)) {
      for (const record of records) {
        const { origin, replays } = rejectedOf(record, { topic: TOPICS.rejected, partition });
        if (origin <= this.#seen[partition]!) continue;
        this.#seen[partition] = origin;
        this.#judged[partition] = Math.max(this.#judged[partition]!, origin + 1);
        if (replays > 0 && origin >= first[partition]! && origin < next[partition]!) this.returned++;
      }
    }
    this.#read[partition] = high;
  }
}

/** The first offset of `ticks.raw` behind everything that `ticks.valid` shows to be judged. */
export async function judgedIn(
  log: Pick<Transport, "read">,
  partition: number,
  range: Range | undefined,
): Promise<number> {
  const { low, high } = range ?? { low: 0, high: 0 };
  let judged = 0;
  if (low >= high) return judged;
  for await (const records of log.read(TOPICS.valid, partition, Math.max(low, high - TAIL), high)) {
    for (const record of records) {
      judged = Math.max(judged, validOf(record, { topic: TOPICS.valid, partition }).origin + 1);
    }
  }
  return judged;
}
