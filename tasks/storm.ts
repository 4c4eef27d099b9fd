/**
 * Storms: every stage at once, in memory, struck by failures, kills and pauses at every operation in turn (the sweep) and
 * at random ones (the swarm), and started again until all is drained. Then the books must balance and hold exactly what a
 * calm round holds. The same seed strikes the same operations; a failure names its seed.
 *
 * **Knows** everything.
 */
import { fileURLToPath } from "node:url";
import { command, type Ending } from "../lib/crew.ts";
import type { Flags } from "../lib/flag.ts";
import { type Fate, type Plan, Swarm, Sweep } from "./storm/plan.ts";
import { kills, type Verdict } from "./storm/mutants.ts";
import { round } from "./storm/round.ts";

/** What a sweep does to each operation; a pause needs somebody else to go on, which the swarm brings about. */
const SWEPT: readonly Fate[] = [
  ...["fail before", "fail after", "kill before", "kill after", "power cut before", "power cut after"] as const,
];
/** Wrong rounds that are shown. */
const SHOWN = 5;

const flags = {
  seed: { kind: "count", does: "only the swarm of this seed, with all that befell it" },
  seeds: { kind: "count", default: 1000, does: "swarms, of the seeds from 1 on" },
  mutants: { kind: "switch", does: "takes each guard away in a copy of the project and shows which test misses it" },
  "no-sweep": { kind: "switch", does: "leaves out the sweep" },
} as const satisfies Flags;

/** A round that broke the law. */
interface Failure {
  readonly what: string;
  readonly wrong: readonly string[];
  readonly faults: readonly string[];
}

await command({
  name: "storm",
  does: "strikes every stage at every operation, and proves that nothing is lost and nothing twice",
  flow: "simulate ─▶ validate ─▶ sink-hot + sink-cold in memory, struck and started again, then audit",
  flags,
  examples: ["deno task storm", "deno task storm --seed 81723", "deno task storm --mutants"],
}, async ({ values, say, stop }) => {
  if (values.mutants) return await hunt(say, stop);
  const failures: Failure[] = [];
  const count = { rounds: 0, faults: 0 };
  const strike = async (what: string, plan: Plan): Promise<void> => {
    const { wrong, faults } = await round(plan);
    count.rounds++;
    count.faults += faults.length;
    if (wrong.length > 0) failures.push({ what, wrong, faults });
  };
  if (values.seed !== undefined) {
    const plan = new Swarm(values.seed);
    await strike(`seed ${values.seed}`, plan);
    for (const fault of plan.faults) say(fault);
    say(`trace ${plan.trace}`);
  } else {
    for (const fate of values["no-sweep"] ? [] : SWEPT) {
      say(`sweep: ${fate}`);
      for (let at = 1, struck = true; struck && !stop.aborted; at++) {
        const plan = new Sweep(at, fate);
        await strike(`sweep, ${fate} at operation ${at}`, plan);
        struck = plan.faults.length > 0;
      }
    }
    say(`swarm: ${values.seeds} seeds`);
    for (let seed = 1; seed <= values.seeds && !stop.aborted; seed++) await strike(`seed ${seed}`, new Swarm(seed));
  }
  return {
    text: [
      ...failures.slice(0, SHOWN).flatMap(({ what, wrong, faults }) => [
        `${what}:`,
        ...wrong.map((line) => `  ${line}`),
        ...faults.map((fault) => `    struck ${fault}`),
      ]),
      `${count.rounds} rounds, ${count.faults} operations struck, ${failures.length} rounds broke the law`,
    ].join("\n"),
    summary: { ...count, failures },
    findings: failures.length,
  };
});

/** Which test misses each guard; a guard that none misses is a finding. */
async function hunt(say: (line: string) => void, stop: AbortSignal): Promise<Ending> {
  const verdicts: Verdict[] = [];
  for await (const verdict of kills(fileURLToPath(new URL("..", import.meta.url)), stop)) {
    say(`${verdict.guard}: ${verdict.killer ?? "NO TEST MISSES IT"}`);
    verdicts.push(verdict);
  }
  const alive = verdicts.filter(({ killer }) => killer === null);
  return {
    text: `${verdicts.length} guards taken away, ${alive.length} not missed by any test`,
    summary: { verdicts },
    findings: alive.length,
  };
}
