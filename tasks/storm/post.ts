/**
 * A stage's post in a storm on real processes: somebody always stands there. Who falls is replaced at once; each process is
 * armed with the next crash point, and may be struck before it comes to it.
 *
 * **In** a stage and where its tape lies, **Out** what became of its processes. **Knows** `points`, `chance`.
 */
import { fileURLToPath } from "node:url";
import { EXIT } from "../../lib/failure.ts";
import type { Chance } from "../../lib/chance.ts";
import { nameOf, type Point, type Victim } from "./points.ts";

/** What became of the processes of a round. */
export interface Toll {
  /** Killed from outside, at no matter what. */
  kills: number;
  /** Processes that died at their crash point, by its name. */
  readonly points: Record<string, number>;
  /** Exit codes of processes that ended by themselves: 4 is a zombie that was refused. */
  readonly ends: Record<string, number>;
  /** What processes said that ended with another code than a zombie's. */
  readonly words: string[];
  /** What those said who were refused and had never slept, nor wait for one who did: nobody may refuse them. */
  readonly refused: string[];
}

const ARGS: Readonly<Record<Victim, readonly string[]>> = {
  validate: ["--checkpoint-every", "5000"],
  "sink-hot": [],
  "sink-cold": ["--unit-rows", "2000"],
  simulate: ["--ticks", "0", "--rate", "8000", "--faults", "0.02", "--symbols", "20"],
};
/** A process may come by its point so many times before it dies there. */
const TIMES_MAX = 4;
/** Pause before a process that ended by itself is replaced. */
const PAUSE_MS = 300;
/** Characters that are kept of what a process said at its end. */
const WORDS_MAX = 1_000;

export class Post {
  readonly #stage: Victim;
  readonly #where: readonly string[];
  readonly #points: readonly Point[];
  readonly #chance: Chance;
  readonly #toll: Toll;
  readonly #alive = new Map<Deno.ChildProcess, Promise<void>>();
  readonly #struck = new WeakSet<Deno.ChildProcess>();
  /** Processes that slept, by their number. */
  readonly #sleepers = new Set<number>();
  #child: Deno.ChildProcess;
  #isOver = false;

  constructor(stage: Victim, where: readonly string[], points: readonly Point[], chance: Chance, toll: Toll) {
    this.#stage = stage;
    this.#where = where;
    this.#points = points.filter((point) => point.stage === stage);
    this.#chance = chance;
    this.#toll = toll;
    this.#child = this.#man(null);
  }

  /** Kills who stands there. */
  async kill(): Promise<void> {
    await this.#strike(this.#child);
  }

  /** Stops who stands there; another one takes the post, and the sleeper wakes up to find it taken. */
  async stun(ms: number): Promise<void> {
    const sleeper = this.#child;
    this.#sleepers.add(sleeper.pid);
    signalTo(sleeper, "SIGSTOP");
    this.#child = this.#man(null);
    await sleep(ms);
    signalTo(sleeper, "SIGCONT");
  }

  /** A further copy that shares the work for a while, and then dies or leaves. */
  async copy(ms: number, dies: boolean): Promise<void> {
    const copy = this.#start(["run", "-A", pathOf(`cmd/${this.#stage}.ts`), ...this.#args()]);
    this.#watch(copy, this.#note(copy));
    await sleep(ms);
    if (dies) return await this.#strike(copy);
    signalTo(copy, "SIGTERM");
    // Being told twice it would leave at once.
    await copy.status;
  }

  /** Lets everybody leave as a process does that is told to, and waits until they have. */
  async leave(): Promise<void> {
    this.#isOver = true;
    for (const child of this.#alive.keys()) signalTo(child, "SIGTERM");
    await Promise.all(this.#alive.values());
  }

  /** Runs the stage until it has taken all that there is. */
  async drain(): Promise<void> {
    await this.#note(this.#start(["run", "-A", pathOf(`cmd/${this.#stage}.ts`), ...this.#args(), "--once"]));
  }

  #args(): readonly string[] {
    return [...ARGS[this.#stage], ...this.#where];
  }

  /**
   * A new process at the post. Behind a `death` that is to be recovered from it is to die in that; else it is armed most
   * often with a point that fewest have died at.
   */
  #man(death: string | null): Deno.ChildProcess {
    const deaths = (point: Point): number => this.#toll.points[nameOf(point)] ?? 0;
    const fewest = (points: readonly Point[]): readonly Point[] => {
      const least = Math.min(...points.map(deaths));
      return points.filter((point) => deaths(point) === least);
    };
    const recovery = this.#points.filter(({ behind }) => death !== null && behind?.includes(death));
    const others = this.#points.filter(({ behind }) => behind === null);
    const list = recovery.length > 0 ? fewest(recovery) : this.#chance.below(4) > 0 ? fewest(others) : others;
    const point = nameOf(list[this.#chance.below(list.length)]!);
    // Some points are come by once in a life.
    const isOnce = recovery.length > 0 || this.#chance.below(2) === 0;
    const times = String(isOnce ? 1 : 1 + this.#chance.below(TIMES_MAX));
    const child = this.#start(["run", "-A", pathOf("tasks/storm/victim.ts"), point, times, ...this.#args()]);
    this.#watch(child, this.#relieve(child, point));
    return child;
  }

  #watch(child: Deno.ChildProcess, ended: Promise<void>): void {
    this.#alive.set(child, ended.then(() => void this.#alive.delete(child)));
  }

  /** Notes how a process ended, and mans the post again when it was the one who stood there. */
  async #relieve(child: Deno.ChildProcess, point: string): Promise<void> {
    const { signal } = await child.status;
    const isThere = signal === "SIGKILL" && !this.#struck.has(child);
    if (isThere) this.#toll.points[point] = (this.#toll.points[point] ?? 0) + 1;
    await this.#note(child);
    if (signal !== "SIGKILL") await sleep(PAUSE_MS);
    if (child === this.#child && !this.#isOver) this.#child = this.#man(isThere ? point : null);
  }

  async #note(child: Deno.ChildProcess): Promise<void> {
    const [{ code, signal }, said] = await Promise.all([child.status, new Response(child.stderr).text()]);
    if (signal !== null) return;
    this.#toll.ends[code] = (this.#toll.ends[code] ?? 0) + 1;
    const words = `${this.#stage}: ${said.trim().slice(-WORDS_MAX)}`;
    if (code === EXIT.refused) {
      // A sleeper keeps its locks, and who waits for one of them in vain says whose it is.
      const holder = /process (\d+) holds it/.exec(said)?.[1];
      if (![child.pid, Number(holder)].some((pid) => this.#sleepers.has(pid))) this.#toll.refused.push(words);
    } else if (code !== EXIT.done) this.#toll.words.push(words);
  }

  async #strike(child: Deno.ChildProcess): Promise<void> {
    this.#struck.add(child);
    if (signalTo(child, "SIGKILL")) this.#toll.kills++;
    await child.status;
  }

  #start(args: readonly string[]): Deno.ChildProcess {
    return new Deno.Command(Deno.execPath(), {
      args: [...args],
      stdin: "null",
      stdout: "null",
      stderr: "piped",
    }).spawn();
  }
}

export function pathOf(file: string): string {
  return fileURLToPath(new URL(`../../${file}`, import.meta.url));
}

export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** A signal to a process that may have ended; whether it had not. */
function signalTo(child: Deno.ChildProcess, signal: Deno.Signal): boolean {
  try {
    child.kill(signal);
    return true;
  } catch (error) {
    if (!(error instanceof TypeError) && !(error instanceof Deno.errors.NotFound)) throw error;
    return false;
  }
}
