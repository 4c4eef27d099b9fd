/**
 * A suite: expectations named in the field's terms, each of a kind of check, with a severity and a tolerance. Its schema is
 * made of the kinds, and published as `schema.json` beside this file.
 *
 * **In** JSON, **Out** expectations, or why it is none. **Knows** the kinds, `evidence`, `failure`.
 */
import { z } from "@zod/zod";
import { Misuse } from "../failure.ts";
import { KINDS as AMOUNTS } from "./amounts.ts";
import { KINDS as BOOKS } from "./books.ts";
import { KINDS as COLUMNS } from "./columns.ts";
import { KINDS as COUNTS } from "./counts.ts";
import { pathOf } from "./evidence.ts";
import { type Kind, type Scope, share, type Subject } from "./kind.ts";
import { KINDS as QUOTES } from "./quotes.ts";
import { KINDS as SEQUENCE } from "./sequence.ts";
import { KINDS as STORES } from "./stores.ts";
import { KINDS as TIME } from "./time.ts";
import { KINDS as TRADES } from "./trades.ts";

/** How bad a failed expectation is: an error ends the audit with 3, a warning where `--strict` asks for it. */
export const SEVERITIES = ["error", "warning", "information"] as const;
export type Severity = typeof SEVERITIES[number];

/** Every kind of check whose rows are asked for by a probe. */
export const KINDS: readonly Kind[] = [
  ...[COLUMNS, AMOUNTS, SEQUENCE, TIME, QUOTES, TRADES, BOOKS, COUNTS, STORES].flat(),
];
const KIND_OF: ReadonlyMap<string, Kind> = new Map(KINDS.map((kind) => [kind.check, kind]));

const pattern = z.string().min(1).max(128);
const common = {
  /** Its own name, unique in the suite. */
  name: z.string().regex(/^[\p{L}\p{N}][^\p{C}\\]{0,79}$/u),
  severity: z.enum(SEVERITIES).default("error"),
  /** Rows, or a share of those that could fail, that may fail. */
  tolerance: z.strictObject({ rows: z.int().min(0).optional(), share: share.optional() }).optional(),
  /** Instruments that it speaks of; `*` stands for any text. */
  venue: pattern.default("*"),
  symbol: pattern.default("*"),
  /** Why its bounds are what they are. */
  why: z.string().max(1_000).optional(),
};

const schemaOf = ({ check, parameters, subjects, does }: Kind) =>
  z.strictObject({
    check: z.literal(check),
    ...common,
    /** What it is asked of; all that it makes sense of where it is absent. */
    tables: z.array(z.enum(subjects as readonly [Subject, ...Subject[]])).min(1).optional(),
    per: z.enum(["instrument", "table"]).default("instrument"),
    ...parameters,
  }).describe(does);

const Sql = z.strictObject({
  check: z.literal("sql"),
  ...common,
  /** Path of the file, relative to the suite's. Rows that its SELECT returns are failures. */
  file: z.string().regex(/^(?!.*\.\.)[\w][\w./-]{0,200}\.sql$/),
}).describe("no row is returned by a SELECT over the views trades, quotes, books, deltas, status and built");

const Expectation = z.discriminatedUnion("check", [Sql, ...KINDS.map(schemaOf)]);
export const SuiteSchema = z.strictObject({
  $schema: z.string().optional(),
  suite: z.string().regex(/^[\p{L}\p{N}][^\p{C}\\]{0,79}$/u),
  expectations: z.array(Expectation).min(1).max(10_000),
});

/** What every expectation says, whatever its kind. */
export interface Expectation {
  readonly name: string;
  readonly check: string;
  readonly severity: Severity;
  readonly tolerance?: { readonly rows?: number | undefined; readonly share?: number | undefined } | undefined;
  readonly venue: string;
  readonly symbol: string;
  readonly tables?: readonly Subject[] | undefined;
  readonly per?: "instrument" | "table";
  /** Of a `sql` alone. */
  readonly file?: string;
}
export interface Suite {
  readonly suite: string;
  readonly expectations: readonly Expectation[];
}

/** The kind of an expectation; null of a SQL file. */
export function kindOf({ check }: Pick<Expectation, "check">): Kind | null {
  return KIND_OF.get(check) ?? null;
}

/** The suite's JSON Schema, for editors and for others who write suites. */
export function suiteJsonSchema(): unknown {
  return z.toJSONSchema(SuiteSchema, { io: "input", reused: "ref" });
}

/** A scope to ask what an expectation would be. */
const NOWHERE: Scope = {
  ...{
    subject: "trades" as const,
    date: "1970-01-01",
    from: 0,
    to: 0,
    limits: { lateMsMax: 0, futureMsMax: 0 },
    texts: new Map(),
  },
  venuesOf: () => [],
  hasHours: () => false,
  hoursOf: () => [],
};

/** Whether an expectation cannot be asked of a table as a whole. */
function isApart(expectation: Expectation): boolean {
  const kind = kindOf(expectation)!;
  const [subject] = expectation.tables ?? kind.subjects;
  return kind.probe(expectation as never, { ...NOWHERE, subject: subject! })?.isAdding === false;
}

/** A suite from its text. @throws {Misuse} with path and reason */
export function suiteOf(text: string, path: string): Suite {
  const refuse = (state: string, cause?: unknown): never => {
    throw new Misuse(`Cannot read suite "${path}": ${state}, must be as its schema says`, { cause });
  };
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    return refuse(`it is no JSON: ${error instanceof Error ? error.message : error}`, error);
  }
  const { success, data, error } = SuiteSchema.safeParse(value);
  if (!success) {
    const [issue] = error.issues;
    return refuse(`${["suite", ...issue!.path].map(String).join("/")}: ${issue!.message}`);
  }
  const suite = data as Suite;
  const names = new Set<string>(), paths = new Map<string, string>();
  for (const expectation of suite.expectations) {
    const { name, per } = expectation;
    if (names.has(name)) return refuse(`expectation "${name}" is there twice`);
    names.add(name);
    // Some file systems know no capitals.
    const path = pathOf(name).toLowerCase();
    const other = paths.get(path);
    if (other !== undefined) {
      return refuse(`expectation "${name}" has the files of "${other}", where the rows of one of them would be lost`);
    }
    paths.set(path, name);
    if (per === "table" && isApart(expectation)) {
      return refuse(
        `expectation "${name}" is per table, but its sums cannot be added up and it is asked per instrument`,
      );
    }
  }
  return suite;
}

/** Whether a text is what a pattern means. */
export function matches(pattern: string, text: string): boolean {
  if (pattern === "*") return true;
  const parts = pattern.split("*").map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
  return new RegExp(`^${parts.join(".*")}$`, "su").test(text);
}
