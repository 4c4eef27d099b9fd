/**
 * The guards of checks at rest: what is suspected is looked at, evidence holds every failing row, what is tolerated is no
 * more than was said, and a run that never ended or found errors is held against nothing.
 *
 * **Knows** `mutant`.
 */
import { line, type Mutant } from "../mutant.ts";

const CHECKS = ["lib/check_test.ts"], RUNS = ["lib/chronicle_test.ts"], DRIFT = ["lib/drift_test.ts"];

export const CHECKS_AT_REST: readonly Mutant[] = [
  line("falls across a time of our own", "lib/check/time.ts", "number(own) < number(rows) || ", CHECKS, { put: "" }),
  line("falls from row to row", "lib/check/time.ts", " || number(falls) > 0)", CHECKS, { put: ")" }),
  line("rows without an id may be equal", "lib/check/columns.ts", "number(ids) < number(all) || ", CHECKS, { put: "" }),
  line("ids may be equal", "lib/check/columns.ts", " || number(distinct) < number(ids)", CHECKS, { put: "" }),
  line("a number in between is missing", "lib/check/sequence.ts", "isRising(answer) && number(answer.high)", CHECKS, {
    put: "isRising(answer) || number(answer.high)",
  }),
  line(
    "a hole that a status told",
    "lib/check/sequence.ts",
    "told.first_id <= hole.missing_from AND told.last_id >= hole.missing_to",
    CHECKS,
    {
      put: "true",
    },
  ),
  line("steps beyond what a float can count", "lib/check/amounts.ts", "< 1125899906842624", CHECKS, {
    put: "< 1e300",
  }),
  line("quotes of a second before a trade", "lib/check/trades.ts", "AND quote.until > trade.at - ${SECOND}\n", CHECKS, {
    put: "AND quote.until > trade.at\n",
  }),
  line("a store holds what was acknowledged", "lib/books.ts", "if (missing !== undefined) return", [
    "tasks/flow_test.ts",
  ], {
    put: "if (false as boolean && missing !== undefined) return",
  }),
  line("repeats are noted in no store", "lib/books.ts", "originOf(record) > origin)", ["tasks/flow_test.ts"], {
    put: "originOf(record) >= 0)",
  }),
  line("numbers of another run", "lib/check/sequence.ts", "PARTITION BY venue, symbol, run, sequence", CHECKS, {
    put: "PARTITION BY venue, symbol, sequence",
  }),
  line("the same quote for long", "lib/check/quotes.ts", "number(same) === 0 ||", CHECKS, {
    put: "number(same) <= 1 ||",
  }),
  line("late quotes break no silence", "lib/check/quotes.ts", "AND is_live AND NOT is_late THEN", CHECKS, {
    put: "AND is_live THEN",
  }),
  line("a span begins behind the row before it", "lib/check/sums.ts", "span.before !== null", CHECKS, { put: "false" }),
  line("the quote before a span", "lib/check/stand.ts", "{ from: before, until }), byReceipt()", CHECKS, {
    put: "{ from, until }), byReceipt()",
  }),
  line("sums of spans add up", "lib/check/sums.ts", "before === undefined ? row : pooled", CHECKS, {
    put: "before !== undefined ? row : pooled",
  }),
  line("each thread has its own share", "lib/check/units.ts", "lightest.units.push(unit);", CHECKS, {
    put: "if (lightest === shares[0]) lightest.units.push(unit);",
  }),
  line("rows of which a check speaks", "lib/check/kind.ts", "`(${of}) AND (${fault})`", CHECKS, { put: "fault" }),
  line("evidence holds every row", "lib/check/evidence.ts", "await views.copy(select,", CHECKS, {
    put: "await views.copy(`SELECT * FROM (${select}) LIMIT 1`,",
  }),
  line("evidence stays on its shelf", "lib/check/evidence.ts", '.replace(/^[.]+/, "-")', CHECKS, { put: "" }),
  line("expectations whose evidence is one file", "lib/check/suite.ts", "if (other !== undefined) {", CHECKS, {
    put: "if (false as boolean) {",
  }),
  line("one more than is tolerated", "lib/check/asked.ts", "failing <= Math.max(", CHECKS, {
    put: "failing <= 1 + Math.max(",
  }),
  line("nothing is no tolerated failure", "lib/check/asked.ts", "failing > 0 && ", CHECKS, { put: "" }),
  line("a share of what could fail", "lib/check/asked.ts", "(tolerance?.share ?? 0) * of", CHECKS, {
    put: "(tolerance?.share ?? 0) * of * 2",
  }),
  line("whom an expectation speaks of", "lib/check/asked.ts", " && matches(symbol, ofSymbol)", CHECKS, { put: "" }),
  line(
    "expectations that cannot be added up",
    "lib/check/suite.ts",
    'if (per === "table" && isApart(expectation)) {',
    CHECKS,
    {
      put: "if (false as boolean) {",
    },
  ),
  line(
    "files that the ledger names for the date",
    "lib/check/ground.ts",
    "({ files }) => files).filter((file) => file.date === date)",
    CHECKS,
    {
      put: "({ files }) => files)",
    },
  ),
  line("a run is kept once", "lib/chronicle.ts", '.check({ key: ["id", id], versionstamp: null })', RUNS, { put: "" }),
  line("name of a run", "lib/chronicle.ts", "if (!RUN_ID.test(id)) throw", RUNS, {
    put: "if (false as boolean) throw",
  }),
  line(
    "a run's files before the index names it",
    "lib/chronicle.ts",
    "    if (results.length > 0) {\n      await this.#keep(",
    RUNS,
    {
      put:
        '    await this.#index.set(["run", at, id], { id, at, suite, dates });\n    if (results.length > 0) {\n      await this.#keep(',
    },
  ),
  line("synced before the index names it", "lib/chronicle.ts", "      await file.sync();", ["lib/durability_test.ts"]),
  line("sync of the chronicle's folder", "lib/chronicle.ts", "    syncFolder(this.#folder);", [
    "lib/durability_test.ts",
  ]),
  line("what speaks of a whole table", "lib/chronicle.ts", " OR symbol IS NULL", RUNS, { put: "" }),
  line("runs that failed are no baseline", "lib/drift.ts", "before.filter(({ id }) => !errors.has(id));", DRIFT, {
    put: "before;",
  }),
  line("warnings are no failed run", "lib/drift.ts", ' && severity === "error"', DRIFT, { put: "" }),
  line("a baseline is of the same suite", "lib/drift.ts", " && suite === current.suite", DRIFT, { put: "" }),
  line(
    "a baseline is of other dates",
    "lib/drift.ts",
    " &&\n    !dates.some((date) => current.dates.includes(date))",
    DRIFT,
    {
      put: "",
    },
  ),
  line("of one date the last run counts", "lib/drift.ts", "sound.filter(({ id }) => kept.has(id))", DRIFT, {
    put: "sound",
  }),
  line("few days are no baseline", "lib/drift.ts", "if (days.length < DAYS_MIN) return", DRIFT, {
    put: "if (days.length < 1) return",
  }),
  line(
    "a wild day widens nothing",
    "lib/drift.ts",
    "medianOf(apart) > 0 ? 1.4826 * medianOf(apart) : 1.2533 * mean",
    DRIFT,
    {
      put: "1.2533 * mean",
    },
  ),
];
