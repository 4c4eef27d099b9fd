/**
 * What a ledger's entries come to: who owns the partition, how far it is applied, what is bound, and the units.
 *
 * `owner` takes the partition at a new epoch; `intent` binds the next unit's range; `unit` names files and the offset to
 * resume at; `gap` gives up what lies before another such offset. One function judges whether an entry may follow, for the writer
 * before it writes and for every reader.
 * **In** entries, **Out** an account, or why an entry cannot follow. **Knows** `fence`, `lake`, `table`.
 */
import { z } from "@zod/zod";
import type { Gap as GivenUp, Holding } from "../../fence.ts";
import type { Unit } from "../../lake.ts";
import { TABLE_NAMES } from "../../table.ts";

/**
 * Version of the entries, which each owner says for those that follow: 1 had no `gap`. A program refuses a ledger that
 * says a newer one.
 */
export const FORMAT = 2;

const count = z.int().min(0);
const hash = z.string().regex(/^[0-9a-f]{64}$/);
const File = z.strictObject({
  table: z.enum(TABLE_NAMES),
  date: z.string().regex(/^\d{4}-\d\d-\d\d$/),
  path: z.string().regex(/^[a-z]+\/date=[\d-]+\/[^/]+\.parquet$/),
  rows: count,
  bytes: count,
  sha256: hash,
});
const Owner = z.strictObject({
  kind: z.literal("owner"),
  prev: hash,
  format: z.int().min(1).max(FORMAT),
  sink: z.string(),
  topic: z.string(),
  partition: count,
  identity: z.string(),
  epoch: z.int().min(1),
  next: count,
  origin: z.int().min(-1),
  /** When the epoch was taken, ms since the epoch, and by which process. */
  since: count,
  pid: count,
});
const range = { epoch: z.int().min(1), first: z.int().min(-1), last: z.int().min(-1) };
const Intent = z.strictObject({ kind: z.literal("intent"), prev: hash, ...range });
const Unit = z.strictObject({
  kind: z.literal("unit"),
  prev: hash,
  ...range,
  next: count,
  /** What wrote the files: another engine may give other bytes. */
  engine: z.string(),
  files: z.array(File),
});
/** Everything before `next` is given up, since the log lost it before it was applied. */
const Gap = z.strictObject({ kind: z.literal("gap"), prev: hash, epoch: z.int().min(1), next: count, at: count });

/** The line of an owner whose entries this program does not know, whatever else it says. */
export const Newer = z.looseObject({ kind: z.literal("owner"), format: z.int().min(FORMAT + 1) });

/** A line of the ledger, with its place in the chain. */
export const Entry = z.discriminatedUnion("kind", [Owner, Intent, Unit, Gap]);
type Unchained<E> = E extends { readonly prev: string } ? Readonly<Omit<E, "prev">> : never;
/** An entry before it has its place in the chain. */
export type Line = Unchained<z.infer<typeof Entry>>;
export type UnitLine = Extract<Line, { kind: "unit" }>;

/** Why an entry cannot follow the ones before it. */
export interface Fault {
  readonly kind: "ledger" | "overlap";
  readonly detail: string;
}

export interface Account {
  /** Null before the first owner. */
  readonly holding: Holding | null;
  /** The owner's process; 0 before the first. */
  readonly pid: number;
  /** The cut that is bound and not published. */
  readonly intent: { readonly first: number; readonly last: number } | null;
  readonly units: readonly UnitLine[];
  readonly gaps: readonly GivenUp[];
}
export const EMPTY: Account = { holding: null, pid: 0, intent: null, units: [], gaps: [] };

/** Why `line` may not come next; null when it may. */
export function faultOf({ holding, intent }: Account, line: Line): Fault | null {
  const broken = (detail: string): Fault => ({ kind: "ledger", detail });
  if (line.kind === "owner") {
    if (holding === null) return line.epoch === 1 ? null : broken(`it begins at epoch ${line.epoch}`);
    if (line.epoch !== holding.epoch + 1) return broken(`epoch ${line.epoch} follows epoch ${holding.epoch}`);
    const same = (["sink", "topic", "partition", "identity", "next", "origin"] as const)
      .every((name) => line[name] === holding[name]);
    return same ? null : broken(`epoch ${line.epoch} takes over what epoch ${holding.epoch} did not leave`);
  }
  if (line.epoch !== holding?.epoch) return broken(overtaken(line.epoch, holding));
  if (line.kind === "gap") {
    return line.next > holding.next ? null : broken(`a gap from ${holding.next} ends before ${line.next}`);
  }
  const { first, last } = line;
  if (intent !== null && (intent.first !== first || intent.last !== last)) {
    return broken(`range ${first} to ${last} comes where ${intent.first} to ${intent.last} is bound by an intent`);
  }
  if (line.kind === "unit") {
    if (line.next < holding.next) {
      return { kind: "overlap", detail: `it resumes at ${line.next}, before ${holding.next}` };
    }
    // A unit without rows only moves the offset to resume at.
    if (first === -1 && last === -1 && line.files.length === 0) return null;
  }
  if (first > holding.origin && last >= first) return null;
  return { kind: "overlap", detail: `range ${first} to ${last} comes after origin ${holding.origin}` };
}

function overtaken(epoch: number, holding: Holding | null): string {
  if (holding === null) return `epoch ${epoch} writes while nobody owns`;
  return `epoch ${epoch} writes while epoch ${holding.epoch} owns since ${new Date(holding.since).toISOString()}`;
}

/** The account after a line that may follow. The list of units is the account's own and grows in place. */
export function follow(account: Account, line: Line): Account {
  if (line.kind === "owner") {
    const { sink, topic, partition, identity, epoch, next, origin, since, pid } = line;
    return { ...account, pid, holding: { sink, topic, partition, identity, epoch, next, origin, since } };
  }
  if (line.kind === "intent") return { ...account, intent: { first: line.first, last: line.last } };
  const holding = account.holding!;
  if (line.kind === "gap") {
    const { sink, topic, partition, next: from } = holding;
    const gap = { sink, topic, partition, first: from, last: line.next - 1, at: line.at };
    // The rows of a cut that was bound may have been lost with the rest.
    return { ...account, intent: null, gaps: [...account.gaps, gap], holding: { ...holding, next: line.next } };
  }
  (account.units as UnitLine[]).push(line);
  const origin = line.last < 0 ? holding.origin : line.last;
  return { ...account, intent: null, holding: { ...holding, next: line.next, origin } };
}

/** The units of an account that have rows. */
export function unitsOf({ holding, units }: Account): Unit[] {
  return units.flatMap(({ first, last, next, files }, i) => {
    const { topic, partition } = holding!;
    const from = units[i - 1]?.next ?? 0;
    return first < 0 ? [] : [{ topic, partition, first, last, from, next, files }];
  });
}
