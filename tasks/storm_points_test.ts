/** Every named crash point is one that its stage comes by, so that a storm can kill there. */
import assert from "@std/assert";
import audit from "../cmd/audit.ts";
import simulate from "../cmd/simulate.ts";
import sinkCold from "../cmd/sink-cold.ts";
import sinkHot from "../cmd/sink-hot.ts";
import validate from "../cmd/validate.ts";
import type { Books } from "../lib/books.ts";
import { type Openers, perform } from "../lib/stage.ts";
import { TOPICS } from "../lib/transport.ts";
import { places, run as performed, settingOf, withData } from "../testdata/flow.ts";
import { type Deed, watchDisk } from "../testdata/disk.ts";
import { nameOf, reachable, stand } from "./storm/points.ts";

const { KAFKA_URL, POSTGRES_URL } = Deno.env.toObject();
const isServed = KAFKA_URL !== undefined && POSTGRES_URL !== undefined;
if (!isServed) console.log("crash points on Kafka and Postgres are skipped, KAFKA_URL or POSTGRES_URL is not set");

const RUNS = [
  [simulate, ["--ticks", "3000", "--faults", "0.05", "--fsync", "batch"]],
  [validate, []],
  [sinkHot, []],
  [sinkCold, ["--unit-rows", "1000"]],
] as const;

/** The points that a flow comes by. */
async function passed(data: string, stages: readonly (typeof RUNS)[number][]): Promise<Set<string>> {
  const names = new Set<string>();
  for (const [stage, args] of stages) {
    const { name } = stage;
    using post = stand(
      (deed, moment) => {
        names.add(`${name}: ${moment} ${deed}`);
        return false;
      },
      () => assert.fail("nobody dies"),
    );
    const setting = settingOf(stage, data, args);
    const transport = setting.transport.replace("fsync=never", "fsync=batch");
    const never = new AbortController().signal;
    await perform(stage, { ...setting, transport }, () => {}, never, AbortSignal.abort(), post.openers);
  }
  return names;
}

/** Leaves behind a flow what deaths in it do: lines that were torn, and a unit that no ledger names. */
async function tearLog(data: string): Promise<void> {
  for (const topic of Object.values(TOPICS)) {
    const folder = `${data}/log/${topic}/0`;
    const [segment] = [...Deno.readDirSync(folder)].map(({ name }) => name).filter((name) => /jsonl$/.test(name)).sort()
      .reverse();
    await Deno.writeTextFile(`${folder}/${segment}`, '{"o":', { append: true });
  }
}
async function tearLake(data: string): Promise<void> {
  await Deno.writeTextFile(`${data}/lake/_ledger/ticks.valid-0.ledger`, "000001", { append: true });
  const [day] = [...Deno.readDirSync(`${data}/lake/trades`)].filter(({ isDirectory }) => isDirectory);
  const path = `${data}/lake/trades/${day!.name}/ticks.valid-0-${"9".repeat(20)}-${"9".repeat(20)}.parquet`;
  await Deno.writeTextFile(path, "PAR1");
}

/** Only a group that shares its work gives places back. */
const SHARED = /release of a place/;
const wanted = (schemes: readonly string[]): string[] =>
  reachable(schemes).map(nameOf).filter((name) => !SHARED.test(name)).sort();

Deno.test("every crash point on files is come by", () =>
  withData(async (data) => {
    const names = await passed(data, RUNS);
    await tearLake(data);
    for (const run of RUNS) {
      // Whoever opens a log that nobody has open cuts every topic.
      await tearLog(data);
      for (const name of await passed(data, [run])) names.add(name);
    }
    assert.deepEqual(wanted(["log", "sqlite", "file"]).filter((name) => !names.has(name)), []);
  }));

