/**
 * Trying again, the same way at every door: pauses of full jitter that grow up to a ceiling, until the door serves, the
 * world's bound is reached or the stage is asked to stop.
 *
 * **In** what was thrown and what it means, **Out** another try, or the error that the user is to see.
 * **Knows** `failure`, `world`.
 */
import { Misuse, Outage, reasonOf } from "./failure.ts";
import type { Door, Trying, Wait, World } from "./world.ts";

/** How long the first pause is at most, and any. */
export interface Bounds {
  readonly msMin: number;
  readonly msMax: number;
}
const BOUNDS: Bounds = { msMin: 50, msMax: 5_000 };

/** What a failure means: the error that says so to the user, and whether it may pass by itself. */
export interface Finding {
  readonly error: unknown;
  readonly passes: boolean;
  /** It asks to be left alone for so long, ms: no pause is shorter, and those after this one are as long as they get. */
  readonly leaveMs?: number;
}

/** Patience with one thing that is tried again and again. */
export class Patience {
  readonly #door: Door;
  readonly #judge: (error: unknown) => Finding;
  readonly #world: World;
  readonly #bounds: Bounds;
  #since: number | null = null;
  #tries = 0;

  constructor(door: Door, world: World, judge: (error: unknown) => Finding, bounds: Bounds = BOUNDS) {
    this.#door = door;
    this.#world = world;
    this.#judge = judge;
    this.#bounds = bounds;
  }

  /** It worked; what may not last counts as served, but the next pauses go on growing as if it had not. */
  calm(lasts = true): void {
    const tries = lasts ? 0 : this.#tries;
    if (this.#since !== null) {
      this.#end(`${this.#door} serves again after ${Math.round((this.#world.now() - this.#since) / 1000)} s`);
    }
    this.#tries = tries;
  }

  /**
   * Waits after a failure. An abort of `signal`, which is the caller's to look at, ends the wait.
   * @throws what the failure means, when it does not pass, the bound is reached or the stage is asked to stop
   */
  async after(error: unknown, signal?: AbortSignal): Promise<void> {
    if (signal?.aborted) return this.#end("");
    const { error: said, passes, leaveMs = 0 } = this.#judge(error);
    const { retryForMs, trying } = this.#world;
    const now = this.#world.now();
    const left = (this.#since ?? now) + retryForMs - now;
    if (!passes || left <= 0 || left < leaveMs || trying === undefined || trying.signal.aborted) {
      this.#end("");
      throw passes && left > 0 && left < leaveMs ? tooLong(said, leaveMs, left) : said;
    }
    const line = `${reasonOf(said)}; trying again for ${retryForMs / 1000} s`;
    trying.hear({ door: this.#door, step: this.#since === null ? "begins" : "goes on", line });
    this.#since ??= now;
    // Full jitter: what many clients lost at once must not be met by all of them at once.
    const { msMin, msMax } = this.#bounds;
    if (leaveMs > 0) this.#tries = Math.ceil(Math.log2(msMax / msMin));
    const ceiling = Math.min(msMax, msMin * 2 ** this.#tries++);
    const ms = leaveMs + 1 + Math.floor(trying.random() * Math.max(0, ceiling - leaveMs));
    const either = signal === undefined ? trying.signal : AbortSignal.any([signal, trying.signal]);
    await trying.pause(Math.min(left, ms), either);
    if (signal?.aborted) this.#end("");
  }

  /** Tries until it works. @throws the reason of an aborted `signal`, and as {@linkcode Patience.after} */
  async persist<T>(act: () => T | Promise<T>, signal?: AbortSignal): Promise<T> {
    for (;;) {
      signal?.throwIfAborted();
      try {
        const done = await act();
        this.calm();
        return done;
      } catch (error) {
        await this.after(error, signal);
      }
    }
  }

  #end(line: string): void {
    if (this.#since !== null) this.#world.trying?.hear({ door: this.#door, step: "is over", line });
    this.#since = null;
    this.#tries = 0;
  }
}

/** The outage with why it is not waited for: it asks for more than the user allows. */
function tooLong(said: unknown, leaveMs: number, left: number): unknown {
  if (!(said instanceof Outage)) return said;
  const seconds = (ms: number): number => Math.ceil(ms / 1000);
  return new Outage(
    `${reasonOf(said)}; may be asked again in ${seconds(leaveMs)} s, and --retry-for leaves ${seconds(left)} s`,
    { cause: said },
  );
}

const ROOM = /^(ENOSPC|EDQUOT)$/;
const SHUT = /^(EROFS|EACCES|EPERM)$/;

/** What a failure of the disk means to an `action`: room may come, leave to write does not. */
export function ofDisk(action: string, error: unknown): Finding {
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  // Not the operating system's: our own, or a bug.
  if (!/^E[A-Z0-9]+$/.test(code)) return { error, passes: false };
  const says = (wanted: string): string => `Cannot ${action}: ${reasonOf(error)}, must ${wanted}`;
  if (ROOM.test(code)) return { error: new Outage(says("have room"), { cause: error }), passes: true };
  if (SHUT.test(code)) return { error: new Misuse(says("lie where it may be written")), passes: false };
  return { error: new Outage(says("be on a disk that works"), { cause: error }), passes: false };
}

/**
 * Hears the waits of a stage: one line when a door is first waited for, by however many, and one when it serves all of
 * them again. `note` is told of each try, and whether the door is waited for.
 */
export function listener(
  report: (line: string) => void,
  note: (door: Door, tries: number, isWaitedFor: boolean) => void,
): Trying["hear"] {
  const waits = new Map<Door, number>();
  return ({ door, step, line }: Wait): void => {
    const before = waits.get(door) ?? 0;
    const after = before + (step === "begins" ? 1 : step === "is over" ? -1 : 0);
    waits.set(door, after);
    note(door, step === "is over" ? 0 : 1, after > 0);
    if ((before === 0) !== (after === 0) && line !== "") report(line);
  };
}

/** Waits, or until the abort. */
export function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal.addEventListener("abort", done);
    if (signal.aborted) done();
  });
}
