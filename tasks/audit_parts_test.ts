/** The parts of the audit as a user has them: what they say of a lake, as stages and as processes in their sandbox. */
import assert from "@std/assert";
import { fileURLToPath } from "node:url";
import { coverage } from "../cmd/audit/coverage.ts";
import { drift } from "../cmd/audit/drift.ts";
import { history } from "../cmd/audit/history.ts";
import simulate from "../cmd/simulate.ts";
import type { Run } from "../lib/check.ts";
import { Chronicle, folderOf } from "../lib/chronicle.ts";
import { Misuse } from "../lib/failure.ts";
import { auditedRun } from "../testdata/audited.ts";
import { flow, run, withData } from "../testdata/flow.ts";

const PROJECT = fileURLToPath(new URL("../", import.meta.url));
const dateOf = (day: number): string => `2026-11-${String(day).padStart(2, "0")}`;

/** Audits of some days of November; those of `failed` found an error in ETHUSDT, and the last saw what `last` makes of its values. */
async function remember(data: string, days: readonly number[], failed: readonly number[], last = 1): Promise<void> {
  const root = `${data}/lake`;
  const chronicle = await Chronicle.open(folderOf(root), root);
  try {
    for (const day of days) {
      const date = dateOf(day), base = auditedRun(24, 2);
      const audited: Run = {
        ...{ ...base, id: `run-${day}`, at: `${dateOf(day + 1)}T06:00:00.000Z`, dates: [date] },
        results: base.results.map((result, i) => ({
          ...{ ...result, date, severity: "error", value: (i + 10 + day % 3) * (day === days.at(-1) ? last : 1) },
          status: failed.includes(day) && result.symbol === "ETHUSDT" && result.check === "lag" ? "fail" : "pass",
        })),
        plots: base.plots.map((plot) => ({ ...plot, date })),
      };
      await chronicle.add(audited);
    }
  } finally {
    chronicle.close();
  }
}

interface Told {
  readonly text: string;
}

Deno.test("history tells of every run, and of each expectation that ever failed when it did first", () =>
  withData(async (data) => {
    assert.match((await run(history, data) as unknown as Told).text, /no audit by a suite was run/);
    await remember(data, [1, 2, 3, 4], [2, 4]);
    const { text } = await run(history, data) as unknown as Told;
    assert.match(text, /run-1 .* passed\n/);
    assert.match(text, /run-2 .* failed\n/);
    assert.match(text, /errors {2}▁█▁█ {2}first in run run-2/);
    assert.match(text, /lag.* ETHUSDT .*·×·× .* 2\/4 {2}2026-11-02 .*since 2026-11-04/);
    assert.doesNotMatch(text, /crossed/);
    const one = await run(history, data, "--symbol", "BTCUSDT", "--runs", "2") as unknown as {
      runs: unknown[];
      trends: unknown[];
    };
    assert.deepEqual([one.runs.length, one.trends.length], [2, 9]);
  }));

Deno.test("history of what no audit spoke of is a misuse on one line", () =>
  withData(async (data) => {
    assert.match((await run(history, data, "--symbol", "NOPE") as unknown as Told).text, /no audit by a suite was run/);
    await remember(data, [1, 2], []);
    for (
      const asked of [["--symbol", "NOPE"], ["--name", "nope"], ["--venue", "nope"], [
        "--name",
        "lag",
        "--symbol",
        "NOPE",
      ]]
    ) {
      await assert.rejects(run(history, data, ...asked), (error: Error) => {
        assert.ok(error instanceof Misuse, `${error}`);
        const flags = asked.map((word) => word.startsWith("--") ? word : `"${word}"`).join(" ");
        assert.equal(
          error.message,
          `Cannot tell history of ${flags}: no audit of the last 2 spoke of that, must be one that some did`,
        );
        return true;
      });
    }
    // Of an instrument that is known, what speaks of whole tables is told alone as well.
    const { trends } = await run(history, data) as unknown as {
      trends: readonly { name: string; symbol: string | null }[];
    };
    const whole = trends.find(({ symbol }) => symbol === null)!;
    const told = await run(history, data, "--symbol", "BTCUSDT", "--name", whole.name) as unknown as {
      trends: typeof trends;
    };
    assert.ok(told.trends.some(({ symbol }) => symbol === null));
  }));

