/** A day under audit as a user asks for it: what is asked of nobody, what cannot be asked, and what is told before any work. */
import assert from "@std/assert";
import { DatabaseSync } from "node:sqlite";
import { fileURLToPath } from "node:url";
import audit from "../cmd/audit.ts";
import { history } from "../cmd/audit/history.ts";
import simulate from "../cmd/simulate.ts";
import { Misuse } from "../lib/failure.ts";
import { flow, run, withData } from "../testdata/flow.ts";

const DATE = "2026-11-20";

interface Told {
  readonly text: string;
  readonly findings: readonly { readonly finding: string; readonly detail: string }[];
  readonly unmet: readonly string[];
  readonly balanced: boolean | null;
  readonly books: readonly unknown[];
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

/** Runs the command as a process of its own, in its sandbox. */
async function command(...args: string[]) {
  const { code, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", "cmd/audit.ts", ...args],
    cwd: fileURLToPath(new URL("../", import.meta.url)),
  }).output();
  const said = new TextDecoder().decode(stderr).trimEnd().split("\n");
  return { code, said };
}

Deno.test("a page that cannot be written is told on one line before any work, whoever is to write it", () =>
  withDay(async (data) => {
    await Deno.mkdir(`${data}/folder.html`);
    const reports = [`${data}/none/x.html`, `${data}/folder.html`, "/proc/x.html", `${data}/x.pdf`];
    for (const [part, report] of [...reports.map((report) => ["audit", report]), ["coverage", reports[0]!]]) {
      const { code, said } = await command(
        ...[...(part === "audit" ? [] : [part!]), "--data", data, "--date", DATE, "--report", report!],
      );
      assert.equal(code, 2, said.join("\n"));
      assert.match(
        said.find((line) => line.startsWith("Cannot"))!,
        report!.endsWith(".pdf")
          ? /: it has another form, must be FILE\.html$/
          : /^Cannot write page ".*": .+, must be a file/,
      );
      assert.ok(said.length <= 3, said.join("\n"));
    }
    await assert.rejects(Deno.stat(`${data}/lake/_audits`), Deno.errors.NotFound);
  }));

Deno.test("a day without data is no run that passed, and one that misses whom it names is a run that failed", () =>
  withDay(async (data, asked) => {
    const runs = async () => {
      const { runs } = await run(history, data) as unknown as { runs: readonly { failed: { error: number } }[] };
      return runs.map(({ failed }) => failed.error);
    };
    const { findings } = await run(audit, data, "--date", "2026-11-19") as unknown as Told;
    assert.deepEqual([findings.map(({ finding }) => finding), await runs()], [["rows"], []]);
    const sql = { name: "sql", check: "sql", file: "mine.sql" };
    await Deno.writeTextFile(`${data}/mine.sql`, "SELECT * FROM trades WHERE price < 0");
    await asked([sql], "--date", "2026-11-19");
    assert.deepEqual(await runs(), []);
    await asked([sql, { ...ROWS, venue: "sim", symbol: "NOPE" }], "--date", "2026-11-19");
    assert.deepEqual(await runs(), [1]);
    await asked([sql]);
    assert.deepEqual(await runs(), [1, 0]);
  }));

Deno.test("SQL that is not there or is none is told by its name before the books are closed", () =>
  withDay(async (data, asked) => {
    const file = (name: string) => ({ name, check: "sql", file: `${name}.sql` });
    const misuse = (message: RegExp) => (error: unknown) => error instanceof Misuse && message.test(error.message);
    await Deno.writeTextFile(`${data}/sound.sql`, "SELECT * FROM trades JOIN built USING (symbol) -- all of them");
    await Deno.copyFile(`${data}/sound.sql`, `${data}/later.sql`);
    await Deno.writeTextFile(`${data}/typo.sql`, "SELECT * FORM trades");
    await Deno.writeTextFile(`${data}/column.sql`, "SELECT nope FROM quotes;");
    assert.deepEqual((await asked([file("sound")])).findings, []);
    // A truth that is not there is met before the books are closed, and the SQL before that.
    const refused = async (name: string, message: RegExp) =>
      await assert.rejects(asked([file("sound"), file(name)], "--truth", `${data}/none`), misuse(message));
    await refused("later", /^Cannot read truth /);
    await refused("none", /^Cannot read SQL "none\.sql": .+, must be a file that is there$/);
    await refused("typo", /^Cannot run SQL "typo\.sql": .+, must be one SELECT over the tables$/);
    await refused("column", /^Cannot run SQL "column\.sql": .*nope/);
  }));

Deno.test("a day is asked alone without closing the books, and says so", () =>
  withDay(async (data, asked) => {
    const hot = new DatabaseSync(`${data}/hot.db`);
    hot.exec("DELETE FROM trades");
    hot.close();
    const [whole, alone] = [await asked([ROWS]), await asked([ROWS], "--day-only")];
    assert.match(whole.text, /the books do not balance/);
    assert.equal(whole.balanced, false);
    assert.deepEqual([alone.findings, alone.balanced, alone.books], [[], null, []]);
    assert.match(alone.text, /^the books were not closed, the day alone was asked\n\nverdict /);
    assert.doesNotMatch(alone.text, /balance/);
    const none = await asked([{ ...ROWS, min: 100_000 }], "--day-only");
    assert.match(none.text, /\n\n2 findings:\n {2}rows: sim /);
  }));
