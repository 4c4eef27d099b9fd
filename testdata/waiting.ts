/**
 * Waiting, for tests: for real, or in a time that passes by being waited for.
 */
import { listener, pause } from "../lib/patience.ts";
import type { Trying, World } from "../lib/world.ts";

/** Waits as a stage does; `report` hears its lines. */
export function trying(report: (line: string) => void = () => {}): Trying {
  return { random: Math.random, pause, signal: new AbortController().signal, hear: listener(report, () => {}) };
}

/** A world whose clock moves when somebody waits, and at no other time. */
export interface Simulated {
  readonly world: World & { readonly trying: Trying };
  /** What was reported. */
  readonly lines: string[];
  /** How long each wait was, ms. */
  readonly waits: number[];
  /** Asks the stage to stop. */
  readonly stop: AbortController;
  /** Called at each wait, before it is over; gives how many there were. */
  onWait: (count: number) => void;
}

/** `random` is what chance gives every time. */
export function simulated(retryForMs: number, random = 0.5): Simulated {
  let now = 0;
  const lines: string[] = [];
  const waits: number[] = [];
  const stop = new AbortController();
  const report = (line: string): void => void lines.push(line);
  const made: Simulated = {
    lines,
    waits,
    stop,
    onWait: () => {},
    world: {
      now: () => now,
      env: () => undefined,
      report,
      retryForMs,
      trying: {
        random: () => random,
        pause: (ms) => {
          now += ms;
          made.onWait(waits.push(ms));
          return Promise.resolve();
        },
        signal: stop.signal,
        hear: listener(report, () => {}),
      },
    },
  };
  return made;
}
