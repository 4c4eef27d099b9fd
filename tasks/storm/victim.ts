/**
 * One run of a stage that kills itself with -9 at a crash point: `victim.ts POINT TIMES FLAGS…`. It runs in the process's
 * own thread, where what the stage calls can be replaced.
 *
 * **Knows** `points`, `stage`, `crew`.
 */
import simulate from "../../cmd/simulate.ts";
import sinkCold from "../../cmd/sink-cold.ts";
import sinkHot from "../../cmd/sink-hot.ts";
import validate from "../../cmd/validate.ts";
import { settingOf } from "../../lib/crew.ts";
import { codeOf, EXIT, reasonOf } from "../../lib/failure.ts";
import { COMMON, readFlags } from "../../lib/flag.ts";
import { perform } from "../../lib/stage.ts";
import { nameOf, POINTS, stand } from "./points.ts";

const STAGES = { simulate, validate, "sink-hot": sinkHot, "sink-cold": sinkCold };

const [name, times, ...args] = Deno.args;
const point = POINTS.find((point) => nameOf(point) === name);
if (point === undefined) throw new Error(`Cannot die at "${name}": there is no such point, must be one of --points`);
const stage = STAGES[point.stage];
const values = readFlags({ ...stage.flags, ...COMMON }, args, (name) => Deno.env.get(name));
const stop = new AbortController();
Deno.addSignalListener("SIGTERM", () => stop.abort());
let left = Number(times);
const { openers } = stand(
  (deed, moment) => deed === point.deed && moment === point.moment && --left === 0,
  () => {
    Deno.kill(Deno.pid, "SIGKILL");
    throw new Error("The process outlives its own kill");
  },
);
try {
  await perform(
    stage,
    settingOf(stage, values, values, null),
    () => {},
    stop.signal,
    new AbortController().signal,
    openers,
  );
  Deno.exit(EXIT.done);
} catch (error) {
  console.error(codeOf(error) === EXIT.failed && error instanceof Error ? error.stack : reasonOf(error));
  Deno.exit(codeOf(error));
}
