/**
 * Checks of the stores themselves: hot against cold, and the lake's files against its ledger.
 *
 * **Knows** `kind`, `table`.
 */
import { TABLES } from "../table.ts";
import { TYPES } from "../parquet.ts";
import {
  countOf,
  defineKind,
  type Failing,
  type Kind,
  literal,
  measured,
  number,
  plural,
  selected,
  type Subject,
} from "./kind.ts";

const TABLE_SUBJECTS = ["trades", "quotes", "books", "deltas", "status"] as const satisfies readonly Subject[];

/** The columns of a file of the table, as the engine names them. */
export const shapeOf = (table: typeof TABLE_SUBJECTS[number]): string =>
  TABLES[table].map(({ name, kind }) => `${name} ${name === "partition" ? "INTEGER" : NAMES[kind] ?? TYPES[kind]}`)
    .join(", ");
const NAMES: Readonly<Record<string, string>> = { time: "TIMESTAMP WITH TIME ZONE" };

export const KINDS: readonly Kind[] = [
  defineKind({
    check: "unequal",
    does: "hot and cold hold the same rows, cell for cell",
    subjects: TABLE_SUBJECTS,
    stores: "lake",
    parameters: {},
    probe(_parameters, { subject }) {
      if (subject === "built") return null;
      return selected({
        wanted: "the same rows in hot and cold",
        select: (lens) =>
          `SELECT 'cold' AS found_in, * FROM (${lens.cold(subject)} EXCEPT ALL ${lens.hot(subject)})
            UNION ALL SELECT 'hot' AS found_in, * FROM (${lens.hot(subject)} EXCEPT ALL ${lens.cold(subject)})`,
        observed: (_answer, failing) => `${plural(failing, "row")} in one of them alone`,
      });
    },
  }),
  defineKind({
    check: "file",
    does: "each file of the lake holds as many rows as its ledger line says",
    subjects: TABLE_SUBJECTS,
    stores: "lake",
    parameters: {},
    probe: (_parameters, { subject }) => filesThat(subject, "rows <> counted", "as many rows as the ledger says"),
  }),
  defineKind({
    check: "schema",
    does: "each file of the lake has the columns of its table, amounts as 38 digits of which 12 stand after the point",
    subjects: TABLE_SUBJECTS,
    stores: "lake",
    parameters: {},
    probe: (_parameters, { subject }) =>
      subject === "built"
        ? null
        : filesThat(subject, `shape <> ${literal(shapeOf(subject))}`, "the columns of the table"),
  }),
];

function filesThat(subject: Subject, fault: string, wanted: string) {
  const where = `subject = ${literal(subject)} AND ${fault}`;
  const failing: Failing = { select: () => `SELECT '*' AS venue, NULL AS symbol, * FROM files WHERE ${where}` };
  return measured({
    wanted,
    relation: "files",
    isAdding: true,
    failing,
    sums: { n: countOf(`subject = ${literal(subject)}`), bad: countOf(where) },
    judge(answer) {
      const n = number(answer.n), bad = number(answer.bad);
      return n === 0 ? null : {
        isSound: bad === 0,
        value: bad,
        observed: `${plural(bad, "file")} of ${n.toLocaleString("en")}`,
        failing: bad,
        of: n,
      };
    },
  });
}
