/**
 * A suite on a day of one of the stores, kept in the chronicle and written as a page.
 *
 * **In** a suite and the stores, **Out** a run, a page. **Knows** `check`, `chronicle`, `coverage`, `judge`, `report`, `rule`.
 */
import { basename } from "node:path";
import { bytesOf, type Came, type Ground, ledgerOf, pathsOf, type Run, runSuite, type Suite } from "../../lib/check.ts";
import { Chronicle, folderOf } from "../../lib/chronicle.ts";
import { coverageOf } from "../../lib/coverage.ts";
import type { Hot } from "../../lib/hot.ts";
import { termsIn } from "../../lib/judge/state.ts";
import type { Lake } from "../../lib/lake.ts";
import { reportOf } from "../../lib/report.ts";
import { LIMITS } from "../../lib/rule/limits.ts";
import type { Policies } from "../../lib/rule/policy.ts";

/** Engines that run a suite on a large day; each takes up to 700 MB. */
const THREADS = 2;

/** Where every failing row goes: beside the report. */
export function shelfOf(report: string) {
  const folder = report.replace(/\.html$/, ".evidence");
  return { folder, href: basename(folder) };
}

/** Runs a suite on a day of one of the stores. */
export async function runOf(suite: Suite, { hot, lake, date, symbol, at, signal, states, policies, texts, values }: {
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
export async function keep(run: Run & Came, lake: Lake, report: string | undefined, now: number): Promise<void> {
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
