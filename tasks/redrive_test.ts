/**
 * The law of redrive: after a rule is mended and all is redriven, hot store and lake hold what they hold where the mended
 * rule was there from the start.
 */
import assert from "@std/assert";
import audit from "../cmd/audit.ts";
import redrive from "../cmd/redrive.ts";
import { flow, places, run, withData } from "../testdata/flow.ts";
import { contentOf, firstsOf, marketOf, rulesOf, tapeOf } from "../testdata/redriven.ts";

const postgres = Deno.env.get("POSTGRES_URL");
if (!postgres) console.log("redrive: Postgres is not tried, POSTGRES_URL is not set");
let schemas = 0;

/** Lets a flow lie on the hot store that is tried. */
function settle(data: string, store: "SQLite" | "Postgres"): void {
  if (store === "SQLite") return;
  const schema = `redrive_${Deno.pid}_${schemas++}`;
  const hot = `${postgres}${postgres!.includes("?") ? "&" : "?"}schema=${schema}`;
  places.set(data, { transport: `log:${data}/log?fsync=never`, hot });
}

for (const store of ["SQLite", "Postgres"] as const) {
  Deno.test({
    name: `what is redriven after a rule was mended is what the mended rule would have let pass, on ${store}`,
    ignore: store === "Postgres" && !postgres,
    async fn() {
      for (const seed of [1, 2, 3]) {
        await withData(async (data) => {
          const { ticks, instruments } = await marketOf(
            `${data}/market`,
            ...["--ticks", "6000", "--symbols", "6", "--faults", "0.2", "--seed", String(seed)],
          );
          const coarse = instruments.map((instrument, i) =>
            i % 2 === 0 ? { ...instrument, tickSize: "1000" } : instrument
          );
          const wrong = rulesOf(coarse, { futureMsMax: 5_000 });
          const mended = rulesOf(instruments, { futureMsMax: 7_200_000 });
          const [law, way] = [`${data}/law`, `${data}/way`];
          for (const place of [law, way]) {
            await Deno.mkdir(place);
            settle(place, store);
          }
          await tapeOf(law, ticks, mended, mended);
          await tapeOf(way, ticks, wrong, mended);
          await flow(law);
          await flow(way);
          const before = await contentOf(way);
          const outcome = await run(redrive, way);
          await flow(way);
          const [wanted, found] = [await contentOf(law), await contentOf(way)];
          assert.ok(found.hot.length > before.hot.length + 1_000, "little was redriven");
          assert.deepEqual(found.hot, wanted.hot);
          assert.deepEqual(found.cold, wanted.cold);
          assert.deepEqual((await run(audit, way)).findings, []);
          assert.equal((await firstsOf(way)).size, found.hot.length - before.hot.length);
          assert.ok((outcome.redriven as number) > 0);
        });
      }
    },
  });
}
