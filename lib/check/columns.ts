/**
 * Checks of columns, whatever they mean: how many rows, what stands in a column, what may stand there once.
 *
 * **Knows** `kind`, `table`.
 */
import { z } from "@zod/zod";
import { isDecimal } from "../decimal.ts";
import { TABLES } from "../table.ts";
import {
  column,
  countOf,
  defineKind,
  eachRow,
  type Kind,
  listOf,
  literal,
  measured,
  number,
  plural,
  selected,
  share,
  shareOf,
  type Subject,
  SUBJECTS,
} from "./kind.ts";

/** The columns of a subject. */
export const columnsOf = (subject: Subject) => TABLES[subject === "built" ? "quotes" : subject];
const has = (subject: Subject, name: string): boolean => columnsOf(subject).some((column) => column.name === name);
const bound = z.string().refine(isDecimal, { message: "must be exact decimal text" });

/** What a row says besides where it came from. */
const contentOf = (subject: Subject): string[] =>
  columnsOf(subject).map(({ name }) => name)
    .filter((name) =>
      !["partition", "origin", "venue", "symbol", "received_time", "source", "flags", "frame"].includes(name)
    );

/** What names a row at its venue. */
const KEYS: Readonly<Record<Subject, string>> = {
  trades: "id",
  quotes: "sequence",
  books: "sequence",
  deltas: "last_id",
  status: "id",
  built: "sequence",
};

