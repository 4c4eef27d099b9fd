/** A day under audit as a user asks for it: what is asked of nobody, what cannot be asked, and what is told before any work. */
import assert from "@std/assert";
import audit from "../cmd/audit.ts";
import simulate from "../cmd/simulate.ts";
import { flow, run, withData } from "../testdata/flow.ts";

const DATE = "2026-11-20";

interface Told {
  readonly text: string;
  readonly findings: readonly { readonly finding: string; readonly detail: string }[];
  readonly unmet: readonly string[];
}

/** A small day, and how it is audited by expectations. */
async function withDay(
  use: (data: string, asked: (expectations: readonly object[], ...args: string[]) => Promise<Told>) => Promise<void>,
): Promise<void> {
  await withData(async (data) => {
    await run(simulate, data, "--ticks", "600", "--symbols", "2", "--faults", "0");
    await flow(data);
    await use(data, async (expectations, ...args) => {
      await Deno.writeTextFile(`${data}/mine.json`, JSON.stringify({ suite: "mine", expectations }));
      return await run(audit, data, "--date", DATE, "--suite", `${data}/mine.json`, ...args) as unknown as Told;
    });
  });
}

const ROWS = { name: "all", check: "rows", tables: ["trades"] } as const;

Deno.test("expectations that met nothing are named, and a suite of them alone is a finding", () =>
  withDay(async (_data, asked) => {
    const typos = [{ ...ROWS, name: "a", symbol: "NOPE*" }, { ...ROWS, name: "b", venue: "nope" }];
    const some = await asked([ROWS, ...typos]);
    assert.deepEqual([some.unmet, some.findings], [["a", "b"], []]);
    assert.match(some.text, /\n\nmet nothing: a, b\n/);
    const none = await asked(typos);
    assert.deepEqual(none.unmet, ["a", "b"]);
    assert.deepEqual(none.findings.map(({ finding, detail }) => `${finding}: ${detail}`), [
      'nothing checked: no expectation of suite "mine" spoke of anything that is there',
    ]);
    const all = await asked([ROWS]);
    assert.deepEqual([all.unmet, all.text.includes("met nothing")], [[], false]);
  }));