Deno.test("a run that said nothing has not passed, and is no baseline", () =>
  withData(async (data) => {
    await remember(data, [1, 2, 3, 4, 5, 7], []);
    const chronicle = await Chronicle.open(folderOf(`${data}/lake`), `${data}/lake`);
    const base = { ...auditedRun(24, 2), results: [], plots: [] };
    await chronicle.add({ ...base, id: "run-6", at: `${dateOf(7)}T05:00:00.000Z`, dates: [dateOf(6)] });
    chronicle.close();
    const { text } = await run(history, data) as unknown as Told;
    assert.match(text, /run-5 .* passed\n/);
    assert.match(text, /run-6 .* nothing\n/);
    assert.match(text, /errors {2}▁▁▁▁▁·▁ {2}none so far/);
    const drifts = await run(drift, data, "--symbol", "BTCUSDT") as unknown as Told;
    assert.match(drifts.text, /baseline: 5 runs: run-1 .*run-5 /);
    assert.doesNotMatch(drifts.text, /run-6/);
  }));

Deno.test("drift names its baseline, leaves failed runs out, and is a finding where that is asked for", () =>
  withData(async (data) => {
    await assert.rejects(run(drift, data, "--symbol", "ETHUSDT"), Misuse);
    await remember(data, [1, 2, 3, 4, 5, 6, 7, 8], [3], 4);
    const { text, findings } = await run(drift, data, "--symbol", "ETHUSDT", "--against", "30d") as unknown as Told & {
      findings: unknown[];
    };
    assert.match(text, /baseline: 6 runs: run-1 \(2026-11-01\), run-2 \(2026-11-02\), run-4 /);
    assert.match(text, /left out, since they found errors: run-3 \(2026-11-03\)/);
    assert.match(text, /drifted .*lag/);
    assert.equal(findings.length, 0);
    const strict = await run(drift, data, "--symbol", "ETHUSDT", "--strict") as unknown as { findings: unknown[] };
    assert.ok(strict.findings.length > 0);
    // Another instrument failed nothing on the 3rd.
    const other = await run(drift, data, "--symbol", "BTCUSDT", "--against", "30d") as unknown as Told;
    assert.match(other.text, /baseline: 7 runs/);
    const few = await run(drift, data, "--symbol", "ETHUSDT", "--against", "3d") as unknown as Told;
    assert.match(few.text, /0 of 0 drifted; of \d+ more nothing can be said with fewer than 5 days/);
  }));

