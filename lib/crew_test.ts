import assert from "@std/assert";
import audit from "../cmd/audit.ts";
import { history } from "../cmd/audit/history.ts";
import book from "../cmd/book.ts";
import redrive from "../cmd/redrive.ts";
import rules from "../cmd/rules.ts";
import simulate from "../cmd/simulate.ts";
import sinkCold from "../cmd/sink-cold.ts";
import sinkHot from "../cmd/sink-hot.ts";
import validate from "../cmd/validate.ts";
import { Crew, flowOf, settingOf } from "./crew.ts";
import { Misuse } from "./failure.ts";
import { COMMON, readFlags } from "./flag.ts";
import type { Stage } from "./stage.ts";

const valuesOf = (stage: Stage, args: readonly string[]) =>
  readFlags({ ...stage.flags, ...COMMON }, args, () => undefined);

function settingWith(stage: Stage, ...args: string[]) {
  const values = valuesOf(stage, args);
  return settingOf(stage, values, values, null);
}

Deno.test("a stage is handed the URLs of its own doors and the values of its own flags", () => {
  const urls = ["--hot", "postgres://user:secret@host/db", "--lake", "file:/lake"];
  const judging = settingWith(validate, ...urls);
  assert.deepEqual([judging.hot, judging.lake], ["", ""]);
  assert.deepEqual([settingWith(sinkHot, ...urls).hot, settingWith(sinkHot, ...urls).lake], [urls[1], ""]);
  assert.deepEqual([settingWith(sinkCold, ...urls).hot, settingWith(sinkCold, ...urls).lake], ["", "file:/lake"]);
  for (const stage of [validate, sinkCold]) {
    const setting = settingWith(stage, ...urls);
    assert.deepEqual(Object.keys(setting.values), Object.keys(stage.flags));
    assert.doesNotMatch(JSON.stringify(setting), /secret/);
  }
});

Deno.test("the flow line of a stage has on its right what it writes, and on its left whatever it only reads", () => {
  for (
    const [stage, flow] of [
      [simulate, "simulate ─▶ ticks.raw"],
      [sinkHot, "ticks.valid + ticks.rejected ─▶ sink-hot ─▶ hot"],
      [redrive, "ticks.valid + ticks.rejected + hot ─▶ redrive ─▶ ticks.raw"],
      [audit, "ticks.raw + ticks.valid + ticks.rejected + hot + lake ─▶ audit"],
      [history, "lake ─▶ audit history"],
      [book, "hot + lake ─▶ book"],
    ] as const
  ) assert.equal(flowOf(stage), flow);
});

Deno.test("--fsync reaches the embedded log whatever its URL says besides, and does not contradict it", () => {
  const transport = (url: string, ...args: string[]) => settingWith(validate, "--transport", url, ...args).transport;
  assert.equal(transport("log:a"), "log:a?fsync=batch");
  assert.equal(transport("log:a?segment=1000", "--fsync", "never"), "log:a?segment=1000&fsync=never");
  assert.equal(transport("log:a?fsync=never"), "log:a?fsync=never");
  assert.equal(transport("log:a?fsync=never", "--fsync", "never"), "log:a?fsync=never");
  assert.equal(transport("kafka://host", "--fsync", "never"), "kafka://host");
  assert.throws(() => transport("log:a?fsync=never", "--fsync", "interval"), {
    name: "Misuse",
    message: `Cannot use --fsync "interval": the log's URL says fsync=never, must be given once`,
  });
});

Deno.test("a folder that cannot be made is a misuse on one line", async () => {
  const crew = new Crew(valuesOf(sinkHot, ["--data", "/proc/none"]), () => {});
  assert.throws(() => crew.start(sinkHot, import.meta.url, {}), (error: Error) => {
    assert.ok(error instanceof Misuse);
    assert.match(error.message, /^Cannot make folder "\/proc\/none\/log": [^\n]*, must lie where it may be written$/);
    return true;
  });
  await crew.close();
});

