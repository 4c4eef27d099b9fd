/**
 * What every audit of a lake came to, kept beside it: an index of runs in Deno KV, and the results and plots of each run in
 * a Parquet file of its own, which any engine reads. A run counts once the index names it.
 *
 * **In** runs, **Out** runs again, their results and plots by instrument and expectation.
 * **Knows** `check`, `parquet`, `table`, `folder`, `failure`.
 */
import type { Plot, Result, Run, Severity } from "./check.ts";
import { Misuse } from "./failure.ts";
import { makeFolder, syncFolder } from "./folder.ts";
import { Draft, query, write } from "./parquet.ts";
import type { Cell, Column, Kind } from "./table.ts";

/** A run as the index has it. */
export interface Entry {
  readonly id: string;
  /** When it ran, ISO 8601. */
  readonly at: string;
  readonly suite: string;
  readonly dates: readonly string[];
  readonly passed: number;
  readonly failed: Readonly<Record<Severity, number>>;
  /** Whether there are files of its results and of its plots. */
  readonly results: boolean;
  readonly plots: boolean;
}

/** A result, and the run that it is of. */
export interface Remembered extends Result {
  readonly run: string;
}

/** What is asked for; all of it where nothing is named. */
export interface Wanted {
  readonly name?: string | undefined;
  readonly venue?: string | undefined;
  /** What speaks of a whole table is of every symbol. */
  readonly symbol?: string | undefined;
}

/** Where a lake's chronicle lies. */
export const folderOf = (lakeRoot: string): string => `${lakeRoot}/_audits`;

const RUN_ID = /^[A-Za-z0-9][\w.-]{0,99}$/;
const column = (name: string, kind: Kind, nullable = false): Column => ({ name, kind, nullable });
/** What the files of runs begin with: they are ordered by symbol and time as all others are. */
const COMMON = [
  column("partition", "int"),
  column("origin", "int"),
  column("venue", "name"),
  column("symbol", "name", true),
  column("event_time", "time"),
  column("run", "name"),
  column("date", "name"),
  column("name", "name"),
] as const;
const RESULTS: readonly Column[] = [
  ...COMMON,
  column("suite", "name"),
  column("check", "name"),
  column("severity", "name"),
  column("status", "name"),
  column("table", "name"),
  column("value", "text", true),
  column("observed", "text"),
  column("wanted", "text"),
  column("failing", "int"),
  column("evidence", "text", true),
];
const PLOTS: readonly Column[] = [...COMMON, column("minutes", "int"), column("values", "list")];

export class Chronicle {
  readonly #folder: string;
  readonly #index: Deno.Kv;

  private constructor(folder: string, index: Deno.Kv) {
    this.#folder = folder;
    this.#index = index;
  }

  /** Opens the chronicle in a folder, which is made where it is missing. */
  static async open(folder: string, within: string): Promise<Chronicle> {
    makeFolder(folder, within);
    return new Chronicle(folder, await Deno.openKv(`${folder}/index.kv`));
  }

