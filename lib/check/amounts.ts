/**
 * Checks of amounts against the terms of the instrument that were in force at the event, or against steps that the suite
 * names.
 *
 * **Knows** `kind`.
 */
import { z } from "@zod/zod";
import { fits, isDecimal, sign } from "../decimal.ts";
import { amount, defineKind, eachRow, type Kind, type Subject } from "./kind.ts";

const step = z.string().refine((text) => isDecimal(text) && fits(text) && sign(text) > 0, {
  message: "must be a decimal above zero",
});
const WITH_AMOUNTS = ["trades", "quotes"] as const satisfies readonly Subject[];
const pricesOf = (subject: Subject): string[] => subject === "trades" ? ["price"] : ["bid_price", "ask_price"];
const sizesOf = (subject: Subject): string[] => subject === "trades" ? ["size"] : ["bid_size", "ask_size"];
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

export const KINDS: readonly Kind[] = [
  defineKind({
    check: "grid",
    does: "every price is a whole multiple of the tick size in force",
    subjects: WITH_AMOUNTS,
    stores: "both",
    parameters: { tickSize: step.optional() },
    probe({ tickSize }, { subject }) {
      const of = tickSize === undefined ? "tick_size" : amount(tickSize);
      return eachRow(any(pricesOf(subject), (name) => offStep(name, of)), {
        wanted: `multiples of ${tickSize ?? "the tick size in force"}`,
        ...(tickSize === undefined && { needs: ["tick_size"], of: "tick_size IS NOT NULL" }),
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
      return eachRow(any(sizesOf(subject), (name) => offStep(name, of)), {
        wanted: `multiples of ${lot ?? "the lot in force"}`,
        ...(lot === undefined && { needs: ["lot_size"], of: "lot_size IS NOT NULL" }),
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
      eachRow(`NOT coalesce(is_negative, false) AND (${any(pricesOf(subject), (name) => `${name} <= 0`)})`, {
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
      eachRow(any(sizesOf(subject), (name) => `${name} <= 0`), { wanted: "sizes above 0" }),
  }),
  defineKind({
    check: "precision",
    does: "amounts have no more digits after the point than expected",
    subjects: WITH_AMOUNTS,
    stores: "both",
    parameters: { digitsMax: z.int().min(0).max(11), of: z.enum(["price", "size"]).default("price") },
    probe: ({ digitsMax, of }, { subject }) =>
      eachRow(
        any(of === "price" ? pricesOf(subject) : sizesOf(subject), (name) =>
          offStep(name, amount(digitsMax === 0 ? "1" : `0.${"1".padStart(digitsMax, "0")}`))),
        {
          wanted: `at most ${digitsMax} digits after the point`,
        },
      ),
  }),
];
