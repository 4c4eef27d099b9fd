/**
 * Checks of trades: their prices against the quotes in force and each other, their sides, sizes and volume.
 *
 * **Knows** `kind`.
 */
import { z } from "@zod/zod";
import { compare, isDecimal } from "../decimal.ts";
import {
  countOf,
  defineKind,
  eachRow,
  type Kind,
  literal,
  measured,
  number,
  percent,
  plural,
  seconds,
  selected,
  share,
  shareOf,
} from "./kind.ts";

const TRADES = ["trades"] as const;
const SECOND = 1_000_000;
const conditions = z.array(z.string().regex(/^[\w -]{1,64}$/)).max(32).default([]);
/** Trades without any of these conditions. */
const without = (skip: readonly string[]): string =>
  skip.length === 0
    ? "true"
    : `(conditions IS NULL OR NOT (${
      skip.map((word) => `contains(conditions, ${literal(`"${word}"`)})`).join(" OR ")
    }))`;

export const KINDS: readonly Kind[] = [
  defineKind({
    check: "away",
    does: "every trade is near some quote in force in the second before it: sweeps print before the quote arrives",
    subjects: TRADES,
    stores: "both",
    parameters: { nearBps: z.number().min(0).max(10_000).default(25), skip: conditions },
    probe({ nearBps, skip }) {
      const near = nearBps / 10_000;
      const away = (bid: string, ask: string): string =>
        `(approx < CAST(${bid} AS DOUBLE) - ${near} * abs(CAST(${bid} AS DOUBLE)) OR approx > CAST(${ask} AS DOUBLE) + ${near} * abs(CAST(${ask} AS DOUBLE)))`;
      const fault = `${without(skip)} AND ${away("bid_price", "ask_price")}`;
      return selected({
        wanted: `trades within ${nearBps} basis points of a quote in force in the second before`,
        relation: "paired",
        sums: { quoted: "count(quoted_at)", away: countOf(fault) },
        suspects: ({ quoted, away }) => number(quoted) === 0 ? null : number(away) > 0,
        select: (lens) =>
          `SELECT trade.* FROM (SELECT * FROM (${lens.paired}) WHERE ${fault}) trade WHERE NOT EXISTS (SELECT 1 FROM (${lens.quoted}) quote
            WHERE quote.venue = trade.venue AND quote.symbol = trade.symbol AND quote.at <= trade.at AND quote.until > trade.at - ${SECOND}
            AND NOT coalesce(${
            away("quote.bid_price", "quote.ask_price").replaceAll("approx", "trade.approx")
          }, false))`,
        observed: ({ quoted }, failing) =>
          `${failing.toLocaleString("en")} of ${number(quoted).toLocaleString("en")} with a quote`,
      });
    },
  }),
  defineKind({
    check: "through",
    does:
      "trades through the best that was quoted before them are a small share; tells how many are at the best and inside",
    subjects: TRADES,
    stores: "both",
    parameters: { shareMax: share.default(0), skip: conditions },
    probe({ shareMax, skip }) {
      const of = `${without(skip)} AND bid_price IS NOT NULL AND ask_price IS NOT NULL`;
      const where = `${of} AND (price < bid_price OR price > ask_price)`;
      return measured({
        wanted: `at most ${percent(shareMax)} through the best`,
        relation: "paired",
        isAdding: true,
        sums: {
          n: countOf(of),
          best: countOf(`${of} AND (price = bid_price OR price = ask_price)`),
          inside: countOf(`${of} AND price > bid_price AND price < ask_price`),
          through: countOf(where),
        },
        failing: { where },
        judge({ n, best, inside, through }) {
          const of = number(n), failing = number(through);
          if (of === 0) return null;
          const text = [[best, "at the best"], [inside, "inside the spread"], [through, "through it"]]
            .map(([count, word]) => `${number(count).toLocaleString("en")} ${word}`).join(", ");
          return { isSound: failing / of <= shareMax, value: failing / of, observed: text, failing, of };
        },
      });
    },
  }),
  defineKind({
    check: "stale",
    does: "the quote in force at a trade is not older than expected",
    subjects: TRADES,
    stores: "both",
    parameters: { secondsMax: seconds, skip: conditions },
    probe: ({ secondsMax, skip }) =>
      eachRow(`at - quoted_at > ${secondsMax * SECOND}`, {
        wanted: `quotes at most ${secondsMax} s old at a trade`,
        relation: "paired",
        of: `quoted_at IS NOT NULL AND ${without(skip)}`,
      }),
  }),
  defineKind({
    check: "side",
    does: "the aggressor's side is known in all but a share of trades",
    subjects: TRADES,
    stores: "both",
    parameters: { shareMax: share.default(0), skip: conditions },
    probe: ({ shareMax, skip }) =>
      shareOf("side = 'unknown'", {
        wanted: `at most ${percent(shareMax)} of unknown side`,
        shareMax,
        of: without(skip),
      }),
  }),
  defineKind({
    check: "outlier",
    does: "no price leaps away from both the trade before and the trade after it",
    subjects: TRADES,
    stores: "both",
    parameters: { bpsMax: z.number().min(0), skip: conditions },
    probe({ bpsMax, skip }, { subject }) {
      const beyond = (other: string): string => `abs(approx - ${other}) * 10000 > ${bpsMax} * abs(${other})`;
      // A share of a price means nothing where the instrument may go below zero.
      const fault = `${beyond("prev_price")} AND ${
        beyond("next_price")
      } AND (approx > prev_price) = (approx > next_price)
        AND NOT is_negative`;
      const needs = ["approx", "prev_price", "next_price", "is_negative"] as const;
      return selected({
        wanted: `prices within ${bpsMax} basis points of the trade before or after`,
        steps: ["approx", "is_negative"],
        sums: { leaps: countOf(`${beyond("prev_approx")} AND NOT is_negative`) },
        suspects: ({ leaps }) => number(leaps) > 0,
        select: (lens) => `SELECT * FROM (${lens.rows(subject, needs)}) WHERE ${fault} AND ${without(skip)}`,
        observed: ({ rows }, failing) => `${plural(failing, "row")} of ${number(rows).toLocaleString("en")}`,
      });
    },
  }),
  defineKind({
    check: "oversize",
    does: "no size is beyond a multiple of a high quantile of the instrument's sizes",
    subjects: TRADES,
    stores: "both",
    parameters: { quantile: share.default(0.99), times: z.number().min(1), skip: conditions },
    probe({ quantile, times, skip }, { subject }) {
      const high = `quantile_cont(CAST(size AS DOUBLE), ${quantile})`;
      return selected({
        wanted: `sizes of at most ${times} times the ${quantile} quantile`,
        sums: { high, most: `max(size) FILTER (WHERE ${without(skip)})` },
        suspects: ({ high, most }) => most === null ? null : number(most) > times * number(high),
        select: (lens) =>
          `SELECT own.* FROM (${lens.rows(subject)}) own JOIN (SELECT venue, symbol, ${high} AS high FROM (${
            lens.rows(subject)
          }) GROUP BY ALL) level USING (venue, symbol)
            WHERE CAST(size AS DOUBLE) > ${times} * level.high AND ${without(skip)}`,
        observed: ({ most }, failing) => `${plural(failing, "row")} beyond, ${most} the most`,
      });
    },
  }),
  defineKind({
    check: "volume",
    does: "the sizes of a date add up to the venue's own total, where that is known",
    subjects: TRADES,
    stores: "both",
    parameters: {
      /** By symbol. */
      totals: z.record(z.string(), z.string().refine(isDecimal, { message: "must be exact decimal text" })),
      shareMax: share.default(0),
      skip: conditions,
    },
    probe({ totals, shareMax, skip }, { subject, date }) {
      const volume = `sum(size) FILTER (WHERE ${without(skip)})`;
      return measured({
        wanted: `the venue's total${shareMax > 0 ? ` within ${percent(shareMax)}` : ""}`,
        sums: { volume, n: "count(*)" },
        failing: {
          select: (lens) =>
            `SELECT venue, symbol, ${literal(date)} AS date, ${volume} AS volume FROM (${
              lens.rows(subject)
            }) GROUP BY ALL`,
        },
        judge({ symbol, volume, n }) {
          const total = Object.hasOwn(totals, String(symbol)) ? totals[String(symbol)]! : undefined;
          if (total === undefined) return null;
          const [ours, theirs] = [Number(volume), Number(total)];
          // As exact text where nothing is allowed to be missing.
          const isSound = shareMax === 0
            ? compare(String(volume), total) === 0
            : Math.abs(ours - theirs) <= shareMax * Math.abs(theirs);
          return { isSound, value: ours, observed: `${volume} of ${total}`, failing: isSound ? 0 : 1, of: number(n) };
        },
      });
    },
  }),
];