  /** Keeps a run. @throws {Misuse} for one whose name is none, or is kept already */
  async add(run: Run): Promise<Entry> {
    const { id, at, suite, dates, results, plots } = run;
    if (!RUN_ID.test(id)) throw new Misuse(`Cannot remember run "${id}": it is no file's name, must match ${RUN_ID}`);
    const micros = Date.parse(at) * 1_000;
    const common = (n: number, { venue, symbol, date, name }: Pick<Result, "venue" | "symbol" | "date" | "name">) => //
    [0, n, venue, symbol, micros, id, date, name];
    if (results.length > 0) {
      await this.#keep(
        `${id}.results`,
        RESULTS,
        results.map((result, n) => [
          ...common(n, result),
          ...[suite, result.check, result.severity, result.status, result.table],
          ...[result.value === null ? null : String(result.value), result.observed, result.wanted],
          ...[result.failing, result.evidence],
        ]),
      );
    }
    if (plots.length > 0) {
      await this.#keep(
        `${id}.plots`,
        PLOTS,
        plots.map((plot, n) => [...common(n, plot), plot.minutes, JSON.stringify(plot.values)]),
      );
    }
    const failed = (severity: Severity): number =>
      results.filter((result) => result.status === "fail" && result.severity === severity).length;
    const entry: Entry = {
      ...{ id, at, suite, dates },
      passed: results.filter(({ status }) => status === "pass").length,
      failed: { error: failed("error"), warning: failed("warning"), information: failed("information") },
      ...{ results: results.length > 0, plots: plots.length > 0 },
    };
    const kept = await this.#index.atomic().check({ key: ["id", id], versionstamp: null })
      .set(["id", id], at).set(["run", at, id], entry).commit();
    if (!kept.ok) throw new Misuse(`Cannot remember run "${id}": one of that name is kept, must be another`);
    return entry;
  }

  /** Every run of which is known, in the order of time; the last `max` where there are more. */
  async runs(max = Infinity): Promise<readonly Entry[]> {
    const found: Entry[] = [];
    const options = { reverse: true, ...(max < Infinity && { limit: max }) };
    for await (const { value } of this.#index.list<Entry>({ prefix: ["run"] }, options)) found.push(value);
    return found.reverse();
  }

  /** Results of these runs in the order of the runs. */
  async results(entries: readonly Entry[], wanted: Wanted = {}): Promise<readonly Remembered[]> {
    const rows = await this.#find(entries.filter(({ results }) => results), "results", wanted);
    return rows.map((row) => ({
      ...row,
      value: row.value === null ? null : Number(row.value),
    })) as unknown as readonly Remembered[];
  }

  /** Plots of these runs in the order of the runs. */
  async plots(entries: readonly Entry[], wanted: Wanted = {}): Promise<readonly (Plot & { readonly run: string })[]> {
    const rows = await this.#find(entries.filter(({ plots }) => plots), "plots", wanted);
    return rows.map((row) => ({ ...row, values: JSON.parse(String(row.values)) })) as unknown as readonly (
      & Plot
      & { readonly run: string }
    )[];
  }

  close(): void {
    this.#index.close();
  }

  async #keep(name: string, columns: readonly Column[], rows: readonly (readonly Cell[])[]): Promise<void> {
    const draft = new Draft(columns);
    for (const row of rows) draft.add(row.map((cell) => typeof cell === "string" ? cell.toWellFormed() : cell));
    const path = `${this.#folder}/${name}.parquet`;
    {
      using file = await Deno.open(`${path}.tmp`, { create: true, truncate: true, write: true });
      const bytes = await write(0, draft);
      for (let done = 0; done < bytes.length;) done += await file.write(bytes.subarray(done));
      await file.sync();
    }
    await Deno.rename(`${path}.tmp`, path);
    syncFolder(this.#folder);
  }

  async #find(entries: readonly Entry[], what: "results" | "plots", { name, venue, symbol }: Wanted) {
    if (entries.length === 0) return [];
    const where = [
      ...(name === undefined ? [] : [`name = ${literal(name)}`]),
      ...(venue === undefined ? [] : [`venue = ${literal(venue)}`]),
      ...(symbol === undefined ? [] : [`(symbol = ${literal(symbol)} OR symbol IS NULL)`]),
    ];
    const columns = (what === "results" ? RESULTS : PLOTS).filter((each) =>
      each.name === "venue" || each.name === "symbol" || !OWN.has(each.name)
    );
    return await query(
      entries.map(({ id }) => `${this.#folder}/${id}.${what}.parquet`),
      `SELECT ${columns.map((each) => `"${each.name}"`).join(", ")} FROM ticks ${
        where.length === 0 ? "" : `WHERE ${where.join(" AND ")}`
      } ORDER BY event_time, run, origin`,
    );
  }
}

/** Columns that a file has for its order alone. */
const OWN = new Set(["partition", "origin", "event_time", "suite"]);

const literal = (text: string): string => `'${text.replaceAll("'", "''")}'`;