Deno.test("who only tells of what was written refuses a --data that is not there, and makes none", async () => {
  const data = `${await Deno.makeTempDir()}/typo`;
  const started = async (stage: Stage, ...args: string[]) => {
    const crew = new Crew(valuesOf(stage, ["--data", data, ...args]), () => {});
    try {
      crew.start(stage, sending(0), valuesOf(stage, args));
      return null;
    } catch (error) {
      return error as Error;
    } finally {
      await crew.close();
    }
  };
  for (
    const [stage, ...args] of [
      ...[[audit], [history, "--runs", "1"], [rules], [rules, "show"], [rules, "check", "f", "--date", "2026-11-20"]],
      ...[[redrive, "--dry-run"], [redrive, "history"]],
    ] as [Stage, ...string[]][]
  ) {
    const error = await started(stage, ...args);
    assert.equal(error?.name, "Misuse", stage.name);
    assert.equal(
      error?.message,
      `Cannot look into --data "${data}": there is no such folder, must be one that was written`,
    );
    await assert.rejects(Deno.stat(data), Deno.errors.NotFound);
  }
  const elsewhere = ["--transport", "memory:typo", "--hot", "memory:typo", "--lake", "memory:typo"];
  assert.equal(await started(audit, ...elsewhere), null);
  assert.equal(await started(rules, "schema"), null);
  await assert.rejects(Deno.stat(data), Deno.errors.NotFound);
  for (const stage of [redrive, rules]) {
    assert.equal(await started(stage, ...stage === rules ? ["apply", "f"] : []), null);
    await Deno.remove(data, { recursive: true });
  }
});

Deno.test("metrics are served on loopback, or where the user says", async () => {
  for (const [args, host] of [[[], "127.0.0.1"], [["--metrics-host", "0.0.0.0"], "0.0.0.0"]] as const) {
    const { promise, resolve } = Promise.withResolvers<string>();
    const crew = new Crew(valuesOf(validate, ["--metrics-port", "0", ...args]), resolve);
    const [, shown, port] = /^metrics at http:\/\/(.*):(\d+)\/metrics$/.exec(await promise)!;
    assert.equal(shown, host);
    const answer = await fetch(`http://127.0.0.1:${port}/metrics`);
    assert.deepEqual([answer.status, (await answer.text()).length > 0], [200, true]);
    await crew.close();
  }
  assert.throws(() => valuesOf(validate, ["--metrics-host", "http://a"]), Misuse);
});

/** A Worker that says that so many messages were sent, and then that all of them are visible. */
const sending = (count: number): string =>
  `data:application/javascript,${
    encodeURIComponent(`
  const mark = (kind, upTo) => ({ kind, partition: 0, upTo, at: 0 });
  const progress = { received: 0, sent: {}, applied: 0, behind: 0, began: 0, moved: 0 };
  const delta = { sums: [], levels: [], observations: [] };
  onmessage = () => {
    for (let i = 0; i < ${count}; i++) postMessage({ word: "progress", progress, delta, marks: [mark("sent", i)] });
    postMessage({ word: "progress", progress, delta, marks: [mark("applied", ${count})] });
    postMessage({ word: "done", outcome: {} });
  };
  postMessage({ word: "ready" });`)
  }`;

Deno.test("of what was sent and became visible to nobody the latest alone is remembered", async () => {
  for (const [count, remembered] of [[10_000, 10_000], [10_001, 5_001]] as const) {
    const crew = new Crew(valuesOf(validate, ["--transport", "memory:sending"]), () => {});
    await crew.start(validate, sending(count), {});
    assert.equal(crew.latencies.length, remembered);
    await crew.close();
  }
});

/** A Worker that says where its log is. */
const opening = (line: string): string =>
  `data:application/javascript,${
    encodeURIComponent(`
  onmessage = () => {
    postMessage({ word: "opened", line: ${JSON.stringify(line)} });
    postMessage({ word: "done", outcome: {} });
  };
  postMessage({ word: "ready" });`)
  }`;

Deno.test("where the log is, is said once a process, however many stages work with it", async () => {
  const said: string[] = [];
  const crew = new Crew(valuesOf(validate, ["--transport", "memory:opening"]), (line) => said.push(line));
  for (const [stage, line] of [[validate, "log in a"], [sinkCold, "log in a"], [simulate, "log in b"]] as const) {
    await crew.start(stage, opening(line), valuesOf(stage, []));
  }
  assert.deepEqual(said, ["log in a", "log in b"]);
  await crew.close();
});
