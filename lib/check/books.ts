/**
 * Checks of books: how their levels stand, and what was built of them against what the venue says itself.
 *
 * **Knows** `kind`.
 */
import { z } from "@zod/zod";
import { defineKind, eachRow, type Kind, plural, selected } from "./kind.ts";

/** The prices of a side as the row has it, a JSON list of pairs. */
const pricesOf = (side: string): string =>
  `list_transform(regexp_extract_all(${side}, '\\["([^"]+)"', 1), price -> CAST(price AS DECIMAL(38,12)))`;
const levelsOf = (side: string): string => `len(regexp_extract_all(${side}, '\\["'))`;

export const KINDS: readonly Kind[] = [
  defineKind({
    check: "depth",
    does: "the levels of a book stand best first, each once, and its sides do not cross",
    subjects: ["books"],
    stores: "both",
    parameters: {},
    probe: () =>
      eachRow(
        `${pricesOf("bids")} <> list_reverse_sort(list_distinct(${pricesOf("bids")})) OR ${
          pricesOf("asks")
        } <> list_sort(list_distinct(${pricesOf("asks")}))
          OR (len(bids) > 2 AND len(asks) > 2 AND ${pricesOf("bids")}[1] > ${pricesOf("asks")}[1])`,
        { wanted: "levels best first, and no bid above the ask" },
      ),
  }),
  defineKind({
    check: "levels",
    does: "each side of a book has as many levels as expected",
    subjects: ["books"],
    stores: "both",
    parameters: { min: z.int().min(0).default(1), max: z.int().min(0).default(10_000) },
    probe: ({ min, max }) =>
      eachRow(["bids", "asks"].map((side) => `${levelsOf(side)} < ${min} OR ${levelsOf(side)} > ${max}`).join(" OR "), {
        wanted: `${min} to ${max} levels a side`,
      }),
  }),
  defineKind({
    check: "unlike",
    does: "the best of the book that was built is what the venue's own quote of the same number says",
    subjects: ["built"],
    stores: "both",
    parameters: {},
    probe: () =>
      selected({
        wanted: "the venue's own quote at the same number",
        select: (lens) =>
          `SELECT own.*, told.bid_price AS told_bid_price, told.bid_size AS told_bid_size, told.ask_price AS told_ask_price, told.ask_size AS told_ask_size
            FROM (${lens.rows("built")}) own JOIN (${lens.rows("quotes")}) told
            ON told.venue = own.venue AND told.symbol = own.symbol AND told.sequence = own.sequence
            WHERE (own.bid_price, own.bid_size, own.ask_price, own.ask_size) IS DISTINCT FROM (told.bid_price, told.bid_size, told.ask_price, told.ask_size)`,
        observed: (_answer, failing) => `${plural(failing, "built quote")} that the venue quotes otherwise`,
      }),
  }),
];
