/**
 * Checks of the numbers that a venue gives its events, as far as it promises something of them.
 *
 * **Knows** `kind`.
 */
import { z } from "@zod/zod";
import type { Answer } from "../parquet.ts";
import { column, countOf, defineKind, type Kind, number, plural, selected, type Subject } from "./kind.ts";

const NUMBERED = ["trades", "quotes"] as const satisfies readonly Subject[];

/** Numbers that are missing before a row, by number; `missing` of them. */
const holes = (rows: string): string =>
  `SELECT * FROM (SELECT *, lag(sequence) OVER (PARTITION BY venue, symbol ORDER BY sequence) + 1 AS missing_from, sequence - 1 AS missing_to
    FROM (${rows}) WHERE sequence IS NOT NULL) WHERE missing_to >= missing_from`;
/** As long as each row has a number, and each is above the one before it, none is there twice. */
const NUMBERS = {
  n: "count(sequence)",
  rises: countOf("sequence > prev_sequence"),
  low: "min(sequence)",
  high: "max(sequence)",
};
const isRising = ({ rows, n, rises }: Answer): boolean => number(n) === number(rows) && number(rises) === number(n) - 1;
const isWhole = (answer: Answer): boolean =>
  isRising(answer) && number(answer.high) - number(answer.low) + 1 === number(answer.n);

