/**
 * The tape under a stage: which topics it works on, and how many partitions they have. Offsets mean something in the topic
 * that they were counted in alone, and a key has one partition for as long as their number stays.
 *
 * **In** looks at the log, **Out** a refusal when a topic is another one than before. **Knows** `transport`, `failure`.
 */
import { z } from "@zod/zod";
import { Misuse, Refusal } from "./failure.ts";
import type { Topic, Transport } from "./transport.ts";

const Topic = z.strictObject({ identity: z.string(), partitions: z.int() });
/** A tape as a checkpoint keeps it. */
export const SavedTape = z.record(z.string(), Topic);
/** Topics by name. A stage keeps it beside the offsets that its checkpoint counts. */
export type Tape = Readonly<Record<string, Topic>>;

const ANOTHER = "begin another tape: deno task pipeline --fresh, another --data or another prefix";

/**
 * `what` follows "Cannot".
 * @throws {Refusal} when a topic of `before` has another identity or another number of partitions `now`
 */
export function assertSame(what: string, before: Tape, now: Tape): void {
  for (const [topic, was] of Object.entries(before)) {
    const is = now[topic];
    if (is === undefined) continue;
    if (is.identity !== was.identity) {
      throw new Refusal(
        `Cannot ${what}: topic "${topic}" was deleted and made again, "${was.identity}" before and "${is.identity}" now, must be the one that its offsets were counted in; ${ANOTHER}`,
      );
    }
    if (is.partitions !== was.partitions) {
      throw new Refusal(
        `Cannot ${what}: topic "${topic}" has ${is.partitions} partitions and had ${was.partitions}, must keep them, since keys would change theirs; drain what was judged with --once of each sink, then ${ANOTHER}`,
      );
    }
  }
}

/** The topics of a stage at work: what they were at its start, and whether they still are. */
export class Watch {
  readonly tape: Tape;
  readonly #stage: string;
  readonly #topic: Transport["topic"];

  private constructor(stage: string, tape: Tape, topic: Transport["topic"]) {
    this.#stage = stage;
    this.tape = tape;
    this.#topic = topic;
  }

  static async begin(stage: string, topics: readonly string[], topic: Transport["topic"]): Promise<Watch> {
    const tape: Record<string, Topic> = {};
    for (const name of topics) tape[name] = await topic(name);
    return new Watch(stage, tape, topic);
  }

  /** @throws {Refusal} when a topic is gone, or is no longer what it was */
  async look(signal?: AbortSignal): Promise<void> {
    for (const name of Object.keys(this.tape)) {
      const what = `go on with ${this.#stage}`;
      try {
        assertSame(what, this.tape, { [name]: await this.#topic(name, signal) });
      } catch (error) {
        if (!(error instanceof Misuse)) throw error;
        throw new Refusal(`Cannot ${what}: topic "${name}" was deleted while it ran, must stay; ${ANOTHER}`);
      }
    }
  }
}
