/**
 * Checks of quotes: what best bid and ask may be to each other, and how they move.
 *
 * **Knows** `kind`.
 */
import { z } from "@zod/zod";
import {
  countOf,
  defineKind,
  eachRow,
  type Kind,
  listed,
  measured,
  number,
  plural,
  seconds,
  selected,
  share,
  shareOf,
  type Subject,
} from "./kind.ts";

const QUOTES = ["quotes", "built"] as const satisfies readonly Subject[];
/** A share of a price means nothing where the instrument may go below zero. */
const RELATIVE = "NOT is_negative";

export const KINDS: readonly Kind[] = [
  defineKind({
    check: "crossed",
    does: "the best bid is not above the best ask",
    subjects: QUOTES,
    stores: "both",
    parameters: {},
    probe: () => eachRow("bid_price > ask_price", { wanted: "no bid above the ask" }),
  }),
  defineKind({
    check: "locked",
    does: "the best bid equals the best ask in a small share of quotes at most",
    subjects: QUOTES,
    stores: "both",
    parameters: { shareMax: share.default(0) },
    probe: ({ shareMax }) =>
      shareOf("bid_price = ask_price", { wanted: `at most ${shareMax * 100} % locked`, shareMax }),
  }),
  defineKind({
    check: "one-sided",
    does: "a side is empty in a small share of quotes at most",
    subjects: QUOTES,
    stores: "both",
    parameters: { shareMax: share.default(0) },
    probe: ({ shareMax }) =>
      shareOf("bid_price IS NULL OR ask_price IS NULL", {
        wanted: `at most ${shareMax * 100} % with an empty side`,
        shareMax,
      }),
  }),
  defineKind({
    check: "spread",
    does: "a quantile of the spread, in basis points of the middle, lies within bounds",
    subjects: QUOTES,
    stores: "both",
    parameters: { quantile: share.default(0.5), bpsMax: z.number().min(0), bpsMin: z.number().default(0) },
    probe: ({ quantile, bpsMax, bpsMin }) =>
      measured({
        wanted: `the ${quantile} quantile from ${bpsMin} to ${bpsMax} basis points`,
        needs: ["bps", "is_negative"],
        sums: {
          at: `quantile_cont(bps, ${quantile}) FILTER (WHERE ${RELATIVE})`,
          n: `count(bps) FILTER (WHERE ${RELATIVE})`,
          beyond: countOf(`${RELATIVE} AND (bps > ${bpsMax} OR bps < ${bpsMin})`),
        },
        failing: { where: `${RELATIVE} AND (bps > ${bpsMax} OR bps < ${bpsMin})` },
        judge({ at, n, beyond }) {
          if (number(n) === 0) return null;
          const value = number(at);
          return {
            isSound: value <= bpsMax && value >= bpsMin,
            value,
            observed: `${Number(value.toPrecision(4))} basis points`,
            failing: number(beyond),
            of: number(n),
          };
        },
      }),
  }),
  defineKind({
    check: "wide",
    does: "no quote's spread is wider than expected, in basis points of the middle",
    subjects: QUOTES,
    stores: "both",
    parameters: { bpsMax: z.number().min(0) },
    probe: ({ bpsMax }) =>
      eachRow(`bps > ${bpsMax}`, {
        wanted: `spreads of at most ${bpsMax} basis points`,
        needs: ["bps", "is_negative"],
        of: `bps IS NOT NULL AND ${RELATIVE}`,
      }),
  }),
  defineKind({
    check: "frozen",
    does: "quotes do not go on to say the same for longer than expected",
    subjects: QUOTES,
    stores: "both",
    parameters: { secondsMax: seconds },
    probe: ({ secondsMax }, { subject, limits }) => {
      const long = secondsMax * 1_000_000;
      // A quote that is not late came at most so long after a younger one.
      const late = limits.lateMsMax * 1_000;
      // Whoever says the same for so long says nothing else in one of these at least; too short ones are not worth it.
      const half = Math.max(Math.floor((long - 2 * late) / 2), 0);
      const isWorth = half >= 1_000_000;
      return selected({
        wanted: `the same quote for at most ${secondsMax} s`,
        steps: ["t", "best", "is_live", "is_late"],
        sums: {
          low: "min(t)",
          high: "max(t)",
          same: countOf("best = prev_best"),
          ...(isWorth && {
            changed:
              `list(DISTINCT CASE WHEN best IS DISTINCT FROM prev_best AND is_live AND NOT is_late THEN t // ${half} END)`,
          }),
        },
        suspects({ low, high, same, changed }) {
          if (number(same) === 0 || number(high) - number(low) <= long) return false;
          if (!isWorth) return true;
          const spans = new Set(listed(changed));
          for (let span = Math.floor(number(low) / half); span <= number(high) / half; span++) {
            if (!spans.has(span)) return true;
          }
          return false;
        },
        select: (lens) => `SELECT * FROM (${lens.rows(subject, ["t", "same_since"])}) WHERE t - same_since > ${long}`,
        observed: ({ rows }, failing) => `${plural(failing, "row")} of ${number(rows).toLocaleString("en")}`,
      });
    },
  }),
  defineKind({
    check: "jump",
    does: "the middle does not jump from one quote to the next",
    subjects: QUOTES,
    stores: "both",
    parameters: { bpsMax: z.number().min(0) },
    probe({ bpsMax }, { subject }) {
      const leap = `prev_mid > 0 AND abs(mid - prev_mid) * 10000 > ${bpsMax} * prev_mid AND ${RELATIVE}`;
      return selected({
        wanted: `the middle within ${bpsMax} basis points of the one before`,
        steps: ["mid", "is_negative"],
        sums: { leaps: countOf(leap) },
        suspects: ({ leaps }) => number(leaps) > 0,
        select: (lens) => `SELECT * FROM (${lens.rows(subject, ["mid", "prev_mid", "is_negative"])}) WHERE ${leap}`,
        observed: ({ rows }, failing) => `${plural(failing, "row")} of ${number(rows).toLocaleString("en")}`,
      });
    },
  }),
];
