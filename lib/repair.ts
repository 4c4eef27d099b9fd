/**
 * Writes damaged files of the lake again from the log: the origins of their unit are read back, the same rows give the
 * same bytes, and the ledger's hash is the judge. Whatever cannot be mended stays as it is, with the reason.
 *
 * **In** the log and the lake, **Out** what became of each damaged file.
 * **Knows** `fence`, `lake`, `table`, `transport`, `failure`.
 */
import { reasonOf, Refusal } from "./failure.ts";
import { validOf } from "./fence.ts";
import type { Lake, Sheet, Unit } from "./lake.ts";
import { rowOf, TABLE_OF } from "./table.ts";
import { type Range, TOPICS, type Transport } from "./transport.ts";

/** What became of a damaged file: `kept` is where the bytes that lay there are now, null where none did. */
export type Repair =
  | { readonly path: string; readonly mended: true; readonly was: string; readonly kept: string | null }
  | { readonly path: string; readonly mended: false; readonly why: string };

interface Sources {
  readonly log: Pick<Transport, "read" | "topic">;
  readonly ranges: (topic: typeof TOPICS.valid) => Promise<readonly Range[]>;
  readonly lake: Lake;
  readonly signal: AbortSignal;
}

/** Mends every missing or changed file of the ledger that the log still has the rows of. It may run beside the sink. */
export async function repair(sources: Sources): Promise<readonly Repair[]> {
  const { lake, signal } = sources;
  const damages = new Map((await lake.damages()).map((damage) => [damage.path, damage.kind]));
  const repairs: Repair[] = [];
  for (const unit of await lake.units()) {
    const damaged = unit.files.filter(({ path }) => damages.has(path));
    if (damaged.length === 0 || signal.aborted) continue;
    const sheet = await unlessRefused(() => sheetOf(unit, sources));
    for (const file of damaged) {
      const { path } = file;
      const kept = sheet instanceof Refusal ? sheet : await unlessRefused(() => lake.mend(file, sheet));
      repairs.push(
        kept instanceof Refusal
          ? { path, mended: false, why: reasonOf(kept) }
          : { path, mended: true, was: damages.get(path)!, kept },
      );
    }
  }
  return repairs;
}

/** The unit's rows as `sink-cold` had them. @throws {Refusal} when the log has not all of them any more */
async function sheetOf(unit: Unit, { log, ranges, lake, signal }: Sources): Promise<Sheet> {
  const { topic, partition, first, last, from, next } = unit;
  const refusal = (state: string, wanted: string): Refusal =>
    new Refusal(
      `Cannot read origins ${first} to ${last} of "${topic}/${partition}" again: ${state}, must be ${wanted}`,
    );
  const held = (await lake.holdings()).find((h) => h.topic === topic && h.partition === partition)!;
  const { identity } = await log.topic(TOPICS.valid);
  if (held.identity !== identity) {
    throw refusal(`the lake was fed from log "${held.identity}" and this is "${identity}"`, "the same log");
  }
  const { low, high } = (await ranges(TOPICS.valid))[partition] ?? { low: 0, high: 0 };
  const sheet = lake.sheet({ ...held, origin: first - 1 });
  for await (const records of log.read(TOPICS.valid, partition, Math.max(low, from), Math.min(next, high), signal)) {
    for (const record of records) {
      const tick = validOf(record, unit);
      // What was there twice was stored once.
      if (tick.origin >= first && tick.origin > sheet.last) sheet.add(TABLE_OF[tick.type], rowOf(tick, partition));
    }
  }
  if (sheet.first === first && sheet.last === last) return sheet;
  throw refusal(
    `the log holds offsets ${low} to ${high - 1} and they are at ${from} to ${next - 1}`,
    "in the log, or the file put back from a copy",
  );
}

/** What `act` gives, or the refusal that it ends in. */
async function unlessRefused<T>(act: () => Promise<T>): Promise<T | Refusal> {
  try {
    return await act();
  } catch (error) {
    if (error instanceof Refusal) return error;
    throw error;
  }
}
