/**
 * Twenty seeded defects, each planted in one store of a clean day, in the lake and in the hot store by turns: the audit of
 * that store names the check that is meant for it, exports every failing row, and ends with 3; the clean day passes.
 * A store that has a defect alone is neither as the log nor as the other store, which the audit says beside it.
 */
import assert from "@std/assert";
import { fileURLToPath } from "node:url";
import postgres from "postgres";
import audit from "../cmd/audit.ts";
import { Chance } from "../lib/chance.ts";
import { MARKET, type Result } from "../lib/check.ts";
import { columns } from "../lib/columns.ts";
import { EXIT, exitOf } from "../lib/failure.ts";
import { query, warm } from "../lib/parquet.ts";
import { type Defect, DEFECTS } from "../testdata/defects.ts";
import { places, run, withData } from "../testdata/flow.ts";
import { type Clean, cleanDay, DATE, dayOf, struckHot, struckLake } from "../testdata/planting.ts";

const SEED = 20;
const server = Deno.env.get("POSTGRES_URL");
if (server === undefined) console.log("defects: Postgres is not tried, POSTGRES_URL is not set");
const schema = `tapedeck_defects_${Deno.pid}`;
await warm();

const STORES = ["lake", "SQLite", "Postgres"] as const;
type Store = typeof STORES[number];

type Planted = Pick<Defect, "name" | "plant" | "asked">;
type Evidence = ReturnType<Defect["plant"]>;

/** What there is no row for says nothing: books, changes of books, and quotes built of them; nor does a file where there is none. */
const SILENT = {
  lake: ["chain", "depth", "unlike"],
  hot: ["file", "schema", "date", "chain", "depth", "unlike", "unequal"],
};
const NOTHING: Planted = { name: "nothing", plant: () => [] };

/** Plants a defect in a store of a folder; gives the origins of the rows that are evidence. */
async function plant(clean: Clean, to: string, store: Store, defect: Planted): Promise<Evidence> {
  const day = dayOf(clean);
  const evidence = defect.plant(day, Chance.of(SEED, DEFECTS.findIndex(({ name }) => name === defect.name) + 1));
  if (store === "lake") await struckLake(clean, to, day);
  else if (store === "SQLite") await struckHot(clean, to, `sqlite:${to}/hot.db`, day);
  else await struckHot(clean, to, `${server}${server!.includes("?") ? "&" : "?"}schema=${schema}`, day);
  return evidence;
}

/** What the audit asks of a store, by its flags. */
const asking = (store: Store, { asked }: Planted): readonly string[] => {
  return ["--date", DATE, "--strict", "--store", asked ?? (store === "lake" ? "lake" : "hot")];
};

/** How the command ends in a process of its own. */
async function codeOf(data: string, args: readonly string[]): Promise<number> {
  const { transport, hot } = places.get(data)!;
  const { code } = await new Deno.Command(Deno.execPath(), {
    args: [
      ...["run", "-A", fileURLToPath(new URL("../cmd/audit.ts", import.meta.url)), "--once"],
      ...["--data", data, "--transport", transport, "--hot", hot, ...args],
    ],
    stdout: "null",
    stderr: "null",
  }).output();
  return code;
}

/** Audits a folder; gives what was found, the exit code, and of one check how many rows fail and the origins of those exported. */
async function audited(data: string, args: readonly string[], meant: string) {
  const outcome = await run(audit, data, ...args, "--report", `${data}/report.html`);
  const findings = outcome.findings as { finding: string }[];
  const checks = outcome.checks as Result[];
  const failed = checks.filter(({ check, status }) => check === meant && status === "fail");
  const exported: (number | null)[] = [];
  for (const path of new Set(failed.map(({ evidence }) => evidence!))) {
    const rows = await query([`${data}/${path}`], "SELECT * FROM ticks");
    exported.push(...rows.map(({ origin = null }) => origin as number | null));
  }
  const failing = failed.reduce((sum, one) => sum + one.failing, 0);
  return { exit: exitOf(findings.length), findings, checks, failing, exported };
}

Deno.test("twenty defects are each named by the check meant for it, with every failing row; the clean day passes", async (t) => {
  assert.equal(DEFECTS.length, 20);
  const told = new Map(DEFECTS.map((defect) => [defect.name, [defect.check]]));
  await withData(async (data) => {
    const clean = await cleanDay(`${data}/clean`, SEED);
    for (const store of STORES) {
      const isThere = store !== "Postgres" || server !== undefined;
      /** Plants a defect in a folder that is there as long as it is looked at. */
      const struck = async (defect: Planted, look: (folder: string, evidence: Evidence) => Promise<void>) => {
        const folder = `${data}/struck`;
        try {
          await look(folder, await plant(clean, folder, store, defect));
        } finally {
          places.delete(folder);
          await Deno.remove(folder, { recursive: true });
          if (store === "Postgres") await dropped();
        }
      };
      await t.step({
        name: `${store}: the clean day passes`,
        ignore: !isThere,
        fn: () =>
          struck(NOTHING, async (folder) => {
            const { exit, findings, checks } = await audited(folder, asking(store, NOTHING), "");
            assert.deepEqual([findings, checks.filter(({ status }) => status === "fail"), exit], [[], [], EXIT.done]);
            const said = new Set(checks.map(({ check }) => check));
            assert.deepEqual(
              MARKET.expectations.map(({ check }) => check).filter((check) => !said.has(check)),
              SILENT[store === "lake" ? "lake" : "hot"],
            );
          }),
      });
      for (const defect of DEFECTS) {
        const isHere = store === "lake" || defect.notHot === undefined;
        await t.step({
          name: `${store}: ${defect.name}: ${defect.check}${isHere ? "" : ` is not asked: ${defect.notHot}`}`,
          ignore: !isThere || !isHere,
          fn: () =>
            struck(defect, async (folder, evidence) => {
              const { exit, findings, failing, exported } = await audited(folder, asking(store, defect), defect.check);
              const isNamed = findings.some(({ finding }) => finding === defect.check);
              assert.ok(isNamed, `${defect.check} is not among ${JSON.stringify(findings).slice(0, 2_000)}`);
              assert.deepEqual([exit, failing, exported.toSorted()], [
                EXIT.findings,
                evidence.length,
                evidence.toSorted(),
              ]);
              told.get(defect.name)!.push(`${exit}, ${failing}`);
            }),
        });
        if (!isThere || !isHere) told.get(defect.name)!.push("-");
      }
    }
    await t.step("the processes end as their outcomes say", async () => {
      const away = DEFECTS.find(({ check }) => check === "away")!;
      for (const [store, defect, code] of [["lake", NOTHING, 0], ["lake", away, 3], ["SQLite", away, 3]] as const) {
        const folder = `${data}/${store}-${defect.name}`;
        await plant(clean, folder, store, defect);
        assert.equal(await codeOf(folder, asking(store, defect)), code);
        places.delete(folder);
      }
    });
  });
  const head = ["defect", "check", ...STORES.map((store) => `${store}: exit, rows`)];
  console.log(columns([head, ...[...told].map(([name, cells]) => [name, ...cells])], () => true).join("\n"));
});

/** Lets go of the schema that a day was laid into. */
async function dropped(): Promise<void> {
  const sql = postgres(server!, { max: 1, onnotice: () => {}, fetch_types: false });
  await sql.unsafe(`drop schema if exists ${schema} cascade`);
  await sql.end();
}
