/**
 * Twenty seeded defects, each planted in a copy of a clean day in both stores: the audit names the check that is meant for
 * it, exports every failing row, and ends with findings; the clean day passes, warnings and all.
 */
import assert from "@std/assert";
import { DatabaseSync } from "node:sqlite";
import { fileURLToPath } from "node:url";
import audit from "../cmd/audit.ts";
import { Chance } from "../lib/chance.ts";
import { MARKET, type Result } from "../lib/check.ts";
import { openLake } from "../lib/lake.ts";
import { Market, START_MICROS } from "../lib/market.ts";
import { Draft, query, read, Views, warm, write } from "../lib/parquet.ts";
import { rowOf, TABLE_OF, TABLES, tickOf } from "../lib/table.ts";
import type { ValidTick } from "../lib/tick.ts";
import { openTransport, TOPICS } from "../lib/transport.ts";
import { type Day, type Defect, DEFECTS, type Held } from "../testdata/defects.ts";
import { flow, looking, run, withData } from "../testdata/flow.ts";

const DATE = "2026-11-20";
const TICKS = 6_000;
/** The market's time goes by so much more slowly that its ticks fill some minutes. */
const SLOWER = 1_000;
const SEED = 20;
await warm();

/** A clean day of the simulated market, judged and in both stores. */
async function clean(data: string): Promise<void> {
  const market = new Market({ seed: SEED, symbols: 4 });
  const log = await openTransport(`log:${data}/log?fsync=never`, { ...looking, isLooking: undefined as never });
  try {
    for (const topic of Object.values(TOPICS)) await log.create(topic, 1);
    const instruments = { control: "instruments", venue: "sim", instruments: market.instruments };
    const messages = market.fill(TICKS).map(({ key, value }) => {
      const tick = JSON.parse(value as string);
      const eventTime = START_MICROS + (tick.eventTime - START_MICROS) * SLOWER;
      const receivedTime = eventTime + tick.receivedTime - tick.eventTime;
      return { key, value: JSON.stringify({ ...tick, eventTime, receivedTime }) };
    });
    await log.append(TOPICS.raw, 0, [{ key: null, value: JSON.stringify(instruments), control: true }, ...messages]);
  } finally {
    await log.close();
  }
  await flow(data);
}

/** Plants a defect in the stores of a folder; gives how many rows are evidence. */
async function plant(data: string, defect: Defect): Promise<number> {
  const lake = await openLake(`file:${data}/lake`, looking);
  try {
    const files = (await lake.units()).flatMap(({ first, last, files }) =>
      files.map((file) => ({ ...file, first, last }))
    );
    const ticks: Held[] = [];
    for (const { table, path } of files) {
      for (const row of await read(TABLES[table], await Deno.readFile(`${lake.root}/${path}`))) {
        ticks.push({ ...tickOf(table, row), origin: row[1] as number });
      }
    }
    const day: Day = { ticks: ticks.sort((a, b) => a.origin - b.origin), hot: [], retyped: null };
    const rows = defect.plant(day, Chance.of(SEED, DEFECTS.indexOf(defect)));
    if (day.hot.length > 0) {
      using hot = new DatabaseSync(`${data}/hot.db`);
      hot.prepare(`update quotes set bid_size = bid_size || '1' where origin in (${day.hot.join(", ")})`).run();
      return rows;
    }
    for (const { table, path, first, last } of files) {
      const draft = new Draft(TABLES[table]);
      for (const tick of day.ticks) {
        const isOf = TABLE_OF[tick.type] === table && tick.origin >= first && tick.origin <= last;
        if (isOf) draft.add(rowOf(tick as unknown as ValidTick, 0));
      }
      await Deno.writeFile(`${lake.root}/${path}`, await write(0, draft));
      if (day.retyped !== null && table === "trades") await retype(`${lake.root}/${path}`, day.retyped);
    }
    return rows;
  } finally {
    await lake.close();
  }
}

async function retype(path: string, types: Readonly<Record<string, string>>): Promise<void> {
  using views = await Views.open();
  await views.define("file", [await Deno.readFile(path)]);
  const casts = Object.entries(types).map(([name, type]) => `CAST(${name} AS ${type}) AS ${name}`);
  await views.copy(`SELECT * REPLACE (${casts.join(", ")}) FROM file`, path);
}

async function copyFolder(from: string, to: string): Promise<void> {
  await Deno.mkdir(to, { recursive: true });
  for (const { name, isDirectory } of Deno.readDirSync(from)) {
    if (isDirectory) await copyFolder(`${from}/${name}`, `${to}/${name}`);
    else await Deno.copyFile(`${from}/${name}`, `${to}/${name}`);
  }
}

/** How the command ends in a process of its own. */
async function exitOf(data: string, ...args: readonly string[]): Promise<number> {
  const module = fileURLToPath(new URL("../cmd/audit.ts", import.meta.url));
  const { code } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", module, "--data", data, "--date", DATE, "--once", ...args],
    stdout: "null",
    stderr: "null",
  }).output();
  return code;
}

Deno.test("twenty defects are each named by the check meant for it, with every failing row; the clean day passes", async (t) => {
  assert.equal(DEFECTS.length, 20);
  await withData(async (data) => {
    const sound = `${data}/clean`;
    await clean(sound);
    await t.step("the clean day passes", async () => {
      const { findings, checks } = await run(audit, sound, "--date", DATE, "--strict");
      assert.deepEqual(findings, []);
      const results = checks as Result[];
      assert.deepEqual(results.filter(({ status }) => status === "fail"), []);
      // What there is no row for says nothing: books, changes of books, and quotes built of them.
      const said = new Set(results.map(({ check }) => check));
      assert.deepEqual(MARKET.expectations.map(({ check }) => check).filter((check) => !said.has(check)), [
        "chain",
        "depth",
        "unlike",
      ]);
    });
    await t.step("the exit code says so", async () => {
      assert.equal(await exitOf(sound), 0);
      await copyFolder(sound, `${data}/struck`);
      await plant(`${data}/struck`, DEFECTS.find(({ check }) => check === "away")!);
      assert.equal(await exitOf(`${data}/struck`, "--strict"), 3);
    });
    for (const [i, defect] of DEFECTS.entries()) {
      await t.step(`${defect.name}: ${defect.check}`, async () => {
        const struck = `${data}/${i}`;
        await copyFolder(sound, struck);
        const rows = await plant(struck, defect);
        const outcome = await run(audit, struck, "--date", DATE, "--strict", "--report", `${struck}/report.html`);
        const named = (outcome.findings as { finding: string }[]).filter(({ finding }) => finding === defect.check);
        assert.ok(named.length > 0, `${defect.check} is not among ${JSON.stringify(outcome.findings).slice(0, 2_000)}`);
        const failed = (outcome.checks as Result[]).filter(({ check, status }) =>
          check === defect.check && status === "fail"
        );
        let exported = 0;
        for (const path of new Set(failed.map(({ evidence }) => evidence!))) {
          exported += (await query([`${struck}/${path}`], "SELECT * FROM ticks")).length;
        }
        assert.deepEqual([failed.reduce((sum, { failing }) => sum + failing, 0), exported], [rows, rows]);
        await Deno.remove(struck, { recursive: true });
      });
    }
  });
});
