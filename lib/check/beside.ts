/**
 * What is asked beside the instruments: the lake's files of a date, and SQL that the suite names.
 *
 * **In** views, **Out** a table of files, counts of rows. **Knows** `parquet`, `table`, `failure`.
 */
import { Misuse, reasonOf } from "../failure.ts";
import type { Views } from "../parquet.ts";
import { TABLE_NAMES, type TableName } from "../table.ts";
import { literal, number } from "./kind.ts";

/** What the ledger says of a file. */
export interface Entry {
  readonly table: TableName;
  readonly path: string;
  readonly rows: number;
}

/** Makes the table `files`: what the ledger says of each file of a date, in its order, and what the file says itself. */
export function layFiles(views: Views, ledger: readonly Entry[]): void {
  views.run(
    "CREATE OR REPLACE TEMP TABLE files (subject VARCHAR, path VARCHAR, rows BIGINT, counted BIGINT, shape VARCHAR)",
  );
  for (const table of TABLE_NAMES) {
    const entries = ledger.filter((entry) => entry.table === table);
    for (const [i, name] of (views.files.get(table) ?? []).entries()) {
      const { path, rows } = entries[i]!;
      const groups = `SELECT DISTINCT row_group_id, row_group_num_rows AS n FROM parquet_metadata(${literal(name)})`;
      const [counted] = views.ask(`SELECT sum(n) AS n FROM (${groups})`);
      views.run(`CREATE OR REPLACE TEMP VIEW shape AS SELECT * FROM read_parquet(${literal(name)})`);
      const shape = views.shapeOf("shape").map(([column, type]) => `${column} ${type}`).join(", ");
      const cells = [literal(table), literal(path), rows, number(counted?.n), literal(shape)];
      views.run(`INSERT INTO files VALUES (${cells.join(", ")})`);
    }
  }
}

/** The SELECT that a SQL file is. */
export function selectOf(sql: string): string {
  // Its last line may be a comment.
  return `${sql.trim().replace(/;$/, "")}\n`;
}

/** Explains the SELECT of a file, which reads no row. @throws {Misuse} when it is none */
export function explain(views: Views, select: string, file: string): void {
  orRefuse(file, () => views.run(`EXPLAIN SELECT count(*) FROM (${select})`));
}

/** How many rows the SELECT of a file returns. @throws {Misuse} when it is none */
export function countRows(views: Views, select: string, file: string): number {
  const [answer] = orRefuse(file, () => views.ask(`SELECT count(*) AS n FROM (${select})`));
  return number(answer?.n);
}

function orRefuse<T>(file: string, run: () => T): T {
  try {
    return run();
  } catch (error) {
    throw new Misuse(`Cannot run SQL "${file}": ${reasonOf(error)}, must be one SELECT over the tables`, {
      cause: error,
    });
  }
}
