/**
 * Where the tape of a storm lies: in this process's memory, or in the embedded log and lake on a disk that loses. The hot
 * store is in memory either way, since SQLite is native and cannot be put on that disk.
 *
 * **In** a plan, **Out** URLs, the doors behind them, and a power cut. **Knows** the doors, `system`.
 */
import { Outage } from "../../lib/failure.ts";
import { makeFolder } from "../../lib/folder.ts";
import { open as openHot } from "../../lib/hot/memory.ts";
import { open as openFiles } from "../../lib/lake/file.ts";
import { open as openLake } from "../../lib/lake/memory.ts";
import { warm } from "../../lib/parquet.ts";
import type { Openers } from "../../lib/stage.ts";
import { open as openLog } from "../../lib/transport/log.ts";
import { cutPower, open as openMemory } from "../../lib/transport/memory.ts";
import type { Policy } from "../../lib/writer.ts";
import type { Ground, Incarnation } from "./incarnation.ts";
import type { Below } from "./plan.ts";
import { ROOT, System } from "./system.ts";

export interface Tape extends Ground {
  readonly urls: { readonly transport: string; readonly hot: string; readonly lake: string };
  /** Lets a life act, of which everything it asks of the system is its own. */
  live<T>(life: Incarnation, act: () => Promise<T>): Promise<T>;
  /** Waits for the end of a round. False when everybody waits and nobody goes on. */
  settle(done: Promise<unknown>): Promise<boolean>;
  /** Makes durable what the storm itself goes by: which sessions of the simulator are done. */
  trust(): void;
}

let tapes = 0;

/** A tape in memory. */
export class InMemory implements Tape {
  readonly open: Openers = { transport: openMemory, hot: openHot, lake: openLake };
  readonly holders = new Map<string, Incarnation>();
  readonly urls;
  readonly #name = `storm-${++tapes}`;
  readonly #lives = new Set<Incarnation>();

  /** Every `holes`th offset of the log is left out; 0 for none. */
  constructor(holes: number) {
    const url = `memory:${this.#name}`;
    this.urls = { transport: `${url}?holes=${holes}`, hot: url, lake: url };
  }
  live<T>(life: Incarnation, act: () => Promise<T>): Promise<T> {
    this.#lives.add(life);
    return act();
  }
  cutPower(): void {
    for (const life of this.#lives) life.end();
    cutPower(this.#name);
  }
  bury(life: Incarnation): void {
    this.#lives.delete(life);
  }
  async settle(done: Promise<unknown>): Promise<boolean> {
    await done;
    return true;
  }
  trust(): void {}
}

/** Small enough that a round has several. */
const SEGMENT_BYTES = 6_000;
const IDLE_TURNS_MAX = 20_000;

/** A tape on a disk that loses. */
export class OnDisk implements Tape {
  readonly open: Openers = { transport: openLog, hot: openHot, lake: openFiles };
  readonly holders = null;
  readonly urls;
  readonly #system: System;

  constructor(plan: Below, policy: Policy, deaf: RegExp | null) {
    this.#system = new System(plan, deaf);
    this.urls = {
      transport: `log:${ROOT}/log?fsync=${policy}&segment=${SEGMENT_BYTES}`,
      hot: `memory:storm-${++tapes}`,
      lake: `file:${ROOT}/lake`,
    };
  }
  /** Puts the disk in the place of the real one. */
  async install(): Promise<Disposable> {
    await warm();
    return this.#system.install();
  }
  live<T>(life: Incarnation, act: () => Promise<T>): Promise<T> {
    return this.#system.live(life, async () => {
      // As the crew does before it starts a stage.
      for (const folder of ["log", "lake"]) makeFolder(`${ROOT}/${folder}`);
      return await act();
    });
  }
  cutPower(): void {
    this.#system.cutPower();
  }
  bury(life: Incarnation): void {
    this.#system.bury(life);
  }
  settle(done: Promise<unknown>): Promise<boolean> {
    return this.#system.pass(done, IDLE_TURNS_MAX);
  }
  trust(): void {
    this.#system.sync(`${ROOT}/log/checkpoint`);
  }
}

/** Whether a stage may be started again after this: something outside said no. */
export function isOutage(error: unknown): boolean {
  return error instanceof Outage ||
    (error instanceof Error && "code" in error && /^E[A-Z]+$/.test(String(error.code)));
}
