/**
 * What a check is: a name for a fault, what may be said about it in a suite, and how it is asked of DuckDB. Most ask for
 * sums over the rows of a table, so that all of them share one scan; the others name their failing rows by a SELECT.
 *
 * **In** an expectation's parameters, **Out** a probe: sums, what they mean, and how to get every failing row.
 * **Knows** `table`, `sequence`, `parquet`.
 */
import { z } from "@zod/zod";
import type { Answer, Value } from "../parquet.ts";
import type { Discipline } from "../sequence.ts";
import type { TableName } from "../table.ts";
import type { Derived } from "./relation.ts";

/** What an expectation speaks of: a table without what was built here, or the quotes that were built from books. */
export type Subject = TableName | "built";
export const SUBJECTS = [
  "trades",
  "quotes",
  "books",
  "deltas",
  "status",
  "built",
] as const satisfies readonly Subject[];

/** What a check may know besides the rows. */
export interface Scope {
  readonly subject: Subject;
  /** UTC date, and its begin and end, µs. */
  readonly date: string;
  readonly from: number;
  readonly to: number;
  /** By the rules in force. */
  readonly limits: { readonly lateMsMax: number; readonly futureMsMax: number };
  /** Venues that promise this of the subject's numbers. */
  venuesOf(...promised: readonly Discipline[]): readonly string[];
  /** Whether the hours of an instrument are known for the whole date. */
  hasHours(venue: string, symbol: string): boolean;
  /** When sessions of an instrument open and close on the date, µs; none where nothing is known. */
  hoursOf(venue: string, symbol: string): readonly { readonly opens: number; readonly closes: number }[];
  /** The text of a file that the suite names. */
  readonly texts: ReadonlyMap<string, string>;
}

/** Some of an instrument's rows that follow each other; null where it has no bound. */
export interface Span {
  readonly from: number | null;
  readonly until: number | null;
  /** The last one before it. */
  readonly before: number | null;
}
export const WHOLE: Span = { from: null, until: null, before: null };

/** Relations of some instruments and one date, as SQL to select from. */
export interface Lens {
  /** Rows of a subject with columns that are derived from them. */
  rows(subject: Subject, needs?: readonly Derived[]): string;
  /** The same with the number of their instrument instead of its names. */
  keyed(subject: Subject, needs?: readonly Derived[]): string;
  /** Some columns of a subject in the order of arrival, instrument by instrument, as they are to be kept as `steps`. */
  stepping(subject: Subject, columns: readonly string[], span: Span): string;
  /** Each price or size that an instrument has in a subject as `value`, once, with what is in force for it at any time. */
  values(subject: Subject, what: "prices" | "sizes"): string;
  /** The same lens on some of its instruments. */
  among(insts: readonly number[]): Lens;
  /** Trades with the quote in force before each, as they are to be kept as `paired`, and as they are there. */
  pairing(span: Span): string;
  readonly paired: string;
  /**
   * `many` spans of a subject's rows, of one instrument, by their place in the log or by the time by which trades and
   * quotes are joined: to put all of them in order at once takes memory by their number.
   */
  spans(subject: Subject, by: "origin" | "time", many: number): readonly Span[];
  /** Quotes with `at` and `until`, between which each is in force. */
  readonly quoted: string;
  /** Rows of the hot store, whoever told them. */
  hot(table: TableName): string;
  /** Rows of the lake, whoever told them. */
  cold(table: TableName): string;
}

/** What the sums say of an instrument. */
export interface Judged {
  readonly isSound: boolean;
  readonly value: number | null;
  readonly observed: string;
  readonly failing: number;
  /** Rows that could have failed, of which a share may. */
  readonly of: number;
}

/** A condition that failing rows meet, or a SELECT of them with their `venue` and `symbol`. */
export type Failing = { readonly where: string } | { select(lens: Lens): string };

/** How an expectation is asked of one subject. */
export interface Probe {
  readonly relation: "rows" | "steps" | "paired" | "files" | "prices" | "sizes";
  /** Columns that are asked for with those of the row before as `prev_…`, where the relation is `steps`. */
  readonly steps: readonly string[];
  readonly needs: readonly Derived[];
  /** Aggregates over the relation by name; `venue`, `symbol` and the `rows` of the subject are in the answer too. */
  readonly sums: Readonly<Record<string, string>>;
  readonly wanted: string;
  readonly failing: Failing;
  /** What the sums mean; null where the check has nothing to say of the instrument. Absent where `suspects` is there. */
  judge?(answer: Answer): Judged | null;
  /**
   * Whether sums raise a suspicion, for which the failing rows are selected and counted; null as with `judge`.
   * What is not suspected passes.
   */
  suspects?(answer: Answer): boolean | null;
  /** What is observed where some rows were selected; the number of them where it is absent. */
  observed?(answer: Answer, failing: number): string;
  /** What is measured where rows were selected; their number where it is absent. */
  value?(answer: Answer, failing: number): number;
  /** An aggregate over the selected rows, which `observed` and `value` find in their answer as `measure`. */
  readonly measure?: string;
  /** Whether the sums of instruments may be added up to those of the table. */
  readonly isAdding: boolean;
}