const never = new AbortController().signal;
for (const [stage, args] of [[sinkHot, []], [sinkCold, ["--unit-rows", "1000"]]] as const) {
  for (const moment of ["before", "after"] as const) {
    Deno.test(`a ${stage.name} that dies ${moment} it gives up what the log lost gives it up once`, () =>
      withData(async (data) => {
        await passed(data, [RUNS[0], RUNS[1]]);
        const folder = `${data}/log/${TOPICS.valid}/0`;
        const first = String(0).padStart(20, "0"), low = String(7).padStart(20, "0");
        // As if a segment had begun there, and retention had taken the one before it.
        const lines = (await Deno.readTextFile(`${folder}/${first}.jsonl`)).split("\n").slice(7);
        await Deno.writeTextFile(`${folder}/${low}.jsonl`, lines.join("\n"));
        await Deno.remove(`${folder}/${first}.jsonl`);
        await Deno.writeTextFile(`${folder}/lock`, low);
        const setting = settingOf(stage, data, ["--accept-gap", ...args]);
        const run = (openers?: Openers) => perform(stage, setting, () => {}, never, AbortSignal.abort(), openers);
        {
          using post = stand((deed, at) => deed === "giving up of lost records" && at === moment, () => {
            throw new Error("it dies");
          });
          await assert.rejects(run(post.openers), /it dies/);
        }
        await run();
        await performed(stage === sinkHot ? sinkCold : sinkHot, data, "--accept-gap");
        const { findings, books } = await performed(audit, data);
        const gaps = (books as Books[]).flatMap((book) => book.gaps);
        assert.deepEqual(gaps.map(({ first, last }) => [first, last]), [[0, 6], [0, 6]]);
        assert.deepEqual(findings, []);
      }));
  }
}

Deno.test("a repair that dies before, in the midst of or after any deed is done by the next one", () =>
  withData(async (data) => {
    for (const [stage, args] of RUNS) await performed(stage, data, ...args);
    const lake = `${data}/lake`;
    const [day] = [...Deno.readDirSync(`${lake}/quotes`)];
    const [file] = [...Deno.readDirSync(`${lake}/quotes/${day!.name}`)];
    const path = `${lake}/quotes/${day!.name}/${file!.name}`;
    const sound = await Deno.readFile(path);
    let deaths = 0;
    for (const moment of ["before", "half", "after"] as const) {
      for (let n = 1, isDead = true; isDead; n += 5) {
        isDead = false;
        const damaged = `${moment} ${n}`;
        await Deno.writeTextFile(path, damaged);
        {
          let left = n;
          const here = (at: typeof moment, deed: Deed, path: string): void => {
            if (
              isDead || (at === moment && path.startsWith(lake) && (at !== "half" || deed === "write") && --left === 0)
            ) {
              isDead = true;
              throw new Error("it dies");
            }
          };
          let isTorn = false;
          using _watch = watchDisk({
            before: (deed, [path]) => {
              here("before", deed, path!);
              isTorn = moment === "half" && deed === "write" && path!.startsWith(lake) && left === 1;
              return isTorn ? "half" : undefined;
            },
            after: (deed, [path]) => here(isTorn || moment === "half" ? "half" : "after", deed, path!),
          });
          await performed(audit, data, "--repair").catch((error) => assert.ok(isDead, String(error)));
        }
        if (isDead) deaths++;
        await performed(audit, data, "--repair");
        assert.deepEqual(await Deno.readFile(path), sound, damaged);
        const kept = [...Deno.readDirSync(`${lake}/_quarantine`)].map(({ name }) => `${lake}/_quarantine/${name}`);
        const texts = await Promise.all(kept.map((name) => Deno.readTextFile(name)));
        assert.ok(texts.includes(damaged), damaged);
      }
    }
    assert.ok(deaths > 4, `${deaths} deaths`);
  }));

Deno.test({
  name: "every crash point on Kafka and Postgres is come by",
  ignore: !isServed,
  fn: () =>
    withData(async (data) => {
      const tape = `points${Deno.pid}`;
      places.set(data, { transport: `${KAFKA_URL}?prefix=${tape}.`, hot: `${POSTGRES_URL}?schema=${tape}` });
      const names = await passed(data, RUNS);
      await tearLake(data);
      for (const name of await passed(data, RUNS)) names.add(name);
      assert.deepEqual(wanted(["kafka", "postgres", "file"]).filter((name) => !names.has(name)), []);
    }),
});