Deno.test("coverage of a simulated day has its hour, and of a day without rows nothing, which is a finding", () =>
  withData(async (data) => {
    await run(simulate, data, "--ticks", "4000", "--symbols", "3", "--faults", "0");
    await flow(data);
    const told = await run(coverage, data, "--date", "2026-11-20", "--report", `${data}/coverage.html`) as unknown as
      & Told
      & { instruments: { minutes: { collected: number } }[]; findings: unknown[] };
    assert.equal(told.instruments.length, 3);
    assert.ok(told.instruments.every(({ minutes }) => minutes.collected > 0));
    assert.deepEqual(told.findings, []);
    assert.match(told.text, /sim {2,}TTF-GAS +#/);
    assert.match(await Deno.readTextFile(`${data}/coverage.html`), /All is accounted for/);
    const none = await run(coverage, data, "--date", "2026-11-19") as unknown as Told & { findings: unknown[] };
    assert.match(none.text, /nobody collected anything of 2026-11-19/);
    assert.equal(none.findings.length, 1);
    for (const date of ["2026-13-40", "2026-02-30"]) {
      await assert.rejects(run(coverage, data, "--date", date), (error: Error) => {
        assert.equal(error.message, `Cannot tell coverage of "${date}": there is no such day, must be YYYY-MM-DD`);
        return error instanceof Misuse;
      });
    }
    await assert.rejects(
      run(coverage, data),
      /^Misuse: Cannot tell coverage: --date is not given, must be a day of UTC$/,
    );
  }));

Deno.test("what a market with faults plants out of its time makes no hole of the time before it", () =>
  withData(async (data) => {
    await run(simulate, data, "--ticks", "40000");
    await flow(data);
    const told = await run(coverage, data, "--date", "2026-11-20") as unknown as Told & { findings: unknown[] };
    assert.deepEqual(told.findings, []);
    assert.match(told.text, /^sim +RESTART /m);
    assert.match(told.text, /^sim +NIGHT-GAS /m);
  }));

Deno.test("as processes they stay within their sandbox, and exit as they found", () =>
  withData(async (data) => {
    await run(simulate, data, "--ticks", "1000", "--symbols", "2", "--faults", "0");
    await flow(data);
    await remember(data, [1, 2], []);
    const runs = async (
      ...args: string[]
    ): Promise<readonly [code: number, summary: Record<string, unknown> | null]> => {
      const { code, stdout } = await new Deno.Command(Deno.execPath(), {
        args: ["run", "-A", "--no-check", "cmd/audit.ts", ...args, "--data", data, "--json"],
        cwd: PROJECT,
        stderr: "null",
      }).output();
      const text = new TextDecoder().decode(stdout).trimEnd();
      return [code, text === "" ? null : JSON.parse(text.split("\n").at(-1)!)];
    };
    const [done, told] = await runs("history");
    assert.deepEqual([done, (told!.runs as unknown[]).length], [0, 2]);
    assert.equal((await runs("coverage", "--date", "2026-11-20", "--report", `${data}/coverage.html`))[0], 0);
    assert.ok((await Deno.stat(`${data}/coverage.html`)).size > 0);
    assert.equal((await runs("coverage", "--date", "2026-11-19"))[0], 3);
    assert.equal((await runs("drift"))[0], 2);
    assert.equal((await runs("histroy"))[0], 2);
  }));

Deno.test("a result is on stdout, where a pipe takes it, and beside an object of --json on stderr", () =>
  withData(async (data) => {
    await run(simulate, data, "--ticks", "1000", "--symbols", "2", "--faults", "0");
    await flow(data);
    await remember(data, [1, 2], []);
    const runs = async (file: string, ...args: string[]): Promise<readonly [out: string, heard: string]> => {
      const { stdout, stderr } = await new Deno.Command(Deno.execPath(), {
        args: ["run", "-A", "--no-check", `cmd/${file}.ts`, ...args, "--data", data],
        cwd: PROJECT,
        env: { NO_COLOR: "1" },
      }).output();
      return [new TextDecoder().decode(stdout), new TextDecoder().decode(stderr)];
    };
    for (
      const [file, first, ...args] of [
        ["audit", /^partition +raw +valid/],
        ["audit", /^run +at +suite/, "history"],
        ["audit", /^venue +symbol/, "coverage", "--date", "2026-11-20"],
        ["rejects", /^0 dead letters/, "list"],
        ["rules", /^rules \d/, "show"],
        ["redrive", /^nothing was redriven yet/, "history"],
      ] as const
    ) {
      const [out, heard] = await runs(file, ...args);
      assert.match(out, first, heard);
      assert.doesNotMatch(heard, first);
      assert.doesNotMatch(out, /^log in /m);
    }
    const [out, heard] = await runs("audit", "history", "--json");
    assert.equal((JSON.parse(out).runs as unknown[]).length, 2);
    assert.match(heard, /^run +at +suite/m);
    // What a stage that works came to is the last word of its progress.
    const [none, said] = await runs("sink-cold", "--once");
    assert.equal(none, "");
    assert.match(said, /^sink-cold /m);
  }));