/** A kind of check. */
export interface Kind<Shape extends z.ZodRawShape = z.ZodRawShape> {
  /** The fault that it finds, a word of the field; it is stored and never changes. */
  readonly check: string;
  readonly does: string;
  /** What it makes sense of; the first ones it is asked of when the suite does not say. */
  readonly subjects: readonly Subject[];
  /** Stores that it can be asked of. */
  readonly stores: "both" | "lake";
  readonly parameters: Shape;
  /** Null where it has nothing to say of the subject. */
  probe(parameters: z.infer<z.ZodObject<Shape>>, scope: Scope): Probe | null;
}

/** Declares a kind; the cast forgets the types of its parameters, which the suite's schema has seen to. */
export function defineKind<Shape extends z.ZodRawShape>(kind: Kind<Shape>): Kind {
  return kind as unknown as Kind;
}

export const number = (value: Value | undefined): number => value === null || value === undefined ? 0 : Number(value);
/** The numbers of a list. */
export const listed = (value: Value | undefined): readonly number[] =>
  (JSON.parse(String(value ?? "[]").replaceAll("NULL", "null")) as (number | null)[]).filter((one) => one !== null);
export const literal = (text: string): string => `'${text.replaceAll("'", "''")}'`;
/** A list for `IN`, which is never empty. */
export const listOf = (texts: readonly string[]): string => texts.length === 0 ? "NULL" : texts.map(literal).join(", ");
/** An exact amount in SQL. */
export const amount = (text: string): string => `CAST(${literal(text)} AS DECIMAL(38,12))`;
export const plural = (n: number, one: string, many = `${one}s`): string =>
  `${n.toLocaleString("en")} ${n === 1 ? one : many}`;

/** How many rows meet a condition; an aggregate with a filter takes four times as long. */
export const countOf = (condition: string): string => `count(CASE WHEN ${condition} THEN 1 END)`;

/** A check of each row by itself: those that meet `fault` fail. */
export function eachRow(fault: string, options: {
  readonly wanted: string;
  readonly needs?: readonly Derived[];
  readonly relation?: Probe["relation"];
  /** Of which rows it speaks; all where it is absent. */
  readonly of?: string;
  /** Whether it has something to say of an instrument. */
  applies?(answer: Answer): boolean;
}): Probe {
  const { wanted, needs = [], relation = "rows", of, applies } = options;
  const where = of === undefined ? fault : `(${of}) AND (${fault})`;
  return {
    ...{ relation, needs, wanted, steps: [], isAdding: true },
    sums: {
      failing: countOf(where),
      of: of === undefined ? "count(*)" : countOf(of),
    },
    failing: { where },
    judge(answer) {
      const failing = number(answer.failing), all = number(answer.of);
      if (all === 0 || applies?.(answer) === false) return null;
      return {
        isSound: failing === 0,
        value: failing,
        observed: `${plural(failing, "row")} of ${all.toLocaleString("en")}`,
        failing,
        of: all,
      };
    },
  };
}

/** A check of the share of rows that meet a condition, which may be at most `shareMax`. */
export function shareOf(condition: string, options: {
  readonly wanted: string;
  readonly shareMax: number;
  readonly needs?: readonly Derived[];
  readonly of?: string;
}): Probe {
  const probe = eachRow(condition, options);
  return {
    ...probe,
    judge(answer) {
      const judged = probe.judge!(answer);
      if (judged === null) return null;
      const value = judged.failing / judged.of;
      return {
        ...judged,
        value,
        isSound: value <= options.shareMax,
        observed: `${percent(value)}, ${judged.observed}`,
      };
    },
  };
}

/** A check of sums, whose failing rows are those beyond the bound. */
export function measured(options: {
  readonly wanted: string;
  readonly sums: Readonly<Record<string, string>>;
  readonly failing: Failing;
  readonly needs?: readonly Derived[];
  readonly relation?: Probe["relation"];
  readonly isAdding?: boolean;
  judge(answer: Answer): Judged | null;
}): Probe {
  return { relation: "rows", needs: [], steps: [], isAdding: false, ...options };
}

/** A check whose failing rows are selected, where the sums raise a suspicion. */
export function selected(options: {
  readonly wanted: string;
  readonly sums?: Readonly<Record<string, string>>;
  readonly needs?: readonly Derived[];
  readonly relation?: Probe["relation"];
  readonly steps?: readonly string[];
  select(lens: Lens): string;
  suspects?(answer: Answer): boolean | null;
  observed?(answer: Answer, failing: number): string;
  value?(answer: Answer, failing: number): number;
  readonly measure?: string;
}): Probe {
  const { sums = {}, select, steps = [], ...rest } = options;
  return {
    relation: steps.length > 0 ? "steps" : "rows",
    needs: [],
    steps,
    isAdding: false,
    suspects: () => true,
    ...rest,
    sums,
    failing: { select },
  };
}

export const percent = (share: number): string => `${Number((share * 100).toPrecision(3))} %`;
export const ms = (micros: Value | undefined): string =>
  micros === null || micros === undefined ? "none" : `${Number((Number(micros) / 1000).toPrecision(6))} ms`;
export const seconds = z.number().min(0).max(864_000);
export const share = z.number().min(0).max(1);
export const column = z.string().regex(/^[a-z][a-z_]{0,31}$/);
