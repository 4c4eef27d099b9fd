/**
 * Closes the books of every partition, checks a symbol's day, and holds the verdicts against what was planted.
 *
 * **In** the log, hot and cold, **Out** findings, each with its range; exit 3 when there are some, after whatever was repaired.
 * **Knows** `books`, `calendar`, `check`, `judge`, `rule`, `repair`, `truth`, `page`, `stage`, `crew`, its parts.
 */
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { closeBooks } from "../lib/books.ts";
import { linesOf, MARKET, MODULES, type Suite, suiteOf, trySql } from "../lib/check.ts";
import { isDate } from "../lib/calendar/schedule.ts";
import { start } from "../lib/crew.ts";
import { Misuse, reasonOf } from "../lib/failure.ts";
import { policiesIn } from "../lib/judge/state.ts";
import { PAGE, tryPage } from "../lib/page.ts";
import { repair } from "../lib/repair.ts";
import { Policies } from "../lib/rule/policy.ts";
import { defineStage } from "../lib/stage.ts";
import { isSymbol } from "../lib/tick.ts";
import { TOPICS, type Transport } from "../lib/transport.ts";
import { Truth } from "../lib/truth.ts";
import { coverage } from "./audit/coverage.ts";
import { keep, runOf, shelfOf } from "./audit/day.ts";
import { drift } from "./audit/drift.ts";
import { history } from "./audit/history.ts";
import { profile } from "./audit/profile.ts";
import {
  type AnyFinding,
  booksText,
  findingOf,
  findingsText,
  gapsText,
  muteOf,
  nothingOf,
  repairsText,
  truthText,
  unmetText,
  wayOut,
} from "./audit/text.ts";

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

export default stage;
if (import.meta.main) await start(stage, import.meta.url, [history, drift, profile, coverage]);
