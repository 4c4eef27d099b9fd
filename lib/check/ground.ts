/**
 * The files that a run of checks stands on: those that the lake's ledger names for a date, or the rows of the hot store
 * as files in memory, since one dialect judges both.
 *
 * **In** stores, **Out** files. **Knows** `hot`, `lake`, `parquet`, `table`.
 */
import type { Hot } from "../hot.ts";
import type { LakeFile, Unit } from "../lake.ts";
import { Draft, write } from "../parquet.ts";
import { TABLE_NAMES, type TableName, TABLES } from "../table.ts";
import type { Files } from "./stand.ts";

/** Rows of a file in memory. */
const FILE_ROWS = 100_000;
const DAY = 86_400_000_000;

/** What the ledger names for a date, in its order. */
export function ledgerOf(units: readonly Unit[], date: string): readonly LakeFile[] {
  return units.flatMap(({ files }) => files).filter((file) => file.date === date);
}

/** Paths of the files of a date, by table. */
export function pathsOf(root: string, files: readonly LakeFile[]): Files {
  return Object.fromEntries(
    TABLE_NAMES.map((
      table,
    ) => [table, files.filter((file) => file.table === table).map(({ path }) => `${root}/${path}`)]),
  );
}

/** The rows of a date in the hot store, of one symbol or of all, as bytes of files. */
export async function bytesOf(hot: Pick<Hot, "dated">, date: string, symbol: string | null): Promise<Files> {
  const from = Date.parse(date) * 1_000;
  const files: Partial<Record<TableName, Uint8Array[]>> = {};
  for (const table of TABLE_NAMES) {
    const made: Uint8Array[] = [];
    // A file is of one partition.
    const drafts = new Map<number, Draft>();
    for await (const rows of hot.dated(table, from, from + DAY, symbol)) {
      for (const row of rows) {
        const partition = row[0] as number;
        let draft = drafts.get(partition);
        if (draft === undefined) drafts.set(partition, draft = new Draft(TABLES[table]));
        draft.add(row);
        if (draft.rows < FILE_ROWS) continue;
        made.push(await write(partition, draft));
        drafts.delete(partition);
      }
    }
    for (const [partition, draft] of drafts) made.push(await write(partition, draft));
    files[table] = made;
  }
  return files;
}
