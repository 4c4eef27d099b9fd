/**
 * Checks of amounts against the terms of the instrument that were in force at the event, or against steps that the suite
 * names.
 *
 * **Knows** `kind`.
 */
import { z } from "@zod/zod";
import { fits, isDecimal, sign } from "../decimal.ts";
import {
  amount,
  countOf,
  defineKind,
  eachRow,
  type Kind,
  number,
  plural,
  type Probe,
  selected,
  type Subject,
} from "./kind.ts";
import { amountsOf } from "./relation.ts";

const step = z.string().refine((text) => isDecimal(text) && fits(text) && sign(text) > 0, {
  message: "must be a decimal above zero",
});
const WITH_AMOUNTS = ["trades", "quotes"] as const satisfies readonly Subject[];
const any = (names: readonly string[], test: (name: string) => string): string =>
  names.map((name) => `coalesce(${test(name)}, false)`).join(" OR ");

/**
 * Whether an amount is no whole multiple of a step, exactly: a remainder would be that of floats. Up to 2^50 steps a float
 * finds the nearest multiple, which is then compared as a decimal; beyond it whole numbers of 128 bits are divided.
 */
const offStep = (name: string, step: string): string =>
  `CASE WHEN abs(CAST(${name} AS DOUBLE) / CAST(${step} AS DOUBLE)) < 1125899906842624
    THEN CAST(round(CAST(${name} AS DOUBLE) / CAST(${step} AS DOUBLE)) AS BIGINT) * ${step} <> ${name}
    ELSE ${whole(name)} % ${whole(step)} <> 0 END`;
/** All digits of an amount, of which twelve stand behind the point. */
const whole = (name: string): string => `CAST(replace(CAST(${name} AS VARCHAR), '.', '') AS HUGEINT)`;

/** A check of prices or sizes: values are judged once, and the rows of those that fail are selected. */
function eachValue(
  what: "prices" | "sizes",
  subject: Subject,
  options: {
    readonly wanted: string;
    /** Of an instrument without which it says nothing. */
    readonly needs?: "tick_size" | "lot_size";
    fault(name: string): string;
  },
): Probe {
  const { wanted, needs, fault } = options;
  const names = amountsOf(subject, what);
  const faults = names.map((name) => `coalesce(${fault(name)}, false)`).join(" OR ");
  return selected({
    wanted,
    relation: what,
    sums: { known: needs === undefined ? "count(*)" : `count(${needs})`, off: countOf(fault("value")) },
    suspects: ({ known, off }) => number(known) === 0 ? null : number(off) > 0,
    select: (lens) => `SELECT * FROM (${lens.rows(subject, needs === undefined ? [] : [needs])}) WHERE ${faults}`,
    observed: ({ rows }, failing) => `${plural(failing, "row")} of ${number(rows).toLocaleString("en")}`,
  });
}

export const KINDS: readonly Kind[] = [
  defineKind({
    check: "grid",
    does: "every price is a whole multiple of the tick size in force",
    subjects: WITH_AMOUNTS,
    stores: "both",
    parameters: { tickSize: step.optional() },
    probe({ tickSize }, { subject }) {
      const of = tickSize === undefined ? "tick_size" : amount(tickSize);
      return eachValue("prices", subject, {
        wanted: `multiples of ${tickSize ?? "the tick size in force"}`,
        ...(tickSize === undefined && { needs: "tick_size" }),
        fault: (name) => offStep(name, of),
      });
    },
  }),
  defineKind({
    check: "lot",
    does: "every size is a whole multiple of the lot in force",
    subjects: WITH_AMOUNTS,
    stores: "both",
    parameters: { lot: step.optional() },
    probe({ lot }, { subject }) {
      const of = lot === undefined ? "lot_size" : amount(lot);
      return eachValue("sizes", subject, {
        wanted: `multiples of ${lot ?? "the lot in force"}`,
        ...(lot === undefined && { needs: "lot_size" }),
        fault: (name) => offStep(name, of),
      });
    },
  }),
  defineKind({
    check: "negative",
    does: "no price is zero or below where the instrument may not have it",
    subjects: WITH_AMOUNTS,
    stores: "both",
    parameters: {},
    probe: (_parameters, { subject }) =>
      eachRow(`NOT is_negative AND (${any(amountsOf(subject, "prices"), (name) => `${name} <= 0`)})`, {
        wanted: "prices above 0, unless the instrument may go below",
        needs: ["is_negative"],
      }),
  }),
  defineKind({
    check: "size",
    does: "no size is zero or below",
    subjects: WITH_AMOUNTS,
    stores: "both",
    parameters: {},
    probe: (_parameters, { subject }) =>
      eachRow(any(amountsOf(subject, "sizes"), (name) => `${name} <= 0`), { wanted: "sizes above 0" }),
  }),
  defineKind({
    check: "precision",
    does: "amounts have no more digits after the point than expected",
    subjects: WITH_AMOUNTS,
    stores: "both",
    parameters: { digitsMax: z.int().min(0).max(11), of: z.enum(["price", "size"]).default("price") },
    probe({ digitsMax, of }, { subject }) {
      const step = amount(digitsMax === 0 ? "1" : `0.${"1".padStart(digitsMax, "0")}`);
      return eachValue(of === "price" ? "prices" : "sizes", subject, {
        wanted: `at most ${digitsMax} digits after the point`,
        fault: (name) => offStep(name, step),
      });
    },
  }),
];
