/**
 * A storm on the real thing: the stages as processes of their own on real files, or on Kafka and Postgres, killed with -9,
 * stopped for longer than anybody waits, and joined by further copies, at random moments of a seed, started again at once;
 * then drained and audited.
 *
 * **In** where the tape lies, and a seed, **Out** a row a round. **Knows** `chance`.
 */
import { fileURLToPath } from "node:url";
import { Chance } from "../../lib/chance.ts";

/** What befell a round, and what the audit said after it. */
export interface Row {
  readonly round: number;
  readonly kills: number;
  readonly zombies: number;
  /** Copies that joined their stage's group. */
  readonly copies: number;
  /** Times that the user's command struck a service. */
  readonly strikes: number;
  /** Exit codes of processes that ended by themselves, and how many did: 4 is a zombie that was refused. */
  readonly ends: Readonly<Record<string, number>>;
  readonly raw: number;
  readonly repeats: number;
  readonly balanced: boolean;
  /** The audit's findings, a line each. */
  readonly findings: readonly string[];
}

interface Options {
  readonly seed: number;
  readonly untilMs: number;
  readonly now: () => number;
  /** Flags that say where the tape lies. */
  readonly where: readonly string[];
  /** A shell command that strikes a service and lets it come back; none without it. */
  readonly strike: string | undefined;
  readonly signal: AbortSignal;
}

const VICTIMS = ["validate", "sink-hot", "sink-cold", "simulate"] as const;
type Victim = typeof VICTIMS[number];
const ARGS: Readonly<Record<Victim, readonly string[]>> = {
  validate: ["--checkpoint-every", "5000"],
  "sink-hot": [],
  "sink-cold": ["--unit-rows", "5000"],
  simulate: ["--ticks", "0", "--rate", "8000", "--faults", "0.02", "--symbols", "20"],
};
/** Blows of a round, and the longest pause between two. */
const BLOWS = 12;
const PAUSE_MS_MAX = 900;
/** Copies of a stage beside the first that live at once. */
const COPIES_MAX = 2;
/** How long a process is stopped while another one has its work. */
const SLEEP_MS = 1_500;

/** Runs rounds until the time is over; at least one. */
export async function* rounds({ seed, untilMs, now, where, strike, signal }: Options): AsyncGenerator<Row> {
  const chance = Chance.of(seed, 2);
  for (let number = 1; number === 1 || (now() < untilMs && !signal.aborted); number++) {
    yield await round(number, chance, where, strike);
  }
}

async function round(
  number: number,
  chance: Chance,
  where: readonly string[],
  strike: string | undefined,
): Promise<Row> {
  const ends: Record<string, number> = {};
  const count = { kills: 0, zombies: 0, copies: 0, strikes: 0 };
  const crew = new Map<Victim, Deno.ChildProcess>(
    VICTIMS.map((name) => [name, start(name, [...ARGS[name], ...where])]),
  );
  const asleep: Deno.ChildProcess[] = [];
  const copies: Deno.ChildProcess[] = [];
  const ended = async (child: Deno.ChildProcess): Promise<void> => {
    const { code, signal } = await child.status;
    const how = signal ?? String(code);
    ends[how] = (ends[how] ?? 0) + 1;
  };
  for (let blow = 0; blow < BLOWS; blow++) {
    await sleep(100 + chance.below(PAUSE_MS_MAX));
    const victim = VICTIMS[chance.below(VICTIMS.length)]!;
    const child = crew.get(victim)!;
    const kind = chance.below(10);
    if (kind === 9 && strike !== undefined) {
      count.strikes++;
      await new Deno.Command("sh", { args: ["-c", strike], stdout: "null", stderr: "null" }).output();
      continue;
    }
    // Two producers of one id are two markets, so the simulator only dies.
    if (kind < 3 && victim !== "simulate") {
      count.copies++;
      copies.push(start(victim, [...ARGS[victim], ...where]));
      if (copies.length <= COPIES_MAX) continue;
      const eldest = copies.shift()!;
      signalTo(eldest, kind === 0 ? "SIGKILL" : "SIGTERM");
      await ended(eldest);
      continue;
    }
    if (kind < 5 && victim !== "simulate") {
      count.zombies++;
      signalTo(child, "SIGSTOP");
      asleep.push(child);
      setTimeout(() => signalTo(child, "SIGCONT"), SLEEP_MS);
    } else {
      count.kills++;
      signalTo(child, "SIGKILL");
      await ended(child);
    }
    crew.set(victim, start(victim, [...ARGS[victim], ...where]));
  }
  // Who woke up and was not refused leaves as a process does that is told to.
  await sleep(SLEEP_MS);
  const alive = [...asleep, ...copies, ...crew.values()];
  for (const child of alive) signalTo(child, "SIGTERM");
  await Promise.all(alive.map(ended));
  for (const stage of ["validate", "sink-hot", "sink-cold"] as const) {
    await start(stage, [...ARGS[stage], ...where, "--once"]).status;
  }
  const { code, stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", pathOf("audit"), ...where, "--once", "--json"],
    stdout: "piped",
    stderr: "null",
  }).output();
  const summary: Audit = JSON.parse(new TextDecoder().decode(stdout).trimEnd().split("\n").at(-1) || "{}");
  const sum = (of: (book: { readonly raw: number; readonly repeats: number }) => number): number =>
    (summary.books ?? []).reduce((total, book) => total + of(book), 0);
  return {
    round: number,
    ...count,
    ends,
    raw: sum(({ raw }) => raw),
    repeats: sum(({ repeats }) => repeats),
    balanced: code === 0,
    findings: (summary.findings ?? []).map(({ finding, place, detail }) => `${finding} ${place}: ${detail}`),
  };
}

/** What the audit's summary has for us. */
interface Audit {
  readonly books?: readonly { readonly raw: number; readonly repeats: number }[];
  readonly findings?: readonly { readonly finding: string; readonly place: string; readonly detail: string }[];
}

function start(stage: string, args: readonly string[]): Deno.ChildProcess {
  const command = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", pathOf(stage), ...args],
    stdin: "null",
    stdout: "null",
    stderr: "null",
  });
  return command.spawn();
}

function pathOf(stage: string): string {
  return fileURLToPath(new URL(`../../cmd/${stage}.ts`, import.meta.url));
}

/** A signal to a process that may have ended. */
function signalTo(child: Deno.ChildProcess, signal: Deno.Signal): void {
  try {
    child.kill(signal);
  } catch (error) {
    if (!(error instanceof TypeError) && !(error instanceof Deno.errors.NotFound)) throw error;
  }
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
