/**
 * A suite for an instrument, from what its days were: every check that holds, with the strictest bound that does and some
 * room, and why each was chosen. What is suggested was asked of those very days, and passes.
 *
 * **In** whom to ask, **Out** expectations and what could not be suggested. **Knows** `check`.
 */
import type { Result } from "./check.ts";
import { type Candidate, CANDIDATES, type Parameters, unusualOf } from "./profile/candidates.ts";

/** An expectation as a suite has it. */
export interface Proposal extends Parameters {
  readonly name: string;
  readonly check: string;
  readonly severity: "error" | "warning";
  readonly venue: string;
  readonly symbol: string;
  readonly tables: readonly string[];
  readonly why: string;
}

export interface Profile {
  readonly expectations: readonly Proposal[];
  /** What was asked and is not suggested, and why. */
  readonly left: readonly string[];
  readonly dates: readonly string[];
}

/** Runs expectations over the days that are profiled. */
export type Ask = (expectations: readonly Proposal[]) => Promise<readonly Result[]>;

/** Tables whose rows are counted. */
const TABLES = ["trades", "quotes", "books", "deltas", "status", "built"] as const;
/** Days without which nothing is unusual. */
const DAYS_MIN = 3;
/** A check that more than this share of rows fails is none for the instrument. */
const FAILING_MAX = 0.1;

/** A candidate whose bound is sought: it fails at all steps before `from`, and holds at `to`, which may be one too many. */
interface Search {
  readonly candidate: Candidate;
  readonly name: string;
  from: number;
  to: number;
}

/** The profile of an instrument of a venue. */
export async function profileOf(venue: string, symbol: string, ask: Ask): Promise<Profile> {
  const proposed = (candidate: Candidate, name: string, step: number, more: object = {}): Proposal => {
    const { check, severity, table, steps } = candidate;
    return { name, check, severity, venue, symbol, tables: [table], why: "", ...steps[step]!.parameters, ...more };
  };
  const counts = await countsOf(venue, symbol, ask);
  const dates = [...new Set([...counts.values()].flatMap((days) => [...days.keys()]))].sort();
  if (dates.length === 0) return { expectations: [], left: [], dates };
  const days = dates.length === 1 ? dates[0]! : `${dates.length} days, ${dates[0]} to ${dates.at(-1)}`;
  const found: Proposal[] = [...counts].map(([table, each]) => rowsOf(venue, symbol, table, [...each.values()], days));
  const left: string[] = [];

  let open: Search[] = [
    ...CANDIDATES.filter(({ table }) => counts.has(table)),
    ...[...counts].filter(([table, each]) => each.size >= DAYS_MIN && table !== "status" && table !== "built").flatMap((
      [table, each],
    ) => unusualOf(table, symbol, [...each.values()])),
  ].map((candidate) => ({ candidate, name: nameOf(candidate), from: 0, to: candidate.steps.length }));
  while (open.length > 0) {
    const results = Map.groupBy(
      await ask(open.map((search) => proposed(search.candidate, search.name, middleOf(search)))),
      ({ name }) => name,
    );
    open = open.filter((search) => {
      const { candidate, name } = search;
      const told = results.get(name) ?? [];
      // It has nothing to say of this instrument.
      if (told.length === 0) return false;
      const at = middleOf(search);
      if (told.every(({ status }) => status === "pass")) search.to = at;
      else search.from = at + 1;
      if (search.from < search.to) return true;
      if (search.to < candidate.steps.length) {
        const { step, why } = chosenOf(candidate, search.to, days);
        found.push(proposed(candidate, name, step, { why }));
        return false;
      }
      const tolerated = candidate.steps.length > 1 ? null : toleratedOf(told, counts.get(candidate.table)!, days);
      if (tolerated === null) left.push(`${name}: ${told.find(({ status }) => status === "fail")!.observed}`);
      else found.push(proposed(candidate, name, 0, tolerated));
      return false;
    });
  }
  const order = new Map(
    [...TABLES.map((table) => `rows of ${table}`), ...CANDIDATES.map(nameOf)].map((name, i) => [name, i]),
  );
  found.sort((a, b) => (order.get(a.name) ?? Infinity) - (order.get(b.name) ?? Infinity));
  // What was chosen with room was not asked itself, and what passes is promised.
  const failed = new Set((await ask(found)).filter(({ status }) => status === "fail").map(({ name }) => name));
  left.push(...[...failed].map((name) => `${name}: it fails as it would be suggested`));
  return { expectations: found.filter(({ name }) => !failed.has(name)), left, dates };
}