export const KINDS: readonly Kind[] = [
  defineKind({
    check: "gap",
    does: "no number is missing where the venue numbers each event with the last plus one",
    subjects: NUMBERED,
    stores: "both",
    parameters: {},
    probe(_parameters, { subject, venuesOf }) {
      const venues = venuesOf("contiguous");
      const missing = ({ measure }: Answer): number => number(measure);
      return selected({
        wanted: "no number missing",
        steps: ["sequence"],
        sums: NUMBERS,
        suspects: (answer) => venues.includes(String(answer.venue)) && number(answer.n) > 0 ? !isWhole(answer) : null,
        select: (lens) => holes(lens.rows(subject)),
        measure: "sum(missing_to - missing_from + 1)",
        value: missing,
        observed: (answer, failing) => `${missing(answer).toLocaleString("en")} missing in ${plural(failing, "hole")}`,
      });
    },
  }),
  defineKind({
    check: "unrecorded",
    does:
      "whatever number is missing lies in a gap that a status tick or a flag has told: a hole that nobody recorded is the worst",
    subjects: NUMBERED,
    stores: "both",
    parameters: {},
    probe(_parameters, { subject, venuesOf, limits }) {
      const venues = venuesOf("contiguous");
      return selected({
        wanted: "every missing number in a gap that is told",
        steps: ["sequence"],
        sums: NUMBERS,
        suspects: (answer) => venues.includes(String(answer.venue)) && number(answer.n) > 0 ? !isWhole(answer) : null,
        // A judge that misses numbers flags a row behind them, once its window has closed over the hole.
        select: (lens) =>
          `SELECT hole.* FROM (${holes(lens.rows(subject, ["t"]))}) hole JOIN (SELECT venue, symbol, max(t) AS newest,
            max(CASE WHEN list_contains(string_split(flags, ','), 'gap') THEN origin END) AS flagged
            FROM (${lens.rows(subject, ["t"])}) GROUP BY ALL) series USING (venue, symbol)
            WHERE hole.origin > coalesce(series.flagged, -1) AND hole.t <= series.newest - ${limits.lateMsMax * 1_000}
            AND NOT EXISTS (SELECT 1 FROM (${lens.rows("status")}) told
              WHERE told.state = 'gap' AND told.venue = hole.venue AND told.symbol = hole.symbol
              AND told.first_id <= hole.missing_from AND told.last_id >= hole.missing_to)`,
        observed: (_answer, failing) => `${plural(failing, "hole")} that nobody told`,
      });
    },
  }),
  defineKind({
    check: "duplicate",
    does:
      "no number comes twice where the venue's numbers rise; a counter that was judged to begin anew may repeat them",
    subjects: ["trades", "quotes", "deltas"],
    stores: "both",
    parameters: {},
    probe(_parameters, { subject, venuesOf }) {
      const venues = venuesOf("contiguous", "rising");
      return selected({
        wanted: "each number once",
        steps: ["sequence"],
        sums: { n: NUMBERS.n, rises: NUMBERS.rises },
        suspects: (answer) => venues.includes(String(answer.venue)) && number(answer.n) > 0 ? !isRising(answer) : null,
        select: (lens) =>
          `SELECT * EXCLUDE (run, is_reset) FROM (
              SELECT *, ${
            countOf("is_reset")
          } OVER (PARTITION BY venue, symbol ORDER BY "partition", origin ROWS UNBOUNDED PRECEDING) AS run
              FROM (SELECT *, coalesce(list_contains(string_split(flags, ','), 'reset'), false) AS is_reset
                FROM (${lens.rows(subject)}))
            ) WHERE sequence IS NOT NULL
            QUALIFY row_number() OVER (PARTITION BY venue, symbol, run, sequence ORDER BY "partition", origin) > 1`,
        observed: ({ n }, failing) => `${plural(failing, "row")} of ${number(n).toLocaleString("en")} again`,
      });
    },
  }),
  defineKind({
    check: "reset",
    does: "numbers do not fall far unless the connection was new: a counter that began again without evidence",
    subjects: ["trades", "quotes", "deltas"],
    stores: "both",
    parameters: { fallMin: z.int().min(1).default(1_024) },
    probe({ fallMin }, { subject, venuesOf }) {
      const venues = venuesOf("contiguous", "rising");
      const fallen = `prev_sequence - sequence >= ${fallMin} AND is_live`;
      return selected({
        wanted: "no number that falls without a new connection",
        steps: ["sequence", "is_live"],
        sums: { fallen: countOf(fallen) },
        suspects: (answer) => venues.includes(String(answer.venue)) ? number(answer.fallen) > 0 : null,
        select: (lens) =>
          `SELECT own.* FROM (${
            lens.rows(subject, ["prev_sequence", "is_live"])
          }) own WHERE ${fallen} AND NOT EXISTS (SELECT 1 FROM (${lens.rows("status")}) told
            WHERE told.state IN ('connected', 'subscribed', 'gap') AND told.venue = own.venue AND told.symbol = own.symbol
            AND epoch_us(told.received_time) BETWEEN epoch_us(own.received_time) - 60000000 AND epoch_us(own.received_time))`,
        observed: (_answer, failing) => `${plural(failing, "fall")} without evidence`,
      });
    },
  }),
  defineKind({
    check: "monotonic",
    does: "a column does not fall in the order of arrival",
    subjects: ["trades", "quotes", "deltas"],
    stores: "both",
    parameters: { column: column.default("sequence"), strictly: z.boolean().default(false) },
    probe({ column, strictly }, { subject }) {
      const before = `lag("${column}") OVER (PARTITION BY venue, symbol ORDER BY "partition", origin)`;
      const fault = `${strictly ? "before >=" : "before >"} "${column}"`;
      return selected({
        wanted: `${column} that ${strictly ? "rises" : "does not fall"}`,
        sums: { n: `count("${column}")` },
        suspects: ({ n }) => number(n) === 0 ? null : true,
        select: (lens) =>
          `SELECT * FROM (SELECT *, ${before} AS before FROM (${
            lens.rows(subject, ["is_live"])
          }) WHERE is_live AND "${column}" IS NOT NULL) WHERE ${fault}`,
        observed: (_answer, failing) => plural(failing, "fall"),
      });
    },
  }),
  defineKind({
    check: "chain",
    does: "each change of a book follows the one before it, unless a snapshot or a told gap lies in between",
    subjects: ["deltas"],
    stores: "both",
    parameters: {},
    probe: (_parameters, { subject }) => {
      const broken =
        "CASE WHEN previous_id IS NOT NULL THEN previous_id <> prev_last_id ELSE first_id > prev_last_id + 1 END";
      return selected({
        wanted: "changes that follow each other",
        steps: ["first_id", "last_id", "previous_id"],
        sums: { n: "count(last_id)", broken: countOf(broken) },
        suspects: ({ n, broken }) => number(n) === 0 ? null : number(broken) > 0,
        select: (lens) =>
          `SELECT own.* FROM (${lens.rows(subject, ["prev_last_id"])}) own WHERE ${broken}
            AND NOT EXISTS (SELECT 1 FROM (SELECT venue, symbol, sequence AS upto FROM (${lens.rows("books")})
              UNION ALL SELECT venue, symbol, coalesce(last_id, 9007199254740991) FROM (${
            lens.rows("status")
          }) WHERE state = 'gap') mend
              WHERE mend.venue = own.venue AND mend.symbol = own.symbol AND mend.upto >= own.prev_last_id AND mend.upto >= own.first_id - 1)`,
        observed: (_answer, failing) => `${plural(failing, "break")} that nothing explains`,
      });
    },
  }),
];
