/**
 * The rows of one unit in the making: a draft of a file for each table and UTC date.
 *
 * **In** rows in the order of their origin, **Out** drafts. **Knows** `lake`, `parquet`, `fence`, `table`.
 */
import type { Holding } from "../../fence.ts";
import { type Sheet, UNIT_DATES_MAX } from "../../lake.ts";
import { Draft } from "../../parquet.ts";
import { dateOf, type Row, TABLE_NAMES, type TableName, TABLES } from "../../table.ts";
import { nameOf } from "./disk.ts";

/** A sheet of one place, after the origin that its holding stands at. */
export class UnitSheet implements Sheet {
  rows = 0;
  size = 0;
  first = -1;
  last = -1;
  readonly place: string;
  readonly #partition: number;
  readonly #after: number;
  readonly #dates = new Set<string>();
  readonly #drafts = new Map<TableName, Map<string, Draft>>();

  constructor(held: Holding) {
    this.place = nameOf(held);
    this.#partition = held.partition;
    this.#after = held.origin;
  }

  get dates(): number {
    return this.#dates.size;
  }

  overflows(eventTime: number): boolean {
    return this.#dates.size >= UNIT_DATES_MAX && !this.#dates.has(dateOf(eventTime));
  }

  add(table: TableName, row: Row): void {
    const origin = row[1], eventTime = row[4];
    if (row[0] !== this.#partition || typeof origin !== "number" || !(origin > Math.max(this.last, this.#after))) {
      throw new RangeError(
        `Cannot add origin ${origin} of partition ${
          row[0]
        } to a sheet of ${this.place}: it follows ${this.last}, must rise`,
      );
    }
    const date = dateOf(eventTime as number);
    let days = this.#drafts.get(table);
    if (days === undefined) this.#drafts.set(table, days = new Map());
    let draft = days.get(date);
    if (draft === undefined) days.set(date, draft = new Draft(TABLES[table]));
    const before = draft.size;
    draft.add(row);
    this.size += draft.size - before;
    this.#dates.add(date);
    if (this.first < 0) this.first = origin;
    this.last = origin;
    this.rows++;
  }

  /** The files to be, in the order of tables and dates. */
  *drafts(): Iterable<{ readonly table: TableName; readonly date: string; readonly draft: Draft }> {
    for (const table of TABLE_NAMES) {
      for (const [date, draft] of [...this.#drafts.get(table) ?? []].sort()) yield { table, date, draft };
    }
  }
}
