/**
 * The rows of one unit in the making: a draft of a file for each table and UTC date.
 *
 * **In** rows in the order of their origin, **Out** drafts. **Knows** `lake`, `parquet`, `fence`, `table`.
 */
import type { Holding } from "../../fence.ts";
import { RisingSheet } from "../../lake.ts";
import { Draft } from "../../parquet.ts";
import { type Row, TABLE_NAMES, type TableName, TABLES } from "../../table.ts";
import { nameOf } from "./disk.ts";

/** A sheet of one place, after the origin that its holding stands at. */
export class UnitSheet extends RisingSheet {
  readonly #drafts = new Map<TableName, Map<string, Draft>>();

  constructor(held: Holding) {
    super(held, nameOf(held));
  }

  protected override put(table: TableName, date: string, row: Row): number {
    let days = this.#drafts.get(table);
    if (days === undefined) this.#drafts.set(table, days = new Map());
    let draft = days.get(date);
    if (draft === undefined) days.set(date, draft = new Draft(TABLES[table]));
    const before = draft.size;
    draft.add(row);
    return draft.size - before;
  }

  /** The files to be, in the order of tables and dates. */
  *drafts(): Iterable<{ readonly table: TableName; readonly date: string; readonly draft: Draft }> {
    for (const table of TABLE_NAMES) {
      for (const [date, draft] of [...this.#drafts.get(table) ?? []].sort()) yield { table, date, draft };
    }
  }
}
