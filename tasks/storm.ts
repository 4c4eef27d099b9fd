/**
 * Storms: every stage at once, in memory, struck by failures, kills and pauses at every operation in turn (the sweep) and
 * at random ones (the swarm), and started again until all is drained. Then the books must balance and hold exactly what a
 * calm round holds. The same seed strikes the same operations; a failure names its seed.
 *
 * **Knows** everything.
 */
import { fileURLToPath } from "node:url";
import { command, type Ending } from "../lib/crew.ts";
import type { COMMON, Flags, Values } from "../lib/flag.ts";
import { Below, STRUCK, Swarm, Sweep } from "./storm/plan.ts";
import { kills, type Verdict } from "./storm/mutants.ts";
import { nameOf, POINTS, reachable } from "./storm/points.ts";
import { rounds, type Row } from "./storm/real.ts";
import { type Result, round, roundOnDisk } from "./storm/round.ts";
import { POLICIES } from "../lib/writer.ts";

/** A round on the disk writes real Parquet files, so that a sweep of it goes by so many operations. */
const DISK_STRIDE = 3;
/** Wrong rounds that are shown. */
const SHOWN = 5;
/** A process that is stopped for so long is late; on Kafka its group has given it up by then. */
const SLEEP_MS = 1_500, KAFKA_SLEEP_MS = 12_000;

