/**
 * A storm on the real thing: the stages as processes of their own on real files, or on Kafka and Postgres, dying at named
 * crash points and killed with -9 at random moments, stopped for longer than anybody waits, and joined by further copies,
 * while services are restarted; then drained and audited.
 *
 * **In** where the tape lies, and a seed, **Out** a row a round. **Knows** `post`, `points`, `chance`, `failure`.
 */
import { Chance } from "../../lib/chance.ts";
import { EXIT } from "../../lib/failure.ts";
import { type Point, type Victim } from "./points.ts";
import { pathOf, Post, sleep, type Toll } from "./post.ts";

/** What befell a round, and what the audit said after it. */
export interface Row extends Toll {
  readonly round: number;
  readonly zombies: number;
  /** Copies that joined their stage's group. */
  readonly copies: number;
  /** Times that the user's command struck a service. */
  readonly strikes: number;
  readonly raw: number;
  readonly repeats: number;
  /** The books balance, and nobody was refused for no reason. */
  readonly isLawful: boolean;
  /** The audit's findings, and what was said by those who were refused for no reason, a line each. */
  readonly findings: readonly string[];
}

interface Options {
  readonly seed: number;
  readonly untilMs: number;
  readonly now: () => number;
  /** Flags that say where the tape lies. */
  readonly where: readonly string[];
  /** Crash points that can be reached there. */
  readonly points: readonly Point[];
  /** How long a process is stopped, and a lull lasts: longer than a group waits for one who does not beat. */
  readonly sleepMs: number;
  /** A shell command that strikes a service and lets it come back; none without it. */
  readonly strike: string | undefined;
  readonly signal: AbortSignal;
}

/** In the order in which they end. */
const VICTIMS: readonly Victim[] = ["simulate", "validate", "sink-hot", "sink-cold"];
/** Nothing falls in a `lull`: the groups settle, and who is armed with a point that lies behind a long wait comes to it. */
type Blow = "kill" | "zombie" | "copy" | "strike" | "lull";
/** What befalls a round, in an order of its own. */
const BLOWS: readonly Blow[] = [
  ...Array<Blow>(20).fill("kill"),
  ...["zombie", "zombie", "zombie", "zombie", "zombie", "copy", "copy", "strike", "strike", "strike", "lull"] as const,
];
const PAUSE_MS_MAX = 1_200;
/** How long a copy shares the work. */
const VISIT_MS = 3_000;
/** At its end a round has three copies of each stage for so long at least; a half of those that join is relieved midway. */
const CROWD_MS_MIN = 8_000;

/** Runs rounds until the time is over; at least one. */
export async function* rounds(options: Options): AsyncGenerator<Row> {
  const { seed, untilMs, now, signal } = options;
  const chance = Chance.of(seed, 2);
  // Over all rounds, so that each process is armed with what was tried least.
  const points: Record<string, number> = {};
  for (let number = 1; number === 1 || (now() < untilMs && !signal.aborted); number++) {
    yield await round(number, chance, points, options);
  }
}

async function round(
  number: number,
  chance: Chance,
  points: Record<string, number>,
  { where, points: reachable, sleepMs, strike }: Options,
): Promise<Row> {
  const toll: Toll = { kills: 0, points, ends: {}, words: [], refused: [] };
  const before = { ...points };
  const count = { zombies: 0, copies: 0, strikes: 0 };
  const posts = VICTIMS.map((stage) => new Post(stage, where, reachable, chance, toll));
  // Two producers of one id are two markets, so the simulator only dies.
  const shared = posts.slice(1);
  const pick = (list: readonly Post[]): Post => list[chance.below(list.length)]!;
  const later: Promise<void>[] = [];
  const visit = (post: Post, ms: number): Promise<void> => {
    count.copies++;
    return post.copy(ms, chance.below(2) === 0);
  };
  for (const blow of shuffled(BLOWS, chance)) {
    await sleep(100 + chance.below(PAUSE_MS_MAX));
    if (blow === "kill") await pick(posts).kill();
    else if (blow === "lull") await sleep(sleepMs);
    else if (blow === "zombie") {
      count.zombies++;
      later.push(pick(shared).stun(sleepMs));
    } else if (blow === "copy") {
      later.push(visit(pick(shared), VISIT_MS));
    } else if (strike !== undefined) {
      count.strikes++;
      await new Deno.Command("sh", { args: ["-c", strike], stdout: "null", stderr: "null" }).output();
    }
  }
  // Long enough for whoever wakes up to be refused, or to leave as a process does that is told to.
  const ms = Math.max(sleepMs, CROWD_MS_MIN);
  const crowd = shared.flatMap((post) => [visit(post, ms), visit(post, ms / 2).then(() => visit(post, ms / 2))]);
  await Promise.all([...later, ...crowd]);
  await Promise.all(posts.map((post) => post.leave()));
  for (const post of shared) await post.drain();
  const { code, stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", pathOf("cmd/audit.ts"), ...where, "--once", "--json"],
    stdout: "piped",
    stderr: "null",
  }).output();
  const summary: Audit = JSON.parse(new TextDecoder().decode(stdout).trimEnd().split("\n").at(-1) || "{}");
  const sum = (of: (book: { readonly raw: number; readonly repeats: number }) => number): number =>
    (summary.books ?? []).reduce((total, book) => total + of(book), 0);
  return {
    round: number,
    ...count,
    ...toll,
    points: Object.fromEntries(
      Object.entries(points).map(([name, n]) => [name, n - (before[name] ?? 0)] as const).filter(([, n]) => n > 0),
    ),
    raw: sum(({ raw }) => raw),
    repeats: sum(({ repeats }) => repeats),
    isLawful: code === EXIT.done && toll.refused.length === 0,
    findings: [
      ...(summary.findings ?? []).map(({ finding, place, detail }) => `${finding} ${place}: ${detail}`),
      ...toll.refused.map((words) => `refused, though nobody slept: ${words}`),
    ],
  };
}

/** What the audit's summary has for us. */
interface Audit {
  readonly books?: readonly { readonly raw: number; readonly repeats: number }[];
  readonly findings?: readonly { readonly finding: string; readonly place: string; readonly detail: string }[];
}

function shuffled<T>(list: readonly T[], chance: Chance): T[] {
  const rest = [...list];
  return list.map(() => rest.splice(chance.below(rest.length), 1)[0]!);
}