export const KINDS: readonly Kind[] = [
  defineKind({
    check: "rows",
    does:
      "rows of an instrument's date, or of each of its sessions, are as many as expected; a date without a session is not judged",
    subjects: SUBJECTS,
    stores: "both",
    parameters: {
      min: z.int().min(0).default(1),
      max: z.int().min(0).optional(),
      /** Counts the rows of each session of the venue's calendar, and expects at least one session with rows. */
      perSession: z.boolean().default(false),
    },
    probe({ min, max, perSession }, { subject, date, hasHours, hoursOf }) {
      const wanted = `${min.toLocaleString("en")}${
        max === undefined ? " or more" : ` to ${max.toLocaleString("en")}`
      } rows`;
      const fits = (n: number): boolean => n >= min && n <= (max ?? Infinity);
      const isClosed = (venue: string, symbol: string): boolean =>
        hasHours(venue, symbol) && hoursOf(venue, symbol).length === 0;
      if (!perSession) {
        return measured({
          wanted,
          isAdding: true,
          sums: { n: "count(*)" },
          failing: {
            select: (lens) =>
              `SELECT venue, symbol, ${literal(date)} AS date, count(*) AS rows FROM (${
                lens.rows(subject)
              }) GROUP BY ALL`,
          },
          judge({ n, venue, symbol }) {
            const rows = number(n);
            return isClosed(String(venue), String(symbol)) ? null : {
              isSound: fits(rows),
              value: rows,
              observed: plural(rows, "row"),
              failing: fits(rows) ? 0 : 1,
              of: rows,
            };
          },
        });
      }
      return selected({
        wanted: `${wanted} in each session`,
        suspects: ({ venue, symbol }) =>
          !hasHours(String(venue), String(symbol)) || hoursOf(String(venue), String(symbol)).length === 0 ? null : true,
        select: (lens) =>
          `SELECT hours.venue, hours.symbol, make_timestamp(hours.opens) AS opens, make_timestamp(hours.closes) AS closes, count(own.t) AS rows
          FROM hours JOIN (SELECT DISTINCT venue, symbol FROM (${lens.rows(subject)})) there USING (venue, symbol)
          LEFT JOIN (${lens.rows(subject, ["t"])}) own
          ON own.venue = hours.venue AND own.symbol = hours.symbol AND own.t >= hours.opens AND own.t < hours.closes
          GROUP BY ALL HAVING count(own.t) < ${min}${max === undefined ? "" : ` OR count(own.t) > ${max}`}`,
        observed: (_answer, failing) => `${plural(failing, "session")} with another count`,
      });
    },
  }),
  defineKind({
    check: "null",
    does: "columns hold something in every row",
    subjects: SUBJECTS,
    stores: "both",
    parameters: { columns: z.array(column).min(1).max(20) },
    probe({ columns }, { subject }) {
      const known = columns.filter((name) => has(subject, name));
      if (known.length === 0) return null;
      return eachRow(known.map((name) => `"${name}" IS NULL`).join(" OR "), {
        wanted: `${known.join(", ")} in every row`,
      });
    },
  }),
  defineKind({
    check: "range",
    does: "the amounts of a column lie within bounds",
    subjects: ["trades", "quotes", "built"],
    stores: "both",
    parameters: {
      column,
      min: bound.optional(),
      max: bound.optional(),
      above: bound.optional(),
      below: bound.optional(),
    },
    probe({ column, min, max, above, below }, { subject }) {
      if (!has(subject, column)) return null;
      const sides: [string, string, string | undefined][] = [
        ["<", "at least", min],
        [">", "at most", max],
        ["<=", "above", above],
        [">=", "below", below],
      ];
      const given = sides.filter((side): side is [string, string, string] => side[2] !== undefined);
      if (given.length === 0) return null;
      return eachRow(
        given.map(([sign, , text]) => `"${column}" ${sign} CAST(${literal(text)} AS DECIMAL(38,12))`).join(" OR "),
        {
          wanted: `${column} ${given.map(([, word, text]) => `${word} ${text}`).join(" and ")}`,
          of: `"${column}" IS NOT NULL`,
        },
      );
    },
  }),
  defineKind({
    check: "set",
    does: "a column holds nothing but the words that it may",
    subjects: SUBJECTS,
    stores: "both",
    parameters: { column, values: z.array(z.string().max(128)).min(1).max(1_000) },
    probe({ column, values }, { subject }) {
      if (!has(subject, column)) return null;
      return eachRow(`CAST("${column}" AS VARCHAR) NOT IN (${listOf(values)})`, {
        wanted: `${column} one of ${values.slice(0, 8).join(", ")}${values.length > 8 ? ", …" : ""}`,
        of: `"${column}" IS NOT NULL`,
      });
    },
  }),
  defineKind({
    check: "pattern",
    does: "the text of a column has a form",
    subjects: SUBJECTS,
    stores: "both",
    parameters: { column, pattern: z.string().min(1).max(500) },
    probe({ column, pattern }, { subject }) {
      if (!has(subject, column)) return null;
      return eachRow(`NOT regexp_full_match(CAST("${column}" AS VARCHAR), ${literal(pattern)})`, {
        wanted: `${column} like ${pattern}`,
        of: `"${column}" IS NOT NULL`,
      });
    },
  }),
  defineKind({
    check: "unique",
    does:
      "no natural key comes twice: a trade's id, a delta's last id, another's number, or the columns that are named",
    subjects: ["trades", "deltas"],
    stores: "both",
    parameters: { columns: z.array(column).min(1).max(8).optional() },
    probe({ columns }, { subject }) {
      const key = (columns ?? [KEYS[subject]]).filter((name) => has(subject, name)).map((name) => `"${name}"`);
      if (key.length === 0) return null;
      const whole = key.map((name) => `${name} IS NOT NULL`).join(" AND ");
      const one = key.length === 1 ? key[0]! : `(${key.join(", ")})`;
      return measured({
        wanted: `each ${key.join(", ").replaceAll('"', "")} once`,
        sums: {
          n: key.length === 1 ? `count(${one})` : countOf(whole),
          distinct: key.length === 1 ? `count(DISTINCT ${one})` : `count(DISTINCT ${one}) FILTER (WHERE ${whole})`,
        },
        failing: {
          select: (lens) =>
            `SELECT * FROM (${
              lens.rows(subject)
            }) WHERE ${whole} QUALIFY row_number() OVER (PARTITION BY venue, symbol, ${
              key.join(", ")
            } ORDER BY "partition", origin) > 1`,
        },
        judge(answer) {
          const n = number(answer.n);
          if (n === 0) return null;
          const failing = n - number(answer.distinct);
          return {
            isSound: failing === 0,
            value: failing,
            observed: `${plural(failing, "row")} of ${n.toLocaleString("en")} again`,
            failing,
            of: n,
          };
        },
      });
    },
  }),
  defineKind({
    check: "repeated",
    does:
      "no row says just what another of its frame says, or of its receipt where frames are not kept: legal where several orders are met at once, and worth knowing",
    subjects: ["trades"],
    stores: "both",
    parameters: {
      /** Compares all rows of the date instead of those of a frame. */
      anywhere: z.boolean().default(false),
    },
    probe({ anywhere }, { subject }) {
      const content = [...contentOf(subject), ...(anywhere ? [] : ["frame", "received_time"])].map((name) =>
        `"${name}"`
      );
      return selected({
        wanted: `no two equal rows ${anywhere ? "in a day" : "in a frame"}`,
        // Where each has an id of its own, no two are equal.
        sums: { all: "count(*)", ids: "count(id)", distinct: "count(DISTINCT id)" },
        suspects: ({ all, ids, distinct }) => number(ids) < number(all) || number(distinct) < number(ids),
        select: (lens) =>
          `SELECT * FROM (${lens.rows(subject)}) QUALIFY row_number() OVER (PARTITION BY ${
            ["venue", "symbol", ...content].join(", ")
          } ORDER BY "partition", origin) > 1`,
        observed: ({ rows }, failing) =>
          `${plural(failing, "row")} of ${number(rows).toLocaleString("en")} equal to another`,
      });
    },
  }),
  defineKind({
    check: "flagged",
    does: "the share of rows that a rule has flagged stays small",
    subjects: ["trades", "quotes", "books", "deltas"],
    stores: "both",
    parameters: { flag: z.string().regex(/^[a-z][a-zA-Z-]{0,31}$/), shareMax: share.default(0) },
    probe: ({ flag, shareMax }) =>
      shareOf(`list_contains(string_split(flags, ','), ${literal(flag)})`, {
        wanted: `at most ${shareMax * 100} % flagged ${flag}`,
        shareMax,
      }),
  }),
  defineKind({
    check: "fetched",
    does: "the share of rows that were fetched afterwards or redriven stays small",
    subjects: ["trades", "quotes", "books", "deltas"],
    stores: "both",
    parameters: { shareMax: share.default(0) },
    probe: ({ shareMax }) =>
      shareOf("source IN ('backfill', 'redrive')", {
        wanted: `at most ${shareMax * 100} % fetched afterwards`,
        shareMax,
      }),
  }),
];
