/**
 * Bringing a rules file into force: a control record in every partition of `ticks.raw`, where the file says something else
 * than the one before it. What was said last is kept in a checkpoint, for comparison alone: verdicts follow from the log.
 *
 * **In** the text of a rules file, **Out** control records, and what is in force.
 * **Knows** `rule`, `producer`, `tape`, `transport`, `failure`.
 */
import { z } from "@zod/zod";
import { Misuse, printable, reasonOf } from "./failure.ts";
import { Resumed } from "./producer.ts";
import { RulesControl } from "./rule/control.ts";
import { type Entry, RulesFile } from "./rule/policy.ts";
import { assertSame, type Tape } from "./tape.ts";
import { type Message, MESSAGE_BYTES_MAX, type Range, TOPICS, type Transport } from "./transport.ts";

const STAGE = "rules";

/** What was said last, and where. */
interface Kept {
  readonly record: string;
  /** Whether all partitions hold it. */
  readonly isDone: boolean;
  /** Its offset in each partition, as far as it was said. */
  readonly at: readonly number[];
  readonly numbers: readonly number[];
  readonly offsets: readonly number[];
  readonly tape: Tape;
}

/** A rules file that was brought into force, and its offset in each partition. */
export interface Enacted {
  readonly rules: readonly Entry[];
  readonly at: readonly number[];
}

/** @throws {Misuse} for what is no rules file, naming the path and what is wrong there */
export function rulesIn(path: string, text: string): readonly Entry[] {
  const says = (state: string): Misuse =>
    new Misuse(`Cannot use rules "${path}": ${state}, must be as deno task rules schema shows`);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw says(`it is no JSON (${printable(reasonOf(error))})`);
  }
  const { data, error } = RulesFile.safeParse(value);
  if (data === undefined) {
    const { path: place, message } = error.issues[0]!;
    throw says(printable(`${place.join(".") || "all of it"}: ${message}`).slice(0, 500));
  }
  const bytes = new TextEncoder().encode(recordOf(data.rules)).length;
  if (bytes > MESSAGE_BYTES_MAX) throw says(`its record has ${bytes} bytes and may have ${MESSAGE_BYTES_MAX}`);
  return data.rules;
}

/** The JSON Schema of a rules file. */
export function rulesSchema(): unknown {
  return z.toJSONSchema(RulesFile, { io: "input" });
}

/** The control record that says so. */
export function recordOf(rules: readonly Entry[]): string {
  return JSON.stringify(RulesControl.parse({ control: "rules", rules }));
}

/** What was brought into force last; null where nothing ever was. */
export async function enacted(log: Pick<Transport, "load">): Promise<Enacted | null> {
  const checkpoint = await log.load(STAGE, 0);
  if (checkpoint === null) return null;
  const { record, at }: Kept = JSON.parse(checkpoint.state);
  return { rules: entriesIn(record), at };
}

/**
 * Says it in every partition, unless it was said last. A run that fell in between is gone on with.
 * @throws {Refusal} when the log is another one than before
 */
export async function enact(
  rules: readonly Entry[],
  { places, log, send, tape }: {
    readonly places: readonly Range[];
    readonly log: Pick<Transport, "claim" | "save" | "sync" | "read">;
    readonly send: (
      partition: number,
      messages: readonly Message[],
    ) => Promise<{ readonly first: number; readonly next: number }>;
    readonly tape: Tape;
  },
): Promise<Enacted & { readonly isNew: boolean }> {
  const { epoch, checkpoint } = await log.claim(STAGE, 0);
  const before: Kept | null = checkpoint === null ? null : JSON.parse(checkpoint.state);
  assertSame("apply rules", before?.tape ?? {}, tape);
  const resumed = await Resumed.open({
    ...{ id: STAGE, epoch, numbers: before?.numbers ?? null, offsets: before?.offsets ?? null, log, send },
    ...{ topic: TOPICS.raw, ranges: places },
  });
  let saves = checkpoint?.nextOffset ?? 0;
  const keep = async (record: string, isDone: boolean, at: readonly number[]): Promise<void> => {
    const { numbers, offsets } = resumed;
    const kept: Kept = { record, isDone, at, numbers: [...numbers], offsets: [...offsets], tape };
    await log.save(STAGE, 0, { epoch, nextOffset: ++saves, state: JSON.stringify(kept) });
  };
  const say = async (record: string): Promise<readonly number[]> => {
    // Kept first: a run that fell in between has told some partitions, and the next one tells the others the same.
    await keep(record, false, []);
    const message = { key: null, value: record, control: true } as const;
    const at = await Promise.all(places.map((_, partition) => resumed.append(partition, [message])));
    await Promise.all(places.map((_, partition) => log.sync(TOPICS.raw, partition)));
    await keep(record, true, at);
    return at;
  };
  const told = before?.isDone === false ? await say(before.record) : before?.at ?? [];
  const record = recordOf(rules);
  if (record === (before?.record ?? recordOf([]))) return { rules, at: told, isNew: false };
  return { rules, at: await say(record), isNew: true };
}

function entriesIn(record: string): readonly Entry[] {
  return RulesControl.parse(JSON.parse(record)).rules;
}
