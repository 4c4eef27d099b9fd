/**
 * What an audit found, as lines for people.
 *
 * **In** books, results, damages, a score, **Out** findings and lines. **Knows** `books`, `check`, `columns`, `truth`.
 */
import type { Books, Finding } from "../../lib/books.ts";
import type { Result, Suite } from "../../lib/check.ts";
import { columns } from "../../lib/columns.ts";
import { printable } from "../../lib/failure.ts";
import type { Damage } from "../../lib/lake.ts";
import type { Repair } from "../../lib/repair.ts";
import type { Score } from "../../lib/truth.ts";

const FINDINGS_SHOWN = 20;

/** A finding of the books, of the lake, of a suite or of the truth. */
export interface AnyFinding extends Omit<Finding, "finding"> {
  readonly finding: string;
}

export function findingOf({ check, name, venue, symbol, table, observed, wanted, evidence }: Result): AnyFinding {
  const place = [venue, symbol, table].filter((word) => word !== null && word !== "*").join(" ");
  const rows = evidence === null ? "" : `; rows in ${evidence}`;
  return { finding: check, place, first: -1, last: -1, detail: `${name}: ${observed}, must be ${wanted}${rows}` };
}

export function nothingOf(symbol: string | undefined, date: string, store: string): AnyFinding {
  const [place, what] = symbol === undefined ? [date, "row"] : [`${symbol} ${date}`, "such instrument"];
  return { finding: "rows", place, first: -1, last: -1, detail: `${store} has no ${what} on that day` };
}

export function muteOf({ suite }: Suite, date: string): AnyFinding {
  const detail = `no expectation of suite "${suite}" spoke of anything that is there`;
  return { finding: "nothing checked", place: date, first: -1, last: -1, detail };
}

/** Expectations that name whom they speak of, and were asked of nobody. */
export function unmetText(unmet: readonly string[]): string[] {
  if (unmet.length === 0) return [];
  const more = unmet.length > FINDINGS_SHOWN ? ` and ${unmet.length - FINDINGS_SHOWN} more, see --json` : "";
  return ["", `met nothing: ${unmet.slice(0, FINDINGS_SHOWN).join(", ")}${more}`];
}

export function booksText(books: readonly Books[]): string[] {
  const isRedriven = books.some(({ redriven }) => redriven > 0);
  const head = [
    ...["partition", "raw", "valid", "rejected", ...(isRedriven ? ["redriven"] : [])],
    ...["control", "hot", "cold", "repeats", "behind", "checksum"],
  ];
  const body = books.map((b) => {
    const same = b.checksums.log === b.checksums.hot && b.checksums.log === b.checksums.cold;
    const numbers = [
      b.partition,
      b.raw,
      b.valid,
      b.rejected,
      ...(isRedriven ? [b.redriven] : []),
      b.control,
      b.hot - b.rejected,
      b.cold,
      b.repeats,
      b.behind,
    ];
    return [...numbers.map((n) => n.toLocaleString("en")), same ? b.checksums.log.slice(0, 12) : "differs"];
  });
  return columns([head, ...body], () => false);
}

/** What may be done about a damage, or why it was not. */
export function wayOut({ kind, path }: Damage, repairs: readonly Repair[] | null): string {
  if (kind !== "changed" && kind !== "missing") return "";
  if (repairs === null) return "; deno task audit --repair writes it again from the log";
  const found = repairs.find((repair) => repair.path === path);
  return found?.mended === false ? `; ${found.why}` : "";
}

export function repairsText(repairs: readonly Repair[] | null): string[] {
  if (repairs === null) return [];
  const mended = repairs.flatMap((repair) => repair.mended ? [repair] : []);
  const lines = mended.map(({ path, was, kept }) =>
    printable(`  repaired: ${path} was ${was}, is as committed${kept === null ? "" : `; what lay there is ${kept}`}`)
  );
  const shown = lines.slice(0, FINDINGS_SHOWN);
  const more = lines.length > shown.length ? [`  and ${lines.length - shown.length} more, see --json`] : [];
  return ["", `repaired ${mended.length} of ${repairs.length} damaged files of the lake`, ...shown, ...more];
}

export function gapsText(books: readonly Books[]): string[] {
  const lines = books.flatMap(({ partition, gaps }) =>
    gaps.map(({ stage, topic, first, last, at }) =>
      `beyond retention: ${topic}/${partition} from ${first} to ${last}: ${stage} gave them up at ${
        new Date(at).toISOString()
      }`
    )
  );
  return lines.length === 0 ? [] : ["", ...lines];
}

export function truthText(truth: Score | null): string[] {
  if (truth === null) return [];
  const caught = Object.values(truth.caught).reduce((sum, n) => sum + n, 0);
  const waiting = [
    truth.open > 0 ? `${truth.open} gaps still open` : "",
    truth.behind > 0 ? `${truth.behind} not judged yet` : "",
  ].filter(Boolean);
  return [
    "",
    `planted ${truth.planted.toLocaleString("en")}, caught ${
      caught.toLocaleString("en")
    }, missed ${truth.missed.length}, clean ticks rejected ${truth.wronglyRejected.length}, flagged ${truth.wronglyFlagged.length}` +
    waiting.map((text) => `, ${text}`).join(""),
    Object.entries(truth.caught).map(([reason, n]) => `${reason} ${n.toLocaleString("en")}`).join("  "),
  ];
}

export function findingsText(findings: readonly AnyFinding[], isBalanced: boolean | null): string[] {
  const balance = isBalanced
    ? ["", "the books balance: raw = valid + rejected + control, valid = hot = cold, row for row"]
    : [];
  if (findings.length === 0) return balance;
  const shown = findings.slice(0, FINDINGS_SHOWN).map(({ finding, place, first, last, detail }) => {
    const range = first < 0 ? "" : first === last ? ` at ${first}` : ` from ${first} to ${last}`;
    return printable(`  ${finding}: ${place}${range}: ${detail}`);
  });
  const more = findings.length > FINDINGS_SHOWN ? [`  and ${findings.length - FINDINGS_SHOWN} more, see --json`] : [];
  const count = `${findings.length} ${findings.length === 1 ? "finding" : "findings"}`;
  return [
    ...balance,
    "",
    isBalanced === null ? `${count}:` : isBalanced ? `${count} besides:` : `the books do not balance: ${count}`,
    ...shown,
    ...more,
  ];
}
