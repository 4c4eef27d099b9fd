/**
 * The health check of an installation: what is reachable, who owns what, how far behind, what is stuck, what to do.
 *
 * **In** the doors' URLs, **Out** problems, each with what mends it; exit 3 when there are some.
 * **Knows** `examine`, `health`, the formats' versions, `stage`, `crew`.
 */
import { start } from "../lib/crew.ts";
import { examine } from "../lib/examine.ts";
import { healthText, notesOf, problemsOf, standingsOf } from "../lib/health.ts";
import { FORMAT as LEDGER_FORMAT } from "../lib/lake/file/account.ts";
import { ENGINE } from "../lib/parquet.ts";
import { RULES_VERSION } from "../lib/rule.ts";
import { migrationsOf } from "../lib/schema.ts";
import { defineInspection } from "../lib/stage.ts";
import { TOPICS } from "../lib/transport.ts";
import { FORMAT as LOG_FORMAT } from "../lib/transport/log.ts";

/** Beyond this the times at which places were taken, and lag, say little. */
const SKEW_MS_MAX = 1_000;

const stage = defineInspection({
  name: "doctor",
  does: "says what is reachable, who owns what, how far behind and stuck, and what mends it, or exit 3",
  reads: [TOPICS.raw, TOPICS.valid, TOPICS.rejected],
  writes: [],
  needs: ["hot", "lake"],
  sys: ["statfs", "uid"],
  flags: {
    watch: { kind: "amount", default: 2, max: 3600, unit: "s", does: "how long what is behind may stand still" },
    "room-min": { kind: "amount", default: 1, unit: "GB", does: "free room that each disk must have" },
  },
  examples: [
    "deno task doctor",
    "deno task doctor --transport kafka://localhost:9092 --hot postgres://market@localhost/market",
    "deno task doctor --json | jq .problems",
  ],
  async inspect({ values, doors, world, until }) {
    const watch = () => until(world.now() + values.watch * 1000);
    const versions = {
      deno: Deno.version.deno,
      "log format": String(LOG_FORMAT),
      "hot schema": String(migrationsOf(doors.hot.startsWith("postgres:") ? "postgres" : "sqlite").length),
      "ledger format": String(LEDGER_FORMAT),
      "lake engine": ENGINE,
      rules: RULES_VERSION,
    };
    const facts = { versions, ...await examine(doors, world, watch) };
    const problems = problemsOf(facts, { roomMin: values["room-min"] * 1e9, skewMsMax: SKEW_MS_MAX });
    const { rooms, skews, looks: [, { topics }] } = facts;
    return {
      text: healthText(facts, problems),
      healthy: problems.length === 0,
      problems,
      notes: notesOf(facts),
      ...{ versions, doors: facts.doors, topics, places: standingsOf(facts), rooms, skews },
    };
  },
});

export default stage;
if (import.meta.main) await start(stage, import.meta.url);
