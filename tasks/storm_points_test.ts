/** Every named crash point is one that its stage comes by, so that a storm can kill there. */
import assert from "@std/assert";
import simulate from "../cmd/simulate.ts";
import sinkCold from "../cmd/sink-cold.ts";
import sinkHot from "../cmd/sink-hot.ts";
import validate from "../cmd/validate.ts";
import { perform } from "../lib/stage.ts";
import { places, settingOf, withData } from "../testdata/flow.ts";
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
async function passed(data: string, stages: typeof RUNS): Promise<Set<string>> {
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

/** Only a group that shares its work gives places back. */
const SHARED = /release of a place/;
const wanted = (schemes: readonly string[]): string[] =>
  reachable(schemes).map(nameOf).filter((name) => !SHARED.test(name)).sort();

Deno.test("every crash point on files is come by", () =>
  withData(async (data) => {
    const names = await passed(data, RUNS);
    assert.deepEqual(wanted(["log", "sqlite", "file"]).filter((name) => !names.has(name)), []);
  }));

Deno.test({
  name: "every crash point on Kafka and Postgres is come by",
  ignore: !isServed,
  fn: () =>
    withData(async (data) => {
      const tape = `points${Deno.pid}`;
      places.set(data, { transport: `${KAFKA_URL}?prefix=${tape}.`, hot: `${POSTGRES_URL}?schema=${tape}` });
      const names = await passed(data, RUNS);
      assert.deepEqual(wanted(["kafka", "postgres", "file"]).filter((name) => !names.has(name)), []);
    }),
});
