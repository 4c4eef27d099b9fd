/**
 * Sums: what is asked of the rows of a part all at once, in few scans; what has to be put in order, a bounded number of rows
 * at a time.
 *
 * **In** expectations as they are asked, **Out** an answer an instrument. **Knows** `asked`, `kind`, `stand`, `parquet`.
 */
import type { Answer, Views } from "../parquet.ts";
import { type Asked, pooled } from "./asked.ts";
import { type Lens, number, type Span, type Subject, WHOLE } from "./kind.ts";
import { stepsOf } from "./relation.ts";
import { type Listed, type Part, rowsIn } from "./stand.ts";

/** Asks for the sums of a date. */
export class Sums {
  readonly #views: Views;
  readonly #instruments: readonly Listed[];
  readonly #rowsMax: number;

  /** At most so many rows of an instrument are put in order at once. */
  constructor(views: Views, instruments: readonly Listed[], rowsMax: number) {
    this.#views = views;
    this.#instruments = instruments;
    this.#rowsMax = rowsMax;
  }

  /** Keeps the quote in force before each trade of a part. */
  pair(lens: Lens, part: Part): void {
    if (rowsIn(part, "trades") === 0) return;
    const denser = rowsIn(part, "quotes") > rowsIn(part, "trades") ? "quotes" : "trades";
    for (const [i, span] of this.#spans(lens, part, denser, "time").entries()) {
      const into = i === 0 ? "CREATE OR REPLACE TEMP TABLE paired AS" : "INSERT INTO paired";
      this.#views.run(`${into} ${lens.pairing(span)}`);
    }
  }

  /** Relations of the steps of a subject, each to be asked before the next. */
  *steps(lens: Lens, part: Part, subject: Subject, columns: readonly string[]): Iterable<string> {
    for (const span of this.#spans(lens, part, subject, "origin")) {
      this.#views.run(`CREATE OR REPLACE TEMP TABLE steps AS ${lens.stepping(subject, columns, span)}`);
      yield stepsOf(columns, span.before !== null);
    }
  }

  /** Spans of a part's rows that are put in order at once: all of them, unless it is one instrument that has many. */
  #spans(lens: Lens, part: Part, subject: Subject, by: "origin" | "time"): readonly Span[] {
    const many = Math.ceil(rowsIn(part, subject) / this.#rowsMax);
    return many > 1 && part.instruments.length === 1 ? lens.spans(subject, by, many) : [WHOLE];
  }

  /** All sums of some probes over relations that follow each other, an answer an instrument. Equal ones are asked for once. */
  of(asked: readonly Asked[], subject: Subject, relations: Iterable<string>): readonly Answer[] {
    const names = new Map<string, string>();
    for (const { probe } of asked) {
      for (const sql of Object.values(probe.sums)) if (!names.has(sql)) names.set(sql, `s${names.size}`);
    }
    const columns = [...names].map(([sql, name]) => `${sql} AS ${name}`);
    const found = new Map<number, Answer>();
    for (const relation of relations) {
      const rows = this.#views.ask(
        `SELECT ${["inst", ...columns].join(", ")} FROM (${relation}) GROUP BY inst ORDER BY inst`,
      );
      for (const row of rows) {
        const inst = number(row.inst), before = found.get(inst);
        found.set(inst, before === undefined ? row : pooled([...names.keys()], before, row));
      }
    }
    return [...found.values()].map((row) => {
      const { inst, venue, symbol, rows } = this.#instruments[number(row.inst)]!;
      const sums = asked.flatMap(({ probe, prefix }) =>
        Object.entries(probe.sums).map(([name, sql]) => [prefix + name, row[names.get(sql)!]!] as const)
      );
      return { inst, venue, symbol, rows: rows[subject] ?? 0, ...Object.fromEntries(sums) };
    });
  }
}