const flags = {
  seed: { kind: "count", does: "only the swarm of this seed, with all that befell it" },
  seeds: { kind: "count", default: 1000, does: "swarms, of the seeds from 1 on" },
  mutants: { kind: "switch", does: "takes each guard away in a copy of the project and shows which test misses it" },
  guard: { kind: "text", default: "", value: "NAME", does: "with --mutants: only guards whose name has this in it" },
  points: { kind: "switch", does: "lists the crash points at which a real storm kills" },
  real: { kind: "switch", does: "kill -9 and SIGSTOP of real processes on --transport, --hot and --lake, or on files" },
  minutes: { kind: "amount", default: 1, unit: "min", does: "length of a real storm" },
  strike: {
    kind: "text",
    value: "COMMAND",
    does: "with --real: a shell command that restarts a service, now and then",
  },
  "no-sweep": { kind: "switch", does: "leaves out the sweeps" },
  disk: { kind: "switch", does: "with --seed: the swarm of this seed on the disk that loses" },
  "disk-seeds": { kind: "count", default: 200, does: "swarms on the disk that loses, of the seeds from 1 on" },
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
  flow: "simulate ─▶ validate ─▶ sink-hot + sink-cold in memory and on a disk that loses, struck, then audit",
  flags,
  examples: [
    "deno task storm",
    "deno task storm --seed 81723",
    "deno task storm --seed 7 --disk",
    "deno task storm --mutants --guard sync",
  ],
}, async ({ values, say, stop }) => {
  if (values.points) return { text: pointsText(), summary: { points: POINTS }, findings: 0 };
  if (values.mutants) return await hunt(values.guard, say, stop);
  if (values.real) return await weather(values, say, stop);
  const failures: Failure[] = [];
  const count = { rounds: 0, faults: 0 };
  const strike = async (what: string, done: Promise<Result>): Promise<void> => {
    const { wrong, faults } = await done;
    count.rounds++;
    count.faults += faults.length;
    if (wrong.length > 0) failures.push({ what, wrong, faults });
  };
  /** A swarm on the disk; each of the log's promises of durability has its turn. */
  const onDisk = (seed: number, plan: Below): Promise<Result> => roundOnDisk(plan, POLICIES[seed % POLICIES.length]!);
  if (values.seed !== undefined) {
    const swarm = new Swarm(values.seed, values.disk ? STRUCK : undefined);
    await strike(`seed ${values.seed}`, values.disk ? onDisk(values.seed, new Below(swarm)) : round(swarm));
    for (const fault of swarm.faults) say(fault);
    say(`trace ${swarm.trace}`);
  } else {
    for (const fate of values["no-sweep"] ? [] : STRUCK) {
      say(`sweep: ${fate}`);
      for (let at = 1, struck = true; struck && !stop.aborted; at++) {
        const plan = new Sweep(at, fate);
        await strike(`sweep, ${fate} at operation ${at}`, round(plan));
        struck = plan.faults.length > 0;
      }
    }
    say(`swarm: ${values.seeds} seeds`);
    for (let seed = 1; seed <= values.seeds && !stop.aborted; seed++) {
      await strike(`seed ${seed}`, round(new Swarm(seed)));
    }
    if (!values["no-sweep"]) {
      say("sweep of the disk: a power cut");
      for (let at = 1, struck = true; struck && !stop.aborted; at += DISK_STRIDE) {
        const plan = new Sweep(at, "power cut after");
        await strike(`sweep of the disk, power cut after operation ${at}`, onDisk(at, new Below(plan)));
        struck = plan.faults.length > 0;
      }
    }
    say(`swarm on the disk: ${values["disk-seeds"]} seeds`);
    for (let seed = 1; seed <= values["disk-seeds"] && !stop.aborted; seed++) {
      await strike(`seed ${seed} on the disk`, onDisk(seed, new Below(new Swarm(seed, STRUCK))));
    }
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

/** Which test misses each guard; one that none misses is a finding, and so is one that could not be tried. */
async function hunt(part: string, say: (line: string) => void, stop: AbortSignal): Promise<Ending> {
  const verdicts: Verdict[] = [];
  for await (const verdict of kills(fileURLToPath(new URL("..", import.meta.url)), part, stop)) {
    const { guard, killer, untried } = verdict;
    say(`${guard}: ${untried !== undefined ? `NOT TRIED, ${untried}` : killer ?? "NO TEST MISSES IT"}`);
    verdicts.push(verdict);
  }
  const untried = verdicts.filter((verdict) => verdict.untried !== undefined);
  const alive = verdicts.filter((verdict) => verdict.killer === null && verdict.untried === undefined);
  return {
    text: [
      `${verdicts.length - untried.length} guards taken away, ${alive.length} not missed by any test`,
      ...(untried.length > 0
        ? [
          `${untried.length} not tried, so that nothing is known of them: ${
            untried.map((verdict) => `${verdict.guard} (${verdict.untried})`).join(", ")
          }`,
        ]
        : []),
    ].join("\n"),
    summary: { verdicts },
    findings: alive.length + untried.length,
  };
}

/** Rounds of a real storm on a tape of its own below `--data`, or where the URLs say. */
async function weather(
  values: Values<typeof flags & typeof COMMON>,
  say: (line: string) => void,
  signal: AbortSignal,
): Promise<Ending> {
  const { data, transport, hot, lake, create, seed = 1, minutes, strike } = values;
  const folder = await Deno.makeTempDir({ dir: await made(data), prefix: "storm-" });
  const given = { transport, hot, lake };
  const where = [
    ...["--data", folder, ...(create ? ["--create"] : [])],
    ...Object.entries(given).flatMap(([name, url]) => url === undefined ? [] : [`--${name}`, url]),
  ];
  const schemes = [transport ?? "log:", hot ?? "sqlite:", lake ?? "file:"].map((url) => url.slice(0, url.indexOf(":")));
  const points = reachable(schemes);
  const sleepMs = schemes.includes("kafka") ? KAFKA_SLEEP_MS : SLEEP_MS;
  const rows: Row[] = [];
  const untilMs = Date.now() + minutes * 60_000;
  for await (const row of rounds({ seed, untilMs, now: Date.now, where, points, sleepMs, strike, signal })) {
    say(rowText(row));
    for (const words of row.words) say(words);
    rows.push(row);
  }
  const broken = rows.filter(({ isLawful }) => !isLawful);
  if (broken.length === 0) await Deno.remove(folder, { recursive: true });
  const total = (of: (row: Row) => number): number => rows.reduce((sum, row) => sum + of(row), 0);
  const deaths = (name: string): number => total((row) => row.points[name] ?? 0);
  const missed = points.map(nameOf).filter((name) => deaths(name) === 0);
  return {
    text: [
      ...broken.flatMap(({ round, findings }) => findings.slice(0, SHOWN).map((line) => `round ${round}: ${line}`)),
      ...(missed.length > 0 ? [`nobody died at: ${missed.join(", ")}`] : []),
      `${rows.length} rounds, ${total((r) => r.kills + deathsOf(r))} kills, ${total(deathsOf)} of them at ${
        points.length - missed.length
      } of ${points.length} crash points, ${total((r) => r.zombies)} zombies, ${total((r) => r.copies)} copies, ${
        total((r) => r.strikes)
      } strikes, ${total((r) => r.refused.length)} refused for no reason, ${broken.length} rounds broke the law`,
      ...(broken.length > 0 ? [`the tape lies in ${folder}`] : []),
    ].join("\n"),
    summary: { seed, rows, missed },
    findings: broken.length,
  };
}

async function made(folder: string): Promise<string> {
  await Deno.mkdir(folder, { recursive: true });
  return folder;
}

/** Processes of a round that died at a crash point. */
function deathsOf({ points }: Row): number {
  return Object.values(points).reduce((sum, n) => sum + n, 0);
}

function rowText(row: Row): string {
  const { round, kills, zombies, copies, strikes, ends, raw, repeats, refused, isLawful } = row;
  const how = Object.entries(ends).map(([code, n]) => `${n} × ${code}`).join(", ");
  return `round ${round}: ${kills} kills, ${
    deathsOf(row)
  } more at crash points, ${zombies} zombies, ${copies} copies, ${strikes} strikes, exit codes ${how}; raw ${
    raw.toLocaleString("en")
  }, repeats ${repeats.toLocaleString("en")}, ${refused.length} refused for no reason, ${
    isLawful ? "lawful" : "BROKE THE LAW"
  }`;
}

function pointsText(): string {
  const lines = POINTS.map((point) => point.scheme === null ? nameOf(point) : `${nameOf(point)} (${point.scheme}:)`);
  return [...lines, `${lines.length} crash points`].join("\n");
}
