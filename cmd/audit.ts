/**
 * Closes the books of every partition, checks a symbol's day, and holds the verdicts against what was planted.
 *
 * **In** the log, hot and cold, **Out** findings, each with its range; exit 3 when there are some, after whatever was repaired.
 * **Knows** `books`, `calendar`, `check`, `judge`, `rule`, `repair`, `truth`, `page`, `stage`, `crew`.
 */
import { basename, dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { type Books, closeBooks, type Finding } from "../lib/books.ts";
import {
  bytesOf,
  type Came,
  type Ground,
  ledgerOf,
  linesOf,
  MARKET,
  MODULES,
  pathsOf,
  type Result,
  type Run,
  runSuite,
  type Suite,
  suiteOf,
  trySql,
} from "../lib/check.ts";
import { isDate } from "../lib/calendar/schedule.ts";
import { Chronicle, folderOf } from "../lib/chronicle.ts";
import { columns } from "../lib/columns.ts";
import { coverageOf } from "../lib/coverage.ts";
import { start } from "../lib/crew.ts";
import { Misuse, printable, reasonOf } from "../lib/failure.ts";
import { policiesIn, termsIn } from "../lib/judge/state.ts";
import type { Hot } from "../lib/hot.ts";
import type { Damage, Lake } from "../lib/lake.ts";
import { PAGE, tryPage } from "../lib/page.ts";
import { reportOf } from "../lib/report.ts";
import { type Repair, repair } from "../lib/repair.ts";
import { LIMITS } from "../lib/rule/limits.ts";
import { Policies } from "../lib/rule/policy.ts";
import { defineStage } from "../lib/stage.ts";
import { isSymbol } from "../lib/tick.ts";
import { TOPICS, type Transport } from "../lib/transport.ts";
import { type Score, Truth } from "../lib/truth.ts";
import { coverage } from "./audit/coverage.ts";
import { drift } from "./audit/drift.ts";
import { history } from "./audit/history.ts";
import { profile } from "./audit/profile.ts";

const FINDINGS_SHOWN = 20;
/** Engines that run a suite on a large day; each takes up to 700 MB. */
const THREADS = 2;

const stage = defineStage({
  name: "audit",
  does: "closes the books: log = hot = cold + rejected, or exit 3",
  reads: [TOPICS.raw, TOPICS.valid, TOPICS.rejected],
  writes: [],
  needs: ["hot", "lake"],
  flags: {
    date: { kind: "text", value: "YYYY-MM-DD", pattern: /^\d{4}-\d{2}-\d{2}$/, does: "checks this day too, of UTC" },
    symbol: { kind: "text", value: "SYMBOL", does: "of this symbol alone (with --date)" },
    suite: { kind: "text", value: "FILE", does: "by these expectations (default the shipped suite, market)" },
    store: { kind: "choice", of: ["lake", "hot"], default: "lake", does: "where the checks look" },
    report: {
      kind: "text",
      value: "FILE.html",
      pattern: PAGE,
      does: "writes the results as a page, and every failing row beside it",
    },
    "day-only": { kind: "switch", does: "asks the day alone, without closing the books" },
    strict: { kind: "switch", does: "warnings are findings too" },
    repair: { kind: "switch", does: "writes damaged files of the lake again from the log, keeping what lay there" },
    truth: { kind: "text", value: "FILE", does: "what simulate planted: was all of it caught, and nothing else" },
  },
  examples: [
    "deno task audit",
    "deno task audit --repair",
    "deno task audit --symbol TTF-GAS --date 2026-11-20",
    "deno task audit --date 2026-11-20 --suite market.json --report report.html",
    "deno task audit --date 2026-11-20 --suite mine.json --day-only",
    "deno task audit --truth t.ndjson --json",
  ],
  files({ date, truth, suite, report }) {
    const written = report === undefined ? [] : [report, shelfOf(report).folder];
    const read = [
      ...(truth ? [truth] : []),
      // A suite's SQL files lie beside it.
      ...(suite ? [dirname(suite)] : []),
      ...(date ? [fileURLToPath(MODULES)] : []),
    ];
    return { read: [...read, ...written], write: written };
  },
  looks: () => true,
  async run({ values, ranges, log, hot, lake, world, signal, drain }) {
    const { symbol, date } = values;
    if (date !== undefined && !isDate(date)) {
      throw new Misuse(`Cannot audit --date ${date}: there is no such day, must be YYYY-MM-DD`);
    }
    const isAlone = values["day-only"];
    const isOfDay = isAlone || (symbol ?? values.suite ?? values.report) !== undefined || values.strict ||
      values.store !== "lake";
    if (date === undefined && isOfDay) {
      throw new Misuse("Cannot check a day: --date is not given, must be a day of UTC");
    }
    if (isAlone && (values.repair || values.truth !== undefined)) {
      throw new Misuse("Cannot check a day alone: --repair and --truth speak of the books, must be without --day-only");
    }
    if (symbol !== undefined && !isSymbol(symbol)) {
      throw new Misuse(
        `Cannot audit --symbol "${symbol}": no tick can have it, must be a symbol as the venue writes it`,
      );
    }
    const suite = values.suite === undefined ? MARKET : suiteOf(await textOf("suite", values.suite), values.suite);
    const texts = await textsOf(suite, values.suite);
    if (values.report !== undefined) tryPage(values.report);
    const repairs = values.repair ? await repair({ log, ranges, lake, signal }) : null;
    const states = await statesOf(log, (await ranges(TOPICS.raw)).length);
    const policies = states.map((state) => state === null ? new Policies() : policiesIn(state));
    const planted = values.truth === undefined
      ? null
      : new Truth(values.truth, await textOf("truth", values.truth), (partition, symbol, type) => {
        return (policies[partition] ?? new Policies()).of("sim", symbol, type).limits;
      });
    const books = isAlone ? [] : await closeBooks({
      ...{ log, ranges, hot, lake, signal },
      ...(planted && { see: (partition, tick) => planted.see(partition, tick) }),
    });
    const damages = isAlone ? [] : await lake.damages();
    const run = date === undefined ? null : await runOf(suite, {
      ...{ hot, lake, date, symbol: symbol ?? null, at: world.now(), signal, states, policies, texts, values },
    });
    if (run !== null) await keep(run, lake, values.report, world.now());
    const results = run?.results ?? [], unmet = run?.unmet ?? [];
    const truth = planted?.score(books) ?? null;
    // What runs beside the pipeline finds things on their way; who waits for the end wants all of it.
    const unbalanced: AnyFinding[] = [
      ...books.flatMap((book) => book.findings).filter(({ finding }) => finding !== "behind" || drain.aborted),
      ...damages.map((damage) => ({
        finding: `lake ${damage.kind}`,
        place: damage.path,
        first: -1,
        last: -1,
        detail: damage.detail + wayOut(damage, repairs),
      })),
    ];
    const isBalanced = isAlone ? null : unbalanced.length === 0;
    const findings = [
      ...unbalanced,
      ...results.filter(({ status, severity }) =>
        status === "fail" && (severity === "error" || values.strict && severity === "warning")
      ).map(findingOf),
      ...(run !== null && run.instruments === 0 ? [nothingOf(symbol, date!, values.store)] : []),
      ...(run?.isMute && run.instruments > 0 ? [muteOf(suite, date!)] : []),
      ...(truth?.missed ?? []).map(({ place, fault, found }) => ({
        finding: "fault missed",
        place,
        first: -1,
        last: -1,
        detail: `${fault} was judged ${found}`,
      })),
      ...(truth?.wronglyRejected ?? []).map(({ place, found }) => ({
        finding: "wrongly rejected",
        place,
        first: -1,
        last: -1,
        detail: found,
      })),
      ...(truth?.wronglyFlagged ?? []).map(({ place, found }) => ({
        finding: "wrongly flagged",
        place,
        first: -1,
        last: -1,
        detail: found,
      })),
    ];
    return {
      text: [
        ...(isAlone ? ["the books were not closed, the day alone was asked"] : booksText(books)),
        ...repairsText(repairs),
        ...gapsText(books),
        ...(results.length > 0 ? ["", ...linesOf(results)] : []),
        ...unmetText(unmet),
        ...truthText(truth),
        ...findingsText(findings, isBalanced),
      ].join("\n"),
      // Null where the books were not closed.
      balanced: isBalanced,
      findings,
      ...(repairs && { repairs }),
      books: books.map(({ flagged, rejections, findings: _findings, ...book }) => ({
        ...book,
        flagged: flagged.size,
        rejections: rejections.size,
      })),
      checks: results,
      unmet,
      ...(truth && { truth }),
    };
  },
});

/** What the judge of each partition has last saved; null where it has not. */
async function statesOf(log: Pick<Transport, "load">, partitions: number): Promise<readonly (string | null)[]> {
  return await Promise.all(Array.from({ length: partitions }, async (_, partition) => {
    return (await log.load("validate", partition))?.state ?? null;
  }));
}

async function textOf(what: string, path: string, name = path): Promise<string> {
  try {
    return await Deno.readTextFile(path);
  } catch (error) {
    throw new Misuse(`Cannot read ${what} "${name}": ${reasonOf(error)}, must be a file that is there`, {
      cause: error,
    });
  }
}

/** The SQL files of a suite by the names that it gives them, each tried. @throws {Misuse} for one that is not there or is none */
async function textsOf({ expectations }: Suite, path: string | undefined): Promise<ReadonlyMap<string, string>> {
  const files = expectations.flatMap(({ file }) => file === undefined ? [] : [file]);
  const texts = new Map<string, string>();
  for (const file of files) texts.set(file, await textOf("SQL", `${dirname(path!)}/${file}`, file));
  await trySql(texts);
  return texts;
}

/** Where every failing row goes: beside the report. */
function shelfOf(report: string) {
  const folder = report.replace(/\.html$/, ".evidence");
  return { folder, href: basename(folder) };
}

/** Runs a suite on a day of one of the stores. */
async function runOf(suite: Suite, { hot, lake, date, symbol, at, signal, states, policies, texts, values }: {
  readonly hot: Hot;
  readonly lake: Lake;
  readonly date: string;
  readonly symbol: string | null;
  readonly at: number;
  readonly signal: AbortSignal;
  readonly states: readonly (string | null)[];
  readonly policies: readonly Policies[];
  readonly texts: ReadonlyMap<string, string>;
  readonly values: { readonly store: string; readonly report: string | undefined };
}): Promise<Run & Came> {
  const iso = new Date(at).toISOString();
  const id = `${iso.replace(/[-:.]/g, "")}-${suite.suite.replace(/[^\w.-]+/g, "-")}`;
  const units = await lake.units();
  const ofHot = (date: string) => bytesOf(hot, date, symbol);
  const known = new Map(
    states.flatMap((state) => state === null ? [] : termsIn(state)).map((terms) => [JSON.stringify(terms), terms]),
  );
  const isLake = values.store === "lake";
  const folder = `${lake.root}/_audits/${id}`;
  const ground: Ground = {
    ...{ dates: [date], symbol, signal, terms: [...known.values()], texts, threads: THREADS },
    files: isLake ? (date) => Promise.resolve(pathsOf(lake.root, ledgerOf(units, date))) : ofHot,
    ...(isLake && { hot: ofHot, ledger: (date: string) => ledgerOf(units, date) }),
    // The day does not say by which partition's limits; nobody is blamed for what one of them allows.
    limits: {
      lateMsMax: Math.max(LIMITS.lateMsMax, ...policies.map((policy) => policy.most("lateMsMax"))),
      futureMsMax: Math.max(LIMITS.futureMsMax, ...policies.map((policy) => policy.most("futureMsMax"))),
    },
    shelf: values.report === undefined ? { folder, href: folder } : shelfOf(values.report),
    draws: true,
  };
  return { id, at: iso, ...await runSuite(suite, ground) };
}

/** Keeps a run in the chronicle of a lake that has a folder, and writes it as a page where one is asked for. */
async function keep(run: Run & Came, lake: Lake, report: string | undefined, now: number): Promise<void> {
  // Where there is no instrument nothing has passed; that one was missed which is named is remembered.
  const isNothing = run.instruments === 0 && run.results.every(({ status }) => status === "pass");
  if (lake.version !== undefined && !isNothing) {
    const chronicle = await Chronicle.open(folderOf(lake.root), lake.root);
    try {
      await chronicle.add(run);
    } finally {
      chronicle.close();
    }
  }
  if (report === undefined) return;
  const files = (await lake.units()).flatMap((unit) => unit.files);
  const coverages = [];
  for (const date of run.dates) coverages.push(await coverageOf(lake.root, files, date, now * 1_000));
  await Deno.writeTextFile(report, reportOf(run, coverages));
}

interface AnyFinding extends Omit<Finding, "finding"> {
  readonly finding: string;
}

function findingOf({ check, name, venue, symbol, table, observed, wanted, evidence }: Result): AnyFinding {
  const place = [venue, symbol, table].filter((word) => word !== null && word !== "*").join(" ");
  const rows = evidence === null ? "" : `; rows in ${evidence}`;
  return { finding: check, place, first: -1, last: -1, detail: `${name}: ${observed}, must be ${wanted}${rows}` };
}

function nothingOf(symbol: string | undefined, date: string, store: string): AnyFinding {
  const [place, what] = symbol === undefined ? [date, "row"] : [`${symbol} ${date}`, "such instrument"];
  return { finding: "rows", place, first: -1, last: -1, detail: `${store} has no ${what} on that day` };
}

function muteOf({ suite }: Suite, date: string): AnyFinding {
  const detail = `no expectation of suite "${suite}" spoke of anything that is there`;
  return { finding: "nothing checked", place: date, first: -1, last: -1, detail };
}

/** Expectations that name whom they speak of, and were asked of nobody. */
function unmetText(unmet: readonly string[]): string[] {
  if (unmet.length === 0) return [];
  const more = unmet.length > FINDINGS_SHOWN ? ` and ${unmet.length - FINDINGS_SHOWN} more, see --json` : "";
  return ["", `met nothing: ${unmet.slice(0, FINDINGS_SHOWN).join(", ")}${more}`];
}

function booksText(books: readonly Books[]): string[] {
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
function wayOut({ kind, path }: Damage, repairs: readonly Repair[] | null): string {
  if (kind !== "changed" && kind !== "missing") return "";
  if (repairs === null) return "; deno task audit --repair writes it again from the log";
  const found = repairs.find((repair) => repair.path === path);
  return found?.mended === false ? `; ${found.why}` : "";
}

function repairsText(repairs: readonly Repair[] | null): string[] {
  if (repairs === null) return [];
  const mended = repairs.flatMap((repair) => repair.mended ? [repair] : []);
  const lines = mended.map(({ path, was, kept }) =>
    printable(`  repaired: ${path} was ${was}, is as committed${kept === null ? "" : `; what lay there is ${kept}`}`)
  );
  const shown = lines.slice(0, FINDINGS_SHOWN);
  const more = lines.length > shown.length ? [`  and ${lines.length - shown.length} more, see --json`] : [];
  return ["", `repaired ${mended.length} of ${repairs.length} damaged files of the lake`, ...shown, ...more];
}

function gapsText(books: readonly Books[]): string[] {
  const lines = books.flatMap(({ partition, gaps }) =>
    gaps.map(({ stage, topic, first, last, at }) =>
      `beyond retention: ${topic}/${partition} from ${first} to ${last}: ${stage} gave them up at ${
        new Date(at).toISOString()
      }`
    )
  );
  return lines.length === 0 ? [] : ["", ...lines];
}

function truthText(truth: Score | null): string[] {
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

function findingsText(findings: readonly AnyFinding[], isBalanced: boolean | null): string[] {
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

export default stage;
if (import.meta.main) await start(stage, import.meta.url, [history, drift, profile, coverage]);