/** The strictest first, since most hold; then the middle. */
const middleOf = ({ from, to }: Search): number => from === 0 ? 0 : from + to >> 1;

const nameOf = ({ check, table, tells }: Candidate): string =>
  `${check}${tells === undefined ? "" : ` ${tells}`} of ${table}`;

/** Rows of each table, by date. */
async function countsOf(
  venue: string,
  symbol: string,
  ask: Ask,
): Promise<ReadonlyMap<string, ReadonlyMap<string, number>>> {
  const results = await ask(TABLES.map((table) => ({
    ...{ name: `rows of ${table}`, check: "rows", severity: "error", venue, symbol, tables: [table], why: "", min: 1 },
  })));
  const seen = results.filter(({ value }) => value !== null && value > 0);
  const tables = Map.groupBy(seen, ({ table }) => table);
  return new Map(
    TABLES.filter((table) => tables.has(table)).map((table) => [
      table,
      new Map(tables.get(table)!.map(({ date, value }) => [date, value!] as const).sort(([a], [b]) => a < b ? -1 : 1)),
    ]),
  );
}

function rowsOf(venue: string, symbol: string, table: string, counts: readonly number[], days: string): Proposal {
  const low = Math.min(...counts), high = Math.max(...counts);
  const seen = low === high ? `${low}` : `${low} to ${high}`;
  // What a connection tells of itself is little on a good day.
  const min = table === "status" ? 0 : Math.max(1, Math.floor(low / 2));
  return {
    ...{ name: `rows of ${table}`, check: "rows", severity: "error", venue, symbol, tables: [table] },
    ...{ min, max: high * 2, why: `${seen} rows a day on ${days}: half as many and twice as many are let pass` },
  };
}

/** The step that is suggested where `strictest` is the first that holds. */
function chosenOf({ steps, room, isKept }: Candidate, strictest: number, days: string): { step: number; why: string } {
  if (steps.length === 1) return { step: 0, why: `holds for every row of ${days}` };
  const text = steps[strictest]!.text;
  if (strictest === 0 && isKept) return { step: 0, why: `there was none on ${days}` };
  const step = Math.min(strictest + room, steps.length - 1);
  const needed = strictest === 0
    ? `${text} was enough on ${days}`
    : `${text} held on ${days}, and ${steps[strictest - 1]!.text} did not`;
  return { step, why: step === strictest ? needed : `${needed}: ${steps[step]!.text} leaves room for a worse day` };
}

/** How an expectation that fails may still be suggested: as a warning, with as many rows as there were and half of them. */
function toleratedOf(results: readonly Result[], counts: ReadonlyMap<string, number>, days: string) {
  const failed = results.filter(({ status }) => status === "fail");
  const worst = failed.toSorted((a, b) => b.failing - a.failing)[0]!;
  const isFew = failed.every(({ failing, date }) => failing > 0 && failing <= FAILING_MAX * (counts.get(date) ?? 0));
  if (!isFew) return null;
  const rows = Math.ceil(worst.failing * 1.5);
  const share = counts.size === 1 ? "" : ` on ${failed.length} of ${days}, most`;
  const why = `fails${share} for ${worst.failing} rows on ${worst.date}: ${rows} are tolerated`;
  return { severity: "warning", tolerance: { rows }, why } as const;
}
