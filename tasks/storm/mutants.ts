/**
 * Every guard of the delivery, of dead letters, rules and checks is taken away in a copy of the project, and the tests that
 * should miss it are run. A guard that no test misses is a finding.
 *
 * **In** the project's folder, **Out** for each guard the test that missed it. **Knows** `mutant`, `failure`.
 */
import { cp } from "node:fs/promises";
import { Misuse } from "../../lib/failure.ts";
import type { Mutant } from "./mutant.ts";
import { CHECKS_AT_REST } from "./mutant/checks.ts";
import { DELIVERY } from "./mutant/delivery.ts";
import { REDRIVE } from "./mutant/redrive.ts";
import { RULES } from "./mutant/rules.ts";

/** What became of a mutant: the name of the first test that failed, null when it lived; or what was not there to try it. */
export interface Verdict {
  readonly guard: string;
  readonly killer: string | null;
  readonly untried?: string;
}

/** Every guard. */
export const MUTANTS: readonly Mutant[] = [...DELIVERY, ...REDRIVE, ...RULES, ...CHECKS_AT_REST];

/** What the tests need of the project. */
const PARTS = ["cmd", "lib", "tasks", "testdata", "deno.json", "deno.lock", "README.md", "grafana", "compose.yaml"];

async function copyTo(copy: string, project: string): Promise<void> {
  for (const part of PARTS) await cp(`${project}/${part}`, `${copy}/${part}`, { recursive: true });
}

/** Takes a guard away in a copy; gives what brings it back. @throws {Error} when its line is not where the list has it */
async function take(copy: string, { guard, file, find, put }: Mutant): Promise<() => Promise<void>> {
  const path = `${copy}/${file}`;
  const source = await Deno.readTextFile(path);
  if (source.split(find).length !== 2) {
    throw new Error(`Cannot take away guard "${guard}": its line is not in ${file} once, must be as listed`);
  }
  await Deno.writeTextFile(path, source.replace(find, () => put));
  return () => Deno.writeTextFile(path, source);
}

/**
 * Takes each guard whose name holds `part` away in a copy of the project and runs the tests that should miss it.
 * @throws {Misuse} when there is none @throws {Error} when a guard's line is not where the list has it
 */
export async function* kills(project: string, part: string, signal: AbortSignal): AsyncGenerator<Verdict> {
  const chosen = MUTANTS.filter(({ guard }) => guard.includes(part));
  if (chosen.length === 0) {
    throw new Misuse(`Cannot take away guard "${part}": no guard's name holds that, must be one of --mutants`);
  }
  const copy = await Deno.makeTempDir({ prefix: "tapedeck-mutants-" });
  try {
    await copyTo(copy, project);
    /** What fails though no guard is missing; asked for once some test has missed one. */
    const anyway = new Map<string, string | null>();
    for (const mutant of chosen) {
      const { guard, tests, needs } = mutant;
      if (signal.aborted) {
        yield { guard, killer: null, untried: "stopped before" };
        continue;
      }
      if (needs !== undefined && Deno.env.get(needs) === undefined) {
        yield { guard, killer: null, untried: `${needs} is not set` };
        continue;
      }
      const bringBack = await take(copy, mutant);
      const killer = await firstFailure(copy, tests);
      await bringBack();
      const name = tests.join(" ");
      if (killer !== null && !anyway.has(name)) anyway.set(name, await firstFailure(copy, tests));
      const isAnyway = killer !== null && anyway.get(name) !== null;
      yield isAnyway
        ? { guard, killer: null, untried: `with it "${anyway.get(name)}" fails as well` }
        : { guard, killer };
    }
  } finally {
    await Deno.remove(copy, { recursive: true });
  }
}

/** The name of the first of these tests that fails. Tests that do not run at all miss nothing. */
async function firstFailure(project: string, tests: readonly string[]): Promise<string | null> {
  const { code, stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["test", "-A", "--no-check", "--fail-fast", ...tests],
    cwd: project,
    env: { NO_COLOR: "1" },
    stdout: "piped",
    stderr: "null",
  }).output();
  if (code === 0) return null;
  // What nobody catches cancels the one that runs.
  return /^(.*) \.\.\. (?:FAILED|cancelled)/m.exec(new TextDecoder().decode(stdout))?.[1] ?? null;
}

/** Guards without which even a calm flow is another one, or holds more in memory: stages at work beside each other need them. */
export const NEEDED: readonly string[] = [
  "rules in the log",
  "one send in flight a partition",
  "one append in flight a partition on Kafka",
  "an append that waits is not overtaken",
  "an unfinished line is read again",
  "a note is not believed",
  "what does not pass is not waited for",
  "jitter of a wait",
  "appends of simulate before its checkpoint",
  "verdicts before the checkpoint",
  "rows before the acknowledgement",
];

/**
 * Makes a copy of the project in a folder without any guard of the delivery that a calm flow can do without; gives how many
 * are gone. Of two that stand on one line only the first is: its absence left the other no line.
 */
export async function unguarded(copy: string, project: string): Promise<number> {
  await copyTo(copy, project);
  let gone = 0;
  for (const mutant of DELIVERY.filter(({ guard }) => !NEEDED.includes(guard))) {
    const isThere = (await Deno.readTextFile(`${copy}/${mutant.file}`)).includes(mutant.find);
    if (!isThere) continue;
    await take(copy, mutant);
    gone++;
  }
  return gone;
}
