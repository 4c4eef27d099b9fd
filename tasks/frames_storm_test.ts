/**
 * The tape of frames on a disk that loses: written, noted and expired while every operation of the disk is struck in turn.
 * Whatever befalls it, each frame that was acknowledged is there, or noted as expired; and a sync left out is caught.
 */
import assert from "@std/assert";
import { makeFolder } from "../lib/folder.ts";
import { type Frame, FRAMES, messagesOf, readFrames } from "../lib/frames.ts";
import { expire } from "../lib/manifest/expiry.ts";
import { survey } from "../lib/manifest/survey.ts";
import { open } from "../lib/transport/log.ts";
import { Below, STRUCK, Sweep } from "./storm/plan.ts";
import { ROOT, System } from "./storm/system.ts";
import { isOutage } from "./storm/tape.ts";

const never = new AbortController().signal;
const DAY = 86_400_000_000;
const NOON = Date.UTC(2026, 0, 1, 12) * 1000;
const PLACE = `${FRAMES}/0`;
const FOLDER = `${ROOT}/log/${PLACE}`;
const DAYS = 5;
/** What comes before the third day expires. */
const BEFORE = NOON + 2 * DAY;
const TURNS_MAX = 5_000;
const LIVES_MAX = 5;
const world = { now: () => 0, env: () => undefined, report: () => {}, retryForMs: 0 };

/** Two frames a day. */
const frame = (number: number): Frame => ({
  ...{ venue: "binance", connection: "c", number, frame: `{"n":${number}}` },
  receivedTime: NOON + Math.floor(number / 2) * DAY,
});

/** A process: what it knows goes with it, except how many frames were acknowledged. */
class Being {
  readonly who = "ingest";
  isOver = false;
  readonly #system: System;
  constructor(system: System) {
    this.#system = system;
  }
  end(): void {
    this.isOver = true;
    this.#system.bury(this);
  }
}

/** One storm: lives follow each other until one comes to its end; then what is wrong, a line each. */
async function weather(plan: Below, deaf: RegExp | null = null): Promise<string[]> {
  const system = new System(plan, deaf);
  using _installed = system.install();
  const wrong: string[] = [];
  let acknowledged = 0;
  const act = async (): Promise<void> => {
    // As the crew does before it starts a stage.
    makeFolder(`${ROOT}/log`);
    const log = await open(`log:${ROOT}/log?fsync=batch`, world);
    await log.create(FRAMES, 1);
    wrong.push(...await objections(log, acknowledged));
    // One that was not acknowledged may be there: a producer goes on behind it.
    for (let next = (await log.ranges(FRAMES))[0]!.high; next < 2 * DAYS; next++) {
      await log.append(FRAMES, 0, messagesOf(frame(next)));
      acknowledged = next + 1;
    }
    await expire(FOLDER, PLACE, { before: BEFORE, at: NOON });
    await log.close();
  };
  for (let life = 0;; life++) {
    const being = new Being(system);
    const ends = system.live(being, act).then(() => true, (error) => {
      if (!being.isOver && !isOutage(error)) wrong.push(`${error}`);
      return false;
    });
    // Who reads a segment lets others have a turn of the real event loop, which no timer tells of.
    let turns = 0;
    while (!await system.pass(ends, TURNS_MAX)) if (++turns > TURNS_MAX) return [...wrong, "nobody goes on"];
    being.end();
    if (await ends) break;
    if (life === LIVES_MAX) return [...wrong, "no life comes to its end"];
  }
  const log = await open(`log:${ROOT}/log`, { ...world, isLooking: true });
  const { low, high } = (await log.ranges(FRAMES))[0]!;
  if (low !== 4 || high !== 2 * DAYS) wrong.push(`the end is ${low} to ${high}`);
  const { rows } = await survey(FOLDER, PLACE, true);
  const states = rows.map(({ state }) => state).join();
  if (states !== "expired,expired,closed,closed,open") wrong.push(`the manifest says ${states}`);
  wrong.push(...await objections(log, 2 * DAYS));
  return wrong;
}

/** What is not as it must be, at any time. */
async function objections(log: Awaited<ReturnType<typeof open>>, acknowledged: number): Promise<string[]> {
  const { rows, findings } = await survey(FOLDER, PLACE, true);
  const wrong = findings.map(({ finding, place, detail }) => `${finding} ${place}: ${detail}`);
  let next = 0;
  for (const { state, first, last, held, expired } of rows) {
    if (first !== next) wrong.push(`${first} follows ${next}`);
    next = last! + 1;
    if (state.startsWith("expir") !== (expired !== null)) wrong.push(`${first} is ${state}`);
    if (state.startsWith("expir") && held!.receivedLast! >= BEFORE) wrong.push(`${first} is too young to expire`);
  }
  if (next < acknowledged) wrong.push(`${acknowledged} frames were acknowledged, and ${next} are known`);
  const { low } = (await log.ranges(FRAMES))[0]!;
  const read: number[] = [];
  for await (const { frames } of readFrames(log, "binance", { from: 0 }, never)) {
    read.push(...frames.map((f) => f.number));
  }
  const wanted = Array.from({ length: next - low }, (_, i) => low + i);
  if (String(read) !== String(wanted)) wrong.push(`read ${read} of ${wanted}`);
  return wrong;
}

Deno.test("whatever strikes a tape while it is written, noted and expired, no frame is lost that was not noted", async () => {
  const calm = new Below(new Sweep(0, "pass"));
  assert.deepEqual(await weather(calm), []);
  assert.ok(calm.count > 60, `${calm.count} operations`);
  for (const fate of STRUCK) {
    for (let at = 1; at <= calm.count; at++) {
      const plan = new Below(new Sweep(at, fate));
      assert.deepEqual(await weather(plan), [], plan.faults.join());
    }
  }
});

for (
  const [what, deaf] of [["of the manifest", /manifest\.jsonl$/], ["of the partition's folder", /frames\/0$/]] as const
) {
  Deno.test(`a sync ${what} that is left out is caught`, async () => {
    const { count } = await (async () => {
      const calm = new Below(new Sweep(0, "pass"));
      await weather(calm, deaf);
      return calm;
    })();
    for (let at = 1; at <= count; at++) {
      if ((await weather(new Below(new Sweep(at, "power cut after")), deaf)).length > 0) return;
    }
    assert.fail("no power cut caught it");
  });
}
