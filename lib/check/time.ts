/**
 * Checks of time: the order and silence of events, how long they take to us, and whether a market was open at all.
 *
 * **Knows** `kind`.
 */
import { z } from "@zod/zod";
import {
  countOf,
  defineKind,
  eachRow,
  type Kind,
  literal,
  measured,
  ms,
  number,
  plural,
  seconds,
  selected,
  share,
  shareOf,
  type Subject,
  SUBJECTS,
} from "./kind.ts";

const TOLD = ["trades", "quotes", "books", "deltas", "status"] as const satisfies readonly Subject[];
const MARKET = ["trades", "quotes"] as const satisfies readonly Subject[];
const SECOND = 1_000_000;
const minute = "t // 60000000";
const connection = "coalesce(split_part(frame, '/', 1), '')";

export const KINDS: readonly Kind[] = [
  defineKind({
    check: "order",
    does: "no live event lies further behind those before it than the rules allow, unless it is flagged late",
    subjects: MARKET,
    stores: "both",
    parameters: { lateMsMax: z.int().min(0).max(86_400_000).optional() },
    // As the judge has it: a time of our own is never late and makes nothing late, what is fetched afterwards is never late.
    probe({ lateMsMax }, { subject, limits }) {
      const ms = lateMsMax ?? limits.lateMsMax;
      return selected({
        wanted: `live events at most ${ms} ms behind, or flagged`,
        steps: ["own_t"],
        // Where each event is the venue's and none falls, none is late.
        sums: { own: "count(own_t)", falls: countOf("own_t < prev_own_t") },
        suspects: ({ rows, own, falls }) => number(own) > 0 && (number(own) < number(rows) || number(falls) > 0),
        select: (lens) =>
          `SELECT * FROM (${lens.rows(subject, ["own_t", "high_t", "is_live", "is_late"])}) WHERE high_t - own_t > ${
            ms * 1_000
          } AND is_live AND NOT is_late`,
        observed: ({ rows }, failing) => `${plural(failing, "row")} of ${number(rows).toLocaleString("en")}`,
      });
    },
  }),
  defineKind({
    check: "future",
    does: "no event happens further after its own receipt than clocks may differ",
    subjects: TOLD,
    stores: "both",
    parameters: { futureMsMax: z.int().min(0).max(86_400_000).optional() },
    probe: ({ futureMsMax }, { limits }) =>
      eachRow(`-lag > ${(futureMsMax ?? limits.futureMsMax) * 1_000}`, {
        wanted: `events at most ${futureMsMax ?? limits.futureMsMax} ms after their receipt`,
        needs: ["lag"],
      }),
  }),
  defineKind({
    check: "lag",
    does:
      "a quantile of the time from event to receipt lies within bounds; below zero the venue's clock is ahead of ours",
    subjects: MARKET,
    stores: "both",
    parameters: { quantile: share.default(0.99), msMax: z.number(), msMin: z.number().optional() },
    probe: ({ quantile, msMax, msMin }) =>
      measured({
        wanted: `the ${quantile} quantile ${msMin === undefined ? "" : `from ${msMin} `}to ${msMax} ms`,
        needs: ["lag"],
        sums: {
          at: `quantile_cont(lag, ${quantile})`,
          n: `count(lag)`,
          beyond: `count(*) FILTER (WHERE lag > ${msMax * 1_000}${
            msMin === undefined ? "" : ` OR lag < ${msMin * 1_000}`
          })`,
        },
        failing: { where: `lag > ${msMax * 1_000}${msMin === undefined ? "" : ` OR lag < ${msMin * 1_000}`}` },
        judge({ at, n, beyond }) {
          if (number(n) === 0) return null;
          const value = number(at) / 1_000;
          return {
            isSound: value <= msMax && value >= (msMin ?? -Infinity),
            value,
            observed: ms(at),
            failing: number(beyond),
            of: number(n),
          };
        },
      }),
  }),
  defineKind({
    check: "clock",
    does:
      "on every connection our clock and the venue's are apart by no more than expected, by the median from event to receipt",
    subjects: MARKET,
    stores: "both",
    parameters: { msMin: z.number().default(-1_000), msMax: z.number().default(5_000) },
    probe: ({ msMin, msMax }, { subject }) =>
      selected({
        wanted: `medians from ${msMin} to ${msMax} ms on every connection`,
        needs: ["lag"],
        sums: { n: "count(lag)", least: "min(lag)", most: "max(lag)" },
        suspects: ({ n, least, most }) =>
          number(n) === 0 ? null : number(least) < msMin * 1_000 || number(most) > msMax * 1_000,
        select: (lens) =>
          `SELECT venue, symbol, ${connection} AS connection, count(*) AS rows, median(lag) / 1000 AS offset_ms FROM (${
            lens.rows(subject, ["lag"])
          })
            WHERE lag IS NOT NULL GROUP BY ALL HAVING median(lag) < ${msMin * 1_000} OR median(lag) > ${msMax * 1_000}`,
        observed: (_answer, failing) => `${plural(failing, "connection")} beyond`,
      }),
  }),
  defineKind({
    check: "step",
    does: "the median from event to receipt of a connection does not jump from one minute to the next: a clock was set",
    subjects: MARKET,
    stores: "both",
    parameters: { stepMsMax: z.number().min(0).default(500), rowsMin: z.int().min(1).default(20) },
    probe: ({ stepMsMax, rowsMin }, { subject }) =>
      selected({
        wanted: `steps of at most ${stepMsMax} ms between minutes`,
        needs: ["lag"],
        sums: { n: "count(lag)", least: "min(lag)", most: "max(lag)" },
        suspects: ({ n, least, most }) => number(n) === 0 ? null : number(most) - number(least) > stepMsMax * 1_000,
        select: (lens) =>
          `SELECT * FROM (SELECT *, lag(offset_ms) OVER (PARTITION BY venue, symbol, connection ORDER BY minute) AS before_ms FROM (
            SELECT venue, symbol, ${connection} AS connection, make_timestamp(${minute} * 60000000) AS minute, count(*) AS rows, median(lag) / 1000 AS offset_ms
            FROM (${
            lens.rows(subject, ["lag", "t", "is_live", "is_late"])
          }) WHERE lag IS NOT NULL AND is_live AND NOT is_late GROUP BY ALL HAVING count(*) >= ${rowsMin}))
            WHERE abs(offset_ms - before_ms) > ${stepMsMax}`,
        observed: (_answer, failing) => plural(failing, "step"),
      }),
  }),
  defineKind({
    check: "received",
    does: "the share of events without a time of the venue stays small",
    subjects: MARKET,
    stores: "both",
    parameters: { shareMax: share.default(0) },
    probe: ({ shareMax }) =>
      shareOf("time_source = 'received'", { wanted: `at most ${shareMax * 100} % with our own time`, shareMax }),
  }),
  defineKind({
    check: "silence",
    does: "within a session no event is longer in coming than expected after the one before",
    subjects: MARKET,
    stores: "both",
    parameters: { secondsMax: seconds },
    probe: ({ secondsMax }, { subject, hasHours }) =>
      selected({
        wanted: `at most ${secondsMax} s between events of a session`,
        steps: ["t"],
        sums: { waits: countOf(`t - prev_t > ${secondsMax * SECOND}`) },
        suspects: ({ venue, symbol, waits }) => hasHours(String(venue), String(symbol)) ? number(waits) > 0 : null,
        select: (lens) =>
          `SELECT * FROM (${
            lens.rows(subject, ["t", "last_t", "opens"])
          }) WHERE opens IS NOT NULL AND last_t IS NOT NULL
            AND t - greatest(last_t, opens) > ${secondsMax * SECOND}`,
        observed: (_answer, failing) => plural(failing, "silence"),
      }),
  }),
  defineKind({
    check: "session",
    does: "events lie in the sessions of the venue's calendar",
    subjects: MARKET,
    stores: "both",
    parameters: {
      /** `any` lets what is around the core session pass as well. */
      phase: z.enum(["core", "any"]).default("any"),
      graceSeconds: seconds.default(0),
    },
    probe: ({ phase, graceSeconds }, { subject, hasHours }) =>
      selected({
        wanted: `events in ${phase === "core" ? "core sessions" : "sessions"}`,
        needs: ["phase"],
        sums: { outside: countOf(`phase IS NULL${phase === "core" ? " OR phase <> 'core'" : ""}`) },
        suspects: ({ venue, symbol, outside }) => hasHours(String(venue), String(symbol)) ? number(outside) > 0 : null,
        select: (lens) =>
          `SELECT own.* FROM (${
            lens.rows(subject, ["t"])
          }) own WHERE NOT EXISTS (SELECT 1 FROM hours WHERE hours.venue = own.venue AND hours.symbol = own.symbol
            ${phase === "core" ? "AND hours.phase = 'core'" : ""} AND own.t >= hours.opens - ${
            graceSeconds * SECOND
          } AND own.t < hours.closes + ${graceSeconds * SECOND})`,
        observed: (_answer, failing) => `${plural(failing, "row")} outside`,
      }),
  }),
  defineKind({
    check: "fresh",
    does: "events go on until shortly before the last core session of the date ends",
    subjects: MARKET,
    stores: "both",
    parameters: { secondsMax: seconds },
    probe: ({ secondsMax }, { subject, hasHours, hoursOf, date }) =>
      measured({
        wanted: `the newest event at most ${secondsMax} s before the session ends`,
        needs: ["t"],
        sums: { newest: "max(t)", n: "count(*)" },
        failing: {
          select: (lens) =>
            `SELECT venue, symbol, ${literal(date)} AS date, max(event_time) AS newest FROM (${
              lens.rows(subject)
            }) GROUP BY ALL`,
        },
        judge({ venue, symbol, newest, n }) {
          const closes = hasHours(String(venue), String(symbol))
            ? hoursOf(String(venue), String(symbol)).at(-1)?.closes
            : undefined;
          if (closes === undefined) return null;
          const value = Math.max(0, (closes - number(newest)) / SECOND);
          const isSound = value <= secondsMax;
          return { isSound, value, observed: `${Math.round(value)} s before`, failing: isSound ? 0 : 1, of: number(n) };
        },
      }),
  }),
  defineKind({
    check: "date",
    does: "every event lies on the date of its partition",
    subjects: SUBJECTS,
    stores: "lake",
    parameters: {},
    probe: (_parameters, { from, to, date }) =>
      eachRow(`t < ${from} OR t >= ${to}`, { wanted: `events of ${date}`, needs: ["t"] }),
  }),
];
